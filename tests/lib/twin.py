# SPDX-License-Identifier: GPL-2.0-or-later
"""Stories that must end alike on the mount and in a native directory.

A story is a function of an Actor. It runs once in a native directory and once
in a directory of the mount, in a process of the given user each time; all that
the actor notes (results, errno, file attributes, data) must be equal, and so
must the two trees that are left behind.
"""

import errno
import fcntl
import functools
import hashlib
import os
import stat
import subprocess

import pytest

from . import act, kernel, settings
from .wait import eventually

# The ways a request can go: the actor lives elsewhere, he lives in the host
# (reads and writes pass through), everything goes to the charger, or the
# kernel keeps the pages of the mount itself.
WAYS = {"foreign": "io=auto", "host": "io=auto", "strict": "io=strict",
        "cached": "io=cached"}
ONE_WAY = ["foreign"]  # where nothing goes any of these ways
USERS = {u.name: u for u in (act.ROOT, act.OWNER, act.MEMBER)}


class Actor:
    """Does things in the current directory and notes how they went."""

    def __init__(self, user):
        self.user = user
        self.notes = []

    def note(self, label, value):
        self.notes.append((label, value))

    def attempt(self, label, function, *args, **options):
        """(True, result), or (False, the name of the errno), noted if False."""
        try:
            return True, function(*args, **options)
        except OSError as error:
            name = errno.errorcode.get(error.errno, str(error.errno))
        except ValueError:  # Python itself refuses a descriptor of -1
            name = "EBADF"
        self.note(label, name)
        return False, name

    def do(self, function, *args, **options):
        """Note what a call returns, or its errno; hand on the result."""
        label = call_text(function, args)
        good, value = self.attempt(label, function, *args, **options)
        if good:
            self.note(label, value)
            return value
        return None

    def quiet(self, function, *args, **options):
        """The same, where only success or errno is comparable."""
        label = call_text(function, args)
        good, value = self.attempt(label, function, *args, **options)
        if good:
            self.note(label, "done")
            return value
        return None

    def open(self, path, flags=os.O_RDONLY, mode=0o644):
        """A descriptor, or -1."""
        fd = self.quiet(os.open, path, flags, mode)
        return -1 if fd is None else fd

    def write(self, path, data=b"content", mode=0o644):
        """A new file, closed again."""
        fd = self.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        if fd >= 0:
            self.do(os.write, fd, data)
            os.close(fd)

    def read(self, path):
        fd = self.open(path)
        if fd >= 0:
            self.do(read_all, fd)
            os.close(fd)

    def stat(self, path=".", follow=False):
        """Note all attributes that the two sides must have in common."""
        label = f"stat {path}"
        good, st = self.attempt(label, os.stat, path, follow_symlinks=follow)
        if good:
            self.note(label, forget_history(attributes(st)))

    def fstat(self, fd):
        good, st = self.attempt("fstat", os.fstat, fd)
        if good:
            self.note("fstat", forget_history(attributes(st)))

    def list(self, path="."):
        self.note(f"list {path}", sorted(os.listdir(path)))

    def run(self, *argv):
        """Note exit status and output of a program."""
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, text=True,
                              capture_output=True,
                              env={**os.environ, "LC_ALL": "C"})
        self.note(" ".join(argv), (done.returncode, done.stdout, done.stderr))

    def by(self, user, story):
        """Let another user (of this process: root) go on in a child."""
        def play():
            actor = Actor(user)
            story(actor)
            return actor.notes
        for label, value in act.run(play, user=user):
            self.note(f"{user.name}: {label}", value)

    def child(self, story):
        self.by(self.user, story)


def call_text(function, args):
    words = [repr(a)[:60] for a in args if not isinstance(a, (list, bytearray))]
    return f"{getattr(function, '__name__', function)}({', '.join(words)})"


def forget_history(attributes):
    """A directory's size and blocks depend on more than its entries."""
    if stat.S_ISDIR(int(attributes["mode"], 8)):
        del attributes["size"]
        attributes.pop("blocks", None)
    return attributes


class Blocks(int):
    """st_blocks, equal up to one block of the extent tree: whether a file
    needs that depends on how much of the disk is free in one piece."""

    def __eq__(self, other):
        return abs(int(self) - int(other)) <= 8

    def __ne__(self, other):
        return not self == other

    __hash__ = int.__hash__


@functools.cache
def counts_blocks():
    """XFS takes some in advance of a writer, whom more writes may follow; how
    many stay depends on the pieces in which he writes, and on who has the
    file open."""
    return kernel.magic(settings.SCRATCH) != kernel.XFS_MAGIC


def blocks(st):
    is_asked = counts_blocks() or not stat.S_ISREG(st.st_mode)
    return Blocks(st.st_blocks if is_asked else 0)


def attributes(st):
    """What two sides must have in common."""
    return {"mode": oct(st.st_mode), "uid": st.st_uid, "gid": st.st_gid,
            "nlink": st.st_nlink, "size": st.st_size, "blocks": blocks(st),
            "rdev": st.st_rdev, "blksize": st.st_blksize}


def read_all(fd):
    parts = []
    while part := os.read(fd, 1 << 20):
        parts.append(part)
    data = b"".join(parts)
    return data if len(data) < 200 else (len(data), hashlib.md5(data).hexdigest())


def xattrs(path):
    names = os.listxattr(path, follow_symlinks=False)
    return {n: os.getxattr(path, n, follow_symlinks=False) for n in names}


def snapshot(directory):
    """Everything below a directory, as root sees it."""
    found = {}
    for where, directories, files in os.walk(directory):
        for name in directories + files:
            path = os.path.join(where, name)
            found[os.path.relpath(path, directory)] = describe(path)
    return found


def comparable(entries):
    """What two trees made one after the other have in common."""
    return {name: {key: forget_history(value) if key == "stat" else value
                   for key, value in entry.items()
                   if key not in ("times", "btime")}
            for name, entry in entries.items()}


def describe(path):
    st = os.lstat(path)
    kind = {"stat": attributes(st)}
    kind["xattrs"] = xattrs(path)
    if stat.S_ISREG(st.st_mode):
        kind["data"] = hashlib.md5(open(path, "rb").read()).hexdigest()
    if stat.S_ISLNK(st.st_mode):
        kind["link"] = os.readlink(path)
    kind["times"] = st.st_mtime_ns, st.st_ctime_ns
    kind["btime"] = kernel.statx(path)[2]
    return kind


def difference(native, seen, leeway=None):
    """The first few places where two lists of notes part."""
    lines = []
    for n in range(max(len(native), len(seen))):
        one = native[n] if n < len(native) else ("(end)", None)
        two = seen[n] if n < len(seen) else ("(end)", None)
        if one == two:
            continue
        excused = leeway and one[0] == two[0] and leeway(*one, two[1])
        if not excused:
            lines.append(f"step {n + 1}: {one[0]}\n    native: {one[1]!r}\n"
                         f"    mount:  {two[1]!r}"
                         + (f" of {two[0]}" if two[0] != one[0] else ""))
    return "\n".join(lines[:8])


def tree_difference(one, two):
    return "\n".join(f"{name}:\n    {one.get(name)}\n    {two.get(name)}"
                     for name in sorted({*one, *two})
                     if one.get(name) != two.get(name))


class OfCached:
    """As a leeway: what README tells of io=cached besides. It must be met with,
    unless it is_sometimes so; else it is mended, and the mark is to go."""

    def __init__(self, told, leeway):
        self.told, self.leeway = told, leeway
        self.is_met = getattr(told, "is_sometimes", False)

    def __call__(self, *note):
        is_told = self.told(*note)
        self.is_met |= is_told
        return is_told or bool(self.leeway and self.leeway(*note))


class Twins:
    """A mount and a native directory beside it, on one filesystem. How a story
    goes natively is seen once in a run, and holds for each way to mount."""

    native = {}

    def __init__(self, place, option, cgroup):
        self.place = place
        self.option = option
        self.cgroup = cgroup
        self.number = 0
        place.cover(option)

    def compare(self, story, user, leeway=None, cached=None):
        """Fails where the mount is not as the native directory. A daemon that
        a story has killed is replaced for the next."""
        if cached and self.place.mount.cached:
            leeway = OfCached(cached, leeway)
        try:
            self._compare(story, user, leeway)
            assert getattr(leeway, "is_met", True), "io=cached is as the others"
        except AssertionError:
            eventually(self.place.mount.died, 0.5)
            raise
        finally:
            died = self.place.mount.died()
            if died:
                self.place.mount.kill()
                self.place.cover(self.option)
        assert not died, died

    def _compare(self, story, user, leeway):
        self.number += 1
        name = f"{story.__name__[:40]}-{self.number}"
        notes, tree = self._play_natively(story, user, name)
        self._stage(self.place.source / name, user)
        seen = self._play(story, user, self.place.mount / name)
        parted = difference(notes, seen, leeway)
        assert not parted, f"{user.name}'s story differs\n{parted}"
        self._compare_trees(tree, name)

    @staticmethod
    def _stage(directory, user):
        directory.mkdir()
        kernel.spread(directory)
        os.chown(directory, user.uid, user.gid)

    def _play_natively(self, story, user, name):
        """What is noted, and the tree that is left."""
        key = story, user.name
        if key not in self.native:
            directory = self.place.beside / name
            self._stage(directory, user)
            notes = self._play(story, user, directory)
            self.native[key] = notes, comparable(snapshot(directory))
        return self.native[key]

    def _play(self, story, user, directory):
        def play():
            os.chdir(directory)
            actor = Actor(user)
            story(actor)
            return actor.notes
        return act.run(play, user=user, cgroup=self.cgroup, limit=90)

    def _compare_trees(self, one, name):
        """Native and mount must be equal but for times and inodes; the mount
        must show its backing as it is, times included."""
        backing = snapshot(self.place.source / name)
        seen = snapshot(self.place.mount / name)
        assert backing == seen, \
            f"backing, mount:\n{tree_difference(backing, seen)}"
        two = comparable(seen)
        assert one == two, f"native, mount:\n{tree_difference(one, two)}"


def story(*users, leeway=None, cached=None, ways=None, crossed=True):
    """Make a test of a function of an Actor; played by root, by a plain user
    and by one with supplementary groups, unless told by whom; in each of the
    ways that a request can go, unless told which. leeway(label, native, seen)
    says which differences the FUSE protocol imposes, cached which README tells
    of io=cached (OfCached). Crossed, each user goes each way;
    else, and where less is asked for, each user and each way has its turn
    (is_turn), as then neither changes what the other one does."""
    players = users or tuple(USERS.values())

    def decorate(function):
        @pytest.mark.parametrize("user", players, ids=lambda u: u.name)
        def test(twins, user):
            twins.compare(function, user, leeway, cached)
        test.takes_turns = not crossed or settings.BRIEF
        test.players = players
        test.__name__ = test.__qualname__ = function.__name__
        test.__doc__ = function.__doc__
        test.__module__ = function.__module__
        if ways:
            test = pytest.mark.parametrize("twins", ways, indirect=True)(test)
        return test
    return decorate


def is_turn(item):
    """Whether the user of a story is to play it in this way; of any other
    test, yes. That of io=cached is each time a turn, and there is no time for
    what a module says to be NOT_CACHED. Of a module that is IN_TURNS, as it
    matters little there who does it, all are, but with MEMCGFS_LONG."""
    players = getattr(item.function, "players", None)
    if not players:
        return True
    way, user = map(item.callspec.params.get, ("twins", "user"))
    if way == "cached" and (
            settings.SANITIZED
            or item.originalname in getattr(item.module, "NOT_CACHED", ())):
        return False
    takes_turns = item.function.takes_turns or (
        getattr(item.module, "IN_TURNS", False) and not settings.LONG)
    if way != "cached" and not takes_turns:
        return True
    turn = list(WAYS).index(way) + settings.TURN
    return players.index(user) == turn % len(players)


def lock_by_child(path, kind, start=0, length=0):
    """Whether another process gets a POSIX lock without waiting."""
    def attempt():
        fd = os.open(path, os.O_RDWR)
        try:
            fcntl.lockf(fd, kind | fcntl.LOCK_NB, length, start)
            return "locked"
        except OSError as error:
            return errno.errorcode[error.errno]
    return act.run(attempt)


def locks_by_child(path, kind, starts, length):
    """The same of some ranges, one after the other."""
    def attempt(start):
        try:
            fcntl.lockf(fd, kind | fcntl.LOCK_NB, length, start)
            return "locked"
        except OSError as error:
            return errno.errorcode[error.errno]

    def attempts():
        nonlocal fd
        fd = os.open(path, os.O_RDWR)
        return [attempt(start) for start in starts]
    fd = -1
    return act.run(attempts)


def flock_by_child(path, kind):
    def attempt():
        fd = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
            return "locked"
        except OSError as error:
            return errno.errorcode[error.errno]
    return act.run(attempt)
