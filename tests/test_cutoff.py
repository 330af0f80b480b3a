# SPDX-License-Identifier: GPL-2.0-or-later
"""The end of an io=cached mount's daemon among readers who miss pages: its own
threads and its chargers may be waiting for the mount just then, which only it
could answer."""

import os
import signal
import time

import pytest

from lib import content
from lib.cgroup import alive
from lib.mount import mounts_at, unmount
from lib.settings import MIB
from lib.wait import eventually

pytestmark = pytest.mark.needs_daemon

FILES = 8


def read_all(place):
    """Until the mount is cut off."""
    try:
        while True:
            for n in range(FILES):
                content.digest(place.mount / f"f{n}")
    except OSError:
        pass


def drop_all(place):
    """What is in memory of the mount and below it, again and again."""
    try:
        while True:
            for n in range(FILES):
                for directory in (place.mount.path, place.source):
                    fd = os.open(directory / f"f{n}", os.O_RDONLY)
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                    os.close(fd)
            time.sleep(0.01)
    except OSError:
        pass


@pytest.mark.parametrize("threads", [2, 10])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM],
                         ids=["killed", "asked"])
def test_it_ends_among_readers(place, end, threads):
    for n in range(FILES):
        place.put(place.source, f"f{n}", 4 * MIB, n)
    place.cover("io=cached", f"max_threads={threads}")
    clients = [place.start(read_all, place) for _ in range(3)]
    clients.append(place.start(drop_all, place, cgroup=place.other))
    time.sleep(1)
    chargers = place.mount.chargers()
    place.mount.daemon.signal(end)
    place.mount.daemon.wait(10)
    place.mount.stopped = True
    assert eventually(lambda: not any(map(alive, chargers)))
    assert eventually(lambda: not place.daemon.members())
    for client in clients:
        client.result()
    if mounts_at(place.mount.path):
        assert eventually(lambda: unmount(place.mount.path).returncode == 0)
