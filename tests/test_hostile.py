# SPDX-License-Identifier: GPL-2.0-or-later
"""A client without sense or good will: calls made up by dice, with flags,
lengths, offsets, names and modes that nobody means. It ends as natively, and
the daemon lives."""

import contextlib
import ctypes
import errno
import fcntl
import os
import random
import stat

import pytest

from lib import settings
from lib.settings import KIB, MIB
from lib.twin import USERS

STEPS = 400
SEEDS = range(40 if settings.LONG else 3)

libc = ctypes.CDLL(None, use_errno=True)

NAMES = [b"a", b"b", b"dir", b"dir/c", b"dir/d", b"dir/../a", b"sym", b"fifo",
         b"", b".", b"..", b"dir/.", b"a/", b"a/b", b"./dir//c", b"n" * 255,
         b"n" * 256, b"\xff\xfe\x01", b"new\nline", b" ", b"x/" * 2047 + b"x"]
NUMBERS = [0, 1, 2, 511, 4095, 4096, 4097, 64 * KIB, MIB, 2**31 - 1, 2**31,
           2**32, 2**43, 2**44, 2**62, 2**63 - 1, -1, -4096, -2**63]
# Where a disk's own limit is, FUSE doesn't know: beyond it, it takes suid
# before the refusal.
NEAR = [n for n in NUMBERS if n <= 2**43]
LENGTHS = [0, 1, 100, 4096, 65537]
# What the disk below can really have.
ROOM = [0, 1, 4095, 4096, 65536, MIB, -1, -2**63]
FLAGS = [os.O_RDONLY, os.O_WRONLY, os.O_RDWR, 3, os.O_CREAT, os.O_EXCL,
         os.O_TRUNC, os.O_APPEND, os.O_SYNC, os.O_DSYNC, os.O_NOFOLLOW,
         os.O_DIRECTORY, os.O_PATH, os.O_NOATIME, os.O_TMPFILE, 1 << 30]
MODES = [0, 0o400, 0o644, 0o777, 0o1777, 0o2755, 0o4755, 0o7777, 0o170000,
         0xFFFF]
XATTRS = [b"user.x", b"user.", b"user", b"", b"user." + b"y" * 250,
          b"user." + b"y" * 251, b"trusted.x", b"security.x",
          b"system.posix_acl_access", b"system.posix_acl_default",
          b"system.x", b"nonsense.x", b"user.\xff"]
SIZES = [0, 1, 100, 1024, 3000, 65536, 65537]


def call(function, *arguments):
    """A call of the C library with whatever: its result, or an errno."""
    result = getattr(libc, function)(*arguments)
    if result == -1:
        return errno.errorcode.get(ctypes.get_errno(), ctypes.get_errno())
    return result


def long(value):
    return ctypes.c_longlong(value)


class Monkey:
    """Makes one call after the other, the same ones for the same seed."""

    def __init__(self, actor, seed):
        self.actor = actor
        self.dice = random.Random(seed)
        self.fds = []
        # What goes up from there still stays in the story's directory.
        self.top = os.getcwdb()
        for _ in range(4):
            os.mkdir("box")
            os.chdir("box")
        self.calls = [f for name, f in sorted(vars(type(self)).items())
                      if name.startswith("try_")]

    def play(self, steps):
        for n in range(steps):
            self.dice.choice(self.calls)(self)
            if n % 20 == 0:
                self.tidy()
        self.tidy()

    def tidy(self):
        """Few descriptors, and no file that takes hours to read."""
        while len(self.fds) > 4:
            os.close(self.fds.pop(0))
        for where, directories, files in os.walk(self.top):
            for name in directories:
                self.open_up(os.path.join(where, name), 0o755)
            for name in files:
                path = os.path.join(where, name)
                if os.lstat(path).st_size > MIB and not os.path.islink(path):
                    self.open_up(path, 0o644)
                    with contextlib.suppress(OSError):
                        os.truncate(path, 64 * KIB)

    def open_up(self, path, mode):
        if not os.path.islink(path):
            with contextlib.suppress(OSError):
                os.chmod(path, mode)

    def note(self, *words):
        what = " ".join(str(w)[:40] for w in words[:-1])
        self.actor.note(what, words[-1])

    def name(self):
        return self.dice.choice(NAMES)

    def fd(self):
        return self.dice.choice(self.fds) if self.fds else -1

    def number(self):
        return self.dice.choice(NUMBERS)

    def mode(self):
        """Where they pass through, root's writes take suid, too."""
        mode = self.dice.choice(MODES)
        return mode & ~0o6000 if self.actor.user.uid == 0 else mode

    def some(self, values, most=3):
        return sum(set(self.dice.choices(values, k=self.dice.randint(1, most))))

    # Names

    def try_open(self):
        path, mode = self.name(), self.mode()
        flags = self.some(FLAGS, 4) | os.O_NONBLOCK
        fd = call("open", path, flags, mode)
        if isinstance(fd, int):
            self.fds.append(fd)
        self.note("open", path, hex(flags), oct(mode),
                  "fd" if isinstance(fd, int) else fd)

    def try_create(self):
        path = self.name()
        fd = call("open", path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o644)
        if isinstance(fd, int):
            self.fds.append(fd)
        self.note("create", path, "fd" if isinstance(fd, int) else fd)

    def try_mkdir(self):
        path, mode = self.name(), self.mode()
        self.note("mkdir", path, oct(mode), call("mkdir", path, mode))

    def try_mknod(self):
        path, mode = self.name(), self.mode() | 0o10000
        self.note("mknod", path, oct(mode), call("mknod", path, mode, 0))

    def try_symlink(self):
        to, path = self.name(), self.name()
        self.note("symlink", to, path, call("symlink", to, path))

    def try_link(self):
        old, new = self.name(), self.name()
        flags = self.dice.choice([0, 0x400, 0x1000, 0x1400, 7])
        self.note("linkat", old, new, flags,
                  call("linkat", -100, old, -100, new, flags))

    def try_rename(self):
        old, new = self.name(), self.name()
        flags = self.dice.choice([0, 0, 1, 2, 3, 8])
        self.note("rename", old, new, flags,
                  call("renameat2", -100, old, -100, new, flags))

    def try_remove(self):
        path, flags = self.name(), self.dice.choice([0, 0x200, 1])
        self.note("unlinkat", path, flags,
                  call("unlinkat", -100, path, flags))

    # Attributes

    def try_chmod(self):
        path, mode = self.name(), self.mode()
        self.note("chmod", path, oct(mode), call("chmod", path, mode))

    def try_chown(self):
        path = self.name()
        uid, gid = self.dice.choice([0, 12001, 12050]), self.dice.choice([0, 12001])
        self.note("lchown", path, uid, gid, call("lchown", path, uid, gid))

    def try_truncate(self):
        path, size = self.name(), self.number()
        self.note("truncate", path, size, call("truncate", path, long(size)))

    def try_utimens(self):
        path = self.name()
        values = [self.dice.choice([0, 1, -1, 2**31, 2**33]),
                  self.dice.choice([0, 999999999, 10**9, (1 << 30) - 1,
                                    (1 << 30) - 2, -1])] * 2
        times = (ctypes.c_long * 4)(*values)
        self.note("utimensat", path, values,
                  call("utimensat", -100, path, times,
                       self.dice.choice([0, 0x100, 1])))

    def try_setxattr(self):
        path, key = self.name(), self.dice.choice(XATTRS)
        size, flags = self.dice.choice(SIZES), self.dice.choice([0, 1, 2, 3, 4])
        self.note("setxattr", path, key, size, flags,
                  call("setxattr", path, key, b"v" * size, size, flags))

    def try_getxattr(self):
        path, key = self.name(), self.dice.choice(XATTRS)
        size = self.dice.choice(SIZES)
        self.note("getxattr", path, key, size,
                  call("getxattr", path, key,
                       ctypes.create_string_buffer(size + 1), size))

    def try_removexattr(self):
        path, key = self.name(), self.dice.choice(XATTRS)
        self.note("removexattr", path, key, call("removexattr", path, key))

    def try_stat(self):
        self.actor.stat(self.name().decode("latin1").encode("latin1"))

    # Data

    def try_write(self):
        fd, at = self.fd(), self.dice.choice(NEAR)
        length = self.dice.choice(LENGTHS)
        self.note("pwrite", at, length,
                  call("pwrite", fd, b"w" * length, length, long(at)))

    def try_read(self):
        fd, at, length = self.fd(), self.number(), self.dice.choice(LENGTHS)
        buffer = ctypes.create_string_buffer(length + 1)
        self.note("pread", at, length,
                  call("pread", fd, buffer, length, long(at)))
        self.note("bytes", buffer.raw[:50])

    def try_write_flags(self):
        fd, at = self.fd(), self.dice.choice(NEAR)
        flags = self.dice.choice([0, 2, 4, 0x10, 1 << 30, 0x80000000])
        vector = (ctypes.c_size_t * 2)(
            ctypes.cast(ctypes.c_char_p(b"v" * 500), ctypes.c_void_p).value, 500)
        self.note("pwritev2", at, flags,
                  call("pwritev2", fd, vector, 1, long(at), flags))

    def try_ftruncate(self):
        fd, size = self.fd(), self.number()
        self.note("ftruncate", size, call("ftruncate", fd, long(size)))

    def try_fallocate(self):
        # FUSE has no others, as the kernel says before it asks.
        mode = self.dice.choice([0, 1, 2, 3, 0x10, 0x11, 0x12])
        at, length = self.dice.choice(ROOM), self.dice.choice(ROOM)
        self.note("fallocate", mode, at, length,
                  call("fallocate", self.fd(), mode, long(at), long(length)))

    def try_seek(self):
        fd = self.fd()
        at = self.dice.choice([n for n in NEAR if n < 2**33])
        whence = self.dice.choice([0, 1, 2, 5, -1])
        if fd >= 0 and stat.S_ISDIR(os.fstat(fd).st_mode):
            return  # where a filesystem's own cookies are
        libc.lseek.restype = ctypes.c_longlong
        self.note("lseek", at, whence, call("lseek", fd, long(at), whence))

    def try_copy(self):
        one, two = (ctypes.c_longlong(self.dice.choice(NEAR)) for _ in range(2))
        words = one.value, two.value
        self.note("copy_file_range", words,
                  call("copy_file_range", self.fd(), ctypes.byref(one), self.fd(),
                       ctypes.byref(two), self.dice.choice(LENGTHS),
                       self.dice.choice([0, 0, 0, 1])))

    def try_sync(self):
        which = self.dice.choice(["fsync", "fdatasync"])
        self.note(which, call(which, self.fd()))

    def try_advise(self):
        words = self.dice.choice(ROOM), self.dice.choice(ROOM)
        self.note("fadvise", words, call("posix_fadvise", self.fd(), long(words[0]),
                                         long(words[1]), self.dice.randrange(6)))

    def try_fstat(self):
        self.actor.fstat(self.fd())

    # What may answer otherwise, as long as it answers

    def try_ioctl(self):
        number = self.dice.choice([
            0x80086601, 0x801C581F, 0xC020660B, 0x40049409, 0x5401, 0,
            0xFFFFFFFF, self.dice.getrandbits(32)])
        call("ioctl", self.fd(), ctypes.c_ulong(number),
             ctypes.create_string_buffer(4096))

    def try_lock(self):
        kind, at, length = self.dice.choice([0, 1, 2, 3]), self.number(), self.number()
        lock = fcntl.fcntl  # the structure is the C library's to lay out
        data = (ctypes.c_char * 32)()
        ctypes.memmove(data, kind.to_bytes(2, "little") + bytes(6)
                       + at.to_bytes(8, "little", signed=True)
                       + length.to_bytes(8, "little", signed=True), 24)
        try:
            lock(self.fd(), self.dice.choice([5, 6, 36, 37]), bytes(data))
            self.note("lock", kind, at, length, 0)
        except (OSError, ValueError) as error:
            self.note("lock", kind, at, length,
                      getattr(error, "errno", "fd"))


@pytest.mark.long_form
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("user", USERS.values(), ids=lambda u: u.name)
def test_a_monkey(twins, user, seed):
    def monkey(actor):
        Monkey(actor, seed).play(settings.scaled(STEPS))
    twins.compare(monkey, user)
