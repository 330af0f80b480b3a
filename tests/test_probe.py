# SPDX-License-Identifier: GPL-2.0-or-later
"""What is told of pages, one by one: whose they are, also when he is gone, and
what keeps them. Looking at them changes nothing."""

import contextlib
import ctypes
import mmap
import os
import struct
import time

import pytest

from lib import act, actions
from lib.control import addresses, ctl, ctl_json, device_of, request
from lib.hold import Mapper
from lib.judge import evict
from lib.settings import KIB, PAGE
from lib.wait import eventually

pytestmark = pytest.mark.needs_daemon

SIZE = 512 * KIB
KPF_REFERENCED = 1 << 2     # of /proc/kpageflags: used since it came


@pytest.fixture
def address(place):
    mount = place.cover("reconcile=0.01")
    [found] = addresses(device_of(mount.path) + "/")
    return found


@pytest.fixture
def path(place, address):
    """A file that the mount knows, of which no page is resident."""
    path = place.put(place.source, "a", SIZE)
    os.stat(place.mount / "a")
    return path


class Locker(Mapper):
    """Locks a file's pages in memory, too."""

    def _map(self, path):
        libc = ctypes.CDLL(None, use_errno=True)
        with open(path, "r+b") as file:
            pages = mmap.mmap(file.fileno(), 0)
        address = ctypes.addressof(ctypes.c_char.from_buffer(pages))
        assert libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(SIZE)) == 0
        os.write(self.is_ready, b"!")
        time.sleep(3600)


def test_locked_pages(place, address, path):
    with Locker(place, path):
        [residue] = request(address, "verify")["residue"]
        assert {"mapped", "locked"} <= set(residue["reason"].split(", "))
        assert residue["bytes"] == SIZE
        assert request(address, "claim")["claimed_bytes"] == 0
    assert eventually(lambda: not request(address, "claim")["residue"], 10)
    place.run(actions.read_whole, place.mount / "a")
    place.judge.owned_by(place.target, path)


@pytest.fixture
def mortal(place):
    """A cgroup below another one."""
    place.other.delegate_memory()
    cgroup = place.other.child("mortal").create()
    yield cgroup
    with contextlib.suppress(OSError):
        cgroup.dir.rmdir()


def test_an_owner_that_is_gone(place, address, path, mortal):
    """Its pages are told of as the kernel tells of them: as those of the next
    cgroup above that is there, whether that was charged for them all along
    (v1) or is given them (v2, 7.2), and as nobody's for the moment until then.
    One that has the name by now has none of them."""
    place.run(actions.read_whole, path, cgroup=mortal)
    seen = []

    def owner():
        [residue] = request(address, "verify")["residue"]
        seen.append(residue["owner"])
        return seen[-1]

    # Mapped, they can't be claimed in the background meanwhile.
    with Mapper(place, path):
        assert owner() == mortal.path
        mortal.dir.rmdir()
        mortal.create()
        assert eventually(lambda: owner() == place.other.path, 10), seen
        report = place.judge.look(path)
        assert report.of(place.other) == report.resident > 0
    assert set(seen[1:]) <= {"/(gone)", place.other.path}
    assert eventually(lambda: not request(address, "claim")["residue"], 10)
    place.run(actions.read_whole, place.mount / "a")
    place.judge.owned_by(place.target, path)


def test_looking_brings_nothing_in(place, address, path):
    """Every other stretch of 64 KiB of a file, looked at ten times."""

    def read_stretches():
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            for at in range(0, SIZE, 128 * KIB):
                os.pread(file.fileno(), 64 * KIB, at)

    evict(path)
    place.run(read_stretches)
    before = place.judge.look(path)
    assert 0 < before.resident <= SIZE // PAGE // 2
    for _ in range(10):
        answer = request(address, "verify")
        assert answer["resident_bytes"] <= before.resident * PAGE
    after = place.judge.look(path)
    assert after.of(place.target) == 0 and after.of(place.daemon) == 0
    assert after.of(place.reader) <= before.of(place.reader)


def frames(path, advice=os.POSIX_FADV_NOREUSE):
    """Numbers of the page frames that hold a file, which is touched for that:
    by NOREUSE that is no use of a page (Linux 6.3)."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, advice)
        pages = mmap.mmap(file.fileno(), SIZE, mmap.MAP_PRIVATE)
    for at in range(0, SIZE, PAGE):
        pages[at]
    view = ctypes.c_char.from_buffer(pages)
    at = ctypes.addressof(view) // PAGE
    with open("/proc/self/pagemap", "rb") as pagemap:
        pagemap.seek(8 * at)
        words = struct.unpack(f"{SIZE // PAGE}Q", pagemap.read(8 * SIZE // PAGE))
    del view
    pages.close()
    return [word & ((1 << 55) - 1) for word in words]


def referenced(pfns):
    with open("/proc/kpageflags", "rb", buffering=0) as flags:
        return sum(bool(struct.unpack("Q", os.pread(flags.fileno(), 8, 8 * pfn))
                        [0] & KPF_REFERENCED) for pfn in pfns)


def shrink_and_grow(path, seconds):
    end = time.monotonic() + seconds
    with open(path, "r+b", buffering=0) as file:
        while time.monotonic() < end:
            file.truncate(0)
            os.pwrite(file.fileno(), bytes(SIZE), 0)


def look_often(address, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        request(address, "verify")


def test_a_file_that_shrinks_is_looked_at(place, address, path):
    """A page can go between being seen and being touched: no charger dies of
    that, though some of them look at a time."""
    before = place.mount.chargers()
    shrinking = place.start(shrink_and_grow, path, 3)
    looking = [place.start(look_often, address, 3) for _ in range(2)]
    act.together([shrinking, *looking])
    assert place.mount.chargers() == before


def test_looking_is_no_use(place, address, path):
    """Pages that were read ahead, and that nobody has used, are as unused
    after they were looked at ten times; the control is a plain mapping."""
    def read_ahead():
        with open(path, "rb") as file:
            for at in range(0, SIZE, 64 * KIB):    # so much a device takes
                os.posix_fadvise(file.fileno(), at, 64 * KIB,
                                 os.POSIX_FADV_WILLNEED)

    evict(path)
    place.run(read_ahead)
    assert eventually(lambda: place.judge.look(path).resident == SIZE // PAGE)
    before = frames(path)
    assert referenced(before) == 0
    for _ in range(10):
        assert request(address, "verify")["resident_bytes"] > SIZE // 2
    kept = [pfn for pfn, was in zip(frames(path), before, strict=True)
            if pfn == was]      # the machine may have taken some
    assert len(kept) > len(before) // 2
    assert referenced(kept) == 0
    frames(path, os.POSIX_FADV_NORMAL)
    assert referenced(kept) > len(kept) // 2


def write_at_once(path):
    with open(path, "wb", buffering=0) as file:
        file.write(bytes(2 * SIZE))


def test_what_is_cut_off(place):
    """Behind the new end the kernel keeps the rest of a dirty large folio, which
    can't be had by anybody. All that asks of a file's pages leaves that out."""
    place.cover()
    place.run(write_at_once, place.mount / "new", cgroup=place.target)
    os.truncate(place.mount / "new", SIZE)

    def told():
        [file] = ctl_json("explain", place.mount / "new")
        accounts = ctl_json("tree", place.mount.path)[0]["accounts"]
        return [file["resident_bytes"], file["foreign_bytes"],
                *(a["usage_bytes"] for a in accounts
                  if a["path"] == place.target.path)]
    assert eventually(lambda: told() == [SIZE, 0, SIZE], 10), told()
    place.run(actions.read_whole, place.mount / "new")
    assert told() == [SIZE, 0, SIZE]
    ctl("claim", place.mount.path)
    ctl("verify", place.mount.path)
