# SPDX-License-Identifier: GPL-2.0-or-later
"""Who is believed: a rule file counts whole or not at all, and only if who
wrote it, and who put it there, could have entered the cgroups it names."""

import os
import select
from contextlib import nullcontext

import pytest

from lib import act, kernel, settings
from lib.rules import (is_owned, log_says, may_enter, owned, put, read,
                       reload_rules, write_rules)
from lib.wait import eventually


# What is no rule file


BAD_LINES = {
    "unknown attribute": ("* memgc=/x", ":1:3: unknown attribute \"memgc\""),
    "unknown word": ("\n* io=fast", ":2:6: \"io=fast\": allowed are auto"),
    "bad size": ("* ahead=1Q", ":1:9: \"ahead=1Q\": a size is needed"),
    "no cgroup": ("* memcg=/web.slcie", ": 1: unknown cgroup \"/web.slcie\""),
    "scanners": ("*.iso scanners=a:", ":1:16: \"scanners=a:\": allowed are"),
    "shared": ("* memcg=@shared", ":1:9: \"memcg=@shared\" is not built yet"),
    "macro": ("[attr]lib pin", ":1:1: macros"),
    "quoted macro": ("\"[attr]lib\" pin", ":1:1: macros"),
    "bracket": ("[a pin", ":1:1: pattern \"[a\": \"[\" without \"]\""),
}


@pytest.mark.parametrize("bad", BAD_LINES)
def test_a_bad_line_refuses_the_file(place, bad):
    """The whole file: the good line before it doesn't hold, either. The
    rules from above do."""
    text, said = BAD_LINES[bad]
    put(place, "sub/a", "sub/lib.so")
    write_rules(place.source, f"*.so memcg={place.other.path}")
    path = place.source / "sub/.memcgfs"
    path.write_text(f"{text}\n* memcg={place.other.path}\n")
    path.chmod(0o644)
    place.cover()
    read(place, "sub/a", "sub/lib.so")
    owned(place, place.target, "sub/a")
    owned(place, place.other, "sub/lib.so")
    assert log_says(place, "rules refused: sub/.memcgfs", said)


def refused_files(place):
    """What is no rule file, though it has the name and good content."""
    good = f"* memcg={place.other.path}\n"

    def plain(path, mode=0o644, text=good):
        path.write_text(text)
        path.chmod(mode)

    def link(path):
        plain(path.with_name("elsewhere"))
        path.symlink_to("elsewhere")

    return {
        "group": (lambda p: plain(p, 0o664), "mode 664"),
        "world": (lambda p: plain(p, 0o646), "mode 646"),
        "link": (link, "not a regular file"),
        "loop": (lambda p: p.symlink_to(".memcgfs"), "not a regular file"),
        "fifo": (lambda p: os.mkfifo(p, 0o644), "not a regular file"),
        "directory": (lambda p: p.mkdir(), "not a regular file"),
        "large": (lambda p: plain(p, text=good + "#" * 65536), "65536"),
        "binary": (lambda p: plain(p, text=good + "\0"), "a NUL byte"),
        "latin1": (lambda p: (p.write_bytes(good.encode() + b"# \xe9\n"),
                              p.chmod(0o644)), ":2:3: byte 0xe9: no UTF-8"),
    }


@pytest.mark.parametrize("how", ["group", "world", "link", "loop", "fifo",
                                 "directory", "large", "binary", "latin1"])
def test_a_bad_file_is_refused(place, how):
    make, said = refused_files(place)[how]
    put(place, "a", "good/b")
    make(place.source / ".memcgfs")
    write_rules(place.source / "good", f"* memcg={place.other.path}")
    place.cover()
    read(place, "a", "good/b")
    owned(place, place.target, "a")
    owned(place, place.other, "good/b")
    assert log_says(place, "rules refused: .memcgfs", said)


# Whoever could not enter a cgroup can't charge it; who could, can.


def his_rules(place, *directories, user=act.OWNER):
    for name in directories:
        path = write_rules(place.source / name, f"* memcg={place.other.path}")
        os.chown(path, user.uid, user.gid)


def test_an_owner_without_the_right(place):
    put(place, "his/a", "mine/b")
    his_rules(place, "his", "mine")
    place.cover()
    read(place, "his/a")
    owned(place, place.target, "his/a")
    assert log_says(place, "rules refused: his/.memcgfs: 1: the file's owner",
                    "uid 12001", place.other.path)
    with may_enter(place.other, act.OWNER):
        read(place, "mine/b")
        owned(place, place.other, "mine/b")


def test_a_right_that_is_given_or_taken_later(place):
    """The file is the same: reload looks at its owner's rights again."""
    put(place, "a", "b", "c")
    his_rules(place, ".")
    place.cover()
    read(place, "a")
    owned(place, place.target, "a")
    with may_enter(place.other, act.OWNER):
        reload_rules(place)
        read(place, "b")
        owned(place, place.other, "b")
        assert eventually(lambda: is_owned(place, place.other, "a"))
    reload_rules(place)
    read(place, "c")
    owned(place, place.target, "c")


def test_a_right_to_the_target_alone(place):
    """On v2, where the kernel asks for a right to what is above, too, it is
    none: the owner couldn't have entered. On v1 it is enough."""
    put(place, "a")
    his_rules(place, ".")
    os.chown(place.other.dir / "cgroup.procs", act.OWNER.uid, -1)
    place.cover()
    read(place, "a")
    is_v1 = place.other.hierarchy.version == 1
    owned(place, place.other if is_v1 else place.target, "a")
    with pytest.raises(act.ChildFailed) if not is_v1 else nullcontext():
        act.run(place.other.enter, user=act.OWNER)


def test_the_group_of_a_cgroup_does_not_count(place):
    """Nobody's groups can be asked for: what a group may, an owner may not."""
    put(place, "a")
    his_rules(place, ".")
    for directory in [place.other.dir, place.other.dir.parent]:
        os.chown(directory / "cgroup.procs", -1, act.OWNER.gid)
        (directory / "cgroup.procs").chmod(0o664)
    place.cover()
    read(place, "a")
    owned(place, place.target, "a")
    above = place.other.dir.parent / "cgroup.procs"
    os.chown(above, -1, 0)
    above.chmod(0o644)


def test_an_owner_without_a_number(place):
    """65534 stands for whoever has none in this user namespace."""
    put(place, "a")
    nobody = act.User("nobody", 65534, 65534)
    his_rules(place, ".", user=nobody)
    place.cover()
    with may_enter(place.other, nobody):
        read(place, "a")
    owned(place, place.target, "a")
    assert log_says(place, "rules refused: .memcgfs: 1:", "uid 65534")


def test_an_acl_that_lets_another_write(place):
    put(place, "a")
    path = write_rules(place.source, f"* memcg={place.other.path}")
    act.command(["setfacl", "-m", f"u:{act.STRANGER.uid}:rw", path])
    place.cover()
    read(place, "a")
    owned(place, place.target, "a")
    assert log_says(place, "rules refused: .memcgfs: mode 664")


# Who can write a directory can bring somebody else's file there, as it is.


def test_a_file_that_was_linked_from_elsewhere(place):
    """Root's rules, good where they are, with a second name in a directory
    of a stranger's: good at neither place, until one of them is gone."""
    put(place, "roots/a", "his/b", "his/c")
    path = write_rules(place.source / "roots", f"* memcg={place.other.path}")
    os.link(path, place.source / "his/.memcgfs")
    os.chown(place.source / "his", act.STRANGER.uid, -1)
    place.cover()
    read(place, "roots/a", "his/b")
    owned(place, place.target, "roots/a", "his/b")
    assert log_says(place, "rules refused: his/.memcgfs: it has 2 names")
    (place.source / "his/.memcgfs").unlink()
    assert eventually(lambda: is_owned(place, place.other, "roots/a"))


def test_a_file_that_was_moved_from_elsewhere(place):
    """A stranger moves root's rules from one of his directories to another:
    they hold nowhere that is his, as he couldn't charge that cgroup."""
    put(place, "his/a", "his/b")
    write_rules(place.source / "his", f"* memcg={place.other.path}")
    os.chown(place.source / "his", act.STRANGER.uid, -1)
    place.cover()
    read(place, "his/a")
    owned(place, place.target, "his/a")
    assert log_says(place, "the directory's owner", "uid 12002")
    with may_enter(place.other, act.STRANGER):
        reload_rules(place)
        read(place, "his/b")
        owned(place, place.other, "his/b")


@pytest.mark.parametrize("mode", [0o775, 0o1777])
def test_a_directory_that_others_can_write(place, mode):
    """Anybody's file may have been put there; what names no cgroup needs no
    trust."""
    put(place, "pub/a", "free/b")
    write_rules(place.source / "pub", f"* memcg={place.other.path}")
    write_rules(place.source / "free", "* memcg=@opener")
    (place.source / "pub").chmod(mode)
    (place.source / "free").chmod(mode)
    place.cover()
    read(place, "pub/a", "free/b")
    owned(place, place.target, "pub/a")
    owned(place, place.reader, "free/b")
    assert log_says(place, "rules refused: pub/.memcgfs: 1:",
                    f"mode {mode & 0o777:o} of the directory")


def swap(directory, go):
    """The good file, and one that anybody can write, in turns."""
    names = [directory / ".memcgfs", directory / "bad"]
    while not select.select([go], [], [], 0)[0]:
        kernel.renameat2(*names, kernel.RENAME_EXCHANGE)


def test_a_file_that_is_replaced_while_it_is_read(place):
    """What is checked is what is read: a file that others can write never
    holds, however fast it takes the place of one that does."""
    put(place, "a")
    write_rules(place.source, f"a memcg={place.other.path}")
    bad = place.source / "bad"
    bad.write_text(f"a memcg={place.daemon.path}\n")
    bad.chmod(0o666)
    place.cover()
    go, gone = os.pipe()
    child = act.Child(swap, place.source, go)
    for _ in range(settings.scaled(200)):
        reload_rules(place)
        os.close(os.open(place.mount / "a", os.O_RDONLY))
    os.write(gone, b"x")
    child.result()
    assert "rules refused: .memcgfs: mode 666" in place.log.read_text()
    assert not place.judge.look(place.source / "a").of(place.daemon)
    assert not place.daemon.chargers()


def mount_fails(place, *options):
    done = act.command([settings.BINARY, "-o",
                        ",".join([f"memcg={place.target.path}", *options]),
                        place.source, place.mountpoint], check=False, limit=20)
    assert done.returncode != 0
    return done.stderr.strip().splitlines()


@pytest.mark.parametrize("text, said", [
    ("* memcg=/web.slcie\n", "unknown cgroup \"/web.slcie\""),
    ("* pin\n* foo\n", ":2:3: unknown attribute \"foo\""),
    (None, "No such file"),
])
def test_bad_rules_of_the_mount(place, text, said):
    rules = place.root / "rules"
    if text is not None:
        rules.write_text(text)
    lines = mount_fails(place, f"rules={rules}")
    assert len(lines) == 1 and str(rules) in lines[0] and said in lines[0]
