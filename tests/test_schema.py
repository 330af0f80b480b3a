# SPDX-License-Identifier: GPL-2.0-or-later
"""What --json prints is what its schema and its manual page say."""

import copy
import json
import subprocess

import jsonschema
import pytest

from lib import act, actions, schema, settings
from lib.control import CTL, ctl, ctl_json
from lib.hold import Mapper
from lib.settings import KIB

pytestmark = pytest.mark.needs_daemon

SIZE = 256 * KIB


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(schema.load())


def test_each_command_has_a_definition():
    text = ctl("--help").stdout.partition("\ncommands:\n")[2]
    commands = {line.split()[0] for line in text.splitlines()
                if line.startswith("    ") and line[4] != " "}
    defined = {part["$ref"].rpartition("/")[2] for part in schema.load()["anyOf"]}
    assert commands == defined


def keys_of(part):
    """All keys that a part of the schema tells of."""
    if isinstance(part, list):
        return set().union(*map(keys_of, part))
    if not isinstance(part, dict):
        return set()
    return set(part.get("properties", {})).union(*map(keys_of, part.values()))


def test_the_manual_page_tells_of_all_keys():
    page = (settings.TESTS.parent / "doc/memcgfsctl.1.scd").read_text()
    untold = {key for key in keys_of(schema.load()) if f"*{key}*" not in page}
    assert not untold


@pytest.fixture
def mount(place):
    place.put(place.source, "a", SIZE)
    mount = place.cover()
    place.run(actions.read_whole, mount / "a")
    return mount


def test_status_and_explain(mount):
    [answer] = ctl_json("status", mount.path)
    assert answer["hosts"] and schema.conforms("status", answer)
    for path in mount / "a", mount.path:
        [answer] = ctl_json("explain", path)
        assert schema.conforms("explain", answer)


def test_metrics_and_reload(mount):
    [answer] = ctl_json("metrics", mount.path)
    assert schema.conforms("metrics", answer)
    [answer] = ctl_json("reload", mount.path)
    assert schema.conforms("reload", answer)


def test_events(mount):
    process = subprocess.Popen([CTL, "events", "--json", mount.path], text=True,
                               stdout=subprocess.PIPE, preexec_fn=act.prepare)
    try:
        event = json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=settings.seconds(10))
    assert process.returncode == 0
    assert schema.conforms("events", event)


def test_top(mount):
    """A line each time, which its reader has at once, until he leaves."""
    process = subprocess.Popen([CTL, "top", "--json", mount.path], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               preexec_fn=act.prepare)
    rounds = [json.loads(process.stdout.readline()) for _ in range(2)]
    process.stdout.close()
    assert process.wait(timeout=settings.seconds(10)) == 0
    assert process.stderr.read() == ""
    for found in rounds:
        assert schema.conforms("top", found)
        assert [file["path"] for file in found["files"]["files"]] == ["/a"]
    process.stderr.close()


def test_top_ends_with_its_mount(mount):
    with subprocess.Popen([CTL, "top", "--json", mount.path], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          preexec_fn=act.prepare) as process:
        assert process.stdout.readline()
        mount.stop()
        _, said = process.communicate(timeout=settings.seconds(10))
        assert process.returncode == 1
        assert said.startswith("memcgfsctl: ") and said.count("\n") == 1


def test_answers_about_pages(place, mount):
    """With all that there can be in them: a file that others use, one whose
    pages are another's, who maps them, so that they stay."""
    path = place.put(place.source, "b", SIZE)
    (mount / "b").stat()
    place.run(actions.read_whole, mount / "a", cgroup=place.other)
    with Mapper(place, path, cgroup=place.other):
        [answer] = ctl_json("verify", mount.path, check=False)
        assert answer["residue"] and answer["residue"][0]["pids"]
        assert schema.conforms("verify", answer)
        [answer] = ctl_json("claim", mount.path)
        assert answer["residue"] and schema.conforms("claim", answer)
        [answer] = ctl_json("drop", mount / "b", check=False)
        assert answer["left"] and schema.conforms("drop", answer)
        [answer] = ctl_json("files", mount.path)
        files = {file["path"]: file for file in answer["files"]}
        assert files["/a"]["sharers"] and files["/b"]["residue"]
        assert schema.conforms("files", answer)
    [answer] = ctl_json("tree", mount.path)
    assert answer["accounts"] and schema.conforms("tree", answer)


CHANGES = {
    "a key less": lambda a: a.pop("pid"),
    "a key more": lambda a: a.update(frob=1),
    "another version": lambda a: a.update(version=2),
    "another type": lambda a: a.update(pid="1"),
    "a key less within": lambda a: a["hosts"][0].pop("restarts"),
    "a key more within": lambda a: a["hosts"][0].update(frob=1),
    "less than nothing": lambda a: a["hosts"][0].update(usage_bytes=-1),
    "another word": lambda a: a["hosts"][0].update(charger="asleep"),
}


def test_what_is_other_is_seen(mount):
    """The control."""
    [answer] = ctl_json("status", mount.path)
    for what, change in CHANGES.items():
        changed = copy.deepcopy(answer)
        change(changed)
        assert schema.faults("status", changed), what
