# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading, writing, locking and everything about open files, as natively."""

import ctypes
import errno
import faulthandler
import fcntl
import mmap
import os
import resource
import shutil
import signal
import struct
import subprocess
import time

from lib import act, kernel
from lib.act import OWNER, ROOT
from lib.settings import scaled
from lib.twin import (ONE_WAY, flock_by_child, lock_by_child, locks_by_child,
                      read_all, story)
from lib.wait import eventually

IN_TURNS = True
PAGE = 4096

# Of locks, which are the client's kernel's: not otherwise there.
NOT_CACHED = (
    "test_flock", "test_posix_locks", "test_who_holds_a_posix_lock",
    "test_locks_are_not_inherited", "test_locks_across_fork",
    "test_locks_and_exec", "test_locks_of_ranges",
    "test_open_file_description_locks", "test_waiting_for_a_posix_lock",
    "test_waiting_for_a_flock", "test_many_waiters", "test_deadlock")


def patterned(size):
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


@story(ROOT, OWNER)
def test_read_and_write(a):
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    a.do(os.write, fd, patterned(10_000))
    a.do(os.lseek, fd, 0, os.SEEK_SET)
    a.do(os.read, fd, 100)
    a.do(os.pread, fd, 100, 9_950)
    a.do(os.pread, fd, 100, 10_000)
    a.do(os.pread, fd, 100, 1 << 40)
    a.do(os.pread, fd, 10, -1)
    a.do(os.pwrite, fd, b"hole before", 50_000)
    a.do(os.pread, fd, 20, 49_995)
    a.do(os.lseek, fd, 0, os.SEEK_CUR)
    a.do(os.write, fd, b"here")
    a.do(os.lseek, fd, -4, os.SEEK_END)
    a.do(os.lseek, fd, -1, os.SEEK_SET)
    a.do(os.read, fd, 1)
    a.do(os.lseek, fd, 0, 99)
    a.do(os.pwrite, fd, b"x", 1 << 50)
    a.do(os.pwrite, fd, b"x", 1 << 62)
    a.do(os.ftruncate, fd, 1 << 50)
    a.do(os.ftruncate, fd, -1)
    a.fstat(fd)
    a.do(os.ftruncate, fd, 50_015)  # xfs has let it become so large
    a.fstat(fd)


@story(ROOT, OWNER)
def test_truncate(a):
    a.write("file", patterned(10_000))
    for size in (5_000, 9_000, 0, 4_096, 100_000, 3, 3):
        a.do(os.truncate, "file", size)
        a.stat("file")
        a.read("file")
    a.do(os.truncate, "missing", 0)
    os.mkdir("dir")
    a.do(os.truncate, "dir", 0)
    a.do(os.truncate, "file", -1)


@story(ROOT, OWNER)
def test_append(a):
    a.write("file", b"start")
    fd = a.open("file", os.O_RDWR | os.O_APPEND)
    a.do(os.lseek, fd, 0, os.SEEK_SET)
    a.do(os.write, fd, b" more")
    a.do(os.lseek, fd, 0, os.SEEK_CUR)
    other = a.open("file", os.O_WRONLY | os.O_APPEND)
    a.do(os.write, other, b" other")
    a.do(os.write, fd, b" again")
    a.do(os.pwrite, fd, b" placed?", 0)
    a.read("file")
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags & ~os.O_APPEND)
    a.do(os.pwrite, fd, b"START", 0)
    a.read("file")
    a.do(fcntl.fcntl, other, fcntl.F_SETFL, os.O_WRONLY)
    a.do(os.pwrite, other, b"S", 0)
    a.do(fcntl.fcntl, other, fcntl.F_SETFL, os.O_WRONLY | os.O_APPEND)
    a.do(os.write, other, b" end")
    a.read("file")


@story(OWNER)
def test_large_writes_to_one_place_do_not_mix(a):
    """Each is seen whole, though it takes several messages."""
    size = 3 << 20
    a.open("file", os.O_RDWR | os.O_CREAT)

    def overwrite(byte):
        fd = os.open("file", os.O_WRONLY)
        for _ in range(3):
            assert os.pwrite(fd, bytes([byte]) * size, 0) == size

    mixed = 0
    for _ in range(scaled(12)):
        act.together([act.Child(overwrite, byte) for byte in b"ab"])
        with open("file", "rb") as f:
            mixed += len(set(f.read())) != 1
    a.note("mixed", mixed)
    os.unlink("file")


@story(ROOT, OWNER)
def test_vectors_and_their_flags(a):
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    a.do(os.writev, fd, [b"one ", b"", b"two ", b"three"])
    for flags in (0, kernel.RWF_DSYNC, kernel.RWF_SYNC, kernel.RWF_HIPRI):
        a.do(os.pwritev, fd, [b"ONE", b" TWO"], 0, flags)
    a.do(os.pwritev, fd, [b" appended"], 0, kernel.RWF_APPEND)
    for flags in (0, kernel.RWF_HIPRI):
        parts = [bytearray(3), bytearray(50)]
        a.do(os.preadv, fd, parts, 2, flags)
        a.note("parts", [bytes(p) for p in parts])
    a.do(os.preadv, fd, [bytearray(3)], 0, 1 << 20)
    a.do(os.pwritev, fd, [b"x"], 0, 1 << 20)
    a.do(os.preadv, fd, [bytearray(3)], -5, 0)
    a.read("file")


@story(ROOT, OWNER)
def test_reading_without_waiting(a):
    """RWF_NOWAIT may say that it would have to wait; else it is right."""
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"content")
    part = bytearray(7)
    try:
        got = os.preadv(fd, [part], 0, kernel.RWF_NOWAIT)
        a.note("right", part[:got] == b"content"[:got])
    except OSError as error:
        a.note("right", error.errno in (errno.EAGAIN, errno.EOPNOTSUPP))


@story(ROOT, OWNER)
def test_seek_data_and_hole(a):
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, patterned(PAGE), 0)
    os.pwrite(fd, patterned(PAGE), 100 * PAGE)
    os.ftruncate(fd, 200 * PAGE)
    os.fsync(fd)
    for at in (0, 1, PAGE, 50 * PAGE, 100 * PAGE, 101 * PAGE, 199 * PAGE,
               200 * PAGE, 300 * PAGE, -1):
        a.do(os.lseek, fd, at, os.SEEK_DATA)
        a.do(os.lseek, fd, at, os.SEEK_HOLE)
    a.do(os.lseek, fd, 0, os.SEEK_CUR)
    empty = a.open("empty", os.O_RDWR | os.O_CREAT)
    a.do(os.lseek, empty, 0, os.SEEK_DATA)
    a.do(os.lseek, empty, 0, os.SEEK_HOLE)


@story(ROOT, OWNER)
def test_fallocate(a):
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    a.do(kernel.fallocate, fd, 0, 0, 10 * PAGE)
    a.fstat(fd)
    a.do(os.pwrite, fd, patterned(10 * PAGE), 0)
    for mode, at, length in (
            (kernel.FALLOC_KEEP_SIZE, 0, 20 * PAGE),
            (kernel.FALLOC_PUNCH_HOLE | kernel.FALLOC_KEEP_SIZE, 100, 300),
            (kernel.FALLOC_PUNCH_HOLE | kernel.FALLOC_KEEP_SIZE, PAGE + 5,
             3 * PAGE),
            (kernel.FALLOC_PUNCH_HOLE, 0, PAGE),
            (kernel.FALLOC_ZERO, 5 * PAGE + 7, PAGE),
            (kernel.FALLOC_ZERO | kernel.FALLOC_KEEP_SIZE, 9 * PAGE, 9 * PAGE),
            (kernel.FALLOC_ZERO, 9 * PAGE, 3 * PAGE),
            (0, -1, 10), (0, 0, 0), (0x4000, 0, 10), (0, 1 << 50, 10)):
        a.do(kernel.fallocate, fd, mode, at, length)
        a.fstat(fd)
        a.do(os.pread, fd, 40 * PAGE, 0)
    a.do(os.posix_fallocate, fd, 0, 50 * PAGE)
    a.fstat(fd)
    reader = a.open("file")
    a.do(kernel.fallocate, reader, 0, 0, 10)
    a.do(os.ftruncate, fd, 50 * PAGE)  # xfs has let it become so large
    a.fstat(fd)
    os.mkfifo("fifo")
    fifo = os.open("fifo", os.O_RDWR)
    a.do(kernel.fallocate, fifo, 0, 0, 10)
    a.do(kernel.fallocate, a.open(".", os.O_DIRECTORY), 0, 0, 10)


@story(ROOT, OWNER)
def test_fallocate_around_the_end(a):
    """What each mode does to size, blocks and data, before, across and
    beyond the end, and through which descriptors."""
    modes = (0, kernel.FALLOC_KEEP_SIZE, kernel.FALLOC_ZERO,
             kernel.FALLOC_ZERO | kernel.FALLOC_KEEP_SIZE,
             kernel.FALLOC_PUNCH_HOLE | kernel.FALLOC_KEEP_SIZE)
    for mode in modes:
        for at, length in ((PAGE - 10, 20), (2 * PAGE + 100, 5 * PAGE),
                           (6 * PAGE, 3 * PAGE), (0, 9 * PAGE)):
            fd = a.open("file", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            os.write(fd, patterned(3 * PAGE))
            a.do(kernel.fallocate, fd, mode, at, length)
            a.fstat(fd)
            a.do(os.pwrite, fd, b"appended", os.fstat(fd).st_size)
            a.do(os.ftruncate, fd, 8 * PAGE)
            a.fstat(fd)
            os.close(fd)
            a.read("file")
    for flags in (os.O_WRONLY, os.O_WRONLY | os.O_APPEND, os.O_RDONLY,
                  os.O_RDWR | os.O_DIRECT, os.O_PATH):
        fd = a.open("file", flags)
        for mode in modes:
            a.do(kernel.fallocate, fd, mode, 0, PAGE)
        os.close(fd)
    a.read("file")


@story(ROOT, OWNER)
def test_holes_come_and_go(a):
    """SEEK_HOLE and SEEK_DATA after writes not yet on disk, preallocation,
    punching, zeroing and truncation."""
    def look(label):
        found, at, size = [], 0, os.fstat(fd).st_size
        while at < size:
            try:
                at = os.lseek(fd, at, os.SEEK_DATA)
            except OSError as error:
                found.append(errno.errorcode[error.errno])
                break
            end = os.lseek(fd, at, os.SEEK_HOLE)
            found.append((at, end))
            at = end
        a.note(label, found)

    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 64 * PAGE)
    look("all hole")
    os.pwrite(fd, patterned(2 * PAGE), 10 * PAGE)
    look("written")
    os.fsync(fd)
    look("synced")
    kernel.fallocate(fd, kernel.FALLOC_KEEP_SIZE, 20 * PAGE, 8 * PAGE)
    os.fsync(fd)
    look("preallocated")
    os.pwrite(fd, patterned(100), 22 * PAGE)
    os.fsync(fd)
    look("written there")
    os.pwrite(fd, patterned(PAGE), 25 * PAGE)
    look("not on disk")
    kernel.fallocate(fd, kernel.FALLOC_PUNCH_HOLE | kernel.FALLOC_KEEP_SIZE,
                     11 * PAGE, PAGE)
    look("punched")
    os.ftruncate(fd, 11 * PAGE - 100)
    os.ftruncate(fd, 30 * PAGE)
    os.fsync(fd)
    look("cut and grown")
    a.read("file")
    os.ftruncate(fd, 0)
    kernel.fallocate(fd, 0, 0, 64 * PAGE)
    look("all preallocated")
    a.note("first hole", os.lseek(fd, 100, os.SEEK_HOLE))
    os.pwrite(fd, patterned(3 * PAGE), 60 * PAGE)
    fd = a.open("file", os.O_RDWR)
    look("written at its end")
    for at in (100, 59 * PAGE, 61 * PAGE + 7, 63 * PAGE, 64 * PAGE):
        a.do(os.lseek, fd, at, os.SEEK_DATA)
        a.do(os.lseek, fd, at, os.SEEK_HOLE)


@story(OWNER)
def test_fallocate_that_moves_data(a):
    """Collapsing and inserting either works or is refused; FUSE refuses."""
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    for mode in (kernel.FALLOC_COLLAPSE, kernel.FALLOC_INSERT):
        os.pwrite(fd, patterned(4 * PAGE), 0)
        os.ftruncate(fd, 4 * PAGE)
        moved = PAGE if mode == kernel.FALLOC_INSERT else -PAGE
        try:
            kernel.fallocate(fd, mode, PAGE, PAGE)
        except OSError as error:
            a.note("refused rightly or done", error.errno == errno.EOPNOTSUPP)
            moved = 0
        else:
            a.note("refused rightly or done", True)
        a.note("size", os.fstat(fd).st_size == 4 * PAGE + moved)
    os.unlink("file")


@story(ROOT, OWNER)
def test_copy_file_range(a):
    a.write("source", patterned(100_000))
    source = a.open("source", os.O_RDWR)
    sink = a.open("sink", os.O_RDWR | os.O_CREAT)
    a.do(os.copy_file_range, source, sink, 50_000)
    a.do(os.lseek, source, 0, os.SEEK_CUR)
    a.do(os.lseek, sink, 0, os.SEEK_CUR)
    a.do(os.copy_file_range, source, sink, 1000, 99_500, 70_000)
    a.do(os.copy_file_range, source, sink, 1000, 200_000, 0)
    a.do(os.copy_file_range, source, sink, 0, 0, 0)
    a.do(os.copy_file_range, source, source, 1000, 0, 500)
    a.do(os.copy_file_range, source, source, 1000, 0, 120_000)
    a.fstat(sink)
    a.fstat(source)
    reader = a.open("sink")
    a.do(os.copy_file_range, source, reader, 10)
    appender = a.open("sink", os.O_WRONLY | os.O_APPEND)
    a.do(os.copy_file_range, source, appender, 10, 0)
    writer = a.open("source", os.O_WRONLY)
    a.do(os.copy_file_range, writer, sink, 10, 0)
    a.do(os.copy_file_range, a.open(".", os.O_DIRECTORY), sink, 10, 0)
    out, into = os.pipe()
    a.do(os.copy_file_range, out, sink, 10)
    a.do(os.copy_file_range, source, sink, 10, 0, 1 << 62)
    a.do(os.ftruncate, sink, 120_000)  # xfs has let it become so large
    a.read("sink")
    shutil.copyfile("source", "copied")
    a.read("copied")


@story(ROOT, OWNER)
def test_copy_file_range_at_its_edges(a):
    a.write("source", patterned(3 * PAGE + 100))
    source, again = a.open("source", os.O_RDWR), a.open("source", os.O_RDWR)
    sink = a.open("sink", os.O_RDWR | os.O_CREAT)
    huge = (1 << 63) - 1
    for at, to, length, flags in (
            (0, 0, PAGE, 1), (0, 0, PAGE, 1 << 31), (-1, 0, 10, 0),
            (0, -1, 10, 0), (0, 0, huge, 0), (0, 10 * PAGE, 1 << 62, 0),
            (huge, 0, 10, 0), (0, huge, 10, 0), (huge - 5, 0, huge, 0),
            (3 * PAGE + 99, 50, 10, 0), (3 * PAGE + 100, 50, 10, 0),
            (1, 1, 0, 0), (PAGE, 100 * PAGE, PAGE, 0)):
        a.note(f"from {at} to {to}, {length}, {flags}", None)
        a.quiet(kernel.copy_file_range, source, at, sink, to, length, flags)
        a.note("size", os.fstat(sink).st_size)
    a.read("sink")
    for at, to, length in ((0, 10, 100), (100, 0, 150), (0, 0, 10),
                           (0, 2 * PAGE, PAGE), (0, 3 * PAGE + 100, 50)):
        a.do(kernel.copy_file_range, source, at, again, to, length)
        a.do(kernel.copy_file_range, source, at, source, to, length)
    a.read("source")
    a.do(kernel.copy_file_range, source, None, sink, None, 100)
    a.do(os.lseek, source, 0, os.SEEK_CUR)
    a.do(os.lseek, sink, 0, os.SEEK_CUR)
    os.ftruncate(sink, 0)
    os.ftruncate(source, 1 << 20)
    a.do(kernel.copy_file_range, source, (1 << 20) - 100, sink, 0, 200)
    a.do(kernel.copy_file_range, a.open("source", os.O_PATH), 0, sink, 0, 10)
    null = a.open("/dev/null", os.O_RDWR)
    a.do(kernel.copy_file_range, null, 0, sink, 0, 10)
    a.do(kernel.copy_file_range, source, 0, null, 0, 10)
    a.do(kernel.copy_file_range, -1, 0, sink, 0, 10)
    a.read("sink")


@story(ROOT, OWNER)
def test_copies_see_what_was_just_written(a):
    """Stores by a mapping and writes that are not on disk, on both sides."""
    source = a.open("source", os.O_RDWR | os.O_CREAT)
    sink = a.open("sink", os.O_RDWR | os.O_CREAT)
    os.ftruncate(source, 4 * PAGE)
    os.ftruncate(sink, 4 * PAGE)
    with mmap.mmap(source, 0) as one, mmap.mmap(sink, 0) as two:
        one[PAGE:PAGE + 6] = b"stored"
        two[2 * PAGE:2 * PAGE + 4] = b"kept"
        os.pwrite(source, b"written", 10)
        a.do(os.copy_file_range, source, sink, 2 * PAGE, 0, 0)
        a.note("mapped", (two[10:17], two[PAGE:PAGE + 6],
                          two[2 * PAGE:2 * PAGE + 4]))
        one[0:5] = b"later"
        a.note("apart", two[0:5])
    a.read("sink")


@story(ROOT, OWNER)
def test_sendfile_and_splice(a):
    a.write("source", patterned(70_000))
    source, sink = a.open("source"), a.open("sink", os.O_RDWR | os.O_CREAT)
    a.do(os.sendfile, sink, source, 1000, 50_000)
    a.do(os.sendfile, sink, source, 69_990, 1000)
    a.do(os.sendfile, sink, source, None, 100)
    a.do(os.lseek, source, 0, os.SEEK_CUR)
    out, into = os.pipe()
    a.do(os.splice, source, into, 5000, 100)
    a.do(os.splice, out, sink, 5000, offset_dst=200_000)
    a.do(os.splice, source, into, 5000, 70_000)
    appender = a.open("sink", os.O_WRONLY | os.O_APPEND)
    os.write(into, b"data")
    a.do(os.splice, out, appender, 4)
    a.fstat(sink)
    a.read("sink")


@story(ROOT, OWNER)
def test_mappings(a):
    a.write("file", patterned(3 * PAGE + 100))
    fd = a.open("file", os.O_RDWR)
    with mmap.mmap(fd, 0) as m:
        m[10:20] = b"mapped.in."
        m[3 * PAGE + 50] = 65
        a.do(os.pread, fd, 30, 0)
        a.do(os.pwrite, fd, b"written", 100)
        a.note("mapping", bytes(m[95:115]))
        a.note("beyond the end", m[3 * PAGE + 99:3 * PAGE + 100])
    private = mmap.mmap(fd, PAGE, mmap.MAP_PRIVATE)
    private[0:4] = b"mine"
    a.do(os.pread, fd, 10, 0)
    reader = a.open("file")
    a.quiet(mmap.mmap, reader, PAGE, mmap.MAP_SHARED, mmap.PROT_READ)
    a.quiet(mmap.mmap, reader, PAGE, mmap.MAP_SHARED,
            mmap.PROT_READ | mmap.PROT_WRITE)
    a.quiet(mmap.mmap, reader, PAGE, mmap.MAP_PRIVATE,
            mmap.PROT_READ | mmap.PROT_WRITE)
    a.quiet(mmap.mmap, a.open("file", os.O_WRONLY), PAGE, mmap.MAP_SHARED,
            mmap.PROT_READ)
    with mmap.mmap(fd, 3 * PAGE) as m:
        os.close(fd)
        os.unlink("file")
        m[:5] = b"still"
        a.note("after unlink", bytes(m[:20]))


@story(ROOT, OWNER)
def test_a_mapping_beyond_the_end(a):
    """SIGBUS beyond the last page, none within it."""
    def touch(offset):
        def child():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            fd = os.open("file", os.O_RDWR)
            m = mmap.mmap(fd, 4 * PAGE)
            os.ftruncate(fd, PAGE + 10)
            pid = os.fork()
            if pid == 0:
                faulthandler.disable()
                m[offset]
                os._exit(0)
            return os.waitpid(pid, 0)[1]
        return act.run(child)

    for offset in (0, PAGE + 9, PAGE + 10, 2 * PAGE - 1, 2 * PAGE, 3 * PAGE):
        a.write("file", patterned(4 * PAGE))
        a.note(f"touch {offset}", touch(offset))


@story(ROOT, OWNER)
def test_direct_io(a):
    """But for the alignment of memory, of which a server hears nothing."""
    fd = a.open("file", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
    page = mmap.mmap(-1, 2 * PAGE)
    page[:] = patterned(2 * PAGE)
    a.do(os.pwritev, fd, [page], 0)
    a.do(os.preadv, fd, [page], 0)
    a.do(os.preadv, fd, [page], PAGE)
    a.do(os.preadv, fd, [page], 512)
    a.do(os.preadv, fd, [page], 100)
    a.do(os.pwritev, fd, [page], 100)
    with memoryview(page)[:1000] as odd:
        a.do(os.preadv, fd, [odd], 0)
        a.do(os.pwritev, fd, [odd], 0)
    a.fstat(fd)
    a.note("flag", bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT))
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_RDWR)
    a.do(os.pread, fd, 100, 100)
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_RDWR | os.O_DIRECT)
    a.do(os.preadv, fd, [page], 0)
    a.do(os.ftruncate, fd, PAGE + 100)
    a.do(os.preadv, fd, [page], PAGE)
    a.note("tail", bytes(page[:100]))


@story(ROOT, OWNER)
def test_sync(a):
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"data")
    a.do(os.fsync, fd)
    a.do(os.fdatasync, fd)
    a.do(kernel.syncfs, fd)
    reader = a.open("file")
    a.do(os.fsync, reader)
    directory = a.open(".", os.O_DIRECTORY)
    a.do(os.fsync, directory)
    a.do(os.fdatasync, directory)
    for flag in (os.O_SYNC, os.O_DSYNC):
        fd = a.open("file", os.O_WRONLY | flag)
        a.do(os.write, fd, b"synchronously")
    os.mkfifo("fifo")
    a.do(os.fsync, os.open("fifo", os.O_RDWR))
    with mmap.mmap(a.open("file", os.O_RDWR), 4) as m:
        m[0] = 66
        a.do(m.flush)


@story(ROOT, OWNER)
def test_advice(a):
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    os.write(fd, patterned(100_000))
    for advice in (os.POSIX_FADV_SEQUENTIAL, os.POSIX_FADV_RANDOM,
                   os.POSIX_FADV_WILLNEED, os.POSIX_FADV_DONTNEED,
                   os.POSIX_FADV_NOREUSE, os.POSIX_FADV_NORMAL, 77):
        a.do(os.posix_fadvise, fd, 0, 0, advice)
    a.do(os.pread, fd, 50, 99_000)
    kernel.libc.readahead(fd, ctypes.c_long(0), 100_000)
    a.do(os.pread, fd, 50, 1_000)


@story(ROOT, OWNER)
def test_file_size_limit(a):
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    a.write("long", patterned(30_000))
    long = a.open("long", os.O_RDWR)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    a.do(os.write, fd, b"x" * 9_000)
    a.do(os.write, fd, b"y" * 2_000)
    a.do(os.write, fd, b"z")
    a.do(os.ftruncate, fd, 10_000)
    a.do(os.ftruncate, fd, 10_001)
    a.do(kernel.fallocate, fd, 0, 0, 20_000)
    a.do(os.pwrite, long, b"within", 100)
    a.do(os.pwrite, long, b"beyond", 20_000)
    a.do(os.ftruncate, long, 25_000)
    a.do(os.copy_file_range, long, fd, 2_000, 0, 9_000)
    a.do(os.copy_file_range, long, fd, 2_000, 0, 11_000)
    a.fstat(fd)
    a.fstat(long)

    def with_signal():
        """The signal kills who does not ignore it."""
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.pwrite(fd, b"x", 15_000)
            os._exit(0)
        return os.waitpid(pid, 0)[1] & 0x7F
    a.note("killed by", with_signal())


def run_sleeper():
    shutil.copy("/bin/sleep", "sleeper")
    running = subprocess.Popen(["./sleeper", "60"], stdout=subprocess.DEVNULL)
    assert eventually(lambda: is_program(running.pid, "sleeper"))
    return running


def is_program(pid, name):
    """While a process is about to change, nobody may look at it."""
    try:
        return os.readlink(f"/proc/{pid}/exe").endswith(name)
    except PermissionError:
        return False


@story(ROOT, OWNER)
def test_text_file_busy(a):
    shutil.copy("/bin/true", "program")
    writer = a.open("program", os.O_RDWR)
    a.quiet(subprocess.run, ["./program"])
    os.close(writer)
    a.quiet(subprocess.run, ["./program"])
    running = run_sleeper()
    a.open("sleeper", os.O_WRONLY)
    a.open("sleeper", os.O_RDWR | os.O_TRUNC)
    a.do(os.truncate, "sleeper", 0)
    a.do(os.unlink, "sleeper")
    running.kill()
    running.wait()


@story(ROOT, OWNER)
def test_a_running_program_is_not_truncated(a):
    """Not even by one who asks for reading only."""
    running = run_sleeper()
    for access in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
        a.open("sleeper", access | os.O_TRUNC)
        a.stat("sleeper")
    a.note("still runs", running.poll())
    running.kill()
    running.wait()


@story(ROOT, OWNER)
def test_what_a_running_program_forbids(a):
    """And what it does not: new names, a new file in its place, its mode; and
    who only maps it may go on writing."""
    running = run_sleeper()
    a.open("sleeper", os.O_WRONLY | os.O_APPEND)
    a.open("sleeper", os.O_WRONLY | os.O_CREAT)
    a.do(os.chmod, "sleeper", 0o711)
    a.do(os.link, "sleeper", "second")
    a.open("second", os.O_WRONLY)
    a.do(os.rename, "sleeper", "third")
    a.open("third", os.O_RDWR)
    shutil.copy("/bin/true", "new")
    a.do(os.rename, "new", "third")
    a.open("third", os.O_WRONLY)
    a.open("second", os.O_WRONLY)
    running.kill()
    running.wait()
    fd = a.open("second", os.O_RDWR)
    a.do(os.pwrite, fd, b"\x7fELF", 0)
    with mmap.mmap(fd, PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_EXEC):
        a.do(os.pwrite, fd, b"\x7fELF", 0)
    a.open("second", os.O_WRONLY)


@story(ROOT, OWNER)
def test_scripts_and_interpreters_that_are_open(a):
    """A script open for writing cannot be run; one that runs can be written."""
    with open("script", "w") as f:
        f.write("#!/bin/sh\necho run\n")
    os.chmod("script", 0o755)
    fd = a.open("script", os.O_WRONLY | os.O_APPEND)
    a.quiet(subprocess.run, ["./script"])
    os.close(fd)
    a.run("./script")
    shutil.copy("/bin/sh", "shell")
    with open("second", "w") as f:
        f.write("#!./shell\necho second\n")
    os.chmod("second", 0o755)
    a.quiet(subprocess.run, ["./second"], stdout=subprocess.DEVNULL)
    fd = a.open("shell", os.O_WRONLY)
    a.quiet(subprocess.run, ["./second"], stdout=subprocess.DEVNULL)
    os.close(fd)
    a.quiet(subprocess.run, ["./second"], stdout=subprocess.DEVNULL)


@story(ROOT, OWNER)
def test_running_programs(a):
    shutil.copy("/bin/echo", "program")
    a.run("./program", "it", "runs")
    with open("script", "w") as f:
        f.write("#!/bin/sh\necho script \"$1\"\n")
    os.chmod("script", 0o755)
    a.run("./script", "too")
    os.chmod("program", 0o644)
    a.quiet(subprocess.run, ["./program"])
    with open("broken", "w") as f:
        f.write("no program at all")
    os.chmod("broken", 0o755)
    a.quiet(subprocess.run, ["./broken"])
    os.chmod("program", 0o111)
    a.run("./program", "unreadable")


@story(ROOT)
def test_suid_programs(a):
    shutil.copy("/usr/bin/id", "id")
    os.chown("id", OWNER.uid, OWNER.gid)
    os.chmod("id", 0o6755)
    a.run("./id", "-u")
    a.run("./id", "-g")


# Locks


@story(ROOT, OWNER)
def test_flock(a):
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    a.do(fcntl.flock, fd, fcntl.LOCK_SH)
    a.note("shared", flock_by_child("file", fcntl.LOCK_SH))
    a.note("exclusive", flock_by_child("file", fcntl.LOCK_EX))
    a.do(fcntl.flock, fd, fcntl.LOCK_EX)
    a.note("shared", flock_by_child("file", fcntl.LOCK_SH))
    other = a.open("file")
    a.do(fcntl.flock, other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    twin = os.dup(fd)
    os.close(fd)
    a.note("held by the dup", flock_by_child("file", fcntl.LOCK_SH))
    a.do(fcntl.flock, twin, fcntl.LOCK_UN)
    a.note("free", flock_by_child("file", fcntl.LOCK_EX))
    a.do(fcntl.flock, twin, fcntl.LOCK_EX)
    os.close(twin)
    a.note("closed", flock_by_child("file", fcntl.LOCK_EX))
    directory = a.open(".", os.O_DIRECTORY)
    a.do(fcntl.flock, directory, fcntl.LOCK_EX)
    a.do(fcntl.flock, directory, 0)


@story(ROOT, OWNER)
def test_posix_locks(a):
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"0123456789")
    a.do(fcntl.lockf, fd, fcntl.LOCK_EX, 4, 2)
    for start, length in ((0, 2), (2, 1), (5, 1), (6, 0), (0, 0)):
        a.note(f"child at {start}+{length}",
               (lock_by_child("file", fcntl.LOCK_EX, start, length),
                lock_by_child("file", fcntl.LOCK_SH, start, length)))
    a.do(fcntl.lockf, fd, fcntl.LOCK_UN, 1, 3)
    a.note("split", locks_by_child("file", fcntl.LOCK_EX, range(8), 1))
    a.do(fcntl.lockf, fd, fcntl.LOCK_SH, 0, 0)
    a.note("all shared", (lock_by_child("file", fcntl.LOCK_SH),
                          lock_by_child("file", fcntl.LOCK_EX)))
    os.close(a.open("file"))  # closing any descriptor drops them all
    a.note("dropped", lock_by_child("file", fcntl.LOCK_EX))
    reader = a.open("file", os.O_RDONLY)
    a.do(fcntl.lockf, reader, fcntl.LOCK_EX)
    a.do(fcntl.lockf, reader, fcntl.LOCK_SH)


def whose_lock(fd, kind, start, length):
    """F_GETLK: kind, start, length and pid of a lock in the way."""
    query = struct.pack("hhqqi4x", kind, 0, start, length, 0)
    answer = fcntl.fcntl(fd, fcntl.F_GETLK, query)
    kind, whence, start, length, pid = struct.unpack("hhqqi4x", answer)
    return kind, start, length, pid


@story(ROOT, OWNER)
def test_who_holds_a_posix_lock(a):
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    fcntl.lockf(fd, fcntl.LOCK_EX, 10, 5)
    me = os.getpid()

    def ask():
        mine = os.open("file", os.O_RDWR)
        kind, start, length, pid = whose_lock(mine, fcntl.F_WRLCK, 0, 0)
        return kind == fcntl.F_WRLCK, start, length, pid == me

    a.note("seen by another", act.run(ask))
    a.note("seen by me", whose_lock(fd, fcntl.F_WRLCK, 0, 0)[0] == fcntl.F_UNLCK)


@story(ROOT, OWNER)
def test_locks_are_not_inherited(a):
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    fcntl.lockf(fd, fcntl.LOCK_EX)

    def with_the_same_descriptor():
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return "locked"
        except OSError as error:
            return errno.errorcode[error.errno]

    a.note("child", act.run(with_the_same_descriptor))

    def die_with_lock():
        fcntl.lockf(os.open("second", os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX)
        return "locked"

    a.note("child", act.run(die_with_lock))
    a.note("after its death", lock_by_child("second", fcntl.LOCK_EX))


def in_a_fork(function):
    """Like act.run, but with nothing done beside the function: the exit
    status of a child that shares all descriptors."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            function()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1]


@story(ROOT, OWNER)
def test_locks_across_fork(a):
    """What a child does with its inherited descriptors to its parent's locks:
    nothing to those of POSIX, all to those of flock(2)."""
    def posix():
        return (lock_by_child("file", fcntl.LOCK_EX, 0, 5),
                lock_by_child("file", fcntl.LOCK_EX, 5, 5))

    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"0123456789")
    fcntl.lockf(fd, fcntl.LOCK_EX, 5, 0)
    a.note("child closes", in_a_fork(lambda: os.close(fd)))
    a.note("held", posix())
    a.note("child unlocks", in_a_fork(lambda: fcntl.lockf(fd, fcntl.LOCK_UN)))
    a.note("held", posix())
    a.note("child locks", in_a_fork(
        lambda: fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 5)))
    a.note("gone with it", posix())
    a.note("child opens and closes", in_a_fork(
        lambda: os.close(os.open("file", os.O_RDONLY))))
    a.note("held", posix())
    os.set_inheritable(fd, True)
    a.note("another program", subprocess.run(["true"], close_fds=False).returncode)
    a.note("held", posix())
    os.close(os.dup(fd))
    a.note("dropped by a dup's close", posix())

    fcntl.flock(fd, fcntl.LOCK_EX)
    a.note("child closes", in_a_fork(lambda: os.close(fd)))
    a.note("held", flock_by_child("file", fcntl.LOCK_SH))
    a.note("child converts", in_a_fork(
        lambda: fcntl.flock(fd, fcntl.LOCK_SH)))
    a.note("shared", flock_by_child("file", fcntl.LOCK_SH))
    a.note("child unlocks", in_a_fork(lambda: fcntl.flock(fd, fcntl.LOCK_UN)))
    a.note("free", flock_by_child("file", fcntl.LOCK_EX))


@story(ROOT, OWNER)
def test_locks_and_exec(a):
    """A POSIX lock stays with the process that becomes another program."""
    a.write("file")
    ready, say_ready = os.pipe()
    go, say_go = os.pipe()
    pid = os.fork()
    if pid == 0:
        fd = os.open("file", os.O_RDWR)
        fcntl.lockf(fd, fcntl.LOCK_EX)
        for inherited in (fd, say_ready, go):
            os.set_inheritable(inherited, True)
        os.close(say_go)
        os.execv("/bin/bash", ["bash", "-c",
                               f"echo >&{say_ready}; read x <&{go}; exit 3"])
    os.close(say_ready)
    os.read(ready, 1)
    a.note("held", lock_by_child("file", fcntl.LOCK_SH))
    os.write(say_go, b"\n")
    a.note("end", os.waitpid(pid, 0)[1])
    a.note("free", lock_by_child("file", fcntl.LOCK_EX))


@story(ROOT, OWNER)
def test_locks_of_ranges(a):
    """Joined, split and replaced; to the end of the file and beyond it."""
    fd = a.open("file", os.O_RDWR | os.O_CREAT)

    def held():
        return locks_by_child("file", fcntl.LOCK_EX, range(0, 50, 10), 1)

    for kind, length, start in (
            (fcntl.LOCK_EX, 10, 0), (fcntl.LOCK_EX, 10, 10),
            (fcntl.LOCK_UN, 5, 5), (fcntl.LOCK_SH, 3, 11),
            (fcntl.LOCK_EX, 0, 30), (fcntl.LOCK_UN, 5, 35),
            (fcntl.LOCK_UN, 0, 0), (fcntl.LOCK_EX, 1 << 40, 1 << 40)):
        a.do(fcntl.lockf, fd, kind, length, start)
        a.note("held", held())
    a.do(fcntl.lockf, fd, fcntl.LOCK_EX, -5, 20)
    a.do(fcntl.lockf, fd, fcntl.LOCK_EX, 5, -20)
    a.do(fcntl.lockf, fd, fcntl.LOCK_EX, -30, 20)
    os.lseek(fd, 20, os.SEEK_SET)
    a.do(fcntl.lockf, fd, fcntl.LOCK_EX, 5, 0, os.SEEK_CUR)
    os.ftruncate(fd, 40)
    a.do(fcntl.lockf, fd, fcntl.LOCK_EX, 5, -5, os.SEEK_END)
    a.note("held", held())


@story(ROOT, OWNER)
def test_open_file_description_locks(a):
    one = a.open("file", os.O_RDWR | os.O_CREAT)
    two = a.open("file", os.O_RDWR)
    lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
    a.quiet(fcntl.fcntl, one, kernel.F_OFD_SETLK, lock)
    a.quiet(fcntl.fcntl, two, kernel.F_OFD_SETLK, lock)
    os.close(one)
    a.quiet(fcntl.fcntl, two, kernel.F_OFD_SETLK, lock)
    a.note("child", lock_by_child("file", fcntl.LOCK_SH))


class Interrupted(Exception):
    pass


def interrupted_after(seconds, function, *args):
    """Whether a signal gets a process out of a call that waits."""
    def handler(number, frame):
        raise Interrupted

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    start = time.monotonic()
    try:
        function(*args)
        return "returned"
    except Interrupted:
        return "interrupted" if time.monotonic() - start < seconds + 2 else "late"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def held_elsewhere(lock):
    """Hold a lock in another process; returns a function that lets go."""
    ready, say_ready = os.pipe()
    go, say_go = os.pipe()

    def hold():
        os.close(say_go)
        fd = os.open("file", os.O_RDWR)
        lock(fd, fcntl.LOCK_EX)
        os.write(say_ready, b"!")
        os.read(go, 1)

    child = act.Child(hold)
    os.read(ready, 1)

    def let_go():
        os.write(say_go, b"!")
        child.result()
    return let_go


def wait_for_locks(a, lock):
    a.write("file", b"lock me")
    fd = a.open("file", os.O_RDWR)
    let_go = held_elsewhere(lock)
    a.note("a signal", interrupted_after(0.1, lock, fd, fcntl.LOCK_EX))
    a.note("again", interrupted_after(0.1, lock, fd, fcntl.LOCK_EX))

    def wait():
        mine = os.open("file", os.O_RDWR)
        lock(mine, fcntl.LOCK_EX)
        return "got it"

    waiter = act.Child(wait)
    time.sleep(0.1)
    a.do(os.pread, fd, 4, 0)  # nobody else is held up by one who waits
    a.stat("file")
    let_go()
    a.note("the waiter", waiter.result())

    let_go = held_elsewhere(lock)
    doomed = act.Child(wait)
    time.sleep(0.1)
    os.kill(doomed.pid, signal.SIGKILL)
    try:
        doomed.result(10)
    except act.ChildFailed as failed:
        a.note("the killed waiter", "wait status 0x9" in str(failed))
    let_go()
    a.note("free", lock_by_child("file", fcntl.LOCK_EX))
    a.note("free", flock_by_child("file", fcntl.LOCK_EX))


@story(OWNER)
def test_waiting_for_a_posix_lock(a):
    wait_for_locks(a, fcntl.lockf)


@story(OWNER)
def test_waiting_for_a_flock(a):
    wait_for_locks(a, fcntl.flock)


@story(OWNER)
def test_many_waiters(a):
    """More waiters than the server has threads, and others go on."""
    a.write("file", b"lock me")
    let_go = held_elsewhere(fcntl.lockf)

    def wait():
        fcntl.lockf(os.open("file", os.O_RDWR), fcntl.LOCK_EX)
        return 1

    waiters = [act.Child(wait) for _ in range(scaled(40))]
    time.sleep(0.3)
    a.read("file")
    a.write("other", b"nobody waits here")
    let_go()
    a.note("all", sum(act.together(waiters)) == scaled(40))


@story(OWNER)
def test_deadlock(a):
    """Two processes, two locks, crosswise: one of them is told."""
    a.write("one")
    a.write("two")

    def cross(mine, other, ready, go):
        first, second = os.open(mine, os.O_RDWR), os.open(other, os.O_RDWR)
        fcntl.lockf(first, fcntl.LOCK_EX)
        os.write(ready, b"!")
        os.read(go, 1)
        try:
            fcntl.lockf(second, fcntl.LOCK_EX)
            return "locked"
        except OSError as error:
            return errno.errorcode[error.errno]

    ready, say_ready = os.pipe()
    go, say_go = os.pipe()
    children = [act.Child(cross, "one", "two", say_ready, go),
                act.Child(cross, "two", "one", say_ready, go)]
    for _ in range(2):
        os.read(ready, 1)
    os.write(say_go, b"!!")
    a.note("outcomes", sorted(act.together(children, 20)))


@story(ROOT, OWNER)
def test_leases(a):
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    a.do(os.write, fd, b"x")
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        pass  # a network-like filesystem may refuse
    a.read("file")


@story(OWNER, ways=ONE_WAY)
def test_nine_thousand_open_files(a):
    """Each a file of its own, all open at once, all readable."""
    number = scaled(9000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number + 200, 20_000))
    os.mkdir("many")
    fds = []
    for n in range(number):
        fd = os.open(f"many/{n}", os.O_RDWR | os.O_CREAT)
        os.write(fd, b"%d" % n)
        os.close(fd)
        fds.append(os.open(f"many/{n}", os.O_RDONLY if n % 3 else os.O_RDWR))
    a.note("open", len(fds))
    a.note("right", all(os.pread(fd, 9, 0) == b"%d" % n
                        for n, fd in enumerate(fds)))
    for fd in fds:
        os.close(fd)


@story(OWNER)
def test_one_file_opened_many_times(a):
    number = scaled(3000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number + 200, 20_000))
    a.write("file", b"content")
    fds = [os.open("file", (os.O_RDONLY, os.O_RDWR)[n % 2])
           for n in range(number)]
    a.note("right", all(os.pread(fd, 9, 0) == b"content" for fd in fds))
    os.pwrite(fds[1], b"CONTENT", 0)
    a.note("right", all(os.pread(fd, 9, 0) == b"CONTENT" for fd in fds))


@story(ROOT, OWNER)
def test_reading_a_directory_as_a_file(a):
    os.mkdir("dir")
    fd = a.open("dir")
    a.do(os.read, fd, 10)
    a.do(os.pread, fd, 10, 0)
    a.do(os.ftruncate, fd, 0)
    a.do(os.write, fd, b"x")
    a.do(read_all, fd)
