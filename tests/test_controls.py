# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel lets one do to a memory cgroup acts on a target's cache as
its documentation says. tests/lib/cgroup.py names the files of each version;
what only one version has is tested there."""

import mmap
import os
import re

import pytest

from lib import actions, content, kernel, settings
from lib.judge import evict
from lib.settings import MIB
from lib.wait import eventually

pytestmark = [pytest.mark.needs_daemon,
              pytest.mark.turns("mode", alone=True)]

MODES = ["io=auto", "io=strict"]
LIMIT = 12 * MIB * (2 if settings.SANITIZED else 1)


def needs(cgroup, what):
    if not cgroup.has(what):
        pytest.skip("no cgroup v2 memory controller here"
                    if cgroup.hierarchy.version == 1 else f"no {what} here")


def resident(place, *paths):
    """The target's bytes of these files; nobody else has any."""
    report = place.judge.look(*paths)
    assert report.foreign_to(place.target) == 0, report.describe(place.target)
    return report.resident * settings.PAGE


# Limits


@pytest.mark.parametrize("knob", ["limit", "high"])
@pytest.mark.parametrize("mode", MODES)
def test_a_limit_set_on_a_full_cache(place, mode, knob):
    """At once the cache is as small as it says, and readers go on. The
    control: natively it is the reader's limit that would count."""
    needs(place.target, knob)
    size = 4 * LIMIT
    path = place.put(place.source, "file", size)
    mount = place.cover(mode, "ahead=1G")
    place.reader.set_limit(size * 2)
    place.run(actions.read_whole, mount / "file")
    assert resident(place, path) > size * 0.9
    place.target.set(knob, LIMIT)
    assert eventually(lambda: place.target.usage() <= LIMIT * 1.1)
    assert resident(place, path) <= LIMIT * 1.1
    assert place.run(content.digest, mount / "file") == \
        content.md5(content.data(size))
    assert place.target.usage() <= LIMIT * 1.1
    assert place.target.oom_kills() == 0


def test_reading_and_writing_above_high(place):
    """The charger is throttled, not killed, and the usage stays about there.
    The count of the kernel says that it was the knob that held it."""
    needs(place.target, "high")
    place.target.set("high", LIMIT)
    place.put(place.source, "file", 4 * LIMIT)
    mount = place.cover("io=strict")
    assert place.run(content.digest, mount / "file", limit=120) == \
        content.md5(content.data(4 * LIMIT))
    place.run(content.write, mount / "new", 4 * LIMIT, 3, limit=120)
    assert place.target.keyed("memory.events", "high") > 0
    assert place.target.keyed("memory.events", "max") == 0
    assert place.target.usage() < LIMIT * 1.25
    resident(place, place.source)
    assert content.digest(place.source / "new") == \
        content.md5(content.data(4 * LIMIT, 3))


@pytest.mark.parametrize("protected", [True, False])
def test_low_protects_the_cache(place, protected):
    """From reclaim in their parent: it takes the neighbour's cache alone; the
    control shows that it takes of both."""
    needs(place.target, "low")
    place.target.delegate_memory()
    target = place.target.child("t").create()
    neighbour = place.target.child("n").create()
    if protected:
        target.set("low", 2 * LIMIT)
    path = place.put(place.source, "file", LIMIT)
    place.put(place.beside, "file", LIMIT)
    mount = place.cover(target=target)
    place.run(actions.read_whole, mount / "file")
    place.judge.owned_by(target, path, at_least=LIMIT // settings.PAGE)
    for _ in range(2):  # what is used once goes first, whosever it is
        place.run(actions.read_whole, place.beside / "file", cgroup=neighbour)
    place.target.set_limit(LIMIT * 9 // 8)
    left = place.judge.look(path).of(target) * settings.PAGE
    assert (left > LIMIT * 0.9) == protected, f"{left} bytes left of {LIMIT}"
    mount.stop()


@pytest.mark.parametrize("mode", MODES)
def test_asking_for_reclaim(place, mode):
    """Takes the cache of the target, that of its open files included, and not
    their owner."""
    needs(place.target, "reclaim")
    size = LIMIT
    path = place.put(place.source, "file", size)
    beside = place.put(place.beside, "file", size)
    place.run(actions.read_whole, beside)
    mount = place.cover(mode)
    fd = os.open(mount / "file", os.O_RDONLY)
    place.run(actions.read_whole, mount / "file")
    assert resident(place, path) > size * 0.9
    try:
        place.target.set("reclaim", size)
    except OSError:
        pass  # EAGAIN: less than was asked for
    assert resident(place, path) < size / 4
    place.judge.owned_by(place.reader, beside, at_least=size // settings.PAGE)
    assert place.run(content.digest, mount / "file") == \
        content.md5(content.data(size))
    os.close(fd)
    evict(path)
    place.run(actions.read_whole, mount / "file")
    assert resident(place, path) > size * 0.9


def test_a_targets_cache_counts_with_its_processes_memory(place):
    """A process in the target takes memory: the cache makes room for it."""
    size = 2 * LIMIT
    path = place.put(place.source, "file", size)
    place.target.set_limit(3 * LIMIT)
    mount = place.cover("io=strict")
    place.run(actions.read_whole, mount / "file")
    assert resident(place, path) > size * 0.9

    def take():
        with mmap.mmap(-1, size) as m:
            for at in range(0, size, settings.PAGE):
                m[at] = 1
            return True

    assert place.run(take, cgroup=place.target)
    assert resident(place, path) < size
    assert place.target.oom_kills() == 0


# Dirty pages, and what is written for them


@pytest.mark.parametrize("mode", MODES)
def test_dirty_pages_are_the_targets(place, mode):
    size = 8 * MIB
    mount = place.cover(mode)
    writers, targets = place.reader.dirty_bytes(), place.target.dirty_bytes()

    def write(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        os.pwrite(fd, content.data(size, 4), 0)
        os.close(fd)

    place.run(write, place.beside / "new")
    assert eventually(lambda: place.reader.dirty_bytes() - writers > size / 2)
    place.run(write, mount / "new")
    assert eventually(lambda: place.target.dirty_bytes() - targets > size / 2)
    fd = os.open(mount / "new", os.O_RDWR)
    os.fsync(fd)
    os.close(fd)
    assert eventually(lambda: place.target.dirty_bytes() - targets < MIB / 2)
    place.judge.owned_by(place.target, place.source / "new",
                         at_least=size // settings.PAGE)


def device_of(path):
    device = os.stat(path).st_dev
    return f"{os.major(device)}:{os.minor(device)}"


def io_bytes(cgroup, path):
    """What was read from and written to a path's device for a cgroup."""
    for line in cgroup.read("io.stat").splitlines():
        if line.split()[0] == device_of(path):
            return tuple(int(re.search(rf"{key}=(\d+)", line)[1])
                         for key in ("rbytes", "wbytes"))
    return 0, 0


@pytest.fixture
def with_io(place):
    needs(place.target, "usage")
    if place.cgroups.hierarchy.version == 1:
        pytest.skip("no cgroup v2 memory controller here")
    place.cgroups.base.delegate("io")
    yield place
    # With it, writes of a loop device that caches its image are charged to
    # the target, too, and fail where that is full (seen on 7.2).
    place.cgroups.base.withdraw("io")


def io_of(place, function, *args):
    """What a deed of the reader's has cost him and the target."""
    watched = place.reader, place.target
    before = [io_bytes(c, place.source) for c in watched]
    place.run(function, *args)
    after = [io_bytes(c, place.source) for c in watched]
    return [tuple(b - a for a, b in zip(x, y)) for x, y in zip(before, after)]


def write_and_sync(path):
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    for at in range(0, 8 * MIB, MIB):
        os.pwrite(fd, content.data(MIB, at), at)
    os.fsync(fd)
    os.close(fd)


def write_and_leave(path):
    """The kernel's own writeback does the rest."""
    write = os.open(path, os.O_RDWR | os.O_CREAT)
    os.pwrite(write, content.data(8 * MIB, 1), 0)
    os.close(write)
    fd = os.open(os.path.dirname(path), os.O_RDONLY)
    kernel.syncfs(fd)
    os.close(fd)
    os.sync()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", [write_and_sync, write_and_leave],
                         ids=lambda f: f.__name__)
def test_writeback_is_the_targets(with_io, mode, how):
    """The blocks that are written for its dirty pages; natively the
    writer's."""
    place = with_io
    mount = place.cover(mode)
    readers, targets = io_of(place, how, place.beside / "new")
    assert readers[1] >= 7 * MIB and targets[1] < MIB
    readers, targets = io_of(place, how, mount / "new")
    assert targets[1] >= 7 * MIB and readers[1] < MIB, (readers, targets)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_read_from_disk_is_the_targets(with_io, mode):
    place = with_io
    size = 8 * MIB
    place.put(place.beside, "file", size)
    place.put(place.source, "file", size)
    mount = place.cover(mode)
    readers, targets = io_of(place, actions.read_whole, place.beside / "file")
    assert readers[0] >= size * 0.9 and targets[0] < MIB
    readers, targets = io_of(place, actions.read_whole, mount / "file")
    assert targets[0] >= size * 0.9 and readers[0] < MIB, (readers, targets)
    assert io_of(place, actions.read_whole, mount / "file")[1][0] < MIB


# A target that has cgroups below it


def test_a_targets_usage_has_what_its_leaf_holds(place):
    """v2: the cache is charged to the leaf memcgfs below the target, and so
    counts in the target, and for the target's limit."""
    if place.cgroups.hierarchy.version != 2:
        pytest.skip("no cgroup v2 memory controller here")
    size = 2 * LIMIT
    place.target.delegate_memory()
    leaf = place.target.child("memcgfs")
    path = place.put(place.source, "file", size)
    mount = place.cover("io=strict")
    before = place.target.usage()
    place.run(actions.read_whole, mount / "file")
    place.judge.owned_by(leaf, path, at_least=size // settings.PAGE)
    assert abs(place.target.usage() - before - size) < MIB
    place.target.set_limit(LIMIT)
    assert place.run(content.digest, mount / "file") == \
        content.md5(content.data(size))
    assert place.judge.owned_by(leaf, path).resident * settings.PAGE <= LIMIT
    mount.stop()
