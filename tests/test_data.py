# SPDX-License-Identifier: GPL-2.0-or-later
"""No byte is lost, torn or stale, whoever reads or writes how."""

import mmap
import os
import random
import time

import pytest

from lib import act, content, kernel
from lib.cgroup import kill
from lib.control import ctl_json
from lib.judge import evict
from lib.settings import BRIEF, FLAVOUR, KIB, LONG, MIB, SANITIZED, scaled
from lib.wait import eventually

if SANITIZED:
    pytestmark = pytest.mark.turns("covered", alone=True)
MODES = ["io=auto", "io=strict"]
if FLAVOUR != "tsan":  # it has its races looked for in test_cached.py
    MODES.append("io=cached")


@pytest.fixture(params=MODES)
def covered(request, place):
    place.cover(request.param)
    return place


FIO_JOBS = {
    "random-write": ["--rw=randwrite", "--bs=4k", "--ioengine=psync"],
    "odd-sizes": ["--rw=randwrite", "--bsrange=512-96k", "--bs_unaligned=1",
                  "--ioengine=psync"],
    "sequential": ["--rw=write", "--bs=1M", "--ioengine=psync"],
    "mmap": ["--rw=randwrite", "--bs=4k", "--ioengine=mmap"],
    "direct": ["--rw=randwrite", "--bs=4k", "--ioengine=psync", "--direct=1"],
    "vectors": ["--rw=randwrite", "--bs=16k", "--ioengine=pvsync2"],
    "read-write": ["--rw=randrw", "--bs=8k", "--ioengine=psync", "--fsync=64"],
    "libaio": ["--rw=randwrite", "--bs=4k", "--ioengine=libaio", "--iodepth=16"],
}


# What goes another way with io=cached than without is enough of it there.
FIO_CASES = [pytest.param(mode, FIO_JOBS[name], id=f"{mode}-{name}")
             for mode in MODES for name in FIO_JOBS
             if not BRIEF or mode != "io=cached"
             or name in ("odd-sizes", "mmap", "direct")]


@pytest.mark.parametrize("covered, job", FIO_CASES, indirect=["covered"])
def test_fio_verifies(covered, job):
    """fio writes, reads back and verifies through the mount; then what it
    wrote is verified in the backing file."""
    size = (24 if LONG else 4 if BRIEF else 8) * MIB
    fio = ["fio", "--name=job", "--verify=crc32c", "--verify_fatal=1",
           "--randseed=42", "--output-format=terse", f"--size={size}",
           "--end_fsync=1", "--do_verify=1", *job]
    covered.command([*fio, f"--filename={covered.mount / 'data'}"], limit=120,
                    cwd=covered.beside)
    through = covered.run(content.digest, covered.mount / "data")
    assert through == content.digest(covered.source / "data")


def read_mebibytes(path, count):
    """Each into the same pages: one more would be one too many for FUSE."""
    fd = os.open(path, os.O_RDONLY)
    with mmap.mmap(-1, MIB) as buffer:
        for n in range(count):
            assert os.preadv(fd, [buffer], n * MIB) == MIB
    os.close(fd)


def test_a_read_of_a_mebibyte_is_one_request(place):
    """Where the daemon had the right to pipes that hold it and its header;
    else its last page is one more."""
    place.cover("io=strict")
    content.write(place.source / "file", 8 * MIB, 1)

    def strict_reads():
        return ctl_json("status", place.mountpoint)[0]["counters"]["strict_reads"]

    before = strict_reads()
    place.run(read_mebibytes, place.mount / "file", 8)
    each = 1 if kernel.has_capability(kernel.CAP_SYS_RESOURCE) else 2
    assert strict_reads() - before == 8 * each


def test_what_is_written_beside_is_read_through_the_mount(covered):
    for n in range(4):
        content.write(covered.source / "file", 3 * MIB + n, n)
        assert covered.run(content.digest, covered.mount / "file") == \
            content.digest(covered.source / "file")


def test_what_is_written_through_the_mount_is_read_beside(covered):
    for n in range(4):
        covered.run(content.write, covered.mount / "file", 3 * MIB - n, n)
        assert content.digest(covered.source / "file") == \
            content.md5(content.data(3 * MIB - n, n))


def test_writers_of_one_file_at_once(covered):
    """Four processes write the pieces of one file, each every fourth one."""
    size, piece, workers = scaled(16) * MIB, 5000, 4
    path = covered.mount / "file"
    path.touch()

    def write_share(mine):
        data = content.data(size)
        fd = os.open(path, os.O_RDWR)
        starts = list(range(mine * piece, size, workers * piece))
        random.Random(mine).shuffle(starts)
        for at in starts:
            assert os.pwrite(fd, data[at:at + piece], at) == \
                len(data[at:at + piece])
        os.close(fd)

    cgroups = [covered.reader, covered.other, covered.target, covered.reader]
    act.together([covered.start(write_share, n, cgroup=cgroups[n])
                  for n in range(workers)], limit=120)
    assert content.digest(covered.source / "file") == \
        content.md5(content.data(size))
    assert covered.run(content.digest, path) == content.md5(content.data(size))


def test_append_by_eight_processes_tears_no_line(covered):
    lines, path = scaled(400), covered.mount / "log"

    def log(who):
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        for n in range(lines):
            line = f"{who} {n} {'x' * (n % 300)}\n".encode()
            assert os.write(fd, line) == len(line)
        os.close(fd)

    act.together([covered.start(log, who, cgroup=c) for who, c in enumerate(
        [covered.reader, covered.other, covered.target, covered.reader] * 2)])
    wanted = sorted(f"{who} {n} {'x' * (n % 300)}"
                    for who in range(8) for n in range(lines))
    assert sorted((covered.source / "log").read_text().splitlines()) == wanted


def test_write_and_mapping_see_each_other(covered):
    """read, write and a shared mapping of one file are one memory, whether
    through one open or two."""
    path = covered.mount / "file"
    content.write(covered.source / "file", 64 * KIB)

    def both_ways():
        fd, other = os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)
        with mmap.mmap(fd, 64 * KIB) as m:
            for n, at in enumerate(range(100, 64 * KIB - 100, 1999)):
                m[at:at + 8] = b"mapping%d" % (n % 10)
                assert os.pread(other, 8, at) == b"mapping%d" % (n % 10)
                assert os.pread(fd, 8, at) == b"mapping%d" % (n % 10)
                os.pwrite(other, b"writing%d" % (n % 10), at + 10)
                assert m[at + 10:at + 18] == b"writing%d" % (n % 10)
        os.close(fd)
        os.close(other)

    covered.run(both_ways)
    assert covered.run(content.digest, path) == \
        content.digest(covered.source / "file")


def test_an_old_open_sees_a_new_write(covered):
    """A reader who has a file open (passed through, perhaps) sees what
    somebody in another cgroup writes and truncates."""
    path = covered.mount / "file"
    content.write(covered.source / "file", 128 * KIB)
    got_byte, say = os.pipe()
    reply, answer = os.pipe()

    def watch():
        fd = os.open(path, os.O_RDONLY)
        os.read(fd, 1000)
        with mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ) as m:
            os.write(answer, b"!")
            os.read(got_byte, 1)
            seen = os.pread(fd, 5, 0), m[:5]
        os.write(answer, b"!")
        os.read(got_byte, 1)
        return (*seen, os.fstat(fd).st_size, os.pread(fd, 10, 5000))

    def change(function, *args):
        covered.run(function, *args, cgroup=covered.other)

    def overwrite():
        with open(path, "r+b") as f:
            f.write(b"fresh")

    watcher = covered.start(watch)
    os.read(reply, 1)
    change(overwrite)
    os.write(say, b"!")
    os.read(reply, 1)
    change(os.truncate, path, 5004)
    os.write(say, b"!")
    data = content.data(5004)
    assert watcher.result() == (b"fresh", b"fresh", 5004, data[5000:])


def test_sparse_files_stay_sparse(covered):
    path = covered.mount / "sparse"

    def work():
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        os.pwrite(fd, b"end", 512 * MIB)
        os.pwrite(fd, b"middle", 100 * MIB)
        assert os.pread(fd, 6, 100 * MIB) == b"middle"
        assert os.pread(fd, 4096, 200 * MIB) == bytes(4096)
        os.fsync(fd)
        os.close(fd)

    covered.run(work)
    st = os.stat(covered.source / "sparse")
    assert st.st_size == 512 * MIB + 3
    assert st.st_blocks * 512 < 64 * KIB


def test_changes_beside_the_mount_show(covered):
    """Sizes, new names and removed names of the backing directory are seen
    within a moment, negative lookups included."""
    path, backing = covered.mount / "late", covered.source / "late"
    assert not path.exists()
    backing.write_text("here")
    assert eventually(path.exists, 3)
    assert covered.run(path.read_text) == "here"
    backing.write_text("here and longer")
    assert eventually(lambda: os.stat(path).st_size == 15, 3)
    assert covered.run(path.read_text) == "here and longer"
    backing.unlink()
    backing.write_text("another file")
    assert eventually(
        lambda: covered.run(read_or_none, path) == "another file", 3)
    backing.unlink()
    assert eventually(lambda: not path.exists(), 3)


def read_or_none(path):
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


@pytest.mark.long_form
@pytest.mark.needs_daemon
def test_dead_chargers_are_replaced_unseen(covered):
    """kill -9 of the charger, again and again, while files are read and
    written: no client sees an error and every byte is right."""
    duration, size = 60 if LONG else 2 if BRIEF else 5, 256 * KIB
    for n in range(16):
        content.write(covered.source / f"f{n}", size, n)
    evict(*covered.source.iterdir())
    sums = [content.md5(content.data(size, n)) for n in range(16)]

    def read(seed):
        choose, end = random.Random(seed), time.monotonic() + duration
        while time.monotonic() < end:
            n = choose.randrange(16)
            assert content.digest(covered.mount / f"f{n}") == sums[n]

    def write(name):
        path, end, n = covered.mount / name, time.monotonic() + duration, 0
        while time.monotonic() < end:
            content.write(path, size, n)
            assert os.stat(path).st_size == size
            assert content.digest(path) == content.md5(content.data(size, n))
            n += 1

    def append(name):
        """Each append once: a repeated request must not write twice."""
        end, n = time.monotonic() + duration, 0
        fd = os.open(covered.mount / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        while time.monotonic() < end:
            assert os.write(fd, b"%09d\n" % n) == 10
            n += 1
        return n

    children = [covered.start(read, 1), covered.start(read, 2),
                covered.start(write, "w1"),
                covered.start(write, "w2", cgroup=covered.other)]
    appender = covered.start(append, "log")
    killed, end = 0, time.monotonic() + duration
    while time.monotonic() < end:
        for pid in covered.mount.chargers():
            killed += kill(pid)
        time.sleep(0.05)
    act.together(children, 30)
    count = appender.result()
    lines = (covered.source / "log").read_text().splitlines()
    assert lines == ["%09d" % n for n in range(count)]
    assert killed >= 5, "there was nobody to kill"
    evict(*covered.source.iterdir())
    covered.run(content.digest, covered.mount / "f1")
    assert covered.mount.chargers(), "no charger has come back"
    covered.owned_by(covered.target, "f1")


@pytest.mark.needs_daemon
def test_a_killed_writer_leaves_the_others_alone(covered):
    """Clients die in the middle of requests; the mount goes on."""
    path = covered.mount / "file"
    content.write(covered.source / "file", 8 * MIB)

    def hammer():
        fd = os.open(path, os.O_RDWR)
        while True:
            os.pread(fd, MIB, 3 * MIB)
            os.pwrite(fd, bytes(MIB), 0)

    for _ in range(scaled(15)):
        child = covered.start(hammer)
        time.sleep(0.05)
        child.end()
    assert covered.run(content.digest, path) == \
        content.digest(covered.source / "file")


RSYNC = ["rsync", "-aHAXS", "--delete"]


def make_tree(directory):
    """Of all kinds, with attributes, times and holes of their own."""
    os.chdir(directory)
    for n in range(40):
        os.makedirs(f"d{n % 7}/below", exist_ok=True)
        content.write(f"d{n % 7}/below/f{n}", 997 * n, n)
        os.utime(f"d{n % 7}/below/f{n}", ns=(n, 10**18 + n))
    os.link("d0/below/f0", "linked")
    os.symlink("d1/below/f1", "link")
    os.mkfifo("fifo", 0o640)
    os.mkdir("sticky")
    os.chmod("sticky", 0o3775)
    with open("holes", "wb") as file:
        file.truncate(3 * MIB)
        file.seek(MIB)
        file.write(b"in the middle")
    os.chown("holes", act.OWNER.uid, act.OWNER.gid)
    os.setxattr("holes", "user.note", b"kept")
    act.command(["setfacl", "-m", f"u:{act.STRANGER.uid}:rw", "d2/below/f2"])


def change_tree(directory):
    """What the second run of a backup finds."""
    os.chdir(directory)
    os.rename("d3/below", "d4/moved")
    os.unlink("link")
    with open("d4/below/f39", "r+b") as file:
        file.seek(20_000)
        file.write(b"changed in place")
    os.truncate("d1/below/f36", 5)
    os.chmod("d2/below/f2", 0o600)


def differing(place, one, two):
    """What rsync would change of the second."""
    return place.command([*RSYNC, "-nic", f"{one}/", two]).stdout


def test_rsync_finds_no_difference(covered):
    """Into the mount and out of it, anew and again after changes, by copies
    and in place; then each is compared by content, not by size and time."""
    trees = [covered.beside / "tree", covered.mount / "tree",
             covered.beside / "back"]
    trees[0].mkdir()
    for more in ["--whole-file"], ["--inplace", "--no-whole-file", "-c"]:
        covered.run(change_tree if "-c" in more else make_tree, trees[0])
        for one, two in zip(trees, trees[1:]):
            covered.command([*RSYNC, *more, f"{one}/", two])
            assert not differing(covered, one, two)
        assert not differing(covered, trees[0], covered.source / "tree")
        assert os.stat(covered.source / "tree/holes").st_blocks * 512 < MIB
    (covered.mount / "tree/d4/below/f39").write_bytes(b"other")
    assert differing(covered, trees[0], trees[1]), "it sees nothing"
