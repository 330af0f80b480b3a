# SPDX-License-Identifier: GPL-2.0-or-later
"""Names, links and directories behave as in a native directory."""

import os
import socket
import stat

import pytest

from lib import act, kernel
from lib.act import MATE, MEMBER, OWNER, ROOT, STRANGER, TEAM
from lib.settings import scaled
from lib.twin import ONE_WAY, story

pytestmark = pytest.mark.sequential

IN_TURNS = True


@story(crossed=False)
def test_lookup_errors(a):
    a.write("file")
    os.mkdir("dir")
    for path in ("missing", "missing/below", "file/below", "n" * 255, "n" * 256,
                 "/".join(["d" * 200] * 25), "dir/", "file/", "dir/..", "dir/.",
                 "", "dir/\udcff\udcfe"):
        a.stat(path)
        a.open(path)
    a.do(os.mkdir, "n" * 255)
    a.do(os.mkdir, "n" * 256)
    a.write("n" * 254)
    a.do(os.rename, "file", "n" * 256)
    a.do(os.symlink, "x", "s" * 256)
    a.do(os.link, "file", "l" * 256)


@story(crossed=False)
def test_mkdir_and_rmdir(a):
    a.do(os.mkdir, "dir", 0o751)
    a.stat("dir")
    a.stat()
    a.do(os.mkdir, "dir")
    a.do(os.mkdir, "missing/dir")
    a.do(os.mkdir, "dir/sub", 0o1777)
    a.do(os.mkdir, "dir/setgid", 0o2755)
    a.stat("dir/sub")
    a.stat("dir/setgid")
    a.do(os.rmdir, "dir")
    a.do(os.rmdir, "dir/sub")
    a.do(os.rmdir, "dir/setgid")
    a.stat("dir")
    a.write("file")
    a.do(os.rmdir, "file")
    a.do(os.rmdir, "missing")
    a.do(os.rmdir, "dir/.")
    a.do(os.rmdir, "dir/..")
    a.do(os.rmdir, "dir")
    a.stat("dir")
    a.stat()
    a.do(os.unlink, "missing")


@story(crossed=False)
def test_unlink_of_a_directory(a):
    a.do(os.mkdir, "dir")
    a.do(os.unlink, "dir")
    a.list()


@story(crossed=False)
def test_mknod(a):
    a.do(os.mkfifo, "fifo", 0o622)
    a.do(os.mkfifo, "fifo")
    a.do(os.mknod, "plain", stat.S_IFREG | 0o640)
    a.do(os.mknod, "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    a.do(os.mknod, "block", stat.S_IFBLK | 0o600, os.makedev(7, 200))
    for name in ("fifo", "plain", "null", "block"):
        a.stat(name)
    sock = socket.socket(socket.AF_UNIX)
    a.do(sock.bind, "sock")
    a.stat("sock")


@story(crossed=False)
def test_fifo_and_socket_carry_data(a):
    os.mkfifo("fifo")
    fd = os.open("fifo", os.O_RDWR | os.O_NONBLOCK)
    a.do(os.write, fd, b"through the fifo")
    reader = a.open("fifo", os.O_RDONLY | os.O_NONBLOCK)
    a.do(os.read, reader, 100)
    server, client = (socket.socket(socket.AF_UNIX) for _ in range(2))
    server.bind("sock")
    server.listen()
    a.do(client.connect, "sock")
    a.do(client.send, b"hello")
    a.do(server.accept()[0].recv, 100)


@story(crossed=False)
def test_symlinks(a):
    a.write("file")
    a.do(os.symlink, "file", "link")
    a.do(os.symlink, "nowhere", "dangling")
    a.do(os.symlink, "loop", "loop")
    a.do(os.symlink, "x" * 4095, "long")
    a.do(os.symlink, "x" * 4096, "longer")
    a.do(os.symlink, "", "empty")
    a.do(os.symlink, "again", "link")
    for name in ("link", "dangling", "loop", "long"):
        a.stat(name)
        a.stat(name, follow=True)
        a.do(os.readlink, name)
        a.open(name)
    a.do(os.readlink, "file")
    a.read("link")
    a.open("link", os.O_RDONLY | os.O_NOFOLLOW)
    a.open("dangling", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    a.write("dangling", b"made through the link")
    a.read("nowhere")
    a.do(os.chown, "link", os.getuid(), os.getgid(), follow_symlinks=False)
    a.do(os.unlink, "link")
    a.stat("file")


@story(crossed=False)
def test_hard_links(a):
    a.write("file", b"one")
    a.do(os.link, "file", "second")
    a.stat("file")
    a.do(os.link, "missing", "third")
    a.do(os.link, "file", "second")
    os.mkdir("dir")
    a.do(os.link, "dir", "dirlink")
    a.do(os.link, "file", "dir/third")
    a.write("second", b"written by the other name")
    a.read("dir/third")
    a.note("one inode", os.stat("file").st_ino == os.stat("dir/third").st_ino)
    a.do(os.unlink, "file")
    a.stat("second")
    a.do(os.unlink, "dir/third")
    a.stat("second")
    a.do(os.symlink, "second", "sym")
    a.do(os.link, "sym", "symlinked", follow_symlinks=False)
    a.stat("symlinked")
    a.stat("sym")
    a.do(os.rename, "sym", "symlinked")  # two names of one inode: no effect
    a.list()


@story(crossed=False)
def test_unlinked_while_open(a):
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    a.do(os.write, fd, b"still here")
    a.do(os.unlink, "file")
    a.stat("file")
    a.fstat(fd)
    a.do(os.pread, fd, 100, 0)
    a.do(os.pwrite, fd, b" and growing", 10)
    a.do(os.ftruncate, fd, 15)
    a.do(os.pread, fd, 100, 0)
    a.do(os.fchmod, fd, 0o600)
    a.do(os.fsync, fd)
    a.do(os.utime, fd, ns=(5, 7))
    a.fstat(fd)
    a.write("file", b"a new file of that name")
    a.do(os.pread, fd, 100, 0)
    os.close(fd)
    a.read("file")


@story(crossed=False)
def test_rename(a):
    a.write("one", b"1")
    a.write("two", b"22")
    os.makedirs("dir/sub")
    os.mkdir("empty")
    a.do(os.rename, "one", "three")
    a.do(os.rename, "one", "four")
    a.do(os.rename, "three", "two")
    a.read("two")
    a.do(os.rename, "two", "dir/sub/two")
    a.stat("dir/sub/two")
    a.do(os.rename, "dir", "dir/sub/inside")
    a.do(os.rename, "empty", "dir")
    a.do(os.rename, "dir/sub", "empty")
    a.stat("empty")
    a.stat("dir")
    a.do(os.rename, "empty", "file/x")
    a.write("file")
    a.do(os.rename, "file", "empty")
    a.do(os.rename, "empty", "file")
    a.do(os.rename, "file", "file")
    a.do(os.rename, "dir/..", "other")
    a.do(os.rename, ".", "other")
    a.list()
    a.list("empty")


@story(crossed=False)
def test_rename_noreplace(a):
    a.write("one", b"1")
    a.write("two", b"22")
    a.do(kernel.renameat2, "one", "two", kernel.RENAME_NOREPLACE)
    a.do(kernel.renameat2, "one", "three", kernel.RENAME_NOREPLACE)
    a.do(kernel.renameat2, "missing", "four", kernel.RENAME_NOREPLACE)
    a.list()
    a.read("two")
    a.read("three")


@story(crossed=False)
def test_rename_exchange(a):
    a.write("one", b"1")
    a.write("two", b"22")
    os.makedirs("dir/sub")
    fd = a.open("one")
    a.do(kernel.renameat2, "one", "two", kernel.RENAME_EXCHANGE)
    a.read("one")
    a.read("two")
    a.do(os.pread, fd, 10, 0)
    a.do(kernel.renameat2, "one", "dir", kernel.RENAME_EXCHANGE)
    a.stat("one")
    a.stat("dir")
    a.list("one")
    a.stat()
    a.do(kernel.renameat2, "one", "missing", kernel.RENAME_EXCHANGE)
    a.do(kernel.renameat2, "one", "one/sub", kernel.RENAME_EXCHANGE)
    a.do(kernel.renameat2, "one", "two",
         kernel.RENAME_EXCHANGE | kernel.RENAME_NOREPLACE)
    a.do(kernel.renameat2, "one", "two", 64)


@story(crossed=False)
def test_rename_whiteout(a):
    a.write("one", b"1")
    a.do(kernel.renameat2, "one", "two", kernel.RENAME_WHITEOUT)
    a.stat("one")
    a.stat("two")
    a.list()


@story(crossed=False)
def test_rename_over_an_open_file(a):
    a.write("old", b"old content")
    a.write("new", b"new content")
    old, new = a.open("old", os.O_RDWR), a.open("new", os.O_RDWR)
    a.do(os.rename, "new", "old")
    a.fstat(old)
    a.fstat(new)
    a.do(os.pread, old, 100, 0)
    a.do(os.pread, new, 100, 0)
    a.do(os.pwrite, old, b"into the gone", 0)
    a.read("old")
    a.do(os.rename, "old", "third")
    a.do(os.pwrite, new, b"into the renamed", 0)
    a.read("third")


@story(crossed=False)
def test_tmpfile(a):
    fd = a.open(".", os.O_TMPFILE | os.O_RDWR, 0o640)
    a.fstat(fd)
    a.do(os.write, fd, b"without a name")
    a.list()
    a.do(kernel.linkat, kernel.AT_FDCWD, f"/proc/self/fd/{fd}", "named",
         kernel.AT_SYMLINK_FOLLOW)
    a.stat("named")
    a.read("named")
    a.do(os.write, fd, b", then with one")
    a.read("named")
    os.close(fd)
    fd = a.open(".", os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o600)
    a.do(os.write, fd, b"never to be named")
    a.do(os.pread, fd, 100, 0)
    a.do(kernel.linkat, kernel.AT_FDCWD, f"/proc/self/fd/{fd}", "never",
         kernel.AT_SYMLINK_FOLLOW)
    os.close(fd)
    a.open("missing", os.O_TMPFILE | os.O_RDWR)
    a.open("named", os.O_TMPFILE | os.O_RDWR)
    a.open(".", os.O_TMPFILE)
    a.list()


@story(ROOT, ways=ONE_WAY)
def test_linkat_of_an_empty_path(a):
    fd = a.open("file", os.O_RDWR | os.O_CREAT)
    a.do(kernel.linkat, fd, "", "again", kernel.AT_EMPTY_PATH)
    a.stat("again")


@story(crossed=False)
def test_open_flags(a):
    a.open("file", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    a.open("file", os.O_RDWR | os.O_CREAT | os.O_EXCL)
    a.write("file", b"some content")
    a.open("file", os.O_WRONLY | os.O_TRUNC)
    a.stat("file")
    a.open("file", os.O_DIRECTORY)
    os.mkdir("dir")
    a.open("dir", os.O_WRONLY)
    a.open("dir", os.O_RDONLY | os.O_CREAT)
    a.open("dir", os.O_DIRECTORY)
    a.open("missing", os.O_WRONLY)
    a.open("missing/file", os.O_CREAT)
    a.open("readonly", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    a.open("readonly", os.O_WRONLY)
    a.open("none", os.O_RDWR | os.O_CREAT, 0o000)
    a.open("none")
    a.open("none", os.O_RDWR | os.O_TRUNC)
    fd = a.open("none2", os.O_RDWR | os.O_CREAT, 0o000)
    a.do(os.write, fd, b"a new file is open whatever its mode")
    a.open("file", os.O_NOATIME)
    fd = a.open("file", os.O_WRONLY)
    a.do(os.read, fd, 10)
    fd = a.open("file", os.O_RDONLY)
    a.do(os.write, fd, b"x")
    a.do(os.ftruncate, fd, 0)
    fd = a.open("file", os.O_RDONLY | os.O_TRUNC)
    a.stat("file")


@story(ROOT)
def test_permission_to_open(a):
    a.write("private", b"x", 0o600)
    a.write("public", b"x", 0o644)
    a.write("team", b"x", 0o660)
    os.chown("team", 0, TEAM)
    os.mkdir("locked", 0o700)
    a.write("locked/file", b"x", 0o666)
    os.mkdir("blind", 0o711)
    a.write("blind/file", b"x", 0o666)
    os.mkdir("shown", 0o744)
    a.write("shown/file", b"x", 0o666)

    def knock(b):
        for path in ("private", "public", "team", "locked/file", "blind/file",
                     "shown/file"):
            b.open(path)
            b.open(path, os.O_RDWR)
            b.open(path, os.O_WRONLY | os.O_TRUNC)
            b.stat(path)
            for mode in (os.R_OK, os.W_OK, os.X_OK):
                b.do(os.access, path, mode)
        for path in ("locked", "blind", "shown"):
            b.do(os.listdir, path)
            b.open(path + "/new", os.O_CREAT)
            b.do(os.unlink, path + "/file")
        b.open("public", os.O_RDONLY | os.O_NOATIME)
        b.do(os.mkdir, "mine")

    for user in (OWNER, MEMBER, STRANGER, MATE):
        a.by(user, knock)


@story(ROOT, ways=ONE_WAY)
def test_what_is_made_belongs_to_its_maker(a):
    os.chmod(".", 0o777)

    def make(b):
        me = b.user.name
        b.write(f"{me}-file")
        b.do(os.mkdir, f"{me}-dir")
        b.do(os.mkfifo, f"{me}-fifo")
        b.do(os.symlink, "x", f"{me}-link")
        b.do(os.mknod, f"{me}-node", stat.S_IFREG | 0o644)
        fd = b.open(".", os.O_TMPFILE | os.O_RDWR)
        b.fstat(fd)

    for user in (OWNER, MEMBER, STRANGER, MATE, ROOT):
        a.by(user, make)
    for name in sorted(os.listdir()):
        a.stat(name)


@story(ROOT, ways=ONE_WAY)
def test_sticky_directory(a):
    os.mkdir("tmp")
    os.chmod("tmp", 0o1777)

    def litter(b):
        for n in range(5):
            b.write(f"tmp/owner{n}")
        os.mkdir("tmp/owners-dir")

    def tidy(b):
        b.do(os.unlink, "tmp/owner0")
        b.do(os.rename, "tmp/owner1", "tmp/other")
        b.write("tmp/mine")
        b.do(os.rename, "tmp/mine", "tmp/owner2")
        b.do(os.rename, "tmp/owner3", "mine")
        b.do(os.rmdir, "tmp/owners-dir")
        b.do(kernel.renameat2, "tmp/mine", "tmp/owner2", kernel.RENAME_EXCHANGE)
        b.do(os.link, "tmp/owner3", "tmp/linked")
        b.do(os.unlink, "tmp/mine")

    a.by(OWNER, litter)
    a.by(STRANGER, tidy)
    a.by(OWNER, tidy)
    a.list("tmp")


@story(ROOT, ways=ONE_WAY)
def test_who_may_remove_from_a_sticky_directory(a):
    """The owner of the entry, the owner of the directory and root; whatever
    is asked to take the entry away."""
    def take(b):
        for name in ("file", "dir"):
            b.do(os.rename, name, f"{name}-moved")
            b.do(os.rename, name, f"../out-{name}")
            b.do(kernel.renameat2, name, f"my-{name}", kernel.RENAME_EXCHANGE)
            b.do(os.rename, f"my-{name}", name)
            b.do(os.link, name, f"{name}-linked")
        b.do(os.unlink, "file")
        b.do(os.rmdir, "dir")
        b.list()

    makers = (OWNER, STRANGER, ROOT)
    os.mkdir("work")
    os.chmod("work", 0o777)
    for directory in makers:
        for maker in makers:
            for taker in (OWNER, STRANGER, MATE, ROOT):
                os.mkdir("work/sticky")
                os.chown("work/sticky", directory.uid, directory.gid)
                os.chmod("work/sticky", 0o1777)
                os.chdir("work/sticky")
                for name, owner in (("", maker), ("my-", taker)):
                    a.write(f"{name}file", mode=0o666)
                    os.mkdir(f"{name}dir", 0o777)
                    for kind in ("file", "dir"):
                        os.chown(name + kind, owner.uid, owner.gid)
                a.note("case", (directory.name, maker.name, taker.name))
                a.by(taker, take)
                os.chdir("../..")
                a.list("work")
                a.run("find", "work", "-mindepth", "1", "-delete")


@story(ROOT, ways=ONE_WAY)
def test_permission_to_change_names(a):
    """Both directories must be writable, and a directory that gets another
    parent, too; the moved file need not be."""
    def change(b):
        for way in (os.rename, os.link):
            b.do(way, "open/mine", "shut/mine")
            b.do(way, "shut/theirs", "open/theirs")
            b.do(way, "open/theirs-file", "open/renamed")
            b.do(way, "open/renamed", "open2/renamed")
        b.do(os.rename, "open/theirs-dir", "open/renamed-dir")
        b.do(os.rename, "open/renamed-dir", "open2/renamed-dir")
        b.do(os.rename, "open/my-dir", "open2/my-dir")
        for call in (os.mkdir, os.mkfifo, os.unlink, os.rmdir):
            b.do(call, "shut/new")
            b.do(call, "shut/theirs")
            b.do(call, "blind/theirs")
        b.do(os.symlink, "x", "shut/link")
        b.do(os.link, "blind/theirs", "open/found")
        b.do(os.rename, "blind/theirs", "open/found")
        b.do(os.stat, "listed/theirs")
        b.do(os.listdir, "blind")
        b.do(os.listdir, "listed")

    for user in (OWNER, MEMBER, STRANGER):
        os.mkdir("work")
        os.chmod("work", 0o777)
        os.chdir("work")
        for name, mode in (("open", 0o777), ("open2", 0o777), ("shut", 0o755),
                           ("blind", 0o711), ("listed", 0o744)):
            os.mkdir(name)
            a.write(f"{name}/theirs", mode=0o600)
            os.chmod(name, mode)
        a.write("open/mine")
        a.write("open/theirs-file", mode=0o600)
        os.mkdir("open/theirs-dir", 0o755)
        os.mkdir("open/my-dir")
        for name in ("open/mine", "open/my-dir"):
            os.chown(name, user.uid, user.gid)
        a.by(user, change)
        a.run("find", ".", "-mindepth", "1", "-delete")
        os.chdir("..")
        os.rmdir("work")


@story(crossed=False)
def test_link_counts_of_open_files(a):
    """By descriptor they are seen to go down to none, and up again."""
    fd = a.open("one", os.O_RDWR | os.O_CREAT)
    other = a.open("one")
    for step in ((os.link, "one", "two"), (os.link, "two", "three"),
                 (os.unlink, "one"), (os.rename, "three", "two"),
                 (os.rename, "two", "four"), (os.unlink, "four")):
        a.do(*step)
        a.fstat(fd)
        a.fstat(other)
    a.do(kernel.linkat, kernel.AT_FDCWD, f"/proc/self/fd/{fd}", "five",
         kernel.AT_SYMLINK_FOLLOW)
    a.write("over", b"replaced by rename")
    replaced = a.open("over")
    a.write("new")
    a.do(os.rename, "new", "over")
    a.fstat(replaced)
    tmp = a.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
    for name in ("six", "seven"):
        a.do(kernel.linkat, kernel.AT_FDCWD, f"/proc/self/fd/{tmp}", name,
             kernel.AT_SYMLINK_FOLLOW)
        a.fstat(tmp)
    os.unlink("six")
    a.fstat(tmp)
    os.unlink("seven")
    a.fstat(tmp)


@story(crossed=False)
def test_link_counts_of_directories(a):
    os.mkdir("dir")
    fd = a.open("dir", os.O_DIRECTORY)
    for step in ((os.mkdir, "dir/one"), (os.mkdir, "dir/two"),
                 (os.rename, "dir/one", "one"), (os.rename, "one", "dir/two"),
                 (os.rmdir, "dir/two"), (os.mkdir, "empty"),
                 (os.rename, "empty", "dir")):
        a.do(*step)
        a.fstat(fd)
        a.stat("dir")
        a.stat(".")
    a.do(os.listdir, fd)


@story(crossed=False)
def test_a_removed_working_directory(a):
    os.mkdir("dir")
    os.chdir("dir")
    a.write("file")
    fd = a.open(".", os.O_DIRECTORY)
    os.unlink("file")
    os.rmdir("../dir")
    a.stat(".")
    a.fstat(fd)
    a.write("file")
    a.do(os.mkdir, "sub")
    a.do(os.listdir, fd)
    a.do(os.getcwd)
    a.do(os.chdir, "..")
    a.list()


@story(crossed=False)
def test_path_descriptors(a):
    os.mkdir("dir")
    a.write("dir/file", b"found")
    a.do(os.symlink, "file", "dir/link")
    place = a.open("dir", os.O_PATH)
    a.fstat(place)
    a.do(os.read, place, 10)
    a.do(os.listdir, f"/proc/self/fd/{place}")
    os.rename("dir", "elsewhere")
    fd = os.open("file", os.O_RDONLY, dir_fd=place)
    a.do(os.read, fd, 10)
    link = os.open("link", os.O_PATH | os.O_NOFOLLOW, dir_fd=place)
    a.fstat(link)
    a.do(os.readlink, "", dir_fd=link)
    plain = a.open("elsewhere/file", os.O_PATH)
    a.do(os.read, plain, 1)
    a.do(os.fchmod, plain, 0o600)
    again = a.open(f"/proc/self/fd/{plain}", os.O_RDWR)
    a.do(os.write, again, b"FOUND")
    a.read("elsewhere/file")
    os.unlink("elsewhere/file")
    a.fstat(plain)
    a.open(f"/proc/self/fd/{plain}")


@story(crossed=False)
def test_reopen_by_proc(a):
    fd = a.open("file", os.O_RDWR | os.O_CREAT, 0o600)
    a.do(os.write, fd, b"content")
    again = a.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    a.do(os.read, again, 100)
    os.unlink("file")
    third = a.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_APPEND)
    a.do(os.write, third, b" and more")
    a.do(os.pread, fd, 100, 0)
    a.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_TRUNC)
    a.fstat(fd)


# Listing


def fill(number, directory="big"):
    """A directory with many entries, most of them links to a few files."""
    os.mkdir(directory)
    for n in range(number):
        name = f"{directory}/entry-{n:05}"
        if n < 50:
            os.mknod(name, stat.S_IFREG | 0o644)
        else:
            os.link(f"{directory}/entry-{n % 50:05}", name)


def all_entries(fd, size=32768):
    entries = []
    while part := kernel.getdents(fd, size):
        entries.extend(part)
    return entries


@story(OWNER, ways=ONE_WAY)
def test_listing_many_entries(a):
    number = scaled(5000)
    fill(number)
    fd = a.open("big", os.O_DIRECTORY)
    entries = all_entries(fd, 4096)
    names = [name for _, _, _, name in entries]
    a.note("each once", len(names) == len(set(names)) == number + 2)
    a.note("types", {kind for _, _, kind, _ in entries})
    a.note("inodes agree", all(
        os.stat(f"big/{name}").st_ino == ino
        for ino, _, _, name in entries[::7] if name != ".."))
    os.lseek(fd, 0, os.SEEK_SET)
    a.note("again", sorted(e[3] for e in all_entries(fd)) == sorted(names))


@story(OWNER, ways=ONE_WAY)
def test_seeking_in_a_listing(a):
    """From the offset that follows any entry, the same rest is read."""
    fill(scaled(1500))
    fd = a.open("big", os.O_DIRECTORY)
    entries = all_entries(fd)
    for at in (0, 1, 2, 100, len(entries) // 2, len(entries) - 2,
               len(entries) - 1):
        os.lseek(fd, entries[at][1], os.SEEK_SET)
        rest = [e[3] for e in all_entries(fd)]
        a.note(f"from {at}", rest == [e[3] for e in entries[at + 1:]])


@story(OWNER, ways=ONE_WAY)
def test_removing_while_listing(a):
    """What stays is listed once, what was removed before the listing came to
    it is not demanded, and in the end the directory is empty."""
    number = scaled(5000)
    fill(number)
    fd = a.open("big", os.O_DIRECTORY)
    seen = []
    while part := kernel.getdents(fd, 2048):
        names = [e[3] for e in part if e[3] not in (".", "..")]
        seen.extend(names)
        for name in names:
            os.unlink(f"big/{name}")
    a.note("each once", len(seen) == len(set(seen)) == number)
    a.list("big")
    a.do(os.rmdir, "big")


@story(OWNER, ways=ONE_WAY)
def test_adding_while_listing(a):
    fill(scaled(1000))
    before = set(os.listdir("big"))
    fd = a.open("big", os.O_DIRECTORY)
    seen = []
    for n in range(10_000):
        part = kernel.getdents(fd, 1024)
        if not part:
            break
        seen.extend(e[3] for e in part)
        os.mknod(f"big/late-{n}", stat.S_IFREG | 0o644)
    a.note("ends", n < 9_999)
    a.note("old ones once", all(seen.count(name) == 1
                                for name in list(before)[::20]))
    a.note("none twice", len(seen) == len(set(seen)))
    for name in os.listdir("big"):  # how many has the filesystem decided
        if name.startswith("late"):
            os.unlink(f"big/{name}")


@story(crossed=False)
def test_listing_kinds(a):
    os.mkdir("d")
    os.mkfifo("p")
    os.symlink("x", "l")
    a.write("f")
    socket.socket(socket.AF_UNIX).bind("s")
    fd = a.open(".", os.O_DIRECTORY)
    a.note("kinds", sorted((name, kind) for _, _, kind, name in all_entries(fd)))
    a.note("dots", sorted(n for *_, n in all_entries(fd)))
    a.do(os.read, fd, 10)
    a.do(os.fsync, fd)
    a.do(os.fdatasync, fd)


@story(OWNER, ways=ONE_WAY)
def test_deep_paths(a):
    here = os.getcwd()
    for n in range(scaled(120)):
        os.mkdir("deeper-and-deeper-and-deeper")
        os.chdir("deeper-and-deeper-and-deeper")
    a.write("bottom", b"reached")
    a.read("bottom")
    a.stat("..")
    os.chdir(here)


@story(OWNER, ways=ONE_WAY)
def test_ten_thousand_renames_and_links(a):
    """Names come and go; the inode behind them stays one."""
    a.write("f0", b"traveller")
    ino = os.stat("f0").st_ino
    for n in range(scaled(2000)):
        os.rename(f"f{n}", f"f{n + 1}")
        if n % 7 == 0:
            os.link(f"f{n + 1}", "other")
            assert os.stat("other").st_nlink == 2
            os.unlink("other")
    a.note("same inode", os.stat(f"f{n + 1}").st_ino == ino)
    a.read(f"f{n + 1}")


@story(ROOT, ways=ONE_WAY)
def test_two_makers_of_one_name(a):
    """O_EXCL by several processes at once: one of them wins, each time."""
    def race(number):
        won = 0
        for n in range(scaled(200)):
            try:
                os.close(os.open(f"lock{n}", os.O_CREAT | os.O_EXCL | os.O_RDWR))
                won += 1
            except FileExistsError:
                pass
        return won

    children = [act.Child(race, n) for n in range(4)]
    a.note("won", sum(act.together(children)) == scaled(200))
