# SPDX-License-Identifier: GPL-2.0-or-later
"""Plans for differ.py of names and attributes: calls chosen by chance, on
names that are few, so that they meet files, directories and links of all ages,
by users of all kinds."""

import enum
import os
import stat
import struct
import time

from . import act, kernel
from .act import TEAM
from .differ import Descriptors, Planner, Step
from .twin import attributes, forget_history

CAST = {user.name: user for user in (
    act.ROOT, act.OWNER, act.MEMBER, act.STRANGER, act.MATE)}
SLOTS = 3
OLD = 10 ** 18  # ns: a time before the tests

O = enum.IntFlag("O", {
    name[2:]: value for name, value in vars(os).items()
    if name in ("O_WRONLY", "O_RDWR", "O_CREAT", "O_EXCL", "O_TRUNC",
                "O_APPEND", "O_NONBLOCK", "O_DIRECTORY", "O_NOFOLLOW",
                "O_PATH", "O_NOATIME", "O_SYNC", "O_TMPFILE")})

XATTRS = ("user.one", "user.two", "trusted.one", "security.one",
          "system.posix_acl_access", "system.posix_acl_default", "nonsense")


def acl(*entries):
    """A POSIX ACL as setxattr(2) takes it, of (tag, rights, id)."""
    return struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tag, rights, number & 0xFFFFFFFF)
        for tag, rights, number in entries)


ACLS = (acl((1, 7, -1), (4, 5, -1), (32, 0, -1)),
        acl((1, 6, -1), (2, 7, act.STRANGER.uid), (4, 4, -1), (16, 6, -1),
            (32, 0, -1)),
        acl((1, 7, -1), (4, 0, -1), (8, 7, TEAM), (16, 7, -1), (32, 4, -1)),
        acl((1, 7, -1), (2, 0, act.OWNER.uid), (4, 7, -1), (16, 7, -1),
            (32, 7, -1)), b"", acl((1, 7, -1)))


class Player(Descriptors):
    """Makes the calls of a plan, in the current directory."""

    def __init__(self):
        super().__init__()
        self.times = {}

    def at(self, slot):
        """A directory to begin at, or the current one."""
        return None if slot is None else self.fd(slot)

    def shown(self, where, st):
        """Attributes, and which times of this inode have moved since it was
        shown there: those that somebody has set are told themselves."""
        times = st.st_mtime_ns, st.st_ctime_ns
        key = where, st.st_ino, self.birth(where)
        before = self.times.get(key, (None, None))
        self.times[key] = times
        told = forget_history(attributes(st))
        told.pop("blocks", None)
        return (told, [old and old != new for old, new in zip(before, times)],
                [t if t < OLD else "later" for t in (st.st_atime_ns, times[0])])

    def birth(self, where):
        """Numbers of inodes are used again."""
        if isinstance(where, int):
            where = f"/proc/self/fd/{self.fd(where)}"
            return kernel.statx(where, flags=0)[2]
        return kernel.statx(where)[2]

    # Opening

    def open(self, slot, path, flags, mode, at):
        self.keep(slot, os.open(path, flags | os.O_NONBLOCK, mode,
                                dir_fd=self.at(at)))

    def reopen(self, slot, other, flags):
        self.keep(slot, os.open(f"/proc/self/fd/{self.fd(other)}",
                                flags | os.O_NONBLOCK))

    def close(self, slot):
        os.close(self.fd(slot))
        del self.fds[slot]

    def chdir(self, path):
        """There, and back."""
        here = os.open(".", os.O_PATH)
        try:
            os.chdir(path)
            return sorted(os.listdir("."))
        finally:
            os.chdir(here)
            os.close(here)

    def umask(self, mask):
        os.umask(mask)

    # Names

    def mkdir(self, path, mode, at):
        os.mkdir(path, mode, dir_fd=self.at(at))

    def rmdir(self, path, at):
        os.rmdir(path, dir_fd=self.at(at))

    def unlink(self, path, at):
        os.unlink(path, dir_fd=self.at(at))

    def mknod(self, path, mode, rdev):
        os.mknod(path, mode, rdev)

    def symlink(self, target, path):
        os.symlink(target, path)

    def readlink(self, path):
        return os.readlink(path)

    def rename(self, old, new, flags):
        kernel.renameat2(old, new, flags)

    def link(self, old, new, flags):
        kernel.linkat(kernel.AT_FDCWD, old, new, flags)

    def link_fd(self, slot, new, by_proc):
        fd = self.fd(slot)
        if by_proc:
            kernel.linkat(kernel.AT_FDCWD, f"/proc/self/fd/{fd}", new,
                          kernel.AT_SYMLINK_FOLLOW)
        else:
            kernel.linkat(fd, "", new, kernel.AT_EMPTY_PATH)

    def list(self, path):
        with os.scandir(path) as entries:
            return sorted((e.name, e.is_dir(follow_symlinks=False),
                           e.is_symlink()) for e in entries)

    def list_fd(self, slot):
        return sorted(os.listdir(self.fd(slot)))

    # Attributes

    def stat(self, path, follow):
        return self.shown(path, os.stat(path, follow_symlinks=follow))

    def fstat(self, slot):
        return self.shown(slot, os.fstat(self.fd(slot)))

    def statx(self, path):
        mask, _, btime = kernel.statx(path)
        return mask, abs(btime[0] - time.time()) < 1000

    def access(self, path, mode, flags):
        kernel.faccessat(path, mode, flags)

    def chmod(self, path, mode):
        os.chmod(path, mode)

    def chmod_link(self, path, mode):
        kernel.fchmodat(path, mode, kernel.AT_SYMLINK_NOFOLLOW)

    def fchmod(self, slot, mode):
        os.fchmod(self.fd(slot), mode)

    def chown(self, path, uid, gid, follow):
        os.chown(path, uid, gid, follow_symlinks=follow)

    def fchown(self, slot, uid, gid):
        os.fchown(self.fd(slot), uid, gid)

    def utimens(self, path, atime, mtime, flags):
        kernel.utimensat(path, atime, mtime, flags)

    def futimens(self, slot, atime, mtime):
        os.utime(self.fd(slot), ns=(atime, mtime))

    def set_xattr(self, path, name, value, flags):
        os.setxattr(path, name, value, flags, follow_symlinks=False)

    def set_fd_xattr(self, slot, name, value):
        os.setxattr(self.fd(slot), name, value)

    def get_xattr(self, path, name):
        return os.getxattr(path, name, follow_symlinks=False)

    def remove_xattr(self, path, name):
        os.removexattr(path, name, follow_symlinks=False)

    def list_xattrs(self, path):
        return sorted(os.listxattr(path, follow_symlinks=False))

    def flags(self, slot, change):
        """Sets or clears one of chattr(1)'s. FUSE asks for none of a FIFO."""
        kind = os.fstat(self.fd(slot)).st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            return None
        flags = kernel.get_flags(self.fd(slot))
        kernel.set_flags(self.fd(slot), flags ^ change)
        return kernel.get_flags(self.fd(slot))

    def statfs(self, path):
        st = os.statvfs(path)
        return st.f_bsize, st.f_frsize, st.f_blocks, st.f_files, st.f_namemax

    # Data, to see who may

    def read(self, slot, length):
        return os.read(self.fd(slot), length)

    def write(self, slot, data):
        return os.write(self.fd(slot), data)

    def truncate(self, path, size):
        os.truncate(path, size)

    def ftruncate(self, slot, size):
        os.ftruncate(self.fd(slot), size)


class Maker(Planner):
    """Writes a plan. What a server isn't told enough of to clear suid and sgid
    as natively (see README) are writes: a plan has either these or those."""

    cast, slots = CAST, SLOTS

    def __init__(self, seed):
        super().__init__(seed)
        self.writes = seed % 2 == 0
        self.special = 0 if self.writes else 0o7000

    def often(self, usual, *others):
        return usual if self.random.random() < 0.6 else self.pick(*others)

    def directory(self):
        return self.pick(".", "a", "b", "a/c", "sticky", "team", "ruled")

    def path(self):
        end = self.often("", "", "", "", "", "", "", "", "/", "/.", "/..", "/x")
        where = self.directory()
        if self.random.random() < 0.1:
            return where
        return f"{where}/f{self.random.randrange(4)}{end}"

    def at(self):
        return self.often(None, self.slot())

    def mode(self):
        special = self.often(0, 0o1000, 0o2000, 0o4000, 0o6000) & self.special
        return special | self.pick(0o777, 0o700, 0o640, 0o755, 0o666, 0o600,
                                   0o444, 0o070, 0, 0o711, 0o705)

    def open_flags(self):
        flags = self.pick(O(0), O.WRONLY, O.RDWR)
        for extra in (O.CREAT, O.CREAT, O.EXCL, O.TRUNC, O.APPEND,
                      O.DIRECTORY, O.NOFOLLOW, O.PATH, O.NOATIME, O.TMPFILE):
            if self.random.random() < 0.12:
                flags |= extra
        if not self.writes:
            flags &= ~O.TRUNC
        return self.often(flags, O.CREAT | O.RDWR, O(0))

    def uid(self):
        return self.pick(0, *(user.uid for user in CAST.values()))

    def gid(self):
        return self.pick(0, TEAM, *(user.gid for user in CAST.values()))

    def owner(self):
        """Not (-1, -1): see README."""
        return self.pick((self.uid(), -1), (-1, self.gid()),
                         (self.uid(), self.gid()))

    def moment(self):
        return self.pick((5, 6), (0, kernel.UTIME_NOW), (0, kernel.UTIME_OMIT),
                         (10 ** 8, 999_999_999), (-5, 1), (1, 10 ** 9))

    def xattr(self):
        name = self.pick(*XATTRS)
        if name.startswith("system"):
            return name, self.pick(*ACLS)
        return name, self.pick(b"", b"one", b"x" * 300)

    def steps(self):
        path, slot, mode, at = self.path, self.slot, self.mode, self.at
        always = (
            ("open", lambda: (slot(), path(), self.open_flags(), mode(), at())),
            ("open", lambda: (slot(), path(), O.CREAT | O.RDWR, mode(), None)),
            ("open", lambda: (slot(), path(), O.CREAT | O.RDWR, 0o666, None)),
            ("open", lambda: (slot(), path(), O.RDWR, 0, None)),
            ("open", lambda: (slot(), self.directory(), O(0), 0, None)),
            ("open", lambda: (slot(), self.directory(), O.TMPFILE | O.RDWR,
                              mode(), None)),
            ("reopen", lambda: (slot(), slot(), self.open_flags() & ~O.CREAT)),
            ("close", lambda: (slot(),)),
            ("dup", lambda: (slot(), slot())),
            ("chdir", lambda: (path(),)),
            ("umask", lambda: (self.pick(0o022, 0, 0o077, 0o027),)),
            ("mkdir", lambda: (path(), mode(), at())),
            ("mkdir", lambda: (path(), 0o777, None)),
            ("rmdir", lambda: (path(), at())),
            ("unlink", lambda: (path(), at())),
            ("unlink", lambda: (path(), None)),
            ("mknod", lambda: (path(), mode() | self.pick(
                stat.S_IFREG, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK, 0,
                stat.S_IFDIR), self.pick(0, os.makedev(1, 3)))),
            ("symlink", lambda: (self.pick(path(), "f0", "../a/f1", "f1/f2"),
                                 path())),
            ("readlink", lambda: (path(),)),
            ("rename", lambda: (path(), path(), 0)),
            ("rename", lambda: (path(), path(), self.pick(0, 1, 2, 2, 4, 3, 5,
                                                          6, 8))),
            ("link", lambda: (path(), path(), self.pick(0, 0x400))),
            ("link_fd", lambda: (slot(), path(), self.pick(True, False))),
            ("list", lambda: (path(),)),
            ("list", lambda: (self.directory(),)),
            ("list_fd", lambda: (slot(),)),
            ("stat", lambda: (path(), self.pick(True, False))),
            ("stat", lambda: (path(), False)),
            ("stat", lambda: (self.directory(), False)),
            ("fstat", lambda: (slot(),)),
            ("statx", lambda: (path(),)),
            ("access", lambda: (path(), self.random.randrange(8), self.pick(
                0, kernel.AT_EACCESS, kernel.AT_SYMLINK_NOFOLLOW))),
            ("chmod", lambda: (path(), mode())),
            ("chmod", lambda: (path(), self.pick(0o777, 0o755))),
            ("chmod_link", lambda: (path(), mode())),
            ("fchmod", lambda: (slot(), mode())),
            ("chown", lambda: (path(), *self.owner(), self.pick(True, False))),
            ("fchown", lambda: (slot(), *self.owner())),
            ("utimens", lambda: (path(), self.moment(), self.moment(),
                                 self.pick(0, 0x100))),
            ("futimens", lambda: (slot(), 7, 8)),
            ("set_xattr", lambda: (path(), *self.xattr(), self.pick(0, 1, 2))),
            ("set_fd_xattr", lambda: (slot(), *self.xattr())),
            ("get_xattr", lambda: (path(), self.xattr()[0])),
            ("remove_xattr", lambda: (path(), self.xattr()[0])),
            ("list_xattrs", lambda: (path(),)),
            ("flags", lambda: (slot(), self.pick(kernel.FS_NODUMP,
                                                 kernel.FS_NOATIME))),
            ("statfs", lambda: (path(),)),
            ("read", lambda: (slot(), self.pick(0, 1, 100))))
        writing = (
            ("write", lambda: (slot(), self.pick(b"", b"data", b"x" * 5000))),
            ("truncate", lambda: (path(), self.pick(0, 5, 9000, -1))),
            ("ftruncate", lambda: (slot(), self.pick(0, 5, 9000))))
        return always + writing if self.writes else always

    @staticmethod
    def stage():
        """What is there in the beginning."""
        for name, mode, gid in (("a", 0o755, act.OWNER.gid), ("b", 0o777, 0),
                                ("a/c", 0o775, TEAM), ("sticky", 0o1777, 0),
                                ("team", 0o2775, TEAM), ("ruled", 0o777, 0)):
            yield Step("root", "mkdir", (name, 0o755, None))
            yield Step("root", "chmod", (name, mode))
            yield Step("root", "chown", (
                name, act.OWNER.uid if name in ("a", "team") else 0, gid,
                False))
            yield Step("root", "chmod", (name, mode))
        yield Step("root", "set_xattr", (
            "ruled", "system.posix_acl_default", ACLS[1], 0))
