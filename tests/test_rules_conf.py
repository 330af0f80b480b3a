# SPDX-License-Identifier: GPL-2.0-or-later
"""The examples in conf/: each is mounted with, as it is but for a prefix of
its cgroups, and the kernel is asked who pays for files that it speaks of."""

import re
from dataclasses import dataclass, field

import pytest

from lib import actions, settings
from lib.judge import evict
from lib.settings import KIB

CONF = settings.TESTS.parent / "conf"
SIZE = 64 * KIB
OPENER = "@opener"


@dataclass
class Example:
    memcg: str  # of the mount
    owners: dict  # files, and the cgroups that pay when the reader reads them
    pinned: list = field(default_factory=list)


EXAMPLES = {
    "container-libraries": Example(OPENER, {
        "a/usr/lib/libssl.so.3": "/platform/libs",
        "a/usr/lib/libc.so.6": "/platform/libs",
        "b/usr/bin/tool": "/platform/libs",
        "b/usr/lib/python3.11/os.py": "/platform/libs",
        "b/var/lib/db": OPENER, "a/tmp/x.so": OPENER, "a/etc/passwd": OPENER,
    }, ["a/usr/lib/libc.so.6"]),
    "model-weights": Example("/models", {
        "weights/m.safetensors": "/models", "weights/tokenizer.model": "/models",
        "weights/config.json": "/models", "checkpoints/c.bin": "/models",
    }, ["weights/tokenizer.model", "weights/config.json"]),
    "build-farm": Example("/farm/shared", {
        "toolchains/gcc-12/libexec/cc1": "/farm/toolchains",
        "toolchains/gcc-12/bin/gcc": "/farm/toolchains",
        "src/include/a.h": "/farm/toolchains", "src/a.c": "/farm/shared",
        "build/job/a.out": OPENER, "src/a.o": OPENER,
    }, ["toolchains/gcc-12/libexec/cc1"]),
    "pod-scratch": Example("/pods/7", {
        "data": "/pods/7", "cache/a/b": "/pods/7/cache", "private/ring": OPENER,
    }),
    "backup-host": Example("/data", {
        "d/file": "/data", "db/table": "/data", "db/dump.tar.zst": "/backup/once",
        "images/x.iso": "/backup/once", "archive/2019/a": "/backup/once",
    }),
}


def targets_of(text):
    return set(re.findall(r"memcg=(/\S+)", re.sub(r"(?m)^#.*", "", text)))


def make_cgroups(base, targets):
    """The targets below @base, and where each one's pages are: on v2 one that
    has children has them in a leaf."""
    parts = {target[:at] for target in targets
             for at in [m.start() for m in re.finditer("/", target)][1:]}
    parts |= targets
    base.delegate_memory()
    found = {}
    for part in sorted(parts):
        found[part] = base.child(part[1:]).create()
        if any(other.startswith(f"{part}/") for other in parts):
            found[part].delegate_memory()
            if base.hierarchy.version == 2:
                found[part] = found[part].child("memcgfs")
    return found


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(place, name):
    example = EXAMPLES[name]
    text = (CONF / f"{name}.rules").read_text()
    targets = targets_of(text) | ({example.memcg} - {OPENER})
    base = place.target
    cgroups = make_cgroups(base, targets)
    cgroups[OPENER] = place.reader
    rules = place.root / f"{name}.rules"
    rules.write_text(text.replace("memcg=/", f"memcg={base.path}/"))
    for path in example.owners:
        (place.source / path).parent.mkdir(parents=True, exist_ok=True)
        place.put(place.source, path, SIZE)
    memcg = example.memcg if example.memcg == OPENER \
        else base.path + example.memcg
    place.target.path, kept = memcg, place.target.path
    place.cover(f"rules={rules}")
    place.target.path = kept
    for path in example.owners:
        place.run(actions.read_whole, place.mount / path)
    for path, owner in example.owners.items():
        place.judge.owned_by(cgroups[owner], place.source / path,
                             at_least=SIZE // settings.PAGE)
    evict(*(place.source / path for path in example.owners))
    for path in example.owners:
        left = place.judge.look(place.source / path).resident
        assert left == (SIZE // settings.PAGE if path in example.pinned
                        else 0), path
    assert "refused" not in place.log.read_text()


def test_each_example_is_tested():
    assert {path.stem for path in CONF.glob("*.rules")} == set(EXAMPLES)
