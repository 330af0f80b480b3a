# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON schema of what memcgfsctl prints, and answers held against it."""

import json

import jsonschema

from . import settings

PATH = settings.TESTS.parent / "doc/memcgfs.schema.json"


def load():
    return json.loads(PATH.read_text())


def strict(schema):
    """The same, but that a key it doesn't tell of is wrong."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(part) for key, part in schema.items()}
    if "properties" in closed and "type" in closed:
        closed.setdefault("additionalProperties", False)
    return closed


def faults(verb, answer):
    """What is wrong with an answer to the verb, by its definition."""
    schema = strict(load())
    del schema["anyOf"]
    schema["$ref"] = f"#/$defs/{verb}"
    validator = jsonschema.Draft202012Validator(schema)
    return [f"{error.json_path}: {error.message}"
            for error in validator.iter_errors(answer)]


def conforms(verb, answer):
    found = faults(verb, answer)
    assert not found, (verb, found)
    return True
