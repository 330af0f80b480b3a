# SPDX-License-Identifier: GPL-2.0-or-later
"""The books: who pays for what is resident, who uses it, who brought it in;
each figure beside what the kernel says of the pages."""

import contextlib
import fcntl
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from lib import actions, kernel, settings
from lib.control import ctl_json
from lib.judge import evict
from lib.rules import write_rules
from lib.settings import KIB, MIB
from lib.wait import eventually

pytestmark = pytest.mark.needs_daemon

ZERO = {"usage_bytes": 0, "own_bytes": 0, "hosted_bytes": 0,
        "shared_bytes": 0, "foreign_bytes": 0, "contributors": []}


def tree(place):
    accounts = ctl_json("tree", place.mount.path)[0]["accounts"]
    for account in accounts:
        below = [a for a in accounts
                 if a["depth"] == account["depth"] + 1
                 and a["path"].startswith(account["path"].rstrip("/") + "/")]
        assert account["usage_bytes"] == account["own_bytes"] \
            + account["hosted_bytes"] + sum(a["usage_bytes"] for a in below)
    return {account["path"]: account for account in accounts}


def figures(place, cgroup):
    """usage, own, hosted and shared of a cgroup, in MiB."""
    account = tree(place).get(cgroup.path, ZERO)
    return tuple(account[f"{name}_bytes"] / MIB
                 for name in ("usage", "own", "hosted", "shared"))


def becomes(place, cgroup, *expected, limit=10):
    """The machine may take some pages at any time; none come by themselves."""
    def is_so():
        seen[:] = figures(place, cgroup)
        return all(0.75 * wanted <= figure <= wanted for figure, wanted
                   in zip(seen, expected, strict=True))
    seen = []
    became = eventually(is_so, limit=limit)
    if not became:
        print(f"{cgroup.path}: {seen}, not {expected}")
    return became


def read(place, name, cgroup):
    place.run(actions.read_whole, place.mount / name, cgroup=cgroup)


@pytest.fixture
def family(place):
    """A target, and three cgroups below it whose processes use its files."""
    place.target.delegate_memory()
    children = [place.target.child(name).create() for name in "BCD"]
    place.cgroup_list[:0] = children
    return children


def test_what_is_read_by_others_is_hosted(place):
    place.put(place.source, "a", MIB)
    place.cover()
    read(place, "a", place.reader)
    assert becomes(place, place.target, 1, 0, 1, 0)
    assert becomes(place, place.reader, 0, 0, 0, 1)
    report = place.judge.owned_by(place.target, place.source / "a",
                                  at_least=MIB // settings.PAGE)
    assert report.of(place.reader) == 0


def test_what_the_target_uses_itself_is_its_own(place):
    """Unless its processes live in the leaf that holds the charge."""
    place.put(place.source, "a", MIB)
    place.put(place.source, "b", MIB)
    place.cover()
    read(place, "a", place.target)
    read(place, "b", place.target)
    read(place, "b", place.reader)
    assert becomes(place, place.target, 2, 2, 0, 0)
    assert becomes(place, place.reader, 0, 0, 0, 1)


def test_a_family_shares(place, family):
    """8 MiB of the parent's, used by two children, then by a third: each
    carries all of it, and the parent pays once."""
    b, c, d = family
    place.put(place.source, "shared", 8 * MIB)
    place.cover()
    read(place, "shared", b)
    read(place, "shared", c)
    assert becomes(place, place.target, 8, 0, 8, 0)
    assert becomes(place, b, 0, 0, 0, 8)
    assert becomes(place, c, 0, 0, 0, 8)
    assert figures(place, d) == (0, 0, 0, 0)
    read(place, "shared", d)
    assert becomes(place, d, 0, 0, 0, 8)
    assert becomes(place, place.target, 8, 0, 8, 0)


def test_two_below_one_are_shared_there_once(place, family):
    """Used from below a cgroup that doesn't host it: that one shares it, once
    however many they are."""
    b, c, _ = family
    place.put(place.source, "a", MIB)
    write_rules(place.source, f"* memcg={place.other.path}")
    place.cover()
    read(place, "a", b)
    read(place, "a", c)
    assert becomes(place, place.other, 1, 0, 1, 0)
    assert becomes(place, b, 0, 0, 0, 1)
    assert becomes(place, c, 0, 0, 0, 1)
    assert becomes(place, place.target, 0, 0, 0, 1)


def test_who_brought_it_in(place):
    place.put(place.source, "a", 2 * MIB)
    place.put(place.source, "b", MIB)
    place.cover()
    read(place, "a", place.reader)
    read(place, "b", place.other)
    read(place, "a", place.other)
    account = tree(place)[place.target.path]
    brought = {c["path"]: c["bytes"] for c in account["contributors"]}
    # What the machine took meanwhile was brought in again.
    assert 2 * MIB <= brought[place.reader.path] < 2.5 * MIB
    assert MIB <= brought[place.other.path] < 1.5 * MIB
    assert account["contributors"][0]["path"] == place.reader.path


@pytest.mark.parametrize("io", ["auto", "strict"])
def test_what_is_written(place, io):
    place.cover(f"io={io}")

    def write():
        with open(place.mount / "new", "wb") as file:
            file.write(b"x" * MIB)
    place.run(write)
    assert becomes(place, place.target, 1, 0, 1, 0)
    os.truncate(place.mount / "new", MIB // 2)
    assert becomes(place, place.target, 0.5, 0, 0.5, 0)
    (place.mount / "new").unlink()
    assert becomes(place, place.target, 0, 0, 0, 0)
    assert becomes(place, place.reader, 0, 0, 0, 0)


READS = 2000


def wakings(place):
    """How often a thread that serves the mount has waited for something."""
    total = 0
    for task in Path(f"/proc/{place.mount.daemon.pid}/task").iterdir():
        if (task / "comm").read_text().startswith("fuse_worker"):
            status = (task / "status").read_text()
            total += int(status.split("voluntary_ctxt_switches:")[1].split()[0])
    return total


def read_often(path):
    fd = os.open(path, os.O_RDONLY)
    for n in range(READS):
        assert len(os.pread(fd, KIB, n * KIB % MIB)) == KIB
    os.close(fd)


@pytest.mark.parametrize("io, wakes", [("auto", False), ("strict", True)])
def test_a_read_that_passes_through_costs_the_books_nothing(place, io, wakes):
    """Nobody is told of it; the control is a read that is a message."""
    place.put(place.source, "a", MIB)
    place.cover(f"io={io}")
    read(place, "a", place.reader)
    before = wakings(place)
    place.run(read_often, place.mount / "a")
    assert (wakings(place) - before >= READS // 2) == wakes, \
        wakings(place) - before
    if not wakes:
        assert wakings(place) - before < 100


def lease(fd):
    """Takes a write lease, if nobody else has the file open."""
    with contextlib.suppress(BlockingIOError):
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    return has_lease(fd)


def has_lease(fd):
    return fcntl.fcntl(fd, fcntl.F_GETLEASE) == fcntl.F_WRLCK


def test_a_lease_is_left_to_who_has_it(place):
    """Files are counted again, but what is leased beside the mount isn't
    opened for that. The control: who opens it takes the lease, even if he
    doesn't wait for it."""
    place.cover()
    for name in ("a", "b"):
        place.run(lambda: (place.mount / name).write_bytes(bytes(MIB)))
    assert becomes(place, place.target, 2, 0, 2, 0)
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    fd = os.open(place.source / "a", os.O_RDWR)
    try:
        assert eventually(lambda: lease(fd))
        for left in (0.5, 0):
            os.truncate(place.source / "b", int(left * MIB))
            assert becomes(place, place.target, 1 + left, 0, 1 + left, 0)
        assert has_lease(fd)
        with pytest.raises(BlockingIOError):
            os.open(place.source / "a", os.O_RDONLY | os.O_NONBLOCK)
        assert not has_lease(fd)
    finally:
        os.close(fd)
        signal.signal(signal.SIGIO, before)


def test_a_use_is_forgotten(place):
    place.put(place.source, "a", MIB)
    place.cover("share_decay=1")

    def is_used():
        read(place, "a", place.reader)
        return place.reader.path in tree(place)

    assert eventually(is_used)
    assert becomes(place, place.reader, 0, 0, 0, 0)
    # Nobody uses it, and it is there: the target's own.
    assert becomes(place, place.target, 1, 1, 0, 0)


def test_what_is_reclaimed_is_paid_by_nobody(place):
    """The kernel tells nobody: it is counted again."""
    place.put(place.source, "a", MIB)
    place.cover()
    read(place, "a", place.reader)
    evict(place.source / "a")
    place.judge.none_resident(place.source / "a")
    assert becomes(place, place.target, 0, 0, 0, 0)
    assert becomes(place, place.reader, 0, 0, 0, 0)


@pytest.mark.parametrize("where", ["mount", "source"])
def test_a_file_that_is_removed(place, where):
    place.put(place.source, "a", MIB)
    place.cover()
    read(place, "a", place.reader)
    assert becomes(place, place.target, 1, 0, 1, 0)
    (getattr(place, where) / "a").unlink()
    assert becomes(place, place.target, 0, 0, 0, 0)


def test_the_client_forgets(place):
    """What it forgets of names is no reason to forget who pays."""
    place.put(place.source, "a", MIB)
    place.cover()
    read(place, "a", place.reader)
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("2")
    assert eventually(lambda: ctl_json("status", place.mount.path)[0]
                      ["inodes"] <= 3)
    assert place.judge.look(place.source / "a").of(place.target)
    assert becomes(place, place.target, 1, 0, 1, 0)


def test_read_beside_the_mount(place):
    """Foreign pages are found, claimed, and in the books the target's."""
    place.put(place.source, "a", MIB)
    place.put(place.source, "unknown", MIB)
    place.cover()
    read(place, "a", place.reader)
    evict(place.source / "a")
    assert becomes(place, place.target, 0, 0, 0, 0)
    for name in ("a", "unknown"):
        place.run(actions.read_whole, place.source / name)
    pages = MIB // settings.PAGE
    # Of what was never opened through the mount nothing is known: control.
    assert place.judge.look(place.source / "unknown").of(place.reader) \
        > pages // 2
    # In the midst of the claim a look would bring in what is just dropped.
    assert becomes(place, place.target, 1, 0, 1, 0, limit=20)
    place.judge.owned_by(place.target, place.source / "a", at_least=pages)


def test_cgroups_come_and_go(place):
    """A user's cgroup that is removed is a sharer for a while, and then in
    the books no more; one with its name that comes later is another user."""
    place.put(place.source, "a", MIB)
    place.cover("share_decay=2")
    for _ in range(2):
        user = place.cgroups.fresh("passing")

        def is_used():
            read(place, "a", user)
            return figures(place, user)[3] > 0

        try:
            assert eventually(is_used)
        finally:
            user.remove()
        assert eventually(lambda: user.path not in tree(place), limit=10)
    assert becomes(place, place.target, 1, 1, 0, 0)


def test_fifty_passing_users(place):
    """They leave nothing behind: no account, and no share."""
    place.put(place.source, "a", 64 * KIB)
    place.cover("share_decay=1")
    users = [place.cgroups.fresh("passing") for _ in range(50)]
    try:
        for user in users:
            read(place, "a", user)
    finally:
        for user in users:
            user.remove()
    assert eventually(lambda: not any("passing" in path
                                      for path in tree(place)), limit=10)


def test_a_crowd_of_users(place):
    """64 users of a file are known; with more it is said that there are, and
    who used it last is one of those who are."""
    place.put(place.source, "a", 64 * KIB)
    place.cover()
    users = [place.cgroups.fresh("crowd") for _ in range(66)]
    place.cgroup_list[:0] = users

    def shown():
        [file] = ctl_json("files", place.mount / "a")[0]["files"]
        return len(file["sharers"]), file["has_more_sharers"]

    for user in users[:64]:
        read(place, "a", user)
    assert shown() == (64, False)
    for user in users[64:]:
        read(place, "a", user)
    assert shown() == (64, True)
    lines = os.getxattr(place.mount / "a", "user.memcgfs.sharers").split(b"\n")
    assert len(lines) == 65 and lines[-1] == b"others"
    assert figures(place, users[-1])[3] > 0
    assert sum(figures(place, user)[3] > 0 for user in users) == 64


def fork_as(pid, work):
    """A child with that pid, if nobody else has taken it: whether."""
    try:
        child = kernel.fork_as(pid)
    except FileExistsError:
        return False
    if not child:
        try:
            assert os.getpid() == pid
            work()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return True


def test_a_pid_that_is_used_again(place):
    """By a process of another cgroup, a moment later: he is the user."""
    place.put(place.source, "a", MIB)
    place.put(place.source, "b", MIB)
    place.cover()

    def read_from(cgroup, name):
        cgroup.enter()
        (place.mount / name).read_bytes()

    def try_once():
        pid = os.fork()
        if not pid:
            try:
                read_from(place.reader, "a")
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        time.sleep(0.2)
        return fork_as(pid, lambda: read_from(place.other, "b"))

    assert eventually(try_once)
    assert becomes(place, place.other, 0, 0, 0, 1)
    assert becomes(place, place.reader, 0, 0, 0, 1)


def test_a_cgroup_that_is_renamed(place):
    """It is another user by its new name, and the old one's use is forgotten;
    v2 renames none."""
    if place.cgroups.base.hierarchy.version != 1:
        pytest.skip("no cgroup v1 memory controller here")
    place.put(place.source, "a", MIB)
    place.cover("share_decay=2")
    user = place.cgroups.fresh("before")
    renamed = place.cgroups.base.child("renamed")

    def shares(cgroup):
        read(place, "a", cgroup)
        *others, shared = figures(place, cgroup)
        return others == [0, 0, 0] and 0.75 <= shared <= 1

    try:
        assert eventually(lambda: shares(user))
        os.rename(user.dir, renamed.dir)
        assert eventually(lambda: shares(renamed))
        assert eventually(lambda: user.path not in tree(place))
    finally:
        user.remove()
        renamed.remove()


def test_a_target_that_is_made_anew(place):
    place.put(place.source, "a", MIB)
    target = place.cgroups.fresh("again")
    place.cgroup_list.insert(0, target)
    write_rules(place.source, f"* memcg={target.path}")
    place.cover("charger_idle=1")
    read(place, "a", place.reader)
    assert becomes(place, target, 1, 0, 1, 0)
    assert eventually(lambda: not target.pids())
    target.remove()
    target.create()

    def is_claimed():
        read(place, "a", place.reader)
        return place.judge.look(place.source / "a").foreign_to(target) == 0

    # Which cgroup it is, is looked at ten times a second.
    assert eventually(is_claimed, limit=3)
    assert place.judge.owned_by(target, place.source / "a",
                                at_least=MIB // settings.PAGE)
    assert becomes(place, target, 1, 0, 1, 0)


def test_many_opens_are_one_use(place):
    """Of one file by one process: one sharer, who has brought it in once; and
    nothing is kept of each."""
    place.put(place.source, "a", 64 * KIB)
    place.cover()
    script = ("import os,sys\n"
              "for _ in range(10000): os.close(os.open(sys.argv[1], 0))\n")

    def open_often():
        place.command([sys.executable, "-c", script, place.mount / "a"])

    open_often()
    before = place.mount.daemon.memory()
    open_often()
    grown = place.mount.daemon.memory() - before
    # Of malloc()'s smallest pieces it would be 312 KiB; sanitizers remember
    # what is long freed.
    assert settings.SANITIZED or grown < 256 * KIB, grown
    [file] = ctl_json("files", place.mount / "a")[0]["files"]
    assert file["sharers"] == [place.reader.path]
    [brought] = tree(place)[place.target.path]["contributors"]
    assert brought["path"] == place.reader.path
    # Or a few times, as the machine may take it at any moment.
    assert 64 * KIB <= brought["bytes"] < MIB
