# SPDX-License-Identifier: GPL-2.0-or-later
"""Nothing grows with use: neither fds nor memory nor the number of inodes over
200,000 opens and a million lookups."""

import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from lib import act, content, settings
from lib.settings import KIB
from lib.wait import eventually

OPENS = 200_000
LOOKUPS = 1_000_000
WORKERS = 4
DIRECTORIES, FILES = 20, 100
OF_THREADS = 64  # fds: each that serves has its own, and more may have come
CTL = settings.BINARY.parent / "memcgfsctl"


def rss(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+)", status, re.MULTILINE)[1]) * KIB


def fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def fuse_slab():
    """Objects of FUSE's inodes in the kernel, of all mounts; None: unseen."""
    try:
        text = Path("/proc/slabinfo").read_text()
    except OSError:
        return None
    found = re.search(r"^fuse_inode\s+(\d+)", text, re.MULTILINE)
    return int(found[1]) if found else None


@dataclass
class Figures:
    fds: int
    rss: int
    charger_rss: int
    inodes: int
    slab: int

    @classmethod
    def take(cls, mount):
        text = act.command([CTL, "--json", "status", mount.path]).stdout
        return cls(fds(mount.daemon.pid), rss(mount.daemon.pid),
                   sum(rss(pid) for pid in mount.chargers()),
                   json.loads(text)["inodes"], fuse_slab())

    def __str__(self):
        return (f"{self.fds} fds, {self.rss // KIB} KiB, chargers "
                f"{self.charger_rss // KIB} KiB, {self.inodes} inodes, "
                f"{self.slab} in the kernel's slab")


def settled(mount, limit):
    """Idle files are closed after some 10 s."""
    eventually(lambda: fds(mount.daemon.pid) <= limit, 20, every=0.5)
    time.sleep(1)
    return Figures.take(mount)


def open_many(directory, count, worker):
    """Each tenth of them makes a new file, and removes it again."""
    for n in range(count):
        if n % 10:
            path = f"{directory}/d{n % DIRECTORIES}/f{n // DIRECTORIES % FILES}"
            fd = os.open(path, os.O_RDONLY)
            assert os.read(fd, 100)
        else:
            path = f"{directory}/d{n % DIRECTORIES}/new-{worker}-{n}"
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
            os.write(fd, b"x" * 100)
            os.unlink(path)
        os.close(fd)


def look_up_many(directory, count, worker):
    """By turns names that are there, and names that are not."""
    for n in range(count // 100):
        os.chdir(f"{directory}/d{n % DIRECTORIES}")
        for k in range(100):
            if k % 2:
                os.stat(f"f{(n + k) % FILES}")
            else:
                assert not os.path.exists(f"missing-{worker}-{n}-{k}")


def use(yard, function, directory, count):
    start = time.monotonic()
    act.together([yard.start(function, directory, count // WORKERS, worker)
                  for worker in range(WORKERS)], limit=400)
    return count / (time.monotonic() - start)


def make_tree(directory):
    for d in range(DIRECTORIES):
        (directory / f"d{d}").mkdir()
        for f in range(FILES):
            content.write(directory / f"d{d}/f{f}", 4 * KIB, f)


@pytest.mark.time_limit(500)
@pytest.mark.parametrize("what, function, count", [
    ("opens", open_many, OPENS), ("lookups", look_up_many, LOOKUPS)],
    ids=["opens", "lookups"])
@pytest.mark.parametrize("mode", ["io=auto", "io=strict"])
def test_nothing_grows(place, figure, mode, what, function, count):
    make_tree(place.source)
    mount = place.cover(mode, "entry_timeout=0", "attr_timeout=0")
    idle = fds(mount.daemon.pid)
    use(place, function, mount.path, count // 10)
    before = settled(mount, idle + 8)
    rate = use(place, function, mount.path, count)
    after = settled(mount, before.fds)
    figure(f"{count} {what} at {rate:.0f} a second: {before} -> {after}")
    assert after.fds <= before.fds + OF_THREADS
    assert after.rss <= before.rss + 2 * settings.MIB
    assert after.charger_rss <= before.charger_rss + 2 * settings.MIB
    assert after.inodes <= before.inodes + 50
