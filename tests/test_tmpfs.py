# SPDX-License-Identifier: GPL-2.0-or-later
"""A tmpfs below the mount: its pages are the target's as with the memcg= that
was proposed for tmpfs, and a full target is a full disk."""

import errno
import mmap
import os
import time

import pytest

from lib import act, actions, content, settings
from lib.act import errno_of
from lib.mount import unmount_below
from lib.settings import KIB, MIB

pytestmark = pytest.mark.turns("mode", alone=True)

MODES = ["io=auto", "io=strict"]
LIMIT = 24 * MIB * (2 if settings.SANITIZED else 1)


@pytest.fixture
def tmpfs(place):
    """The place with source and beside on one tmpfs."""
    where = place.root / "tmpfs"
    where.mkdir()
    act.command(["mount", "-t", "tmpfs", "-o", "size=1G", "none", where])
    place.source, place.beside = where / "source", where / "beside"
    for directory in (place.source, place.beside):
        directory.mkdir()
        directory.chmod(0o777)
    yield place
    if place.mount is not None:
        place.mount.stop()
    unmount_below(where)


@pytest.fixture
def bystander(tmpfs):
    """Who lives in the target and has some memory of his own there."""
    def live():
        held = bytearray(os.urandom(KIB)) * (4 * KIB)
        while held:
            time.sleep(60)
    child = tmpfs.start(live, cgroup=tmpfs.target)
    yield child
    child.end()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("action", [
    pytest.param(a, id=a.__name__) for a in actions.WRITES
    if a is not actions.zero_range_and_write])  # which tmpfs has not
def test_the_target_pays_when_the_writer_is_gone(tmpfs, action, mode):
    """Shared mappings included. The control: natively he pays, and when his
    cgroup is gone, those above it."""
    pages = tmpfs.judge.pages(actions.SIZE)
    writer = tmpfs.cgroups.fresh("writer")
    tmpfs.run(action, tmpfs.beside / "new", cgroup=writer)
    tmpfs.judge.owned_by(writer, tmpfs.beside / "new", at_least=pages)
    tmpfs.cover(mode)
    assert tmpfs.run(action, tmpfs.mount / "new", cgroup=writer) == 0
    writer.remove()
    report = tmpfs.judge.owned_by(tmpfs.target, tmpfs.source / "new")
    assert report.resident == pages
    assert (tmpfs.source / "new").read_bytes() == actions.expected()


def fill_by_write(directory):
    """Returns the errno that ended it, and how much there is then."""
    at = 0
    fd = os.open(directory / "full", os.O_WRONLY | os.O_CREAT)
    while True:
        try:
            at += os.pwrite(fd, content.data(100 * KIB, at), at)
        except OSError as error:
            os.close(fd)
            return error.errno, at


def fill_by_fallocate(directory):
    at = 0
    fd = os.open(directory / "full", os.O_WRONLY | os.O_CREAT)
    while not (number := errno_of(os.posix_fallocate, fd, at, 300 * KIB)):
        at += 300 * KIB
    os.close(fd)
    return number, at


def fill_by_copying(directory):
    at = 0
    source = os.open(directory / "source", os.O_RDONLY)
    fd = os.open(directory / "full", os.O_WRONLY | os.O_CREAT)
    while True:
        try:
            at += os.copy_file_range(source, fd, 400 * KIB, 0, at)
        except OSError as error:
            os.close(fd)
            return error.errno, at


def fill_by_appending(directory):
    at = 0
    fd = os.open(directory / "full", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        try:
            at += os.write(fd, content.data(100_001))
        except OSError as error:
            os.close(fd)
            return error.errno, at


WAYS = [fill_by_write, fill_by_fallocate, fill_by_copying, fill_by_appending]


def is_untouched(place, bystander, chargers):
    """Nobody was killed for want of memory."""
    assert place.target.oom_kills() == 0
    assert bystander.pid in place.target.pids(), "the bystander is dead"
    assert place.mount.chargers() == chargers, "a charger was killed"


@pytest.mark.parametrize("where", ["reader", "target"])
@pytest.mark.parametrize("fill", [pytest.param(w, id=w.__name__) for w in WAYS])
def test_a_full_target_is_a_full_disk(tmpfs, bystander, fill, where):
    """Whoever writes: ENOSPC, and nobody dies of it. What is there can be
    read and overwritten; and with something removed, there is room."""
    content.write(tmpfs.source / "source", 400 * KIB)
    tmpfs.target.set_limit(LIMIT)
    writer = getattr(tmpfs, where)
    mount = tmpfs.cover()
    chargers = mount.chargers()
    number, size = tmpfs.run(fill, mount.path, cgroup=writer)
    assert number == errno.ENOSPC
    assert LIMIT // 2 < size <= LIMIT
    is_untouched(tmpfs, bystander, chargers)
    report = tmpfs.judge.owned_by(tmpfs.target, tmpfs.source / "full",
                                  at_least=size // settings.PAGE)
    assert report.resident >= size // settings.PAGE
    # Who comes now needs some memory of his own, which no file system can
    # refuse him: less than what is written once there is room.
    tmpfs.target.set_limit(LIMIT + 6 * MIB)

    def go_on():
        with open(mount / "full", "r+b", buffering=0) as file:
            file.seek(MIB)
            assert file.write(b"overwritten" * KIB) == 11 * KIB
            file.seek(MIB)
            assert file.read(11) == b"overwritten"
        os.unlink(mount / "full")
        content.write(mount / "again", size // 2, 3)
        return content.digest(mount / "again")

    assert tmpfs.run(go_on, cgroup=writer) == \
        content.md5(content.data(size // 2, 3))
    is_untouched(tmpfs, bystander, chargers)


def test_natively_somebody_dies_of_it(tmpfs, bystander):
    """The control of those above: the limit is one that the kernel kills
    for."""
    tmpfs.target.set_limit(LIMIT)

    def fill():
        fill_by_write(tmpfs.beside)
    child = tmpfs.start(fill, cgroup=tmpfs.target)
    try:
        child.result()
    except act.ChildFailed:
        pass
    assert tmpfs.target.oom_kills() > 0


def test_eight_writers_fill_the_target(tmpfs, bystander):
    """Of three cgroups, one of them the target, all at once."""
    tmpfs.target.set_limit(LIMIT)
    mount = tmpfs.cover()
    chargers = mount.chargers()
    for n in range(8):
        (tmpfs.source / f"d{n}").mkdir()
    homes = [tmpfs.reader, tmpfs.other, tmpfs.target]
    outcomes = act.together([
        tmpfs.start(fill_by_write, mount / f"d{n}", cgroup=homes[n % 3])
        for n in range(8)])
    assert {number for number, _ in outcomes} == {errno.ENOSPC}
    assert LIMIT // 2 < sum(size for _, size in outcomes) <= LIMIT
    is_untouched(tmpfs, bystander, chargers)


def test_a_full_ancestor_counts(tmpfs):
    """The limit is that of the target's parent; another child has its share
    of it."""
    if tmpfs.cgroups.hierarchy.version == 2:
        tmpfs.target.delegate_memory()
    inner = tmpfs.target.child("inner").create()
    tmpfs.target.set_limit(LIMIT)
    mount = tmpfs.cover(target=inner)
    number, size = tmpfs.run(fill_by_write, mount.path)
    assert number == errno.ENOSPC and LIMIT // 2 < size <= LIMIT
    assert tmpfs.target.oom_kills() == 0
    mount.stop()


def test_a_sparse_file_is_not_filled_by_reading_it(tmpfs, bystander):
    """Holes are read as they are; where there is no room to charge them
    ahead, they stay holes."""
    tmpfs.target.set_limit(LIMIT)
    mount = tmpfs.cover()
    chargers = mount.chargers()
    for n in range(8):
        with open(tmpfs.source / f"f{n}", "wb") as file:
            file.truncate(LIMIT // 4)
    held = []
    for n in range(8):
        assert tmpfs.run(content.digest, mount / f"f{n}") == \
            content.md5(bytes(LIMIT // 4))
        held.append(os.open(mount / f"f{n}", os.O_RDONLY))
    for fd in held:
        os.close(fd)
    is_untouched(tmpfs, bystander, chargers)


def test_a_mapping_of_a_new_file(tmpfs, bystander):
    """Whatever fits `ahead` and the room is charged before it is mapped."""
    tmpfs.target.set_limit(LIMIT)
    mount = tmpfs.cover()
    size = LIMIT // 4

    def map_and_fill():
        fd = os.open(mount / "new", os.O_RDWR | os.O_CREAT)
        os.ftruncate(fd, size)
        with mmap.mmap(fd, size) as m:
            m[:] = content.data(size, 5)
        os.close(fd)

    tmpfs.run(map_and_fill)
    report = tmpfs.judge.owned_by(tmpfs.target, tmpfs.source / "new")
    assert report.resident == size // settings.PAGE
    assert (tmpfs.source / "new").read_bytes() == content.data(size, 5)
    assert tmpfs.target.oom_kills() == 0
