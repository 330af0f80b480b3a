# SPDX-License-Identifier: GPL-2.0-or-later
"""Plans for differ.py of data: all ways to read and write two files that are
open several times, by two processes, with the flags of an open changing."""

import ctypes
import enum
import fcntl
import mmap
import os
import struct
import zlib

from . import act, kernel
from .differ import Descriptors, Planner, Step
from .twin import attributes

CAST = {"one": act.OWNER, "two": act.OWNER}
FILES = ("file", "other")
SLOTS, MAPS = 3, 2
PAGE = 4096
FAR = 400_000  # bytes, but for a few that need several messages
LEASES = fcntl.F_RDLCK, fcntl.F_WRLCK

O = enum.IntFlag("O", {
    name[2:]: value for name, value in vars(os).items()
    if name in ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND",
                "O_NOATIME", "O_DIRECT", "O_SYNC", "O_DSYNC", "O_PATH")})


def told(data):
    """So that a difference can be read: the length, and a sum."""
    return len(data), zlib.crc32(data)


class Player(Descriptors):
    """Makes the calls of a plan on its descriptors and mappings."""

    def __init__(self):
        super().__init__()
        self.maps = {}
        # Aligned, as direct I/O wants it.
        self.buffer = mmap.mmap(-1, 8 << 20)
        self.view = memoryview(self.buffer)
        self.out, self.into = os.pipe()
        fcntl.fcntl(self.into, fcntl.F_SETPIPE_SZ, 1 << 17)

    def filled(self, seed, length):
        """Part of the buffer, with content of its own."""
        line = b"%08d" % seed + bytes([seed % 251]) * 23
        self.buffer[:length] = (line * (length // len(line) + 1))[:length]
        return self.view[:length]

    # Descriptors

    def open(self, slot, path, flags):
        self.keep(slot, os.open(path, flags, 0o644))

    def set_flags(self, slot, flags):
        fcntl.fcntl(self.fd(slot), fcntl.F_SETFL, flags)
        return O(fcntl.fcntl(self.fd(slot), fcntl.F_GETFL) & ~0o100000)

    def seek(self, slot, offset, whence):
        return os.lseek(self.fd(slot), offset, whence)

    def seek_data(self, slot, offset):
        """Where data begin depends on what is in memory; but nothing else than
        zeros may be passed over."""
        fd = self.fd(slot)
        end, here = os.fstat(fd).st_size, os.lseek(fd, 0, os.SEEK_CUR)
        try:
            at = os.lseek(fd, offset, os.SEEK_DATA)
            hole = os.lseek(fd, at, os.SEEK_HOLE)
            right = offset <= at < hole <= end
        except OSError:
            at, right = end, True
        os.lseek(fd, here, os.SEEK_SET)
        return right, told(os.pread(fd, max(0, at - offset), offset).strip(
            b"\0"))

    # Reading and writing

    def read(self, slot, length):
        return told(self.view[:os.readv(self.fd(slot), [self.view[:length]])])

    def write(self, slot, length, seed):
        return os.write(self.fd(slot), self.filled(seed, length))

    def pread(self, slot, length, offset, cut, flags):
        """In two parts; into memory that is aligned if the cut is."""
        parts = [self.view[:cut], self.view[cut:length]]
        n = os.preadv(self.fd(slot), parts, offset, flags)
        return told(self.view[:n])

    def pwrite(self, slot, length, offset, cut, flags, seed):
        data = self.filled(seed, length)
        return os.pwritev(self.fd(slot), [data[:cut], data[cut:]], offset,
                          flags)

    def truncate(self, path, size):
        os.truncate(path, size)

    def ftruncate(self, slot, size):
        os.ftruncate(self.fd(slot), size)

    def fallocate(self, slot, mode, offset, length):
        kernel.fallocate(self.fd(slot), mode, offset, length)

    def copy(self, slot, at, sink, to, length):
        return kernel.copy_file_range(self.fd(slot), at, self.fd(sink), to,
                                      length)

    def send(self, slot, sink, offset, length):
        """Of a file to itself what overlaps is left to the filesystem."""
        slot, sink = self.fd(slot), self.fd(sink)
        if os.path.sameopenfile(slot, sink):
            return 0
        return os.sendfile(sink, slot, offset, length)

    def splice_out(self, slot, offset, length):
        n = os.splice(self.fd(slot), self.into, length, offset)
        return told(os.read(self.out, n)) if n else 0

    def splice_in(self, slot, offset, length, seed):
        os.write(self.into, self.filled(seed, length))
        try:
            n = os.splice(self.out, self.fd(slot), length, offset_dst=offset)
            return n
        finally:
            self.drain()

    def drain(self):
        os.set_blocking(self.out, False)
        try:
            os.read(self.out, 1 << 17)
        except BlockingIOError:
            pass
        os.set_blocking(self.out, True)

    # Mappings

    def map(self, number, slot, length, protection, flags, offset):
        address = kernel.map_file(self.fd(slot), length, protection, flags,
                                  offset)
        self.unmap(number)
        self.maps[number] = address, length

    def unmap(self, number):
        if number in self.maps:
            kernel.unmap(*self.maps.pop(number))

    def within(self, number, offset, length):
        if number not in self.maps:
            raise OSError(9, "no such mapping")
        address, size = self.maps[number]
        offset %= size
        return address + offset, min(length, size - offset)

    def load(self, number, offset, length):
        place = self.within(number, offset, length)
        n = kernel.write_from(self.into, *place)
        return told(os.read(self.out, n))

    def store(self, number, offset, length, seed):
        address, length = self.within(number, offset, length)
        os.write(self.into, self.filled(seed, length))
        try:
            return kernel.read_into(self.out, address, length)
        finally:
            self.drain()

    def msync(self, number, flags):
        kernel.msync(*self.within(number, 0, 1 << 30), flags)

    def madvise(self, number, advice):
        kernel.madvise(*self.within(number, 0, 1 << 30), advice)

    # The rest

    def stat(self, path):
        return self.shown(os.stat(path))

    def fstat(self, slot):
        return self.shown(os.fstat(self.fd(slot)))

    @staticmethod
    def shown(st):
        """How many blocks there are depends on the page cache's folios."""
        shown = attributes(st)
        del shown["blocks"]
        return shown

    def sync(self, slot, how):
        {"fdatasync": os.fdatasync,
         "write out": kernel.write_out}[how](self.fd(slot))

    def advise(self, slot, offset, length, advice):
        os.posix_fadvise(self.fd(slot), offset, length, advice)

    def remove(self, path):
        """Who has it open, keeps it; others find a new one."""
        os.unlink(path)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o644))

    def rename(self, path, new):
        os.rename(path, new)

    def lock(self, slot, command, kind, start, length):
        """Sets a lock without waiting, or asks what is in the way."""
        lock = struct.pack("hhqqi4x", kind, 0, start, length, 0)
        answer = fcntl.fcntl(self.fd(slot), command, lock)
        return struct.unpack("hhqqi4x", answer)[:4]

    def flock(self, slot, kind):
        fcntl.flock(self.fd(slot), kind | fcntl.LOCK_NB)

    def lease(self, slot, kind):
        """Taken, looked at, and given back, as nobody would answer a break."""
        fcntl.fcntl(self.fd(slot), fcntl.F_SETLEASE, kind)
        got = fcntl.fcntl(self.fd(slot), fcntl.F_GETLEASE)
        fcntl.fcntl(self.fd(slot), fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return got

    def ioctl(self, slot, number):
        value = ctypes.c_int(0)
        fcntl.ioctl(self.fd(slot), number, value)
        return value.value


class Maker(Planner):
    """Writes a plan; what is in it besides reads and writes is by the seed.
    Of what is stored where nothing was, the page cache's folios decide how
    many blocks it takes, and that decides what unaligned direct I/O may do: so
    a plan has either mappings, or locks and leases (for which a mapping doesn't
    count as its open does, see README) and direct I/O, or copies."""

    cast, slots = CAST, SLOTS

    def __init__(self, seed):
        super().__init__(seed)
        self.has_maps, self.has_splices = seed % 2 == 0, seed % 3 == 0
        self.is_direct = seed % 4 == 1
        self.count = 0

    def number(self):
        return self.random.randrange(MAPS)

    def path(self):
        return self.pick(*FILES)

    def seed(self):
        self.count += 1
        return self.count

    def offset(self):
        """Near the edges of pages, mostly."""
        page = self.random.randrange(FAR // PAGE) * PAGE
        return self.pick(page, page, page + self.random.randrange(-20, 20),
                         self.random.randrange(FAR), 0,
                         self.random.randrange(FAR) // 512 * 512) % FAR

    def length(self):
        return self.pick(1, 100, PAGE, 2 * PAGE, 8 * PAGE, 512,
                         self.random.randrange(1, 60_000),
                         self.random.randrange(1, 15) * PAGE)

    def large(self):
        """Direct I/O may fail in any of several messages."""
        if self.is_direct or self.random.random() < 0.95:
            return self.length()
        return self.random.randrange(1, 3 << 20)

    def flags(self):
        flags = self.pick(O.RDWR, O.RDWR, O.RDWR, O(0), O.WRONLY)
        for extra in (O.APPEND, O.DIRECT, O.TRUNC, O.SYNC, O.DSYNC, O.NOATIME):
            if self.random.random() < 0.12:
                flags |= extra
        if self.random.random() < 0.9:
            flags |= O.CREAT
        return flags if self.is_direct else flags & ~O.DIRECT

    def late_flags(self):
        """Not O_DIRECT: see README."""
        return self.pick(O(0), O.APPEND, O.NOATIME, O.APPEND | O.NOATIME)

    def cut(self, length):
        return self.pick(0, 0, length, length // 2, PAGE) % (length + 1)

    def pread(self):
        length = self.large()
        return (self.slot(), length, self.offset(), self.cut(length),
                self.pick(0, 0, kernel.RWF_HIPRI))

    def pwrite(self):
        length = self.large()
        flags = self.pick(0, 0, 0, 0, kernel.RWF_APPEND, kernel.RWF_DSYNC,
                          kernel.RWF_SYNC | kernel.RWF_APPEND)
        return (self.slot(), length, self.offset(), self.cut(length), flags,
                self.seed())

    def fallocate(self):
        return (self.slot(), self.pick(0, 1, 3, 3, 2, 16, 17),
                self.offset(), self.length())

    def map(self):
        return (self.number(), self.slot(), self.random.randrange(1, 40) * PAGE,
                self.pick(1, 3, 3),
                self.pick(mmap.MAP_SHARED, mmap.MAP_SHARED, mmap.MAP_PRIVATE),
                self.random.randrange(FAR // PAGE) * PAGE)

    def lock(self):
        return (self.slot(), self.pick(
            fcntl.F_SETLK, fcntl.F_GETLK, kernel.F_OFD_SETLK),
            self.pick(fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK),
            self.random.randrange(20), self.random.randrange(10))

    def steps(self):
        slot, offset, length = self.slot, self.offset, self.length
        path, number = self.path, self.number
        steps = (
            ("open", lambda: (slot(), path(), O.RDWR | O.CREAT)),
            ("open", lambda: (slot(), path(), self.flags())),
            ("open", lambda: (slot(), path(), self.flags())),
            ("sync", lambda: (slot(), self.pick("fdatasync", "write out"))),
            ("dup", lambda: (slot(), slot())),
            ("set_flags", lambda: (slot(), self.late_flags())),
            ("seek", lambda: (slot(), offset(), self.pick(0, 1, 2))),
            ("seek_data", lambda: (slot(), offset())),
            ("read", lambda: (slot(), self.large())),
            ("pread", self.pread), ("pread", self.pread),
            ("pread", self.pread), ("pread", self.pread),
            ("write", lambda: (slot(), self.large(), self.seed())),
            ("write", lambda: (slot(), length(), self.seed())),
            ("pwrite", self.pwrite), ("pwrite", self.pwrite),
            ("pwrite", self.pwrite),
            ("truncate", lambda: (path(), offset())),
            ("ftruncate", lambda: (slot(), offset())),
            ("fallocate", self.fallocate),
            ("stat", lambda: (path(),)), ("fstat", lambda: (slot(),)),
            ("advise", lambda: (slot(), offset(), length(),
                                self.random.randrange(6))),
            ("remove", lambda: (path(),)),
            ("rename", lambda: (path(), path())),
            ("ioctl", lambda: (slot(), self.pick(0x541B, 2, 1, 0x40049409))))
        mappings = (
            ("map", self.map), ("map", self.map),
            ("unmap", lambda: (number(),)),
            *[("load", lambda: (number(), offset(), length()))] * 4,
            *[("store", lambda: (number(), offset(), length(),
                                 self.seed()))] * 4,
            ("msync", lambda: (number(), self.pick(1, 2, 4))),
            ("madvise", lambda: (number(), self.pick(
                0, 1, 2, 3, 4, 9, 20, 21, 22, 23))))
        locks = (
            ("lease", lambda: (slot(), self.pick(*LEASES))),
            ("lock", self.lock), ("lock", self.lock),
            ("flock", lambda: (slot(), self.pick(1, 2, 8))))
        splices = (
            ("send", lambda: (slot(), slot(), offset(), length())),
            ("splice_out", lambda: (slot(), offset(), length())),
            ("splice_in", lambda: (slot(), offset(), length(), self.seed())))
        copies = [("copy", lambda: (slot(), self.pick(None, offset()), slot(),
                                    self.pick(None, offset()),
                                    self.large()))] * 2
        return (*steps, *(mappings if self.has_maps else locks),
                *(splices if self.has_splices else ()),
                *(() if self.is_direct else copies))

    def stage(self):
        """All is open and mapped in the beginning."""
        for who in CAST:
            for slot in range(SLOTS):
                yield Step(who, "open", (slot, FILES[slot % 2],
                                         O.RDWR | O.CREAT))
            for number in range(MAPS if self.has_maps else 0):
                yield Step(who, "map", (number, number, 40 * PAGE, 3,
                                        mmap.MAP_SHARED, 0))
