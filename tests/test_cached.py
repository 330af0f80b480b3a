# SPDX-License-Identifier: GPL-2.0-or-later
"""io=cached: opens make no message, pages are the mount's own, and who misses
one is charged for it for a moment only."""

import mmap
import os
import random
import signal
import subprocess
import time
from errno import ENXIO, EPERM
from pathlib import Path

import pytest

from lib import act, kernel
from lib.judge import evict
from lib.settings import KIB, MIB, PAGE
from lib.wait import eventually

BLOCKS = 64


def reader_owns(place, *paths):
    """Pages of the files that aren't the target's, a second after the last
    request for one."""
    report = place.judge.look(*paths, through=True)
    return report.foreign_to(place.target)


def converged(place, *paths, at_least):
    assert eventually(lambda: reader_owns(place, *paths) == 0, limit=1)
    place.judge.owned_by(place.target, *paths, at_least=at_least, through=True)


def read(path):
    with open(path, "rb") as file:
        return file.read()


# Opening


def open_and_read(path, times=1):
    """As many bytes as there are: whether there are more is a message."""
    for _ in range(times):
        fd = os.open(path, os.O_RDONLY)
        assert len(os.pread(fd, 100, 0)) == 100
        os.close(fd)


def test_an_open_is_no_message(place):
    """As the daemon stands still, files that are known open all the same."""
    place.put(place.source, "file", 100)
    place.cover("io=cached,attr_timeout=100,entry_timeout=100")
    place.run(open_and_read, place.mount / "file")
    place.settle()
    time.sleep(0.1)
    place.run(open_and_read, place.mount / "file")
    place.mount.daemon.signal(signal.SIGSTOP)
    try:
        place.run(open_and_read, place.mount / "file", 10, limit=5)
    finally:
        place.mount.daemon.signal(signal.SIGCONT)


def test_it_keeps_nobody_from_unmounting(place):
    """Though the daemon looks at the mount's own pages all the time."""
    place.put(place.source, "file", 4 * MIB)
    mount = place.cover("io=cached")
    place.run(read, mount / "file")
    subprocess.run(["umount", mount.path], check=True)
    assert eventually(mount.daemon.exited)
    place.mount = None


# Ownership


def hold_mapped(path, size):
    """Maps all of it, for as long as its end isn't told to end."""
    with open(path, "rb") as file:
        m = mmap.mmap(file.fileno(), size, mmap.MAP_SHARED, mmap.PROT_READ)
    for at in range(0, size, PAGE):
        m[at]
    time.sleep(3)
    return sum(m[at] for at in range(0, size, PAGE))


def test_mapped_pages_converge(place):
    size = 2 * MIB
    path = place.put(place.source, "file", size)
    place.cover("io=cached")
    child = place.start(hold_mapped, place.mount / "file", size)
    time.sleep(1)
    converged(place, place.mount / "file", at_least=size // PAGE)
    assert child.result() == sum(read(path)[::PAGE])


@pytest.mark.parametrize("size", [64 * KIB, 200 * KIB, MIB, 5 * MIB])
def test_one_copy_stays(place, size):
    """That of the mount; the backing file's, through which it came, goes."""
    paths = [place.put(place.source, name, size) for name in "abcd"]
    evict(*paths)
    place.cover("io=cached")
    for path in paths:
        place.run(read, place.mount / path.name)
    pages = 4 * size // PAGE
    own = [place.mount / path.name for path in paths]
    converged(place, *own, at_least=pages)
    assert eventually(
        lambda: place.judge.look(*paths).resident <= pages // 100)


def read_scattered(path, count):
    """Single pages, in no order."""
    choose = random.Random(0)
    with open(path, "rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        for at in choose.sample(range(os.fstat(file.fileno()).st_size // PAGE),
                                count):
            assert len(os.pread(file.fileno(), PAGE, at * PAGE)) == PAGE


def test_one_copy_stays_of_what_is_scattered(place):
    path = place.put(place.source, "file", 16 * MIB)
    evict(path)
    place.cover("io=cached")
    place.run(read_scattered, place.mount / "file", 200)
    converged(place, place.mount / "file", at_least=200)
    assert eventually(lambda: place.judge.look(path).resident <= 2)


def test_beside_the_mount_the_reader_pays(place):
    """The control."""
    path = place.put(place.beside, "file", 64 * KIB)
    place.run(read, path)
    time.sleep(0.5)
    assert reader_owns(place, path) >= 12


def squeeze(path, size, seconds):
    end = time.monotonic() + seconds
    rng = random.Random(os.getpid())
    fd = os.open(path, os.O_RDONLY)
    m = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
    n = 0
    while time.monotonic() < end:
        at = rng.randrange(size // PAGE) * PAGE
        assert os.pread(fd, PAGE, at) == m[at:at + PAGE]
        n += 1
    return n


@pytest.mark.not_sanitized
def test_a_target_too_small(place):
    """Readers, by read(2) and by mapping, of four times what fits."""
    size = 64 * MIB
    place.put(place.source, "file", size)
    place.target.set_limit(size // 4)
    place.cover("io=cached")
    readers = [place.start(squeeze, place.mount / "file", size, 4)
               for _ in range(2)]
    act.together(readers)
    converged(place, place.mount / "file", at_least=1)
    assert place.target.oom_kills() == 0


# Data


def blocks_of(n, version):
    return (b"%8d %8d " % (n, version)).ljust(32, b".") * (PAGE // 32)


def work_on_blocks(path, mine, seconds, by_mapping):
    """Each block is of one worker, who alone writes it, and knows what must be
    read there. The last versions."""
    rng = random.Random(mine[0])
    versions = dict.fromkeys(mine, 0)
    end = time.monotonic() + seconds
    fd = os.open(path, os.O_RDWR)
    m = mmap.mmap(fd, BLOCKS * PAGE)
    while time.monotonic() < end:
        n = rng.choice(mine)
        seen = (m[n * PAGE:(n + 1) * PAGE] if rng.random() < 0.5 else
                os.pread(fd, PAGE, n * PAGE))
        assert seen == blocks_of(n, versions[n]), (n, versions[n], seen[:20])
        versions[n] += 1
        data = blocks_of(n, versions[n])
        if by_mapping and rng.random() < 0.5:
            m[n * PAGE:(n + 1) * PAGE] = data
        else:
            os.pwrite(fd, data[:1000], n * PAGE)
            os.pwrite(fd, data[1000:], n * PAGE + 1000)
    m.flush()
    os.close(fd)
    return versions


def read_on(path, seconds):
    """Misses pages all the time, having them dropped first."""
    end = time.monotonic() + seconds
    fd = os.open(path, os.O_RDONLY)
    while time.monotonic() < end:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        for n in range(BLOCKS):
            os.pread(fd, PAGE, n * PAGE)
        time.sleep(0.002)


@pytest.mark.parametrize("by_mapping", [False, True], ids=["write", "mmap"])
def test_nothing_is_lost_or_stale_while_pages_are_recharged(place, by_mapping):
    path = place.source / "file"
    path.write_bytes(b"".join(blocks_of(n, 0) for n in range(BLOCKS)))
    evict(path)
    place.cover("io=cached")
    mounted = place.mount / "file"
    workers = [place.start(work_on_blocks, mounted, list(range(i, BLOCKS, 3)),
                           2, by_mapping)
               for i in range(3)]
    readers = [place.start(read_on, mounted, 2)]
    versions = {}
    for result in act.together(workers + readers)[:3]:
        versions.update(result)
    expected = b"".join(blocks_of(n, versions[n]) for n in range(BLOCKS))
    assert place.run(read, mounted) == expected
    assert path.read_bytes() == expected
    place.settle()
    assert reader_owns(place, mounted) == 0


def test_what_changes_beside_is_seen_at_the_next_open(place):
    path = place.put(place.source, "file", 8 * PAGE)
    place.cover("io=cached,attr_timeout=0.2")
    assert place.run(read, place.mount / "file") == path.read_bytes()
    for n in range(5):
        with open(path, "r+b") as file:
            file.seek(n * PAGE)
            file.write(b"changed %d" % n)
        time.sleep(0.25)
        assert place.run(read, place.mount / "file") == path.read_bytes()


def test_what_was_written_here_is_no_change_beside(place):
    """Or each write would have all of the file's pages dropped."""
    size = 2 * MIB
    place.put(place.source, "file", size)
    place.cover("io=cached")
    place.run(read, place.mount / "file")
    place.settle()

    def write_and_count(path):
        with open(path, "r+b", buffering=0) as file:
            before = kernel.cached_pages(file.fileno())
            file.write(b"x" * PAGE)
            os.stat(path)
            file.read(10)
            time.sleep(0.2)
            os.stat(path)
            return before, kernel.cached_pages(file.fileno())

    before, after = place.run(write_and_count, place.mount / "file")
    assert after >= before * 3 // 4


def test_who_was_written_may_be_run(place):
    """Beside the mount, too: no file stays open for writing."""
    place.cover("io=cached")
    script = b"#!/bin/sh\nexit 7\n"

    def make(path):
        with open(path, "wb") as file:
            file.write(script)
        os.chmod(path, 0o755)
        return subprocess.run([path]).returncode

    assert place.run(make, place.mount / "prog") == 7

    def runs_beside():
        try:
            return subprocess.run([place.source / "prog"]).returncode == 7
        except OSError:
            return False

    assert eventually(runs_beside, limit=5)


def test_what_was_preallocated_and_read_beside_is_a_hole(place):
    path = place.source / "file"
    with open(path, "wb") as file:
        kernel.fallocate(file.fileno(), 0, 0, 64 * PAGE)
    path.read_bytes()
    place.cover("io=cached")

    def find_data(path):
        with open(path) as file:
            return act.errno_of(os.lseek, file.fileno(), 0, os.SEEK_DATA)

    assert place.run(find_data, place.mount / "file") == ENXIO


# Append-only files


def write_in_each_way(path):
    """Elsewhere than at the end, at the end, and by a mapping: the errnos."""
    fd, end = os.open(path, os.O_RDWR), os.open(path, os.O_WRONLY | os.O_APPEND)
    with mmap.mmap(fd, 0) as m:
        told = [act.errno_of(os.pwrite, fd, b"x", 0),
                act.errno_of(os.write, end, b" end"),
                act.errno_of(os.pwrite, fd, b"x", 0)]
        m[1] = 120
        told.append(act.errno_of(m.flush))
    os.close(fd)
    os.close(end)
    return told


@pytest.mark.parametrize("by_mount", [True, False], ids=["mount", "beside"])
def test_append_only_files_are_only_appended_to(place, by_mount):
    """Whoever could open them; and after that they are as any other's."""
    path = place.source / "file"
    place.cover("io=cached")
    place.run(Path.write_bytes, place.mount / "file", b"the start")
    if not by_mount:
        time.sleep(0.5)  # who was writing then goes on
    with open(place.mount / "file" if by_mount else path) as file:
        flags = kernel.get_flags(file)
        kernel.set_flags(file, flags | kernel.FS_APPEND)
        try:
            told = place.run(write_in_each_way, place.mount / "file")
            content = path.read_bytes()
        finally:
            kernel.set_flags(file, flags)
    assert told == [EPERM, 0, EPERM, EPERM]
    assert content == b"the start end"
    assert place.run(write_in_each_way, place.mount / "file") == [0, 0, 0, 0]
    assert path.read_bytes() == b"xxe start end end"


# Trouble


def use_and_remove(path, seconds):
    """Has the file read and synced, and removes it right after the answer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        os.pwrite(fd, b"x" * 5000, 0)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.pread(fd, 10, 0)
        os.fdatasync(fd)
        os.close(fd)
        os.unlink(path)


def test_what_goes_right_after_an_answer(place):
    """The kernel has forgotten it before the daemon is done with it."""
    place.cover("io=cached")
    act.together([place.start(use_and_remove, place.mount / f"file-{n}", 3)
                  for n in range(6)])
    assert place.mount.died() is None


def test_a_killed_charger(place):
    size = 4 * MIB
    path = place.put(place.source, "file", size)
    place.cover("io=cached")
    place.target.kill_chargers()
    assert place.run(read, place.mount / "file") == path.read_bytes()
    place.settle()
    converged(place, place.mount / "file", at_least=1)
