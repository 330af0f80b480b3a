# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls that the os module does not have."""

import array
import contextlib
import ctypes
import fcntl
import os
import signal
import struct
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_EACCESS = 0x200
AT_SYMLINK_FOLLOW = 0x400
AT_EMPTY_PATH = 0x1000

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
RENAME_WHITEOUT = 4

FALLOC_KEEP_SIZE = 0x01
FALLOC_PUNCH_HOLE = 0x02
FALLOC_COLLAPSE = 0x08
FALLOC_ZERO = 0x10
FALLOC_INSERT = 0x20

RWF_HIPRI = 0x01
RWF_DSYNC = 0x02
RWF_SYNC = 0x04
RWF_NOWAIT = 0x08
RWF_APPEND = 0x10

FS_IOC_GETFLAGS = 0x80086601
FS_IOC_SETFLAGS = 0x40086602
FS_IOC_FSGETXATTR = 0x801C581F
FS_IMMUTABLE = 0x10
FS_APPEND = 0x20
FS_NODUMP = 0x40
FS_NOATIME = 0x80
FS_TOPDIR = 0x20000

F_OFD_SETLK = 37

STATX_BTIME = 0x800

FUSE_MAGIC = 0x65735546
XFS_MAGIC = 0x58465342

CAP_SYS_ADMIN = 21
CAP_SYS_RESOURCE = 24

SYS_GETDENTS64 = 217
SYS_CLONE3 = 435
SYS_FACCESSAT2 = 439
SYS_CACHESTAT = 451
SYS_FCHMODAT2 = 452
PR_SET_PDEATHSIG = 1


def _checked(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _path(path):
    return os.fsencode(path)


def die_with_parent():
    _checked(libc.prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0))


def fork_as(pid):
    """os.fork() of a child with that pid: FileExistsError if it is taken."""
    pids = array.array("i", [pid])
    arguments = struct.pack("=11Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0,
                            pids.buffer_info()[0], len(pids), 0)
    # This thread keeps the interpreter's lock, in the child, too.
    fork = ctypes.PyDLL(None, use_errno=True).syscall
    return _checked(fork(SYS_CLONE3, arguments, len(arguments)))


def give_back_memory():
    """What was freed goes back to the system: the smaller this process, the
    faster it forks, in user-mode Linux at 3 us a page."""
    libc.malloc_trim(0)


def renameat2(old, new, flags=0):
    _checked(libc.renameat2(AT_FDCWD, _path(old), AT_FDCWD, _path(new), flags))


def linkat(old_fd, old, new, flags):
    _checked(libc.linkat(old_fd, _path(old), AT_FDCWD, _path(new), flags))


def fallocate(fd, mode, offset, length):
    _checked(libc.fallocate(fd, mode, ctypes.c_long(offset),
                            ctypes.c_long(length)))


def faccessat(path, mode, flags):
    _checked(libc.syscall(SYS_FACCESSAT2, AT_FDCWD, _path(path), mode, flags))


def fchmodat(path, mode, flags):
    _checked(libc.syscall(SYS_FCHMODAT2, AT_FDCWD, _path(path), mode, flags))


UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2


def utimensat(path, atime, mtime, flags=0):
    """Each is (seconds, nanoseconds), these may be UTIME_NOW or _OMIT."""
    spec = struct.pack("=qqqq", *atime, *mtime)
    _checked(libc.utimensat(AT_FDCWD, _path(path), spec, flags))


def copy_file_range(source, at, sink, to, length, flags=0):
    """None for a descriptor's own offset."""
    offsets = [None if n is None else ctypes.byref(ctypes.c_int64(n))
               for n in (at, to)]
    return _checked(libc.copy_file_range(source, offsets[0], sink, offsets[1],
                                         ctypes.c_size_t(length), flags))


def map_file(fd, length, protection, flags, offset):
    """The address of a mapping: for what the mmap module doesn't do."""
    libc.mmap.restype = ctypes.c_void_p
    address = libc.mmap(None, ctypes.c_size_t(length), protection, flags, fd,
                        ctypes.c_long(offset))
    return _checked(-1) if address == ctypes.c_void_p(-1).value else address


def unmap(address, length):
    _checked(libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(length)))


def madvise(address, length, advice):
    _checked(libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(length),
                          advice))


def write_from(fd, address, length):
    """Where a load would be SIGBUS there is EFAULT, or less written."""
    return _checked(libc.write(fd, ctypes.c_void_p(address),
                               ctypes.c_size_t(length)))


def read_into(fd, address, length):
    return _checked(libc.read(fd, ctypes.c_void_p(address),
                              ctypes.c_size_t(length)))


def syncfs(fd):
    _checked(libc.syncfs(fd))


def start_writing(fd):
    """The dirty pages of a file, to its disk."""
    _checked(libc.sync_file_range(fd, ctypes.c_long(0), ctypes.c_long(0), 2))


def write_out(fd):
    """The same, and wait for it; what only a crash would miss may wait."""
    _checked(libc.sync_file_range(fd, ctypes.c_long(0), ctypes.c_long(0), 7))


def msync(address, length, flags=4):
    _checked(libc.msync(ctypes.c_void_p(address), ctypes.c_size_t(length),
                        flags))


def statx(path, mask=0xFFF, fd=AT_FDCWD, flags=0x100):
    """mask, attributes and btime (seconds, nanoseconds)."""
    buffer = ctypes.create_string_buffer(256)
    _checked(libc.statx(fd, _path(path), flags, mask, buffer))
    got, _, attributes = struct.unpack_from("=IIQ", buffer, 0)
    btime = struct.unpack_from("=qI", buffer, 80)
    return got, attributes, btime


def cachestat(fd):
    """Of the open file's own mapping, the pages: all, dirty, being written."""
    whole = struct.pack("=QQ", 0, 0)
    buffer = ctypes.create_string_buffer(40)
    _checked(libc.syscall(SYS_CACHESTAT, fd, whole, buffer, 0))
    return struct.unpack_from("=QQQ", buffer, 0)


def cached_pages(fd):
    return cachestat(fd)[0]


def getdents(fd, size=32768):
    """The next entries: (ino, next offset, type, name)."""
    buffer = ctypes.create_string_buffer(size)
    length = _checked(libc.syscall(SYS_GETDENTS64, fd, buffer, size))
    entries, at = [], 0
    while at < length:
        ino, offset, step, kind = struct.unpack_from("=QqHB", buffer, at)
        name = buffer.raw[at + 19:at + step].split(b"\0", 1)[0]
        entries.append((ino, offset, kind, os.fsdecode(name)))
        at += step
    return entries


def get_flags(fd):
    flags = array.array("l", [0])
    fcntl.ioctl(fd, FS_IOC_GETFLAGS, flags, True)
    return flags[0] & 0xFFFFFFFF


def set_flags(fd, flags):
    fcntl.ioctl(fd, FS_IOC_SETFLAGS, array.array("l", [flags]), True)


def spread(directory):
    """Let ext4 put each new directory below into a block group of its own.
    Else all inodes of a run come from one group, and each creation walks over
    those that were deleted within minutes (ext4 does not reuse them): 0.6 ms
    for each file instead of 0.02. Elsewhere the flag is of no use."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        set_flags(fd, get_flags(fd) | FS_TOPDIR)
    except OSError:
        pass
    finally:
        os.close(fd)


def has_capability(number):
    with open("/proc/self/status") as f:
        effective = next(line for line in f if line.startswith("CapEff"))
    return bool(int(effective.split()[1], 16) >> number & 1)


def lower_capability(number):
    """Of this process, the effective one; of the first 32."""
    head = struct.pack("=Ii", 0x20080522, 0)
    sets = ctypes.create_string_buffer(24)
    _checked(libc.capget(head, sets))
    words = list(struct.unpack("=6I", sets.raw))
    words[0] &= ~(1 << number)
    _checked(libc.capset(head, struct.pack("=6I", *words)))


ADMIN_ACCESS = "/sys/module/fuse/parameters/allow_sys_admin_access"


@contextlib.contextmanager
def admin_may_enter(may=True):
    """Whether root gets into others' FUSE mounts meanwhile: the same for all
    of the machine, so one test at a time may ask for it, of all runs."""
    with open(ADMIN_ACCESS, "r+") as parameter:
        fcntl.flock(parameter, fcntl.LOCK_EX)
        before = parameter.read()
        parameter.write("Y" if may else "N")
        parameter.flush()
        try:
            yield
        finally:
            parameter.write(before)
            parameter.flush()


def takes_what_is_idle():
    """Whether pages may go that nobody has used for a while, though there is
    room: DAMON then has a thread."""
    for comm in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):  # it has ended
            if comm.read_text().startswith("kdamond"):
                return True
    return False


def magic(path):
    """Of the filesystem that path is on."""
    buffer = ctypes.create_string_buffer(256)
    _checked(libc.statfs(_path(path), buffer))
    return struct.unpack_from("=q", buffer, 0)[0]


def is_fuse(path):
    """Whether path is served by FUSE."""
    return magic(path) == FUSE_MAGIC
