# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules: which cgroup pays is said per directory and file, and may be changed
while mounted."""

import errno
import os
import shutil

import pytest

from lib import actions, content
from lib.judge import evict
from lib.rules import is_owned, log_says, owned, put, read, write_rules
from lib.settings import KIB, MIB
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
    """Each host pays for its side: 24 MiB, in more than one piece."""
    write_rules(place.source, f"*.out memcg={place.other.path}")
    place.put(place.source, "in", 24 * MIB + 100, seed=3)
    place.cover("io=strict", "ahead=1M")
    place.run(copy_range, place.mount / "in", place.mount / "x.out")
    assert (place.source / "x.out").read_bytes() == content.data(
        24 * MIB + 100, 3)
    place.judge.owned_by(place.other, place.source / "x.out", at_least=6144)
    place.judge.owned_by(place.target, place.source / "in", at_least=1)


# Change


def test_a_change_beside_the_mount(place):
    """New opens within a second; what is resident moves by itself."""
    put(place, "a", "sub/b")
    rules = write_rules(place.source, "* io=auto")
    place.cover()
    read(place, "a", "sub/b")
    owned(place, place.target, "a", "sub/b")
    write_rules(place.source, f"* memcg={place.other.path}")
    assert eventually(lambda: is_owned(place, place.other, "a"), 5)
    assert eventually(lambda: is_owned(place, place.other, "sub/b"), 5)
    rules.unlink()
    assert eventually(lambda: is_owned(place, place.target, "a"), 5)


def test_a_change_holds_for_new_opens_within_a_second(place):
    put(place, "a", "b", "c", "sub/d")
    place.cover()
    read(place, "a", "sub/d")
    write_rules(place.source, f"* memcg={place.other.path}")
    assert eventually(lambda: (read(place, "b"),
                               is_owned(place, place.other, "b"))[1], 1)
    read(place, "a", "c", "sub/d")
    owned(place, place.other, "a", "c", "sub/d")


@pytest.mark.parametrize("how", ["write", "replace", "remove", "append"])
def test_a_change_through_the_mount(place, how):
    put(place, "a", "b")
    write_rules(place.source, f"a memcg={place.other.path}")
    if how == "remove":
        write_rules(place.source, f"a memcg={place.other.path}",
                    f"b memcg={place.other.path}")
    place.cover()
    read(place, "a")
    owned(place, place.other, "a")
    rules = place.mount / ".memcgfs"
    text = f"b memcg={place.other.path}\n"
    if how == "write":
        rules.write_text(text)
    elif how == "append":
        with open(rules, "a") as f:
            f.write(text)
    elif how == "replace":
        (place.mount / "new").write_text(text)
        (place.mount / "new").rename(rules)
    else:
        rules.unlink()
    read(place, "b")
    owned(place, place.target if how == "remove" else place.other, "b")
    expected = place.other if how == "append" else place.target
    assert eventually(lambda: is_owned(place, expected, "a"), 5)


def test_a_refused_change_is_no_change_of_the_rest(place):
    """A file that was good and is bad now leaves its directory to the rules
    from above; put right, it holds again."""
    put(place, "a", "b")
    write_rules(place.source, f"* memcg={place.other.path}")
    place.cover()
    read(place, "a")
    owned(place, place.other, "a")
    write_rules(place.source, f"* memcg={place.other.path} foo")
    assert log_says(place, "rules refused: .memcgfs:1:", "foo")
    read(place, "b")
    owned(place, place.target, "b")
    write_rules(place.source, f"* memcg={place.other.path}")
    assert eventually(lambda: is_owned(place, place.other, "b"), 5)


def read_slowly(path, go, size):
    """Reads it in pieces while the test changes rules: every byte counts."""
    with open(path, "rb", buffering=0) as f:
        data = f.read(size // 4)
        os.read(go, 1)
        while part := f.read(64 * KIB):
            data += part
    return data == content.data(size, 5)


@pytest.mark.parametrize("mode", ["io=auto", "io=strict"])
def test_an_open_file_while_its_rule_changes(place, mode):
    size = 8 * MIB
    place.put(place.source, "a", size, seed=5)
    write_rules(place.source, "* on_error=deny")
    place.cover(mode)
    go, gone = os.pipe()
    child = place.start(read_slowly, place.mount / "a", go, size)
    write_rules(place.source, f"* memcg={place.other.path}")
    os.write(gone, b"x")
    assert child.result()
    os.close(go)
    os.close(gone)
    assert eventually(lambda: is_owned(place, place.other, "a"), 5)


def write_steadily(path, go, size):
    with open(path, "wb", buffering=0) as f:
        data = content.data(size, 6)
        for at in range(0, size, 64 * KIB):
            f.write(data[at:at + 64 * KIB])
            if at == size // 2:
                os.read(go, 1)


def test_dirty_data_while_the_rule_changes(place):
    size = 8 * MIB
    write_rules(place.source, "* io=auto")
    place.cover()
    go, gone = os.pipe()
    child = place.start(write_steadily, place.mount / "a", go, size)
    assert eventually(lambda: (place.source / "a").exists()
                      and (place.source / "a").stat().st_size > size // 4)
    write_rules(place.source, f"* memcg={place.other.path}")
    os.write(gone, b"x")
    child.result()
    os.close(go)
    os.close(gone)
    assert (place.source / "a").read_bytes() == content.data(size, 6)
    assert eventually(lambda: is_owned(place, place.other, "a"), 10)


def test_renaming_into_the_reach_of_a_rule(place):
    """The next open of its new name has its new rule; of a directory, all
    that is in it."""
    put(place, "a", "dir/b", "dir/sub/c")
    (place.source / "libs").mkdir()
    write_rules(place.source, f"/libs/** memcg={place.other.path}")
    place.cover()
    read(place, "a", "dir/b", "dir/sub/c")
    owned(place, place.target, "a", "dir/b", "dir/sub/c")
    (place.mount / "a").rename(place.mount / "libs/a")
    (place.mount / "dir").rename(place.mount / "libs/dir")
    names = ["libs/a", "libs/dir/b", "libs/dir/sub/c"]
    read(place, *names)
    owned(place, place.other, *names)
    (place.mount / "libs/dir").rename(place.mount / "back")
    read(place, "back/b", "back/sub/c")
    owned(place, place.target, "back/b", "back/sub/c")


def test_linking_into_the_reach_of_a_rule(place):
    put(place, "a")
    (place.source / "libs").mkdir()
    write_rules(place.source, f"/libs/* memcg={place.other.path}")
    place.cover()
    read(place, "a")
    owned(place, place.target, "a")
    os.link(place.mount / "a", place.mount / "libs/a")
    read(place, "libs/a")
    owned(place, place.other, "libs/a")


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
