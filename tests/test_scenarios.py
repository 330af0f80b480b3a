# SPDX-License-Identifier: GPL-2.0-or-later
"""What befalls the containers that share a mount, and what each of them may
expect then. Where it is about pages, a control shows how it goes natively."""

import os
import random
import re
import signal
import time
from errno import ECONNABORTED, EHOSTDOWN, EIO, ENOTCONN
from pathlib import Path

import pytest

from lib import act, actions, content, kernel, settings
from lib.cgroup import alive, kill
from lib.disk import Disk, kind_of
from lib.judge import evict
from lib.mount import complaints, mounts_at, remove_target, unmount
from lib.settings import KIB, MIB, scaled
from lib.wait import eventually

pytestmark = pytest.mark.turns("mode", alone=True)

MODES = ["io=auto", "io=strict"]

# Chargers are larger under a sanitizer, and slower.
LIMIT = 8 * MIB * (2 if settings.SANITIZED else 1)


# Who reads all of a directory once may be taken for a scanner, rightly so.
NO_SCANS = ("scan=off",)


def read_all(directory):
    """Every file below, each read to its end; what is left in second copies."""
    return sum(actions.read_whole(path) for path in sorted(directory.iterdir()))


def fill(place, directory, number, size):
    """Files of known content, none of their pages in memory."""
    directory.mkdir(exist_ok=True)
    for n in range(number):
        content.write(directory / f"f{n}", size, n)
    evict(*directory.iterdir())
    return place.judge.pages(size) * number


def host_of(place, target):
    """The cgroup that holds the pages of a target with cgroups below it."""
    if place.cgroups.hierarchy.version == 1:
        return target
    return target.child("memcgfs")


def read_bytes(*pids):
    """What processes have had read from disks; of those who live."""
    found = {}
    for pid in pids:
        text = Path(f"/proc/{pid}/io").read_text()
        found[pid] = int(re.search(r"^read_bytes: (\d+)", text, re.M)[1])
    return found


# 1: the first job


@pytest.mark.parametrize("mode", MODES)
def test_the_unlucky_first_job(place, mode):
    """A job with a limit reads four times as much. It is not killed, nothing
    of its own is reclaimed for it, and it pays for no page."""
    number, size = 16, scaled(16) * MIB
    own = place.beside / "own"
    place.reader.set_limit(number * size // 4)
    own_pages = fill(place, own, 1, number * size // 8)
    pages = fill(place, place.source, number, size)

    place.run(read_all, own)
    place.run(read_all, place.source)  # the control: it pays with its own
    report = place.judge.look(own)
    assert report.resident < own_pages // 2, report.describe(place.reader)
    place.judge.owned_by(place.reader, place.source, at_least=own_pages // 2)
    evict(*own.iterdir(), *place.source.iterdir())

    place.cover(mode, *NO_SCANS)
    place.run(read_all, own)
    hits, usage = place.reader.limit_hits(), place.reader.usage()
    assert hits > 0  # by the control
    assert place.run(read_all, place.mount.path) == 0
    assert place.reader.limit_hits() == hits, "something was reclaimed for it"
    assert place.reader.oom_kills() == 0
    assert abs(place.reader.usage() - usage) < 2 * MIB
    place.judge.owned_by(place.reader, own, at_least=own_pages)
    place.judge.owned_by(place.target, place.source, at_least=pages)


# 2: a restart


@pytest.mark.parametrize("mode", MODES)
def test_a_container_restarts(place, mode):
    """Its cgroup goes, and the next one finds all pages where they were: it
    reads nothing from disk and is charged for nothing."""
    size = scaled(32) * MIB
    pages = place.judge.pages(size)
    place.put(place.beside, "file", size)
    place.put(place.source, "file", size)

    first = place.cgroups.fresh("first")
    place.run(actions.read_whole, place.beside / "file", cgroup=first)
    place.judge.owned_by(first, place.beside / "file", at_least=pages)
    first.remove()  # the control: soon, its pages fall to those above it
    assert eventually(lambda: place.judge.look(
        place.beside / "file").of(place.cgroups.base) >= pages * 0.95)

    mount = place.cover(mode, *NO_SCANS)
    first.create()
    servants = [mount.daemon.pid, *mount.chargers()]

    def read_and_count(path):
        before = read_bytes(*servants, os.getpid())
        actions.read_whole(path)
        after = read_bytes(*servants, os.getpid())
        return sum(after.values()) - sum(before.values())

    assert place.run(read_and_count, mount / "file", cgroup=first) >= size * 0.9
    place.judge.owned_by(place.target, place.source / "file", at_least=pages)
    first.remove()
    place.judge.owned_by(place.target, place.source / "file", at_least=pages)
    assert place.run(read_and_count, mount / "file", cgroup=place.other) == 0
    place.judge.owned_by(place.target, place.source / "file", at_least=pages)
    assert place.other.file_bytes() < MIB


# 3: a pod


@pytest.fixture
def pod(place):
    """The parent of two containers a and b; it is the target."""
    pod = place.cgroups.fresh("pod")
    place.cgroup_list.append(pod)
    pod.delegate_memory()
    pod.a, pod.b = pod.child("a").create(), pod.child("b").create()
    return pod


@pytest.mark.parametrize("mode", MODES)
def test_a_pod_pays_for_what_its_containers_read(place, pod, mode):
    size = scaled(20) * MIB
    pages = fill(place, place.source, 2, size)
    place.put(place.beside, "f0", size)
    place.run(actions.read_whole, place.beside / "f0", cgroup=pod.a)
    place.judge.owned_by(pod.a, place.beside / "f0", at_least=pages // 2)
    evict(place.beside / "f0")

    before = pod.file_bytes()
    place.cover(mode, *NO_SCANS, target=pod)
    place.run(actions.read_whole, place.mount / "f0", cgroup=pod.a)
    place.run(actions.read_whole, place.mount / "f1", cgroup=pod.b)
    place.run(read_all, place.mount.path, cgroup=pod.b)
    place.judge.owned_by(host_of(place, pod), place.source, at_least=pages)
    grown = pod.file_bytes() - before
    assert abs(grown - 2 * size) < 2 * MIB, f"{grown} bytes of {2 * size}"
    assert pod.a.file_bytes() < MIB and pod.b.file_bytes() < MIB


@pytest.mark.parametrize("mode", MODES)
def test_the_limit_of_a_pod_holds(place, pod, mode):
    """For what all of its containers read together."""
    number, size = 16, LIMIT // 4
    fill(place, place.source, number, size)
    pod.set_limit(LIMIT)
    place.cover(mode, *NO_SCANS, target=pod)
    readers = [place.start(read_all, place.mount.path, cgroup=c)
               for c in (pod.a, pod.b)]
    while any(alive(reader.pid) for reader in readers):
        assert pod.file_bytes() <= LIMIT
        time.sleep(0.05)
    act.together(readers)
    report = place.judge.look(place.source)
    assert LIMIT // 8 < report.resident * settings.PAGE <= LIMIT
    if mode == "io=strict":  # else some are reclaimed before they are read
        assert report.foreign_to(host_of(place, pod)) == 0, report.owners


# 4: a full target


@pytest.fixture(params=["ext4", "xfs"])
def backing(request, place):
    """The place on a filesystem of each kind: its own, or a disk's."""
    scratch = kind_of(place.source)
    if request.param in scratch:
        yield place
        return
    # With room for what was unlinked, and isn't released yet.
    disk = Disk(place.root / "disk", request.param, place.root / "image",
                500 * MIB)
    place.source, place.beside = disk.source, disk.beside
    yield place
    if place.mount is not None:
        place.mount.stop()
    disk.umount()


@pytest.mark.parametrize("mode", MODES)
def test_reading_four_times_what_the_target_may_hold(backing, mode):
    size = 4 * LIMIT
    backing.put(backing.source, "file", size)
    backing.target.set_limit(LIMIT)
    backing.run(actions.read_whole, backing.source / "file")
    backing.judge.owned_by(backing.reader, backing.source / "file",
                           at_least=backing.judge.pages(size))  # the control
    evict(backing.source / "file")

    backing.cover(mode)
    assert backing.run(content.digest, backing.mount / "file") == \
        content.md5(content.data(size))
    report = backing.judge.owned_by(backing.target, backing.source / "file")
    assert report.resident * settings.PAGE <= LIMIT


@pytest.mark.parametrize("mode", MODES)
def test_writing_four_times_what_the_target_may_hold(backing, mode):
    """One large file and many small ones, each time."""
    size, number = 4 * LIMIT, 64
    backing.target.set_limit(LIMIT)
    backing.run(content.write, backing.beside / "control", LIMIT)
    backing.judge.owned_by(backing.reader, backing.beside / "control",
                           at_least=LIMIT // settings.PAGE)
    (backing.beside / "control").unlink()

    backing.cover(mode)
    backing.run(content.write, backing.mount / "file", size, 5, limit=120)
    assert content.digest(backing.source / "file") == \
        content.md5(content.data(size, 5))
    (backing.mount / "file").unlink()

    def write_small(some):
        for n in some:
            content.write(backing.mount / f"f{n}", size // number, n)

    for n in range(0, number, 16):
        backing.run(write_small, range(n, n + 16), limit=120)
    report = backing.judge.look(backing.source)
    assert report.foreign_to(backing.target) == 0, \
        report.describe(backing.target)
    assert report.resident * settings.PAGE <= LIMIT
    for n in range(number):
        assert content.digest(backing.source / f"f{n}") == \
            content.md5(content.data(size // number, n))


# 6: all processes of the target are killed


def kill_each(target):
    """Returns how many chargers were hit."""
    hit = 0
    for pid, name in target.members().items():
        hit += kill(pid) and name == settings.CHARGER
    return hit


def kill_at_once(target):
    """As the kernel does it for a whole cgroup, where it can (v2)."""
    if not (target.dir / "cgroup.kill").exists():
        return kill_each(target)
    hit = len(target.chargers())
    target.write("cgroup.kill", 1)
    return hit


def odd_length(n):
    return 1 + n * 37 % 5000


def log_line(who, n):
    return f"{who} {n} {'x' * odd_length(n)}\n".encode()


class Work:
    """What clients do all the time while the target is killed again and
    again; each of them checks what it can see itself."""

    FILES, SIZE = 16, 256 * KIB

    def __init__(self, place, duration):
        self.place, self.path = place, place.mount.path
        self.end = time.monotonic() + duration
        self.sums = [content.md5(content.data(self.SIZE, n))
                     for n in range(self.FILES)]

    def goes_on(self):
        return time.monotonic() < self.end

    def read(self, seed):
        """Files of known content, read whole and in the middle."""
        choose = random.Random(seed)
        done = 0
        while self.goes_on():
            n = choose.randrange(self.FILES)
            assert content.digest(self.path / f"f{n}") == self.sums[n], f"f{n}"
            done += 1
        return done

    def rewrite(self, name):
        n = 0
        while self.goes_on():
            content.write(self.path / name, self.SIZE + odd_length(n), n)
            assert content.digest(self.path / name) == content.md5(
                content.data(self.SIZE + odd_length(n), n)), f"{name}, {n}"
            n += 1
        return n

    def append(self, who):
        """To a log of all: a request made twice would show as a line."""
        fd = os.open(self.path / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        n = 0
        while self.goes_on():
            line = log_line(who, n)
            assert os.write(fd, line) == len(line)
            n += 1
        return n

    def reshape(self, name):
        """What a file is told: cut, extend, punch and copy, in turn."""
        fd = os.open(self.path / name, os.O_RDWR | os.O_CREAT)
        source = os.open(self.path / "f0", os.O_RDONLY)
        good = content.data(self.SIZE)
        n = 0
        while self.goes_on():
            at = n * 977 % (self.SIZE // 2)
            os.ftruncate(fd, 0)
            os.ftruncate(fd, self.SIZE)
            done = 0
            while done < 9999:  # it may be short, as write(2) may
                done += os.copy_file_range(source, fd, 9999 - done,
                                           at + done, at + done)
            os.pwrite(fd, b"written", at + 3)
            seen = os.pread(fd, self.SIZE, 0)
            assert seen == (bytes(at) + good[at:at + 3] + b"written"
                            + good[at + 10:at + 9999]).ljust(self.SIZE, b"\0")
            n += 1
        return n


@pytest.mark.long_form
@pytest.mark.needs_daemon
@pytest.mark.parametrize("mode, kill", [("io=strict", kill_each),
                                        ("io=auto", kill_at_once)])
def test_all_processes_of_the_target_are_killed(place, mode, kill):
    duration = 60 if settings.LONG else settings.seconds(2)
    mount = place.cover(mode)
    fill(place, place.source, Work.FILES, Work.SIZE)
    work = Work(place, duration)
    readers = [place.start(work.read, 1), place.start(work.read, 2),
               place.start(work.rewrite, "w1"),
               place.start(work.rewrite, "w2", cgroup=place.other),
               place.start(work.reshape, "r")]
    loggers = [place.start(work.append, who, cgroup=c) for who, c in
               enumerate([place.reader, place.other, place.reader])]
    killed = 0
    while work.goes_on():
        member = place.start(time.sleep, 60, cgroup=place.target)
        eventually(lambda: member.pid in place.target.pids())
        killed += kill(place.target)
        member.end()
        time.sleep(0.05)
    assert all(act.together(readers, 60)), "some did nothing at all"
    wanted = [log_line(who, n) for who, number in
              enumerate(act.together(loggers, 60)) for n in range(number)]
    log = (place.source / "log").read_bytes().splitlines(keepends=True)
    assert sorted(log) == sorted(wanted)
    assert killed >= duration, f"only {killed} chargers were killed"

    assert eventually(mount.chargers, 10), "no charger has come back"
    evict(*place.source.iterdir())
    place.run(actions.read_whole, mount / "f1")
    place.judge.owned_by(place.target, place.source / "f1",
                         at_least=Work.SIZE // settings.PAGE)
    assert mount.died() is None


# 7: the daemon is killed among writers


def write_until_it_ends(directory, closed):
    """Write one file after the other; note each that was closed."""
    n = 0
    try:
        while True:
            size = 1 + n * 60_000 % 400_000
            content.write(directory / f"f{n}", size, n)
            os.write(closed, b"%d %d\n" % (n, size))
            n += 1
    except OSError as error:
        return error.errno


@pytest.mark.needs_daemon
@pytest.mark.parametrize("kind, mode", [("ext4", "io=auto"),
                                        ("xfs", "io=strict")])
def test_the_daemon_is_killed_among_eight_writers(place, kind, mode):
    """Nothing of it is left, the disk is in order, and files that had been
    closed are whole."""
    disk = Disk(place.root / "disk", kind, place.root / "image", 500 * MIB)
    mount = place.cover(mode, source=disk.source)
    notes, writers = [], []
    for who in range(8):
        (disk.source / str(who)).mkdir()
        notes.append(place.beside / f"closed-{who}")
        fd = os.open(notes[-1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        writers.append(place.start(write_until_it_ends, mount / str(who), fd,
                                   cgroup=(place.reader, place.other)[who % 2]))
        os.close(fd)
    chargers = mount.chargers()
    time.sleep(0.5)
    mount.daemon.signal(signal.SIGKILL)
    mount.daemon.wait()
    mount.stopped = True
    told = {w.result(20) for w in writers}
    assert told <= {ENOTCONN, ECONNABORTED, EIO}, told
    assert eventually(lambda: not any(map(alive, chargers))), "chargers live on"
    assert eventually(lambda: not place.leftovers()), place.leftovers()
    assert unmount(mount.path).returncode == 0
    assert not mounts_at(mount.path)

    closed = 0
    for who, note in enumerate(notes):
        for line in note.read_text().splitlines():
            n, size = map(int, line.split())
            assert content.digest(disk.source / str(who) / f"f{n}") == \
                content.md5(content.data(size, n)), f"{who}/f{n}"
            closed += 1
    assert closed >= 8
    disk.check()


# 8: a bystander uses up the target's memory


def eat(size):
    """Anonymous memory, all of it touched."""
    eaten = []
    for _ in range(size // MIB):
        eaten.append(bytearray(os.urandom(KIB)) * KIB)
    return len(eaten)


@pytest.mark.long_form
@pytest.mark.needs_daemon
@pytest.mark.parametrize("mode", MODES)
def test_a_bystander_runs_the_target_out_of_memory(place, mode):
    """The bystander dies of it, not the charger, and no client is told. (An
    unprotected charger that asks for memory just when the bystander has died
    of it is sometimes chosen for the next victim; then it is replaced.)"""
    limit = 64 * MIB * (3 if settings.SANITIZED else 1)
    duration = 30 if settings.LONG else 2
    assert place.run(eat, 2 * limit // MIB * MIB) == 2 * limit // MIB
    place.target.set_limit(limit)
    mount = place.cover(mode)
    fill(place, place.source, Work.FILES, Work.SIZE)
    work = Work(place, duration)
    clients = [place.start(work.read, 1), place.start(work.rewrite, "w"),
               place.start(work.append, 0, cgroup=place.other)]
    chargers = mount.chargers()
    died = 0
    while work.goes_on():
        bystander = place.start(eat, 2 * limit, cgroup=place.target)
        with pytest.raises(act.ChildFailed, match="wait status 0x9"):
            bystander.result(30)
        died += 1
    assert all(act.together(clients, 60))
    assert died, "nobody ran out of memory"
    assert eventually(mount.chargers), "no charger has come back"
    if kernel.has_capability(kernel.CAP_SYS_RESOURCE):
        assert mount.chargers() == chargers, "a charger was killed"
    assert mount.died() is None


# 9: the target is removed


def goes_missing(mount):
    """Remove the target; the idle mount has said that it is gone."""
    before = len(complaints(mount.daemon.text()))
    remove_target(mount)

    def said():
        lines = complaints(mount.daemon.text())[before:]
        return [line for line in lines if mount.target.path in line]
    assert eventually(said), f"not a word about {mount.target}"


def open_again_and_again(mount, duration):
    """All that opens of a file of that target have come to."""
    end, outcomes = time.monotonic() + duration, set()
    while time.monotonic() < end:
        outcomes.update(open_them(mount))
    return outcomes


def open_them(mount):
    """The errno of each open of files old and new, or 0."""
    outcome = []
    for name in ("used", "new", "made"):
        for flags in (os.O_RDONLY, os.O_RDWR):
            try:
                os.close(os.open(mount / name, flags | (name == "made")
                                 * os.O_CREAT))
                outcome.append(0)
            except OSError as error:
                outcome.append(error.errno)
    return outcome


@pytest.fixture
def idle(place):
    """A function that covers the place, uses a file of it and waits."""
    def make(*options):
        for name in ("used", "new"):
            place.put(place.source, name, MIB)
        mount = place.cover(*options)
        place.run(actions.read_whole, mount / "used")
        place.owned_by(place.target, "used", at_least=256)
        return mount
    return make


@pytest.mark.needs_daemon
@pytest.mark.parametrize("mode", MODES)
def test_the_target_is_removed(place, idle, mode):
    """Opens are refused, all of them; the rest of the mount is there, and
    unmounting works."""
    mount = idle(mode)
    goes_missing(mount)
    assert place.run(open_again_and_again, mount, 1.5) == {EHOSTDOWN}
    assert sorted(os.listdir(mount.path)) == ["made", "new", "used"]
    mount.stop()
    report = place.judge.look(place.source)
    assert not report.of(place.reader), report.describe(place.reader)


@pytest.mark.needs_daemon
@pytest.mark.parametrize("mode", MODES)
def test_the_target_is_removed_with_on_error_opener(place, idle, mode):
    """Every open works, and the opener pays."""
    mount = idle(mode, "on_error=opener")
    goes_missing(mount)
    assert place.run(open_again_and_again, mount, 1.5) == {0}
    evict(place.source / "new")
    assert place.run(content.digest, mount / "new", limit=30) == \
        content.md5(content.data(MIB))
    place.judge.owned_by(place.reader, place.source / "new", at_least=256)
    mount.stop()


@pytest.mark.needs_daemon
def test_the_opener_pays_for_pages_of_the_mount(place, idle):
    """With io=cached, too; nothing is brought in ahead by the daemon."""
    mount = idle("io=cached", "on_error=opener")
    goes_missing(mount)
    assert place.run(content.digest, mount / "new", limit=30) == \
        content.md5(content.data(MIB))
    with kernel.admin_may_enter():
        report = place.judge.look(place.source / "new", mount / "new",
                                  through=True)
    assert report.of(place.daemon) == 0, report.describe(place.reader)
    assert report.of(place.reader) >= 192, report.describe(place.reader)
    mount.stop()
