# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules: which cgroup pays is said per directory and file."""

import errno
import os
import shutil

import pytest

from lib import actions, content
from lib.judge import evict
from lib.rules import owned, put, read, write_rules
from lib.settings import MIB
from lib.wait import eventually


# What holds where


@pytest.mark.parametrize("mode", ["io=auto", "io=strict"])
def test_rules_of_a_directory(place, mode):
    write_rules(place.source, "# whose is what",
                f"*.so*    memcg={place.other.path}",
                "tmp/     memcg=@opener")
    names = ["lib.so.1", "sub/deep/lib.so", "plain", "sub/plain", "tmp/x",
             "sub/tmp/y/z"]
    put(place, *names)
    place.cover(mode)
    read(place, *names)
    owned(place, place.other, "lib.so.1", "sub/deep/lib.so")
    owned(place, place.target, "plain", "sub/plain")
    owned(place, place.reader, "tmp/x", "sub/tmp/y/z")


def test_what_is_written_has_rules_too(place):
    write_rules(place.source, f"*.log memcg={place.other.path}")
    place.cover()
    for name in ["new.log", "new"]:
        place.run(actions.write_new, place.mount / name)
    pages = place.judge.pages(actions.SIZE)
    place.judge.owned_by(place.other, place.source / "new.log", at_least=pages)
    place.judge.owned_by(place.target, place.source / "new", at_least=pages)


def test_the_nearer_file_wins_attribute_by_attribute(place):
    put(place, "a", "sub/b", "sub/sub/c")
    write_rules(place.source, f"* memcg={place.other.path} io=strict")
    write_rules(place.source / "sub", "* memcg=@mount")
    write_rules(place.source / "sub/sub", f"c memcg={place.other.path}")
    place.cover()
    read(place, "a", "sub/b", "sub/sub/c")
    owned(place, place.other, "a", "sub/sub/c")
    owned(place, place.target, "sub/b")


def test_rules_of_the_mount(place):
    """Patterns of rules=FILE are relative to the mount, and yield to files
    in directories."""
    rules = place.root / "rules"
    rules.write_text(f"/weights/** memcg={place.other.path}\n")
    put(place, "weights/a", "weights/b/c", "sub/weights/d", "weights/e/f")
    write_rules(place.source / "weights/e", "* memcg=@mount")
    place.cover(f"rules={rules}")
    read(place, "weights/a", "weights/b/c", "sub/weights/d", "weights/e/f")
    owned(place, place.other, "weights/a", "weights/b/c")
    owned(place, place.target, "sub/weights/d", "weights/e/f")


def test_norulefiles(place):
    put(place, "a")
    write_rules(place.source, f"* memcg={place.other.path}")
    place.cover("norulefiles")
    read(place, "a")
    owned(place, place.target, "a")


def test_a_mount_that_enforces_by_rules_alone(place):
    """memcg=@opener for all, but for what a rule says."""
    put(place, "a", "b")
    write_rules(place.source, f"a memcg={place.other.path}")
    target = place.target
    target.path = "@opener"
    place.cover(target=target)
    read(place, "a", "b")
    owned(place, place.other, "a")
    owned(place, place.reader, "b")


def test_reading_rules_leaves_no_pages(place):
    """A rule file is a covered file as any other."""
    put(place, "a")
    rules = write_rules(place.source, *["# comment"] * 1000,
                        f"* memcg={place.other.path}")
    evict(rules)
    place.cover()
    read(place, "a")
    owned(place, place.other, "a")
    place.judge.none_resident(rules)
    rules.read_text()
    assert place.judge.look(rules).resident > 0


def copy_range(source, target):
    with open(source, "rb") as a, open(target, "wb") as b:
        left = os.fstat(a.fileno()).st_size
        while left:
            left -= os.copy_file_range(a.fileno(), b.fileno(), left)


def test_copying_between_two_hosts(place):
    """Each host pays for its side: 24 MiB, in more than one piece. (xfs shares
    the blocks, and has no page of the copy until it is read.)"""
    write_rules(place.source, f"*.out memcg={place.other.path}")
    place.put(place.source, "in", 24 * MIB + 100, seed=3)
    place.cover("io=strict", "ahead=1M")
    place.run(copy_range, place.mount / "in", place.mount / "x.out")
    place.judge.owned_by(place.other, place.source / "x.out", at_least=0)
    assert place.run(content.digest, place.mount / "x.out") == content.md5(
        content.data(24 * MIB + 100, 3))
    place.judge.owned_by(place.other, place.source / "x.out", at_least=6144)
    place.judge.owned_by(place.target, place.source / "in", at_least=1)


# Idle chargers


def test_an_idle_charger_leaves(place):
    """So that its cgroup can be removed, and one of the same name made: the
    next need finds it."""
    put(place, "a", "b", "c")
    write_rules(place.source, f"a memcg={place.other.path}",
                f"c memcg={place.other.path}")
    place.cover("charger_idle=1")
    assert not place.other.chargers()
    read(place, "a")
    owned(place, place.other, "a")
    assert place.other.chargers()
    assert eventually(lambda: not place.other.chargers(), 5)
    assert eventually(lambda: not place.target.chargers(), 5)
    place.other.dir.rmdir()
    read(place, "b")
    owned(place, place.target, "b")
    with pytest.raises(OSError) as error:
        os.close(os.open(place.mount / "c", os.O_RDONLY))
    assert error.value.errno == errno.EHOSTDOWN
    place.other.create()
    assert eventually(lambda: can_open(place.mount / "c"), 5)
    read(place, "c", "a")
    owned(place, place.other, "c", "a")


def can_open(path):
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        return False
    return True


def test_removing_all_that_rules_named(place):
    """rm -rf of a tree with rules, while it is being read."""
    for i in range(20):
        put(place, f"d{i}/a")
        write_rules(place.source / f"d{i}", f"* memcg={place.other.path}")
    place.cover()
    read(place, *(f"d{i}/a" for i in range(20)))
    shutil.rmtree(place.mount / "d3")
    for i in range(20):
        shutil.rmtree(place.mount / f"d{i}", ignore_errors=True)
    assert os.listdir(place.source) == []
