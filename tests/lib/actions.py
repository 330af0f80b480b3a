# SPDX-License-Identifier: GPL-2.0-or-later
"""What a reader or writer does with one file, each in its own process.

Each action takes the file's path and returns how many pages it left in the
mapping of the file as opened: for a native file its page cache; through a
FUSE mount that is a second copy, which must not stay; unless the mount's own
pages are the only ones (io=cached).
"""

import ctypes
import mmap
import os
import random
import socket
import subprocess
import threading

from . import content, kernel, settings
from .wait import eventually

PAGE = settings.PAGE
PIECE = 64 * settings.KIB


second_copies = True  # set by who makes the mount


def second_copy(fd):
    """Pages in the FUSE file's own mapping, once all has settled."""
    if not second_copies or not kernel.is_fuse(f"/proc/self/fd/{fd}"):
        return 0
    eventually(lambda: kernel.cached_pages(fd) == 0, limit=2)
    return kernel.cached_pages(fd)


def with_fd(flags):
    """Make an action of a function of an open file and its size."""
    def decorate(function):
        def action(path):
            fd = os.open(path, flags, 0o644)
            try:
                function(fd, os.fstat(fd).st_size)
                return second_copy(fd)
            finally:
                os.close(fd)
        action.__name__ = function.__name__
        return action
    return decorate


def touch_all(address_space, size):
    for at in range(0, size, PAGE):
        address_space[at]


# Reading


@with_fd(os.O_RDONLY)
def read_whole(fd, size):
    while os.read(fd, settings.MIB):
        pass


@with_fd(os.O_RDONLY)
def read_by_4k(fd, size):
    while os.read(fd, 4096):
        pass


@with_fd(os.O_RDONLY)
def pread_at_random(fd, size):
    pages = list(range(0, size, PAGE))
    random.Random(1).shuffle(pages)
    for at in pages:
        assert os.pread(fd, PAGE, at)


@with_fd(os.O_RDONLY)
def mmap_shared(fd, size):
    with mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ) as m:
        touch_all(m, size)


@with_fd(os.O_RDONLY)
def mmap_private(fd, size):
    with mmap.mmap(fd, size, mmap.MAP_PRIVATE, mmap.PROT_READ) as m:
        touch_all(m, size)


def drain(sock, size):
    while size:
        part = sock.recv(PIECE)
        assert part
        size -= len(part)


@with_fd(os.O_RDONLY)
def sendfile_out(fd, size):
    ours, theirs = socket.socketpair()
    reader = threading.Thread(target=drain, args=(theirs, size))
    reader.start()
    while os.sendfile(ours.fileno(), fd, None, PIECE):
        pass
    reader.join()


@with_fd(os.O_RDONLY)
def splice_out(fd, size):
    out, into = os.pipe()
    null = os.open("/dev/null", os.O_WRONLY)
    while moved := os.splice(fd, into, PIECE):
        while moved:
            moved -= os.splice(out, null, moved)


@with_fd(os.O_RDONLY | os.O_DIRECT)
def direct_read(fd, size):
    buffer = mmap.mmap(-1, settings.MIB)
    while os.readv(fd, [buffer]) == settings.MIB:
        pass


def run_program(path):
    """The file is a program; execve(2) maps it."""
    subprocess.run([path, "-c", "import sys"], check=True)
    return 0


def load_library(path):
    """The file is a shared object; dlopen(3) maps it."""
    ctypes.CDLL(path)
    return 0


# Writing; each leaves SIZE bytes that content.data(SIZE, SEED) can check.

SIZE = 3 * settings.MIB + 1234
SEED = 7
NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL


def expected():
    return content.data(SIZE, SEED)


def pieces(size=SIZE, step=PIECE):
    data = expected()
    return [(at, data[at:at + step]) for at in range(0, size, step)]


@with_fd(NEW)
def write_new(fd, _):
    for _, part in pieces():
        os.write(fd, part)


@with_fd(os.O_WRONLY | os.O_CREAT | os.O_EXCL)
def write_only(fd, _):
    for _, part in pieces():
        os.write(fd, part)


@with_fd(NEW)
def write_at_random(fd, _):
    parts = pieces(step=5000)
    random.Random(2).shuffle(parts)
    for at, part in parts:
        os.pwrite(fd, part, at)


@with_fd(os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def append(fd, _):
    for _, part in pieces(step=7777):
        os.write(fd, part)


@with_fd(NEW)
def mmap_write(fd, _):
    os.ftruncate(fd, SIZE)
    with mmap.mmap(fd, SIZE) as m:
        for at, part in pieces():
            m[at:at + len(part)] = part
        m.flush()


@with_fd(NEW)
def mmap_write_grown(fd, _):
    """Map what is there, grow the file, map and write the rest as well."""
    half = SIZE // 2 // PAGE * PAGE
    data = expected()
    os.ftruncate(fd, half)
    with mmap.mmap(fd, half) as m:
        m[:] = data[:half]
        os.ftruncate(fd, SIZE)
        with mmap.mmap(fd, SIZE) as n:
            n[half:] = data[half:]


@with_fd(NEW)
def fallocate_and_write(fd, _):
    os.posix_fallocate(fd, 0, SIZE)
    for at, part in pieces():
        os.pwrite(fd, part, at)


@with_fd(NEW)
def zero_range_and_write(fd, _):
    kernel.fallocate(fd, kernel.FALLOC_ZERO, 0, SIZE)
    kernel.fallocate(fd, kernel.FALLOC_ZERO, 1000, 5000)
    for at, part in pieces():
        os.pwrite(fd, part, at)


@with_fd(NEW)
def splice_in(fd, _):
    out, into = os.pipe()
    for _, part in pieces():
        os.write(into, part)
        left = len(part)
        while left:
            left -= os.splice(out, fd, left)


@with_fd(NEW | os.O_DIRECT)
def direct_write(fd, _):
    buffer = mmap.mmap(-1, settings.MIB)
    data = expected() + bytes(settings.MIB)
    for at in range(0, SIZE, settings.MIB):
        buffer[:] = data[at:at + settings.MIB]
        os.pwritev(fd, [buffer], at)
    os.ftruncate(fd, SIZE)


@with_fd(NEW)
def vectors_with_flags(fd, _):
    for at, part in pieces():
        os.pwritev(fd, [part[:100], part[100:]], at, kernel.RWF_DSYNC)


READS = [read_whole, read_by_4k, pread_at_random, mmap_shared, mmap_private,
         sendfile_out, splice_out]
WRITES = [write_new, write_only, write_at_random, append, mmap_write,
          mmap_write_grown, fallocate_and_write, zero_range_and_write,
          splice_in, vectors_with_flags]
