# SPDX-License-Identifier: GPL-2.0-or-later
"""Who uses what of an io=cached mount, whose opens make no message: fanotify
tells, where the daemon has the right to it; and nothing of it may keep the
mount, its daemon or who opens."""

import os
import signal
import time
from pathlib import Path

import pytest

from lib import act, actions, content
from lib.cgroup import alive
from lib.control import ctl, ctl_json
from lib.mount import mounts_at, unmount
from lib.settings import KIB
from lib.wait import eventually

pytestmark = pytest.mark.needs_daemon

FILES = 50


def sharers(place, name):
    try:
        return sorted(os.getxattr(place.mount / name, "user.memcgfs.sharers")
                      .decode().split("\n"))
    except OSError:
        return []


def watchers(place):
    """The processes that listen, of the daemon's children."""
    pid = place.mount.daemon.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if
            Path(f"/proc/{child}/comm").read_text() == "memcgfs-watch\n"]


@pytest.fixture
def warm(place):
    """All files are in memory: who opens them now sends no message at all."""
    for n in range(FILES):
        place.put(place.source, f"f{n}", 8 * KIB, n)
    place.cover("io=cached")
    place.run(read_all, place.mount.path)
    return place


def read_all(directory):
    for name in os.listdir(directory):
        content.digest(directory / name)


def open_and_wait(path):
    """Opens it, and lives long enough for that to be seen."""
    with open(path, "rb"):
        time.sleep(1)


def test_who_opens_is_a_sharer(warm):
    """By name, and not who doesn't; a program that is run, and one that only
    opens the file, are told of."""
    opener = warm.start(open_and_wait, warm.mount / "f7", cgroup=warm.other)
    assert eventually(lambda: warm.other.path in sharers(warm, "f7"))
    opener.result()
    assert warm.other.path not in sharers(warm, "f8")
    assert warm.reader.path in sharers(warm, "f8")


def test_through_another_mount_of_it(warm):
    """A bind mount, as another mount namespace has it."""
    view = warm.root / "view"
    view.mkdir()
    act.command(["mount", "--bind", warm.mount.path, view])
    opener = warm.start(open_and_wait, view / "f3", cgroup=warm.other)
    assert eventually(lambda: warm.other.path in sharers(warm, "f3"))
    opener.result()
    assert unmount(view).returncode == 0


def test_the_daemon_is_no_user(warm):
    """What it opens itself, to look at pages, isn't told of."""
    warm.settle()  # what has just been read may be found to be the reader's
    ctl("verify", warm.mount.path, check=False)
    assert warm.daemon.path not in sharers(warm, "f1")
    assert warm.target.path not in sharers(warm, "f1")


def test_without_the_watcher_it_is_said(warm):
    assert not ctl_json("status", warm.mount.path)[0]["degraded"]
    [watcher] = watchers(warm)
    os.kill(watcher, signal.SIGKILL)

    def is_told():
        return [d for d in ctl_json("status", warm.mount.path)[0]["degraded"]
                if "read and written alone" in d]

    assert eventually(is_told)
    assert "read and written alone" in warm.mount.daemon.text()
    warm.run(read_all, warm.mount.path)


def test_only_where_it_is_needed(place):
    place.cover("io=auto")
    assert not watchers(place)


# Events hold the files that they are about.


def open_in_a_storm(directory):
    while True:
        for name in os.listdir(directory):
            os.close(os.open(directory / name, os.O_RDONLY))


def test_the_mount_can_be_removed_in_a_storm_of_opens(warm):
    """Right after the last open; or, while there are some, lazily."""
    for _ in range(3):
        storm = warm.start(open_in_a_storm, warm.mount.path)
        time.sleep(0.2)
        storm.end()
    warm.mount.stop()


@pytest.mark.parametrize("is_idle", [True, False])
def test_a_killed_daemon_ends_though_events_are_queued(warm, is_idle):
    """The watcher is stopped, so that what it is told of queues up; and the
    daemon is killed meanwhile."""
    [watcher] = watchers(warm)
    os.kill(watcher, signal.SIGSTOP)
    storm = warm.start(open_in_a_storm, warm.mount.path)
    time.sleep(0.2)
    if is_idle:
        storm.end()
    chargers = warm.mount.chargers()
    warm.mount.daemon.signal(signal.SIGKILL)
    warm.mount.daemon.wait(5)
    warm.mount.stopped = True
    assert eventually(lambda: not any(map(alive, [watcher, *chargers])))
    if not is_idle:
        storm.end()
    assert eventually(lambda: unmount(warm.mount.path).returncode == 0)
    assert not mounts_at(warm.mount.path)


def map_and_store(path, ready):
    """Dirty pages of a mapping: to close the file anywhere is to write them."""
    fd = os.open(path, os.O_RDWR)
    with actions.mmap.mmap(fd, 8 * KIB) as m:
        os.write(ready, b"!")
        while True:
            m[0] = (m[0] + 1) % 256
            os.close(os.open(path, os.O_RDONLY))


def test_a_killed_daemon_ends_though_the_watcher_writes(warm):
    ready, said_ready = os.pipe()
    for _ in range(3):
        writer = warm.start(map_and_store, warm.mount / "f1", said_ready)
        os.read(ready, 1)
    time.sleep(0.1)
    chargers = warm.mount.chargers() + watchers(warm)
    warm.mount.daemon.signal(signal.SIGKILL)
    warm.mount.daemon.wait(5)
    warm.mount.stopped = True
    assert eventually(lambda: not any(map(alive, chargers)))
    writer.end()
    assert eventually(lambda: unmount(warm.mount.path).returncode == 0)
