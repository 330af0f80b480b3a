# SPDX-License-Identifier: GPL-2.0-or-later
"""Owners, modes, ACLs, extended attributes and times, as natively."""

import errno
import fcntl
import mmap
import os
import stat
import struct
import time

import pytest

from lib import act, kernel
from lib.act import MATE, MEMBER, OWNER, ROOT, STRANGER, TEAM
from lib.twin import ONE_WAY, story, xattrs

pytestmark = pytest.mark.sequential

# A file capability: version 2, effective, permitted cap_net_raw.
NET_RAW = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
EVERYONE = (OWNER, MEMBER, STRANGER, MATE, ROOT)


@story(ROOT, ways=ONE_WAY)
def test_chmod(a):
    def change(b):
        for mode in (0o000, 0o777, 0o4711, 0o2755, 0o6777, 0o1777, 0o644):
            b.do(os.chmod, "file", mode)
            b.stat("file")
            b.do(os.chmod, "dir", mode)
            b.stat("dir")

    for user in EVERYONE:
        for gid in (OWNER.gid, TEAM):
            a.write("file")
            os.mkdir("dir")
            os.chown("file", OWNER.uid, gid)
            os.chown("dir", OWNER.uid, gid)
            a.by(user, change)
            os.unlink("file")
            os.rmdir("dir")


@story(ROOT, ways=ONE_WAY)
def test_chown(a):
    def change(b):
        for uid, gid in ((-1, -1), (OWNER.uid, -1), (-1, TEAM), (-1, OWNER.gid),
                         (STRANGER.uid, -1), (0, 0), (-1, STRANGER.gid)):
            b.do(os.chown, "file", uid, gid)
            b.stat("file")
            b.do(os.chmod, "file", 0o6755)
            b.do(os.chown, "link", uid, gid, follow_symlinks=False)
            b.stat("link")

    for user in EVERYONE:
        a.write("file", mode=0o755)
        os.symlink("file", "link")
        os.chown("file", OWNER.uid, OWNER.gid)
        os.chown("link", OWNER.uid, OWNER.gid, follow_symlinks=False)
        a.by(user, change)
        os.unlink("file")
        os.unlink("link")


@story(ROOT, ways=ONE_WAY)
def test_chown_of_what_cannot_run(a):
    """Which bits and times a change of owner leaves, for files without
    execution and for directories; also one that changes nothing (a stranger's
    is taken for a fallocate(2) by a server, see README)."""
    def change(b):
        for path in ("file", "dir", "fifo"):
            for uid, gid in ((-1, OWNER.gid), (-1, TEAM),
                             (OWNER.uid, TEAM), (OWNER.uid, OWNER.gid)):
                b.do(os.chown, path, uid, gid)
                b.stat(path)

    def change_nothing(b):
        for path in ("file", "dir", "fifo"):
            moved(b, lambda: b.do(os.chown, path, -1, -1), path)
            b.stat(path)

    for mode in (0o6644, 0o6711, 0o2070, 0o7777):
        for user in (OWNER, MEMBER, STRANGER, ROOT):
            a.write("file")
            os.mkdir("dir")
            os.mkfifo("fifo")
            for path in ("file", "dir", "fifo"):
                os.chown(path, OWNER.uid, OWNER.gid)
                os.chmod(path, mode)
            if user is not STRANGER:
                a.by(user, change_nothing)
            a.by(user, change)
            a.run("find", ".", "-mindepth", "1", "-delete")


@story(ROOT)
def test_permission_to_truncate(a):
    """By name one must be allowed to write; by descriptor, have been."""
    def cut(b):
        for name in ("closed", "readable", "writable", "hidden/file"):
            b.do(os.truncate, name, 4)
            b.do(os.truncate, name, 7)
            b.open(name, os.O_RDONLY | os.O_TRUNC)
            b.open(name, os.O_WRONLY | os.O_TRUNC)
        fd = b.open("readable")
        b.do(os.ftruncate, fd, 0)
        path = b.open("writable", os.O_PATH)
        b.do(os.ftruncate, path, 0)
        mine = b.open("mine", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o400)
        b.do(os.ftruncate, mine, 100)
        b.do(os.truncate, "mine", 5)
        b.do(os.fchmod, mine, 0)
        b.do(os.ftruncate, mine, 3)
        b.stat("mine")

    for user in (OWNER, MEMBER, STRANGER, ROOT):
        os.mkdir("work")
        os.chmod("work", 0o777)
        os.mkdir("work/hidden", 0o700)
        for name, mode in (("closed", 0o000), ("readable", 0o444),
                           ("writable", 0o666), ("hidden/file", 0o666)):
            a.write(f"work/{name}", b"content")
            os.chmod(f"work/{name}", mode)
        os.chdir("work")
        a.by(user, cut)
        for name in ("closed", "readable", "writable"):
            a.stat(name)
        a.run("find", ".", "-mindepth", "1", "-delete")
        os.chdir("..")
        os.rmdir("work")


# What clears suid, sgid and file capabilities.


def by_write(b):
    fd = b.open("file", os.O_WRONLY)
    b.do(os.write, fd, b"x")


def by_pwritev(b):
    fd = b.open("file", os.O_RDWR)
    b.do(os.pwritev, fd, [b"x", b"y"], 3, kernel.RWF_DSYNC)


def by_append(b):
    fd = b.open("file", os.O_WRONLY | os.O_APPEND)
    b.do(os.write, fd, b"x")


def by_writing_nothing(b):
    fd = b.open("file", os.O_WRONLY)
    b.do(os.write, fd, b"")


def by_truncate(b):
    b.do(os.truncate, "file", 3)


def by_truncate_to_its_size(b):
    b.do(os.truncate, "file", os.stat("file").st_size)


def by_ftruncate(b):
    fd = b.open("file", os.O_WRONLY)
    b.do(os.ftruncate, fd, 3)


def by_open_trunc(b):
    b.open("file", os.O_WRONLY | os.O_TRUNC)


def by_fallocate(b):
    fd = b.open("file", os.O_WRONLY)
    b.do(kernel.fallocate, fd, 0, 0, 10000)


def by_punching(b):
    fd = b.open("file", os.O_WRONLY)
    b.do(kernel.fallocate, fd,
         kernel.FALLOC_PUNCH_HOLE | kernel.FALLOC_KEEP_SIZE, 0, 4)


def by_copy_range(b):
    fd, source = b.open("file", os.O_WRONLY), b.open("source")
    b.do(os.copy_file_range, source, fd, 5, 0, 1)


def by_mmap(b):
    fd = b.open("file", os.O_RDWR)
    if fd >= 0:
        with mmap.mmap(fd, 4) as m:
            m[0] = 65
            m.flush()


def by_splice(b):
    out, into = os.pipe()
    os.write(into, b"spliced")
    fd = b.open("file", os.O_WRONLY)
    b.do(os.splice, out, fd, 7)


def by_direct_write(b):
    fd = b.open("file", os.O_WRONLY | os.O_DIRECT)
    b.do(os.pwritev, fd, [mmap.mmap(-1, 4096)], 0)


def by_chown_to_same(b):
    b.do(os.chown, "file", os.stat("file").st_uid, -1)


def by_chgrp(b):
    b.do(os.chown, "file", -1, TEAM)


def by_nothing(b):
    fd = b.open("file")
    b.do(os.read, fd, 1)
    b.do(os.utime, "file")


WAYS_TO_CLEAR = [by_write, by_pwritev, by_append, by_writing_nothing,
                 by_truncate, by_truncate_to_its_size, by_ftruncate,
                 by_open_trunc, by_fallocate, by_punching, by_copy_range,
                 by_mmap, by_splice, by_direct_write, by_chown_to_same,
                 by_chgrp, by_nothing]


def keeps_no_more_bits(label, native, seen):
    """A server is not told enough to keep sgid without group execution for a
    writer of that group, nor suid for a root whose writes pass through. To
    clear more than must be is safe; to keep more is never."""
    if not label.startswith("stat ") or not isinstance(seen, dict):
        return False
    before, after = int(native["mode"], 8), int(seen["mode"], 8)
    cleared = before & ~after
    return (after & ~before == 0 and cleared & ~0o6000 == 0
            and {**native, "mode": 0} == {**seen, "mode": 0})


def clear_suid(way):
    modes = 0o6777, 0o2767, 0o2777, 0o4666

    def each_in_turn(b):
        for mode in modes:
            os.chdir(f"{mode:o}")
            way(b)
            os.chdir("..")

    def clearing(a):
        for mode in modes:
            os.mkdir(f"{mode:o}")
            a.write(f"{mode:o}/source", b"source")
        for user in (OWNER, STRANGER, MEMBER, ROOT):
            for mode in modes:
                a.write(f"{mode:o}/file", b"content")
                os.chown(f"{mode:o}/file", OWNER.uid, OWNER.gid)
                os.chmod(f"{mode:o}/file", mode)
            a.by(user, each_in_turn)
            for mode in modes:
                a.stat(f"{mode:o}/file")
                os.unlink(f"{mode:o}/file")
    clearing.__name__ = f"test_suid_{way.__name__}"
    clearing.__doc__ = "Which suid and sgid bits are left after a change."
    return story(ROOT, leeway=keeps_no_more_bits)(clearing)


def clears_capabilities(label, native, seen):
    """A mapping's pages are written as by write(2)."""
    return label == "left" and seen == {}


def clear_capabilities(way):
    def clearing(a):
        a.write("source", b"source")
        for user in (OWNER, STRANGER, ROOT):
            a.write("file", b"content")
            os.chown("file", OWNER.uid, OWNER.gid)
            os.chmod("file", 0o777)
            os.setxattr("file", "security.capability", NET_RAW)
            a.by(user, way)
            a.note("left", xattrs("file"))
            os.unlink("file")
    clearing.__name__ = f"test_capabilities_{way.__name__}"
    clearing.__doc__ = "Whether file capabilities are left after a change."
    return story(ROOT, cached=clears_capabilities if way is by_mmap else None)(
        clearing)


for _way in WAYS_TO_CLEAR:
    globals()[f"test_suid_{_way.__name__}"] = clear_suid(_way)
    globals()[f"test_capabilities_{_way.__name__}"] = clear_capabilities(_way)


@story(ROOT)
def test_suid_through_an_old_open(a):
    """The bits are set while a writer has the file open: still cleared."""
    os.chmod(".", 0o777)

    def write_late(b):
        fd = b.open("file", os.O_RDWR | os.O_CREAT, 0o666)
        b.do(os.write, fd, b"before")
        b.do(os.fchmod, fd, 0o6777)
        b.fstat(fd)
        b.do(os.write, fd, b"after")
        b.fstat(fd)
        b.stat("file")

    a.by(OWNER, write_late)
    a.stat("file")


@story(ROOT, ways=ONE_WAY)
def test_setgid_directories(a):
    for name, gid in (("team", TEAM), ("owners", OWNER.gid), ("roots", 0)):
        os.mkdir(name)
        os.chown(name, 0, gid)
        os.chmod(name, 0o2777)

    def make(b):
        for directory in ("team", "owners", "roots"):
            at = f"{directory}/{b.user.name}"
            fd = b.open(f"{at}-file", os.O_CREAT | os.O_RDWR, 0o2775)
            b.fstat(fd)
            b.write(f"{at}-plain")
            b.do(os.mkdir, f"{at}-dir", 0o755)
            b.do(os.mkfifo, f"{at}-fifo", 0o2777)
            b.do(os.mknod, f"{at}-node", stat.S_IFREG | 0o2771)
            b.do(os.symlink, "x", f"{at}-link")
            tmp = b.open(directory, os.O_TMPFILE | os.O_RDWR, 0o2775)
            b.fstat(tmp)
            for kind in ("file", "plain", "dir", "fifo", "node", "link"):
                b.stat(f"{at}-{kind}")

    for user in EVERYONE:
        a.by(user, make)


@story(crossed=False)
def test_umask(a):
    for mask in (0o000, 0o022, 0o027, 0o077, 0o777):
        os.umask(mask)
        a.open(f"file-{mask:o}", os.O_CREAT | os.O_RDWR, 0o666)
        a.do(os.mkdir, f"dir-{mask:o}", 0o777)
        a.do(os.mkfifo, f"fifo-{mask:o}", 0o666)
        a.do(os.mknod, f"node-{mask:o}", stat.S_IFREG | 0o777)
        fd = a.open(".", os.O_TMPFILE | os.O_RDWR, 0o666)
        a.fstat(fd)
        for kind in ("file", "dir", "fifo", "node"):
            a.stat(f"{kind}-{mask:o}")


# ACLs


@story(crossed=False)
def test_acls(a):
    a.write("file")
    os.mkdir("dir")
    a.run("setfacl", "-m", f"u:{STRANGER.uid}:rw,g:{TEAM}:r", "file")
    a.run("getfacl", "-cn", "file")
    a.stat("file")
    os.chmod("file", 0o640)
    a.run("getfacl", "-cn", "file")
    a.run("setfacl", "-d", "-m", f"u:{STRANGER.uid}:rwx,o:-", "dir")
    a.run("getfacl", "-cn", "dir")
    a.run("setfacl", "-d", "-m", "u::rwx", "file")
    a.note("names", sorted(os.listxattr("file")))
    a.note("value", xattrs("file"))
    a.run("setfacl", "-x", f"u:{STRANGER.uid}", "file")
    a.run("getfacl", "-cn", "file")
    a.run("setfacl", "-b", "file")
    a.stat("file")
    a.note("names", os.listxattr("file"))
    a.do(os.setxattr, "file", "system.posix_acl_access", b"nonsense")
    a.do(os.setxattr, "file", "system.posix_acl_default", b"\2\0\0\0")
    a.do(os.getxattr, "file", "system.posix_acl_access")


@story(crossed=False)
def test_default_acls_are_inherited(a):
    os.mkdir("dir")
    a.run("setfacl", "-d", "-m",
          f"u:{STRANGER.uid}:rwx,g:{TEAM}:rx,m:rwx,o:r", "dir")
    for mask in (0o000, 0o022, 0o077):
        os.umask(mask)
        at = f"dir/{mask:o}"
        a.open(f"{at}-file", os.O_CREAT | os.O_RDWR, 0o666)
        a.open(f"{at}-private", os.O_CREAT | os.O_RDWR, 0o600)
        a.do(os.mkdir, f"{at}-dir", 0o775)
        a.do(os.mkfifo, f"{at}-fifo", 0o666)
        a.do(os.mknod, f"{at}-node", stat.S_IFREG | 0o640)
        a.do(os.symlink, "x", f"{at}-link")
        fd = a.open("dir", os.O_TMPFILE | os.O_RDWR, 0o666)
        a.fstat(fd)
        a.do(kernel.linkat, kernel.AT_FDCWD, f"/proc/self/fd/{fd}", f"{at}-tmp",
             kernel.AT_SYMLINK_FOLLOW)
        for kind in ("file", "private", "dir", "fifo", "node", "link", "tmp"):
            a.stat(f"{at}-{kind}")
        for kind in ("file", "private", "dir", "fifo", "node", "tmp"):
            a.run("getfacl", "-cn", f"{at}-{kind}")
        a.open(f"{at}-dir/deeper", os.O_CREAT | os.O_RDWR, 0o666)
        a.run("getfacl", "-cn", f"{at}-dir/deeper")


@story(ROOT, ways=ONE_WAY)
def test_acls_decide(a):
    a.write("for-stranger", b"x", 0o600)
    a.run("setfacl", "-m", f"u:{STRANGER.uid}:rw", "for-stranger")
    a.write("not-stranger", b"x", 0o666)
    a.run("setfacl", "-m", f"u:{STRANGER.uid}:-", "not-stranger")
    a.write("for-team", b"x", 0o600)
    a.run("setfacl", "-m", f"g:{TEAM}:r", "for-team")
    a.write("masked", b"x", 0o600)
    a.run("setfacl", "-m", f"u:{STRANGER.uid}:rw,m:r", "masked")
    os.mkdir("dir", 0o700)
    a.run("setfacl", "-m", f"u:{STRANGER.uid}:rwx", "dir")

    def knock(b):
        for name in ("for-stranger", "not-stranger", "for-team", "masked"):
            for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
                b.open(name, flags)
            b.do(os.access, name, os.R_OK | os.W_OK)
            b.run("getfacl", "-cn", name)
            b.do(os.setxattr, name, "user.mine", b"1")
            b.run("setfacl", "-m", f"u:{b.user.uid}:rwx", name)
        b.write(f"dir/{b.user.name}")
        b.do(os.listdir, "dir")

    for user in EVERYONE:
        a.by(user, knock)


@story(ROOT, ways=ONE_WAY)
def test_acl_and_setgid_bit(a):
    """Setting an ACL clears sgid for one who is not in the file's group."""
    for gid in (OWNER.gid, TEAM, STRANGER.gid):
        a.write("file", mode=0o755)
        os.chown("file", OWNER.uid, gid)

        def set_acl(b):
            b.run("setfacl", "-m", f"u:{STRANGER.uid}:rx", "file")

        for user in (OWNER, MEMBER, ROOT):
            os.chmod("file", 0o2755)
            a.by(user, set_acl)
            a.stat("file")
        os.unlink("file")


# Extended attributes


@story(crossed=False)
def test_user_xattrs(a):
    a.write("file")
    os.mkdir("dir")
    os.symlink("file", "link")
    os.mkfifo("fifo")
    for path in ("file", "dir", "fifo"):
        a.do(os.setxattr, path, "user.one", b"1")
        a.do(os.setxattr, path, "user.empty", b"")
        a.do(os.getxattr, path, "user.one")
        a.do(os.getxattr, path, "user.empty")
        a.note("names", sorted(os.listxattr(path)))
    a.do(os.setxattr, "link", "user.one", b"1", follow_symlinks=False)
    a.do(os.getxattr, "link", "user.one", follow_symlinks=False)
    a.do(os.setxattr, "file", "user.one", b"2", os.XATTR_CREATE)
    a.do(os.setxattr, "file", "user.new", b"2", os.XATTR_REPLACE)
    a.do(os.setxattr, "file", "user.one", b"two", os.XATTR_REPLACE)
    a.do(os.getxattr, "file", "user.one")
    a.do(os.getxattr, "file", "user.none")
    a.do(os.removexattr, "file", "user.none")
    a.do(os.removexattr, "file", "user.one")
    a.do(os.setxattr, "file", "user." + "n" * 250, b"long name")
    a.do(os.setxattr, "file", "user." + "n" * 251, b"longer name")
    a.do(os.setxattr, "file", "user.big", b"b" * 3000)
    a.do(os.getxattr, "file", "user.big")
    a.do(os.setxattr, "file", "user.huge", b"h" * 65536)
    a.do(os.setxattr, "file", "user.too-huge", b"h" * 65537)
    a.do(os.setxattr, "file", "nonsense", b"x")
    a.do(os.setxattr, "file", "unknown.name", b"x")
    a.do(os.setxattr, "file", "user.", b"x")
    a.do(os.setxattr, "missing", "user.one", b"x")
    a.note("left", sorted(os.listxattr("file")))
    fd = a.open("file")
    a.do(os.setxattr, fd, "user.by-fd", b"x")
    a.do(os.getxattr, fd, "user.by-fd")
    a.do(os.listxattr, "link")


@story(crossed=False)
def test_xattr_sizes(a):
    """The calls that ask for a size, and answers that do not fit."""
    a.write("file")
    os.setxattr("file", "user.name", b"12345678")
    buffer = bytearray(100)
    from_libc = kernel.libc
    import ctypes
    view = (ctypes.c_char * 100).from_buffer(buffer)
    for size in (0, 1, 7, 8, 9, 100):
        ctypes.set_errno(0)
        got = from_libc.getxattr(b"file", b"user.name", view, size)
        a.note(f"getxattr {size}", (got, got < 0 and ctypes.get_errno()))
        got = from_libc.listxattr(b"file", view, size)
        a.note(f"listxattr {size}", (got, got < 0 and ctypes.get_errno()))


@story(ROOT, ways=ONE_WAY)
def test_trusted_and_security_xattrs(a):
    a.write("file", mode=0o666)
    a.do(os.setxattr, "file", "trusted.secret", b"1")
    a.do(os.setxattr, "file", "security.label", b"2")
    a.do(os.setxattr, "file", "security.capability", NET_RAW)
    a.do(os.setxattr, "file", "user.open", b"3")

    def look(b):
        b.note("names", sorted(os.listxattr("file")))
        for name in ("trusted.secret", "security.label", "security.capability",
                     "user.open", "trusted.none", "security.none"):
            b.do(os.getxattr, "file", name)
            b.do(os.setxattr, "file", name, b"changed")
            b.do(os.removexattr, "file", name)

    for user in (STRANGER, OWNER, ROOT):
        a.by(user, look)


@story(ROOT, ways=ONE_WAY)
def test_trusted_xattrs_of_a_lesser_root(a):
    """As in a container: to see them takes a right that he doesn't have."""
    a.write("file")
    os.setxattr("file", "trusted.secret", b"1")
    os.setxattr("file", "user.open", b"2")

    def look(b):
        kernel.lower_capability(kernel.CAP_SYS_ADMIN)
        b.note("names", sorted(os.listxattr("file")))
        b.do(os.getxattr, "file", "trusted.secret")
        b.do(os.setxattr, "file", "trusted.mine", b"3")

    a.by(ROOT, look)
    a.note("names", sorted(os.listxattr("file")))


@story(ROOT, ways=ONE_WAY)
def test_user_xattrs_of_others(a):
    os.mkdir("sticky")
    os.chmod("sticky", 0o1777)
    a.write("readable", mode=0o644)
    a.write("private", mode=0o600)

    def meddle(b):
        for path in ("sticky", "readable", "private"):
            b.do(os.setxattr, path, "user.mine", b"1")
            b.do(os.getxattr, path, "user.mine")
            b.do(os.listxattr, path)
            b.do(os.removexattr, path, "user.mine")

    a.by(STRANGER, meddle)
    a.by(ROOT, meddle)
    a.by(STRANGER, meddle)


@story(crossed=False)
def test_names_of_other_namespaces(a):
    """Each namespace has its rules; none of them is the server's to make."""
    a.write("file")
    os.mkdir("dir")
    os.symlink("file", "link")
    os.mkfifo("fifo")
    names = ("system.", "system.none", "system.posix_acl_access",
             "system.posix_acl_default", "system.nfs4_acl", "trusted.",
             "trusted.mine", "security.", "security.mine", "security.selinux",
             "security.capability", "security.evm", "user", "userx.mine",
             "User.mine", "btrfs.mine", "os2.mine", "user.memcgfs",
             "trusted.overlay.opaque")
    for path in ("file", "dir", "link", "fifo"):
        for name in names:
            a.do(os.getxattr, path, name, follow_symlinks=False)
            a.do(os.setxattr, path, name, b"value", follow_symlinks=False)
            a.do(os.getxattr, path, name, follow_symlinks=False)
            a.do(os.removexattr, path, name, follow_symlinks=False)
        a.note("left", sorted(os.listxattr(path, follow_symlinks=False)))


@story(crossed=False)
def test_when_extended_attributes_are_full(a):
    """As much as natively fits, and then what natively is said."""
    a.write("file")
    for n in range(12):
        a.do(os.setxattr, "file", f"user.number-{n:02}", bytes(700))
    a.note("names", sorted(os.listxattr("file")))
    for n in range(0, 12, 2):
        a.do(os.removexattr, "file", f"user.number-{n:02}")
    a.do(os.setxattr, "file", "user.fits-again", bytes(700))
    a.note("all", xattrs("file"))


# Times


def times(a, path="file"):
    st = os.stat(path, follow_symlinks=False)
    a.note(f"times of {path}", (st.st_atime_ns, st.st_mtime_ns))


@story(crossed=False)
def test_utimens(a):
    a.write("file")
    os.mkdir("dir")
    os.symlink("file", "link")
    for ns in ((1, 2), (10**9 + 123456789, 2 * 10**9 + 987654321),
               (2**32 * 10**9, 2**33 * 10**9 + 7), (-10**9 + 5, -1)):
        for path in ("file", "dir"):
            a.do(os.utime, path, ns=ns)
            times(a, path)
    a.do(os.utime, "link", ns=(77, 88), follow_symlinks=False)
    times(a, "link")
    times(a)
    fd = a.open("file", os.O_RDONLY)
    a.do(os.utime, fd, ns=(5, 6))
    times(a)
    before = os.stat("file").st_ctime_ns
    time.sleep(0.02)
    a.do(os.utime, "file", ns=(5, 6))
    a.note("ctime moves", os.stat("file").st_ctime_ns > before)


@story(ROOT, ways=ONE_WAY)
def test_utimens_now_and_omit(a):
    def change(b):
        for atime in (5, kernel.UTIME_NOW, kernel.UTIME_OMIT):
            for mtime in (6, kernel.UTIME_NOW, kernel.UTIME_OMIT):
                b.do(kernel.utimensat, "file", (1000, atime), (1000, mtime))
                st = os.stat("file")
                recent = time.time() - 60
                b.note("times", [t if t < recent * 1e9 else "now"
                                 for t in (st.st_atime_ns, st.st_mtime_ns)])
        b.do(kernel.utimensat, "file", (1000, 10**9), (1000, 5))
        b.do(kernel.utimensat, "missing", (1000, 5), (1000, 5))

    for mode in (0o644, 0o666, 0o600):
        for user in (OWNER, STRANGER, ROOT):
            a.write("file")
            os.chmod("file", mode)
            os.chown("file", OWNER.uid, OWNER.gid)
            os.utime("file", ns=(1, 1))
            a.by(user, change)
            os.unlink("file")


def moved(a, action, *paths):
    """Which times of some paths (or descriptors) an action moves."""
    def stamps():
        sts = [os.fstat(p) if isinstance(p, int)
               else os.stat(p, follow_symlinks=False) for p in paths]
        return [(st.st_mtime_ns, st.st_ctime_ns) for st in sts]

    before = stamps()
    time.sleep(0.015)
    action()
    after = stamps()
    a.note("moved (mtime, ctime)", [
        (path, new[0] > old[0], new[1] > old[1])
        for path, old, new in zip(paths, before, after)])


@story()
def test_what_moves_the_times(a):
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    os.mkdir("dir")
    moved(a, lambda: os.write(fd, b"x" * 9000), "file", ".")
    moved(a, lambda: os.pread(fd, 10, 0), "file")
    moved(a, lambda: os.ftruncate(fd, 100), "file")
    moved(a, lambda: os.ftruncate(fd, 100), "file")
    moved(a, lambda: os.truncate("file", 5000), "file")
    moved(a, lambda: os.truncate("file", 5000), "file")
    moved(a, lambda: os.chmod("file", 0o600), "file", ".")
    moved(a, lambda: os.chown("file", -1, os.getgid()), "file")
    moved(a, lambda: os.link("file", "second"), "file", ".")
    moved(a, lambda: os.unlink("second"), "file", ".")
    moved(a, lambda: os.rename("file", "dir/file"), fd, "dir", ".")
    moved(a, lambda: os.rename("dir/file", "file"), fd, "dir", ".")
    moved(a, lambda: os.setxattr("file", "user.x", b"1"), "file")
    moved(a, lambda: os.removexattr("file", "user.x"), "file")
    moved(a, lambda: os.mkdir("dir/sub"), "dir", ".")
    moved(a, lambda: os.symlink("x", "dir/link"), "dir", "dir/sub")
    moved(a, lambda: kernel.fallocate(fd, 0, 0, 20000), "file")
    moved(a, lambda: kernel.fallocate(fd, 3, 0, 5000), "file")
    moved(a, lambda: os.posix_fallocate(fd, 0, 10), "file")
    moved(a, lambda: os.close(os.open("file", os.O_WRONLY | os.O_TRUNC)), "file")
    moved(a, lambda: os.write(fd, b""), "file")
    other = a.open("other", os.O_RDWR | os.O_CREAT)
    moved(a, lambda: os.write(other, b"y" * 100), "other")
    moved(a, lambda: os.copy_file_range(other, fd, 50, 0, 0), "file", "other")
    moved(a, lambda: os.sendfile(fd, other, 0, 50), "file", "other")


@story()
def test_flags_move_the_change_time(a):
    a.write("file")
    os.mkdir("dir")
    for path in ("file", "dir"):
        fd = a.open(path)
        flags = kernel.get_flags(fd)
        for new in (flags | kernel.FS_NODUMP, flags):
            moved(a, lambda: a.do(kernel.set_flags, fd, new), path, fd)


@story()
def test_listings_move_the_access_time(a):
    """Also one that was made before, and may still be kept."""
    os.mkdir("dir")
    a.write("dir/file")
    for _ in range(3):
        a.list("dir")
    os.utime("dir", ns=(5, os.stat("dir").st_mtime_ns))
    a.stat("dir/file")
    a.note("accessed", os.stat("dir").st_atime_ns != 5)
    a.list("dir")
    a.note("accessed", os.stat("dir").st_atime_ns != 5)


def leaves_the_access_time(label, native, seen):
    """What is in memory is read without a message."""
    return label == "accessed" and native and not seen


@story(cached=leaves_the_access_time)
def test_what_moves_the_access_time(a):
    """It moves where it is older than the others (relatime)."""
    def accessed(way, flags=os.O_RDONLY):
        os.utime("file", ns=(5, 10**18))
        fd = a.open("file", flags)
        a.do(way, fd)
        os.close(fd)
        a.note("accessed", os.stat("file").st_atime_ns != 5)

    def read(fd):
        return os.read(fd, 10)

    def read_past_the_end(fd):
        return os.pread(fd, 10, 100_000)

    def read_nothing(fd):
        return os.read(fd, 0)

    def read_large(fd):
        return len(os.read(fd, 300_000))

    def map_it(fd):
        with mmap.mmap(fd, 1000, mmap.MAP_SHARED, mmap.PROT_READ) as m:
            return m[0]

    def send(fd):
        out, into = os.pipe()
        sent = os.sendfile(into, fd, 0, 100)
        os.close(out)
        os.close(into)
        return sent

    a.write("file", b"read me" * 50_000)
    for way in (read, read_past_the_end, read_nothing, read_large, map_it,
                send):
        for flags in (os.O_RDONLY, os.O_RDWR, os.O_RDONLY | os.O_NOATIME,
                      os.O_RDWR | os.O_NOATIME):
            accessed(way, flags)
    fd = a.open("file")
    os.utime("file", ns=(2 * 10**18, 5))
    a.do(os.read, fd, 10)
    a.note("accessed", os.stat("file").st_atime_ns != 2 * 10**18)


@story()
def test_a_write_to_a_mapping_moves_the_times(a):
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 8192)
    os.utime("file", ns=(5, 5))
    with mmap.mmap(fd, 8192) as m:
        def change_and_sync():
            m[100] = 7
            m.flush()
        moved(a, change_and_sync, "file")
        m[5000] = 8
        m.flush()
        moved(a, lambda: os.fsync(fd), "file")
    moved(a, lambda: os.close(fd), "file")
    a.note("fresh", time.time() - os.stat("file").st_mtime < 5)


@story(ROOT, ways=ONE_WAY)
def test_permission_to_set_times(a):
    """By link, by descriptor, and on what is not a file."""
    def touch(b):
        for path in ("file", "dir", "link", "fifo"):
            b.do(os.utime, path, ns=(5, 6), follow_symlinks=False)
            b.do(os.utime, path, follow_symlinks=False)
        for flags in (os.O_RDONLY, os.O_WRONLY):
            fd = b.open("file", flags)
            b.do(os.utime, fd)
            b.do(os.utime, fd, ns=(7, 8))
        b.do(os.utime, "dangling", ns=(5, 6), follow_symlinks=False)
        b.do(os.utime, "dangling", ns=(5, 6))

    for user in EVERYONE:
        a.write("file")
        os.mkdir("dir")
        os.mkfifo("fifo")
        os.symlink("file", "link")
        os.symlink("nowhere", "dangling")
        for path in ("file", "dir", "link", "fifo"):
            os.chown(path, OWNER.uid, OWNER.gid, follow_symlinks=False)
        for path in ("file", "dir", "fifo"):
            os.chmod(path, 0o666)
        a.by(user, touch)
        a.run("find", ".", "-mindepth", "1", "-delete")


@story()
def test_what_mappings_do_to_the_times(a):
    """Reading moves nothing, nor does a private mapping; a store that is
    never synced is seen at the latest when the file is closed."""
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    os.write(fd, bytes(3 * 4096))
    os.fsync(fd)
    with mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ) as m:
        moved(a, lambda: m[5000], "file")
    with mmap.mmap(fd, 0, mmap.MAP_PRIVATE) as m:
        moved(a, lambda: m.__setitem__(5000, 7), "file")
    with mmap.mmap(fd, 0) as m:
        moved(a, lambda: (m.__setitem__(5000, 7), m.flush()), "file", fd)
        moved(a, lambda: (m.__setitem__(5001, 8), m.flush()), "file", fd)
        os.pwrite(fd, b"x", 0)
        moved(a, lambda: (m.__setitem__(1, 8), m.flush()), "file", fd)

    def store_and_close():
        mine = os.open("file", os.O_RDWR)
        with mmap.mmap(mine, 0) as m:
            m[9000] = 9
        os.fsync(mine)
        os.close(mine)

    moved(a, store_and_close, "file", fd)
    moved(a, lambda: act.run(store_and_close), "file", fd)


def shown(path, *fds):
    """Size and times of a file, as each way to ask for them tells them."""
    sts = [os.stat(path), *map(os.fstat, fds)]
    with os.scandir(os.path.dirname(path) or ".") as entries:
        sts += [e.stat() for e in entries if e.name == os.path.basename(path)]
    return {(st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_mode,
             st.st_nlink, st.st_uid) for st in sts}


@story()
def test_attributes_after_writes_by_another(a):
    """Whatever changes the file, by whichever descriptor or process: each
    other one is shown the same thing, at once, and not what was before."""
    reader = a.open("file", os.O_RDONLY | os.O_CREAT)
    writer, both = a.open("file", os.O_WRONLY), a.open("file", os.O_RDWR)
    appender = a.open("file", os.O_WRONLY | os.O_APPEND)
    fds = (reader, writer, both, appender)

    def by_another_process(function, *args):
        return lambda: act.run(function, *args)

    changes = [lambda: os.write(writer, b"x" * 5000),
               lambda: os.pwrite(both, b"y" * 100, 7000),
               lambda: os.write(appender, b"z" * 300),
               by_another_process(os.pwrite, writer, b"w", 9000),
               by_another_process(os.truncate, "file", 20_000),
               lambda: os.ftruncate(both, 12_000),
               lambda: kernel.fallocate(writer, 0, 0, 30_000),
               lambda: kernel.fallocate(writer, 3, 0, 5_000),
               lambda: os.copy_file_range(both, writer, 100, 0, 40_000),
               lambda: os.pwritev(both, [b"v"], 41_000, kernel.RWF_DSYNC),
               lambda: os.fchmod(reader, 0o600),
               lambda: os.chmod("file", 0o640),
               lambda: os.link("file", "other"),
               lambda: os.unlink("other"),
               lambda: os.utime(both, ns=(3, 4)),
               lambda: os.utime("file"),
               lambda: os.setxattr("file", "user.x", b"1"),
               lambda: os.close(a.open("file", os.O_WRONLY | os.O_TRUNC))]
    for number, change in enumerate(changes):
        before = shown("file", *fds)
        time.sleep(0.012)
        change()
        after = shown("file", *fds)
        a.note(f"after {number}", (len(before), len(after), before != after,
                                   sorted(one[0] for one in after)))
        a.note("seen by another", act.run(shown, "file") == after)
    os.ftruncate(both, 8192)
    with mmap.mmap(both, 8192) as m:
        for at in (10, 5000):
            before = shown("file", *fds)
            time.sleep(0.012)
            m[at] = 1
            m.flush()
            after = shown("file", *fds)
            a.note("after a store", (len(after), before != after))


@story(crossed=False)
def test_birth_time(a):
    a.write("file")
    got, _, btime = kernel.statx("file")
    a.note("has btime", bool(got & kernel.STATX_BTIME))
    a.note("is now", abs(time.time() - btime[0]) < 30)
    time.sleep(0.01)
    a.write("file", b"changed")
    os.chmod("file", 0o600)
    os.rename("file", "other")
    a.note("stays", kernel.statx("other")[2] == btime)


# Flags by ioctl


def opens_without_asking(label, native, seen):
    """It is the write that fails."""
    return label.startswith("open(") and native == "EPERM" and seen == "done"


@story(ROOT, cached=opens_without_asking)
def test_inode_flags(a):
    def try_open(flags):
        opened = a.open("file", flags)
        if opened >= 0:
            os.close(opened)

    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    a.do(kernel.get_flags, fd)
    flags = kernel.get_flags(fd)
    for extra in (kernel.FS_NODUMP, kernel.FS_NOATIME):
        a.do(kernel.set_flags, fd, flags | extra)
        a.do(kernel.get_flags, fd)
    a.run("lsattr", "file")
    try:
        a.do(kernel.set_flags, fd, flags | kernel.FS_APPEND)
        a.do(os.truncate, "file", 0)
        try_open(os.O_WRONLY)
        try_open(os.O_WRONLY | os.O_APPEND)
        try_open(os.O_RDWR | os.O_DIRECT)
        direct = a.open("file", os.O_RDWR | os.O_APPEND | os.O_DIRECT)
        a.do(os.writev, direct, [mmap.mmap(-1, 4096)])
        a.fstat(fd)
        a.do(kernel.set_flags, fd, flags | kernel.FS_IMMUTABLE)
        try_open(os.O_WRONLY | os.O_APPEND)
        a.do(os.unlink, "file")
        a.do(os.rename, "file", "other")
        a.do(os.link, "file", "other")
        a.do(os.chmod, "file", 0o600)
        a.do(os.utime, "file")
        a.do(os.setxattr, "file", "user.x", b"1")
    finally:
        kernel.set_flags(fd, flags)
    a.run("lsattr", "file")
    a.do(os.unlink, "file")


@story(OWNER)
def test_inode_flags_of_a_plain_user(a):
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    flags = kernel.get_flags(fd)
    a.do(kernel.set_flags, fd, flags | kernel.FS_NODUMP)
    a.do(kernel.get_flags, fd)
    a.do(kernel.set_flags, fd, flags | kernel.FS_IMMUTABLE)
    a.run("lsattr", "file")
    a.run("chattr", "+i", "file")
    a.run("chattr", "-d", "file")
    a.run("lsattr", "file")


@story(OWNER)
def test_unknown_ioctls(a):
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    directory = a.open(".", os.O_DIRECTORY)
    for number in (0x12345678, 0x5401, 0x80047601 + 0x1234):
        for where in (fd, directory):
            try:
                fcntl.ioctl(where, number, bytearray(256))
                a.note(hex(number), "done")
            except OSError as error:
                a.note(hex(number), errno.errorcode[error.errno])


@story(crossed=False)
def test_statfs(a):
    st = os.statvfs(".")
    a.note("statfs", (st.f_bsize, st.f_frsize, st.f_blocks, st.f_files,
                      st.f_namemax))
    a.note("free", st.f_bfree > 0 and st.f_bavail <= st.f_bfree)
