# SPDX-License-Identifier: GPL-2.0-or-later
"""The largest and the last: sizes, names, counts, and what is no more."""

import errno
import fcntl
import mmap
import os
import random
import re
import shutil
import stat
import threading
import time
from errno import EDQUOT, EEXIST, ENAMETOOLONG, ENOENT, ENOSPC, EROFS
from pathlib import Path

import pytest

from lib import act, content, kernel, settings
from lib.act import errno_of
from lib.disk import Disk, FlawedDisk
from lib.settings import KIB, MIB, PAGE, scaled
from lib.wait import eventually

MODES = ["io=auto", "io=strict"]
GIB = 1024 * MIB


@pytest.fixture(params=MODES)
def covered(request, place):
    place.cover(request.param)
    return place


# A file of 64 GiB


def use_sparse_file(path):
    """Touch it here and there; returns what was seen."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    for at in (0, 4 * GIB - 3, 32 * GIB + 17, 64 * GIB - 5):
        os.pwrite(fd, b"touch", at)
    os.fsync(fd)
    os.close(fd)
    fd = os.open(path, os.O_RDWR)
    seen = [os.fstat(fd).st_size, os.pread(fd, 100, 64 * GIB - 50),
            os.pread(fd, 20, 4 * GIB - 10), os.pread(fd, PAGE, 50 * GIB)]
    at = 0
    while at < 64 * GIB:
        at = os.lseek(fd, at, os.SEEK_DATA)
        end = os.lseek(fd, at, os.SEEK_HOLE)
        seen.append((at, end))
        at = end
    with mmap.mmap(fd, MIB, offset=64 * GIB - MIB) as m:
        seen.append(m[-5:])
        m[-10:-5] = b"by it"
    os.ftruncate(fd, 33 * GIB)
    seen.append(os.fstat(fd).st_size)
    os.pwrite(fd, b"again", 64 * GIB - 5)
    seen.append(os.pread(fd, 20, 64 * GIB - 20))
    os.close(fd)
    return seen


def test_a_sparse_file_of_64_gib(covered):
    native = covered.run(use_sparse_file, covered.beside / "sparse")
    start = time.monotonic()
    assert covered.run(use_sparse_file, covered.mount / "sparse") == native
    assert time.monotonic() - start < settings.seconds(5), "was it read whole?"
    st = os.stat(covered.source / "sparse")
    assert st.st_size == 64 * GIB and st.st_blocks * 512 < MIB


@pytest.mark.parametrize("mode", MODES)
def test_the_pages_of_a_sparse_file(place, mode):
    """Those that were touched by read and write are the target's."""
    place.run(use_sparse_file, place.beside / "sparse")
    place.judge.owned_by(place.reader, place.beside / "sparse")
    place.cover(mode)

    def touch(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        for at in range(0, 64 * GIB, GIB):
            os.pwrite(fd, b"touch", at)
            assert os.pread(fd, 5, at + GIB // 2) in (b"", bytes(5))
        os.close(fd)

    place.run(touch, place.mount / "new")
    place.judge.owned_by(place.target, place.source / "new", at_least=64)


# A directory of a million


def peak_kib(pid):
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB", text, re.M)[1])


def forget_peak(pid):
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def list_all(path):
    """How many names getdents(2) gives, and how many of them differ."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    number, names = 0, set()
    while part := kernel.getdents(fd, 128 * KIB):
        number += len(part)
        names.update(hash(name) for _, _, _, name in part)
    os.close(fd)
    return number, len(names)


@pytest.mark.long_form
@pytest.mark.figures
@pytest.mark.needs_daemon
@pytest.mark.time_limit(600)
def test_a_directory_of_a_million_names(place, figure):
    """Listed twice, each name once, and the daemon's memory is bounded."""
    number = 1_000_000 if settings.LONG else scaled(50_000)
    big = place.source / "big"
    big.mkdir()
    fd = os.open(big, os.O_RDONLY)
    for n in range(number):
        os.mknod(f"entry-{n:07}", stat.S_IFREG | 0o644, dir_fd=fd)
    os.close(fd)
    mount = place.cover()
    place.run(list_all, mount.path)
    pid = mount.daemon.pid
    forget_peak(pid)
    before, start = peak_kib(pid), time.monotonic()
    assert place.run(list_all, mount / "big", limit=300) == 2 * (number + 2,)
    took = time.monotonic() - start
    first = peak_kib(pid)
    assert place.run(list_all, mount / "big", limit=300) == 2 * (number + 2,)
    grown, again = first - before, peak_kib(pid) - first
    figure(f"{number} names in {took:.1f} s; the daemon grew by {grown} KiB, "
           f"and for a second time by {again} KiB")
    if not settings.SANITIZED:
        assert grown + again < 16 * KIB, f"{grown}, {again} KiB"


# Long names


def test_names_of_255_bytes(covered):
    """All that takes a name takes such a one, and none that is longer."""
    longest = ["n" * 255, "ü" * 127 + "u", "." * 255, "\udcff" * 255,
               "new\nline" + " " * 247]

    def use(directory):
        os.chdir(directory)
        outcome = []
        for name in longest:
            with open(name, "w") as f:
                f.write("found")
            other = name[:-1] + "2"
            os.link(name, other)
            os.rename(other, name[:-1] + "3")
            kernel.renameat2(name[:-1] + "3", name, kernel.RENAME_EXCHANGE)
            os.unlink(name[:-1] + "3")
            with open(name) as f:
                outcome.append(f.read())
            for call in (os.mkdir, os.mkfifo, os.unlink, os.rmdir, os.readlink,
                         os.stat):
                outcome.append(errno_of(call, name + "x"))
            outcome.append(errno_of(os.rename, name, name + "x"))
            outcome.append(errno_of(os.symlink, name, name + "x"))
        os.mkdir("d" * 255)
        os.symlink("l" * 255, "l" * 255)
        outcome.append(os.readlink("l" * 255))
        outcome.append(sorted(os.listdir()))
        return outcome

    native = covered.run(use, covered.beside)
    assert covered.run(use, covered.mount.path) == native
    assert ENAMETOOLONG in native
    assert set(os.listdir(covered.source)) == set(os.listdir(covered.beside))


def test_a_directory_full_of_long_names(covered):
    number = scaled(2000)
    names = {f"{n:05}" + "n" * 250 for n in range(number)}

    def make_and_list(directory):
        for name in names:
            os.mknod(directory / name, stat.S_IFREG | 0o644)
        return set(os.listdir(directory))

    assert covered.run(make_and_list, covered.mount.path) == names


def path_of(length, below):
    """A path of so many bytes: directories, made here, and a file's name."""
    room = length - len(os.fsencode(below)) - 1
    parts = ["d" * 200] * ((room - 1) // 201 - 1)
    parts.append("f" * (room - 201 * len(parts)))
    if len(parts[-1]) > 255:
        parts[-1:] = ["e" * 150, parts[-1][151:]]
    path = "/".join([os.fspath(below), *parts])
    assert len(path) == length and len(parts[-1]) <= 255
    here = os.getcwd()
    os.chdir(below)
    for part in parts[:-1]:
        os.makedirs(part, exist_ok=True)
        os.chdir(part)
    os.chdir(here)
    return path


def use_path(path):
    """Whatever takes a path, with this one."""
    outcome = []

    def note(function, *args, **how):
        try:
            outcome.append(function(*args, **how))
        except OSError as error:
            outcome.append(errno.errorcode[error.errno])

    def write():
        with open(path, "wb", buffering=0) as f:
            return f.write(b"content")

    def read():
        with open(path, "rb", buffering=0) as f:
            return f.read()

    note(write)
    note(read)
    note(lambda: os.stat(path).st_size)
    note(os.chmod, path, 0o600)
    note(os.utime, path, ns=(1, 2))
    note(os.truncate, path, 3)
    note(os.setxattr, path, "user.x", b"1")
    note(os.listxattr, path)
    note(os.access, path, os.W_OK)
    note(os.rename, path, path[:-1] + "r")
    note(os.link, path[:-1] + "r", path)
    note(os.unlink, path[:-1] + "r")
    note(lambda: os.stat(path).st_nlink)
    note(os.unlink, path)
    note(os.mkdir, path)
    note(os.rmdir, path)
    note(os.symlink, "x", path)
    note(os.readlink, path)
    return outcome


@pytest.mark.parametrize("length", [4000, 4094, 4095, 4096, 5000])
def test_paths_around_the_longest(covered, length):
    """4,095 bytes are the most that a system call takes."""
    sides = covered.root / "natively", covered.root / "memcgfs_"
    sides[0].symlink_to(covered.beside)
    sides[1].symlink_to(covered.mount.path)
    wanted, seen = (covered.run(lambda: use_path(path_of(length, side)))
                    for side in sides)
    assert seen == wanted
    assert ("ENAMETOOLONG" in wanted) == (length > 4095)


def test_deeper_than_the_longest_path(covered):
    """By small steps one gets further than any path; so does the server."""
    depth = 100

    def dig(directory):
        os.chdir(directory)
        for n in range(depth):
            os.mkdir("d" * 250)
            os.chdir("d" * 250)
        with open("bottom", "wb", buffering=0) as f:
            f.write(b"reached")
            os.rename("bottom", "renamed")
            f.write(b" the bottom")
        os.symlink("renamed", "link")
        seen = [Path("link").read_bytes(), os.stat("..").st_nlink,
                errno_of(os.getcwd), sorted(os.listdir())]
        for n in range(depth):
            os.chdir("..")
        return seen + [os.listdir()]

    try:
        native = covered.run(dig, covered.beside)
        assert covered.run(dig, covered.mount.path) == native
        assert covered.run(lambda: sum(
            1 for _ in os.walk(covered.mount.path))) >= 10
    finally:
        for top in (covered.beside, covered.source):
            act.command(["rm", "-r", top / ("d" * 250)])


# A full disk


@pytest.fixture(params=MODES)
def on_disk(request, place):
    """A function that covers a disk of a kind, and gives it."""
    disks = []

    def cover(kind=None, size=None):
        image, where = place.root / "image", place.root / "disk"
        disk = Disk(where, kind, image, size) if kind else \
            FlawedDisk(where, place.root / "tmpfs")
        disks.append(disk)
        place.cover(request.param, source=disk.source)
        return disk
    yield cover
    place.mount.stop()
    for disk in disks:
        disk.umount()


def write_until_full(directory):
    """Returns the errno that ended it, and the sizes of what was written."""
    sizes = []
    for n in range(1000):
        fd = os.open(directory / f"f{n}", os.O_WRONLY | os.O_CREAT)
        data, at = content.data(7 * MIB, n), 0
        while at < len(data):
            try:
                at += os.pwrite(fd, data[at:at + 100_000], at)
            except OSError as error:
                os.close(fd)
                return error.errno, [*sizes, at]
        try:
            os.fsync(fd)
        except OSError as error:
            os.close(fd)
            return error.errno, [*sizes, at]
        os.close(fd)
        sizes.append(at)
    raise AssertionError("it is never full")


def leave_room(disk, size):
    fd = os.open(disk.where / "ballast", os.O_WRONLY | os.O_CREAT)
    st = os.fstatvfs(fd)
    os.posix_fallocate(fd, 0, st.f_bavail * st.f_frsize - size)
    os.close(fd)


def check_full(place, disk, wanted):
    """As natively; what was written is there, and room is made by removing."""
    def write_again():
        try:
            place.run(content.write, path / "again", 5 * MIB, 3)
        except act.ChildFailed:
            return False
        return True

    number, _ = place.run(write_until_full, disk.beside)
    assert number == wanted
    shutil.rmtree(disk.beside)
    path = place.mount.path
    number, sizes = place.run(write_until_full, path)
    assert number == wanted
    for n, size in enumerate(sizes[:-1]):
        assert place.run(content.digest, path / f"f{n}") == \
            content.md5(content.data(size, n))
    last = (path / f"f{len(sizes) - 1}").read_bytes()
    assert last[:sizes[-1]] == content.data(7 * MIB, len(sizes) - 1)[:sizes[-1]]
    for name in os.listdir(path)[:2]:
        (path / name).unlink()
    os.sync()
    assert eventually(write_again, 10, 0.5)
    assert content.digest(disk.source / "again") == \
        content.md5(content.data(5 * MIB, 3))


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_full_disk(place, on_disk, kind):
    disk = on_disk(kind)
    leave_room(disk, 32 * MIB)
    check_full(place, disk, ENOSPC)


def test_a_full_disk_and_other_requests(place, on_disk):
    """What needs room is refused as natively; what needs none is done."""
    disk = on_disk("ext4", 16 * MIB)
    for directory in (disk.source, disk.beside):
        for name in ("gone", "there"):
            content.write(directory / name, 100 * KIB)
    with open(disk.where / "ballast", "wb", buffering=0) as f:
        while not errno_of(f.write, bytes(64 * KIB)):
            pass
        while not errno_of(f.write, bytes(KIB)):
            pass
        os.fsync(f)

    def ask(directory):
        os.chdir(directory)
        fd = os.open("there", os.O_RDWR)
        outcome = [errno_of(kernel.fallocate, fd, 0, 0, 8 * MIB),
                   errno_of(os.pwrite, fd, b"in place", 500),
                   errno_of(os.ftruncate, fd, 50 * KIB),
                   errno_of(os.setxattr, "there", "user.big", bytes(3 * KIB)),
                   errno_of(os.rename, "there", "here"),
                   errno_of(os.symlink, "x" * 1000, "link"),
                   os.pread(fd, 20, 490)]
        os.close(fd)
        return outcome + [errno_of(os.unlink, "here"), sorted(os.listdir())]

    native = place.run(ask, disk.beside)
    act.command(["sync", "-f", disk.where])
    with open(disk.where / "ballast", "ab", buffering=0) as f:
        while not errno_of(f.write, bytes(KIB)):
            pass
    assert place.run(ask, place.mount.path) == native
    assert ENOSPC in native


def test_a_quota(place, on_disk):
    """Of btrfs, as it is the one that every kernel has."""
    disk = on_disk("btrfs")
    act.command(["btrfs", "quota", "enable", disk.where])
    act.command(["btrfs", "qgroup", "limit", str(32 * MIB), disk.where])
    check_full(place, disk, EDQUOT)


# A disk that is read-only, or broken


def test_a_disk_that_becomes_read_only(place, on_disk):
    """Remounted under an idle mount: what was written can be read, and
    nothing can be changed, as natively."""
    disk = on_disk("ext4")

    def use(directory):
        os.chdir(directory)
        content.write("file", MIB)
        os.mkdir("dir")
        return content.digest("file")

    def change(directory):
        os.chdir(directory)
        return [errno_of(os.open, "file", os.O_RDWR),
                errno_of(os.open, "file", os.O_WRONLY | os.O_TRUNC),
                errno_of(os.open, "new", os.O_CREAT | os.O_RDWR),
                errno_of(os.open, ".", os.O_TMPFILE | os.O_RDWR),
                errno_of(os.truncate, "file", 5),
                errno_of(os.chmod, "file", 0o600),
                errno_of(os.chown, "file", 5, 5),
                errno_of(os.utime, "file"),
                errno_of(os.setxattr, "file", "user.x", b"x"),
                errno_of(os.unlink, "file"), errno_of(os.rmdir, "dir"),
                errno_of(os.rename, "file", "other"),
                errno_of(os.link, "file", "other"),
                errno_of(os.symlink, "x", "link"),
                errno_of(os.mkdir, "dir2"), errno_of(os.mkfifo, "fifo"),
                errno_of(os.access, "file", os.W_OK),
                errno_of(os.open, "file", os.O_RDONLY),
                content.digest("file")]

    for directory in (disk.beside, place.mount.path):
        place.run(use, directory)
    disk.remount("ro")
    native = place.run(change, disk.beside)
    assert place.run(change, place.mount.path) == native
    assert EROFS in native
    disk.remount("rw")
    place.run(content.write, place.mount / "file", MIB, 7)
    assert content.digest(disk.source / "file") == \
        content.md5(content.data(MIB, 7))


def sync_and_note(path, function):
    """Write to blocks that are bad; what each of some syncs says of it."""
    fd = os.open(path, os.O_RDWR)
    os.pwrite(fd, b"cannot be written", 5000)
    outcome = [errno_of(function, fd) for _ in range(3)]
    os.pwrite(fd, b"nor this", PAGE)
    os.close(fd)
    fd = os.open(path, os.O_RDWR)
    outcome.append(errno_of(os.fsync, fd))
    outcome.append(os.pread(fd, 17, 5000))
    os.close(fd)
    return outcome


def write_synchronously(path, flag):
    """Here the write itself is told."""
    fd = os.open(path, os.O_RDWR | flag)
    outcome = [errno_of(os.pwrite, fd, b"cannot be written", 5000)]
    os.close(fd)
    return outcome


SYNCS = {"fsync": (sync_and_note, os.fsync),
         "fdatasync": (sync_and_note, os.fdatasync),
         "O_SYNC": (write_synchronously, os.O_SYNC),
         "O_DSYNC": (write_synchronously, os.O_DSYNC)}


@pytest.mark.parametrize("way", SYNCS.values(), ids=SYNCS)
def test_what_cannot_be_written_is_told(place, on_disk, way):
    """A disk with bad places: syncing says so, once, as natively."""
    function, how = way
    disk = on_disk()
    native, backing = disk.beside / "file", disk.source / "file"
    for path in (native, backing):
        content.write(path, 64 * KIB)
    disk.spoil(native, backing)
    wanted = place.run(function, native, how)
    assert any(wanted), "the disk can still be written"
    assert place.run(function, place.mount / "file", how) == wanted
    disk.repair()
    place.run(content.write, place.mount / "file", 64 * KIB, 2)
    fd = os.open(place.mount / "file", os.O_RDWR)
    os.fsync(fd)
    os.close(fd)


def dirty_pages(path):
    """Of a file's own pages, those not yet written; cachestat(2)."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return sum(kernel.cachestat(fd)[1:3])
    finally:
        os.close(fd)


def test_synchronous_writes_are_written(covered):
    """After a write with O_SYNC or O_DSYNC no page of it is dirty."""
    path, backing = covered.mount / "file", covered.source / "file"

    def write(flag, size=100_000):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | flag)
        for at in range(0, size, 10_000):
            os.pwrite(fd, content.data(10_000, at), at)
        os.close(fd)

    covered.run(write, 0)
    assert dirty_pages(backing) > 0  # the control
    for flag in (os.O_SYNC, os.O_DSYNC):
        fd = os.open(backing, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        covered.run(write, flag)
        assert dirty_pages(backing) == 0


def test_direct_io_beside_ordinary_io(covered):
    """One writes and reads with O_DIRECT, the other without; each sees the
    other's bytes."""
    size = 256 * KIB
    path = covered.mount / "file"
    content.write(covered.source / "file", size)

    def alternate():
        direct = os.open(path, os.O_RDWR | os.O_DIRECT)
        plain = os.open(path, os.O_RDWR)
        assert fcntl.fcntl(direct, fcntl.F_GETFL) & os.O_DIRECT
        buffer = mmap.mmap(-1, 16 * KIB)
        wanted = bytearray(content.data(size))
        choose = random.Random(5)
        for n in range(scaled(300)):
            at = choose.randrange(size // len(buffer)) * len(buffer)
            part = choose.randbytes(len(buffer))
            if n % 2:
                buffer[:] = part
                assert os.pwritev(direct, [buffer], at) == len(buffer)
            else:
                assert os.pwrite(plain, part, at) == len(part)
            wanted[at:at + len(part)] = part
            at = choose.randrange(size // len(buffer)) * len(buffer)
            assert os.preadv(direct, [buffer], at) == len(buffer)
            assert buffer[:] == wanted[at:at + len(buffer)]
            assert os.pread(plain, len(buffer), at) == buffer[:]
        return content.md5(wanted)

    assert covered.run(alternate) == content.digest(covered.source / "file")


# Races


def race(directory, seed, end, faults):
    """Names come and go under many hands: what is not there is ENOENT."""
    choose = random.Random(seed)
    done = 0
    while time.monotonic() < end:
        one, two = (f"{directory}/n{choose.randrange(6)}" for _ in range(2))
        calls = [(os.rename, one, two), (os.unlink, one), (os.link, one, two),
                 (read_some, one), (os.stat, one), (os.truncate, one, 100),
                 (make, one), (make, one), (os.chmod, one, 0o600),
                 (kernel.renameat2, one, two, kernel.RENAME_EXCHANGE),
                 (kernel.renameat2, one, two, kernel.RENAME_NOREPLACE)]
        call = choose.choice(calls)
        number = errno_of(*call)
        if number not in (0, ENOENT, EEXIST):
            faults.append(f"{call[0].__name__}: {errno.errorcode[number]}")
        done += 1
    return done


def make(path):
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.write(fd, path.encode())
    os.close(fd)


def read_some(path):
    fd = os.open(path, os.O_RDONLY)
    os.read(fd, 100)
    os.close(fd)


def race_in_threads(directory, first, duration):
    end, faults = time.monotonic() + duration, []
    threads = [threading.Thread(target=race, args=(directory, first + n, end,
                                                   faults)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(set(faults))


@pytest.mark.long_form
def test_names_come_and_go_under_sixteen_threads(covered):
    """Of two processes in two cgroups; in the end the mount shows what is
    there."""
    duration = 20 if settings.LONG else 1
    faults = act.together([
        covered.start(race_in_threads, covered.mount.path, n, duration,
                      cgroup=c) for n, c in ((0, covered.reader), (100, covered.other))])
    assert faults == [[], []]
    native = {name: os.stat(covered.source / name)
              for name in os.listdir(covered.source)}
    seen = {name: os.stat(covered.mount / name)
            for name in os.listdir(covered.mount.path)}
    assert {name: (st.st_size, st.st_nlink) for name, st in seen.items()} == \
        {name: (st.st_size, st.st_nlink) for name, st in native.items()}
    for name in native:
        assert covered.run(content.digest, covered.mount / name) == \
            content.digest(covered.source / name)
