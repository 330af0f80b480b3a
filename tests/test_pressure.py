# SPDX-License-Identifier: GPL-2.0-or-later
"""A target far too small for its files: readers must not notice."""

import mmap
import os
import random
import time

import pytest

from lib import content, settings
from lib.judge import evict
from lib.settings import KIB, MIB
from lib.wait import eventually

FILES = 256
SIZE = 256 * KIB * (2 if settings.SANITIZED else 1)  # chargers are larger, too
DURATION = 60 if settings.LONG else 2 if settings.BRIEF else 6


def read_at_random(directory, seed, duration):
    """Open files at random, read them whole and check each; returns how many."""
    choose = random.Random(seed)
    sums = [content.md5(content.data(SIZE, n)) for n in range(FILES)]
    end, done = time.monotonic() + duration, 0
    while time.monotonic() < end:
        n = choose.randrange(FILES)
        assert content.digest(directory / f"f{n}") == sums[n], f"f{n} reads wrong"
        done += 1
    return done


def map_at_random(directory, seed, duration):
    """The same with mmap, at random places."""
    choose = random.Random(seed)
    wanted = [content.data(SIZE, n) for n in range(FILES)]
    end, done = time.monotonic() + duration, 0
    while time.monotonic() < end:
        n = choose.randrange(FILES)
        fd = os.open(directory / f"f{n}", os.O_RDONLY)
        with mmap.mmap(fd, SIZE, mmap.MAP_SHARED, mmap.PROT_READ) as m:
            for _ in range(32):
                at = choose.randrange(SIZE - 100)
                assert m[at:at + 100] == wanted[n][at:at + 100], f"f{n} at {at}"
        os.close(fd)
        done += 1
    return done


def settle(files):
    """The owners, when there has been no load for up to five seconds. Where other
    tests run beside this, as there is a load, it takes up to three times that."""
    limit = 5 if settings.LONG else 15
    reports = []

    def good():
        reports.append(files.judge.look(files.source))
        return reports[-1].foreign_to(files.target) <= \
            reports[-1].resident // 1000
    assert eventually(good, limit), reports[-1].describe(files.target)
    return reports[-1]


@pytest.fixture
def files(place):
    for n in range(FILES):
        content.write(place.source / f"f{n}", SIZE, n)
    evict(*place.source.iterdir())
    place.target.set_limit(FILES * SIZE // 4)
    return place


@pytest.mark.long_form
@pytest.mark.figures
@pytest.mark.needs_daemon
@pytest.mark.parametrize("mode", ["io=auto", "io=strict"])
def test_four_readers_and_a_quarter_of_the_memory(files, figure, mode):
    files.cover(mode)
    readers = [files.start(read_at_random, files.mount.path, n, DURATION,
                           cgroup=c)
               for n, c in enumerate([files.reader, files.other] * 2)]
    opens = sum(r.result(DURATION + 60) for r in readers)
    report = files.judge.look(files.source)
    foreign = report.foreign_to(files.target)
    figure(f"{opens} whole files of {SIZE // KIB} KiB read in {DURATION} s, "
           f"{foreign} of {report.resident} pages foreign "
           f"({100 * foreign / max(1, report.resident):.2f} %)")
    assert report.resident * settings.PAGE < FILES * SIZE // 2
    assert report.of(files.daemon) == 0
    settle(files)


@pytest.mark.long_form
@pytest.mark.figures
@pytest.mark.needs_daemon
def test_mappings_and_a_quarter_of_the_memory(files, figure):
    duration = DURATION // 2
    files.cover()
    readers = [files.start(map_at_random, files.mount.path, n, duration,
                           cgroup=c)
               for n, c in enumerate([files.reader, files.other] * 2)]
    opens = sum(r.result(duration + 60) for r in readers)
    report = files.judge.look(files.source)
    figure(f"{opens} mappings in {duration} s, "
           f"{report.foreign_to(files.target)} of {report.resident} "
           "pages foreign at once, "
           f"{settle(files).foreign_to(files.target)} after a while")


@pytest.mark.needs_daemon
def test_a_writer_and_a_target_smaller_than_his_file(place):
    """Dirty pages must be written back in the target's small share."""
    size = 48 * MIB
    place.target.set_limit(16 * MIB * (2 if settings.SANITIZED else 1))
    place.cover()
    place.run(content.write, place.mount / "big", size, 5, limit=120)
    assert content.digest(place.source / "big") == \
        content.md5(content.data(size, 5))


@pytest.mark.long_form
@pytest.mark.needs_daemon
def test_opens_race_for_one_backing(place):
    """Many processes of three cgroups open the same few files, for reading
    and for writing, all the time: never an error (an inode has one backing)."""
    names = [f"f{n}" for n in range(4)]
    for name in names:
        place.put(place.source, name, 64 * KIB)
    place.cover()
    good = content.md5(content.data(64 * KIB))

    def open_and_close(seed, duration):
        choose = random.Random(seed)
        end, done = time.monotonic() + duration, 0
        while time.monotonic() < end:
            path = place.mount / choose.choice(names)
            if choose.random() < 0.3:
                fd = os.open(path, os.O_RDWR)
                os.pwrite(fd, content.data(4096), 0)
                os.close(fd)
            else:
                assert content.digest(path) == good
            done += 1
        return done

    children = [place.start(open_and_close, n, DURATION // 2, cgroup=c) for n, c in
                enumerate([place.reader, place.target, place.other] * 2)]
    assert all(child.result(60) for child in children)
