# SPDX-License-Identifier: GPL-2.0-or-later
"""What is asked for less often: to be told of changes, handles of files, hints,
flags of one call, memory that isn't there; as natively."""

import ctypes
import errno
import fcntl
import mmap
import os
import signal
import struct
import time

import pytest

from lib import kernel, settings
from lib.act import OWNER, ROOT
from lib.twin import story

pytestmark = pytest.mark.sequential

PAGE = 4096
IN_ALL = 0xFFF
READING = {"0x1", "0x20", "0x10"}  # IN_ACCESS, IN_OPEN, IN_CLOSE_NOWRITE


def let_go():
    """With io=cached a file lives some milliseconds longer than those who have
    opened it, as README says."""
    time.sleep(settings.seconds(0.05))


class Watch:
    """What inotify(7) tells of some paths."""

    def __init__(self, actor, *paths):
        self.actor = actor
        self.fd = kernel.libc.inotify_init1(os.O_NONBLOCK)
        for path in paths:
            self.add(path)

    def add(self, path):
        kernel.libc.inotify_add_watch(self.fd, os.fsencode(path), IN_ALL)

    def events(self):
        """(number of the watch, mask, name); moves are told by their mask."""
        let_go()
        try:
            data = os.read(self.fd, 1 << 16)
        except BlockingIOError:
            return []
        told, at = [], 0
        while at < len(data):
            watch, mask, _, length = struct.unpack_from("iIII", data, at)
            name = data[at + 16:at + 16 + length].rstrip(b"\0")
            told.append((watch, hex(mask), name))
            at += 16 + length
        return told

    def after(self, function, *args):
        """What is told of a call; if it opens, until it is closed."""
        value = function(*args)
        if function is os.open:
            os.close(value)
        self.actor.note(f"{function.__name__}{args!r}", self.events())


def tells_of_own_readers(label, native, seen):
    """Sometimes: those that bring pages to the host while somebody watches."""
    def changes(events):
        return [event for event in events if event[1] not in READING]
    rest = iter(seen)
    return all(event in rest for event in native) \
        and changes(native) == changes(seen)


tells_of_own_readers.is_sometimes = True


@story(OWNER, cached=tells_of_own_readers)
def test_being_told_of_changes(a):
    for path in ("dir", "other"):
        os.mkdir(path)
    a.write("dir/file", b"data" * 100)
    watch = Watch(a, "dir", "dir/file", "other")
    fd = os.open("dir/file", os.O_RDWR)
    a.note("opened", watch.events())
    for call in ((os.read, fd, 3), (os.write, fd, b"abc"),
                 (os.ftruncate, fd, 10), (os.truncate, "dir/file", 5),
                 (kernel.fallocate, fd, 0, 0, 1000), (os.fchmod, fd, 0o600),
                 (os.utime, "dir/file"), (os.setxattr, fd, "user.x", b"1"),
                 (os.link, "dir/file", "dir/link"),
                 (os.rename, "dir/link", "dir/renamed"),
                 (os.rename, "dir/renamed", "other/moved"),
                 (os.unlink, "other/moved"), (os.close, fd),
                 (os.open, "dir/new", os.O_CREAT | os.O_RDWR),
                 (os.open, "dir/new", os.O_TRUNC | os.O_RDWR),
                 (os.rename, "dir/new", "dir/file"), (os.mkdir, "dir/sub"),
                 (os.rmdir, "dir/sub"), (os.symlink, "x", "dir/symlink"),
                 (kernel.renameat2, "dir/symlink", "dir/file",
                  kernel.RENAME_EXCHANGE),
                 (os.listdir, "dir"), (os.rmdir, "other")):
        watch.after(*call)


@story(OWNER, cached=tells_of_own_readers)
def test_being_told_of_the_end_of_a_file(a):
    a.write("file")
    a.write("replaced")
    a.write("new")
    fd = os.open("file", os.O_RDONLY)
    watch = Watch(a, "file", "replaced", ".")
    watch.after(os.unlink, "file")
    watch.after(os.close, fd)
    watch.after(os.rename, "new", "replaced")
    source = os.open("replaced", os.O_RDWR)
    sink = os.open("sink", os.O_RDWR | os.O_CREAT)
    watch.events()
    watch.after(os.copy_file_range, source, sink, 3, 0, 0)
    watch.after(os.sendfile, sink, source, 0, 3)


def handle_of(path, size=128):
    """(errno or 0, a handle) by name_to_handle_at(2)."""
    handle = ctypes.create_string_buffer(8 + 128)
    struct.pack_into("I", handle, 0, size)
    mount = ctypes.c_int()
    r = kernel.libc.name_to_handle_at(kernel.AT_FDCWD, os.fsencode(path),
                                      handle, ctypes.byref(mount), 0)
    return ctypes.get_errno() if r < 0 else 0, handle


@story(ROOT)
def test_handles(a):
    """As long as the client's kernel knows the file."""
    def open_handle(handle):
        fd = kernel.libc.open_by_handle_at(here, handle, os.O_RDONLY)
        if fd < 0:
            return errno.errorcode[ctypes.get_errno()]
        number = os.fstat(fd).st_ino
        os.close(fd)
        return number

    here = os.open(".", os.O_RDONLY)
    a.write("file", b"data")
    os.mkdir("dir")
    for path in ("file", "dir", "."):
        code, handle = handle_of(path)
        a.note(path, (code, open_handle(handle) == os.stat(path).st_ino))
        a.note("too small", handle_of(path, 0)[0])
    _, handle = handle_of("file")
    os.rename("file", "renamed")
    a.note("renamed", open_handle(handle) == os.stat("renamed").st_ino)
    os.unlink("renamed")
    let_go()
    a.note("removed", open_handle(handle))


@story(OWNER)
def test_memory_that_is_not_there(a):
    """The part before it is written, or read, or nothing is."""
    def transfer(call, at, length, offset):
        n = call(fd, ctypes.c_void_p(at), ctypes.c_size_t(length),
                 ctypes.c_long(offset))
        a.note(f"{at - memory} {length}",
               n if n >= 0 else errno.errorcode[ctypes.get_errno()])
        a.note("size", os.fstat(fd).st_size)

    memory = kernel.map_file(-1, 4 * PAGE, 3, 0x22, 0)
    kernel.unmap(memory + 2 * PAGE, PAGE)
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    for call in (kernel.libc.pwrite, kernel.libc.pread):
        for at, length in ((2 * PAGE, 10), (PAGE, 2 * PAGE),
                           (2 * PAGE - 100, 200), (0, 4 * PAGE)):
            transfer(call, memory + at, length, 0)
    with mmap.mmap(fd, PAGE) as m, memoryview(m) as own:
        a.do(os.pwritev, fd, [own], 100)
        a.do(os.preadv, fd, [own[10:]], 50)
    a.read("file")
    os.unlink("file")  # blocks beyond its end are the filesystem's to keep


@story(OWNER)
def test_flags_of_one_call(a):
    """RWF_APPEND, RWF_ATOMIC and those that nobody knows."""
    fd, reader = a.open("file", os.O_RDWR | os.O_CREAT), a.open("file")
    os.write(fd, b"x" * 100)
    for flags in (0x01, 0x02, 0x04, 0x10, 0x12, 0x40, 0x42, 0x1000, 1 << 30):
        for where in (fd, reader):
            a.do(os.pwritev, where, [b"y"], 0, flags)
            a.do(os.preadv, where, [bytearray(5)], 0, flags)
    for count in (1024, 1025):
        a.do(os.preadv, fd, [bytearray(1)] * count, 0, 0)
        a.do(os.pwritev, fd, [b"z"] * count, 0, 0)
    a.read("file")


F_RW_HINTS = range(1035, 1039)


@story(OWNER)
def test_hints_and_leases(a):
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # by it a lease is asked back
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    directory, reader = a.open("."), a.open("file")
    for command in F_RW_HINTS:
        for hint in (0, 2, 99):
            a.do(fcntl.fcntl, fd, command, struct.pack("Q", hint))
    for where in (fd, directory, reader):
        for kind in (fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK):
            a.do(fcntl.fcntl, where, fcntl.F_SETLEASE, kind)
    os.close(fd)
    for kind in (fcntl.F_RDLCK, fcntl.F_WRLCK):
        a.do(fcntl.fcntl, reader, fcntl.F_SETLEASE, kind)
        a.do(fcntl.fcntl, reader, fcntl.F_GETLEASE)
        a.open("file", os.O_WRONLY | os.O_NONBLOCK)
        a.do(fcntl.fcntl, reader, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    for where in (directory, reader):
        a.do(fcntl.fcntl, where, fcntl.F_NOTIFY, 0)
    for number in (2, 0x541B):  # FIGETBSZ, FIONREAD
        a.do(fcntl.ioctl, reader, number, bytes(4))


@story(OWNER)
def test_what_statx_knows(a):
    def known(path, flags):
        return kernel.statx(path, 0xFFF, flags=flags)[0]

    a.write("file")
    os.symlink("file", "link")
    for path in ("file", "link", ".", "missing"):
        for flags in (0, 0x100, 0x1000, 0x2000, 0x4000, 0x6000, 0x10):
            a.do(known, path, flags)
