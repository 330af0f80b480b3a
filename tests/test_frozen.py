# SPDX-License-Identifier: GPL-2.0-or-later
"""A target that is frozen, or whose charger is stopped: what needs its charger
waits, or fails within the bound; all else goes on."""

import contextlib
import errno
import os
import signal
import time
from pathlib import Path

import pytest

from lib import act, content, kernel, settings
from lib.cgroup import Hierarchy, alive
from lib.rules import write_rules
from lib.settings import KIB, MIB
from lib.wait import eventually

pytestmark = pytest.mark.turns("io", alone=True)

WAYS = ["stopped"] + (["frozen"] if Hierarchy().version == 2 else [])
BOUND = 2
OPTION = f"charger_timeout={BOUND}"


def tasks_of(pid):
    return Path(f"/proc/{pid}/task").iterdir()


def is_stopped(task):
    return (task / "stat").read_text().rpartition(")")[2].split()[0] == "T"


@pytest.fixture(params=WAYS)
def standstill(request):
    """A context in which a mount's chargers do nothing."""
    @contextlib.contextmanager
    def stopped(mount):
        pids = mount.chargers()
        assert pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            for pid in pids:
                assert eventually(lambda: all(map(is_stopped, tasks_of(pid))))
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def frozen(mount):
        mount.target.write("cgroup.freeze", 1)
        try:
            assert eventually(lambda: "frozen 1" in
                              mount.target.read("cgroup.events"))
            yield
        finally:
            mount.target.write("cgroup.freeze", 0)

    return {"stopped": stopped, "frozen": frozen}[request.param]


def try_to_read(path):
    """What became of it, and how long that took."""
    begin = time.monotonic()
    try:
        with open(path, "rb") as file:
            outcome = content.md5(file.read())
    except OSError as error:
        outcome = error.errno
    return outcome, time.monotonic() - begin


@pytest.mark.parametrize("io", ["auto", "strict"])
def test_opens_fail_in_time_and_work_again(place, standstill, io):
    """The errno says what it is, and the log says where."""
    place.put(place.source, "new", MIB)
    mount = place.cover(OPTION, f"io={io}")
    with standstill(mount):
        outcome, seconds = place.run(try_to_read, mount / "new")
        assert outcome == errno.ETIMEDOUT
        assert BOUND * 0.9 <= seconds < BOUND * 3
    outcome, _ = place.run(try_to_read, mount / "new")
    assert outcome == content.md5(content.data(MIB))
    place.judge.owned_by(place.target, place.source / "new", at_least=256)
    assert mount.target.path in mount.daemon.text()


def test_a_short_standstill_is_only_waited_for(place, standstill):
    place.put(place.source, "new", MIB)
    mount = place.cover("charger_timeout=20")
    with standstill(mount):
        reader = place.start(try_to_read, mount / "new")
        time.sleep(1)
    outcome, seconds = reader.result()
    assert outcome == content.md5(content.data(MIB))
    assert seconds >= 0.9


def test_what_needs_no_charger_goes_on(place, standstill):
    """Readers in passthrough, opens of what is the target's, names."""
    place.put(place.source, "open", MIB)
    place.put(place.source, "new", MIB)
    mount = place.cover(OPTION)
    wanted = content.md5(content.data(MIB))
    assert place.run(try_to_read, mount / "open")[0] == wanted
    fd = os.open(mount / "open", os.O_RDONLY)
    with standstill(mount):
        waiting = place.start(try_to_read, mount / "new")
        begin = time.monotonic()
        assert os.pread(fd, 100, 1000) == content.data(MIB)[1000:1100]
        assert act.run(try_to_read, mount / "open")[0] == wanted
        assert set(os.listdir(mount.path)) == {"open", "new"}
        os.mkdir(mount / "dir")
        os.rename(mount / "dir", mount / "directory")
        os.rmdir(mount / "directory")
        assert time.monotonic() - begin < BOUND / 2
        assert waiting.result()[0] == errno.ETIMEDOUT
    os.close(fd)


def test_more_clients_than_threads_wait(place, standstill):
    """Names are still looked up, while all who may wait do."""
    for n in range(24):
        place.put(place.source, f"f{n}", 8 * KIB)
    mount = place.cover("charger_timeout=8", "max_threads=12")
    with standstill(mount):
        waiting = [place.start(try_to_read, mount / f"f{n}") for n in range(24)]
        time.sleep(1)
        begin = time.monotonic()
        for n in range(24):
            assert os.stat(mount / f"f{n}").st_size == 8 * KIB
        os.listdir(mount.path)
        assert time.monotonic() - begin < 2
    for n, child in enumerate(waiting):
        assert child.result()[0] == content.md5(content.data(8 * KIB)), n


@pytest.mark.parametrize("io", ["auto", "strict"])
def test_files_of_another_target_go_on(place, standstill, io):
    """Files that a rule gives to another target are opened, read, written
    and made, in the same directory, while many wait for this one."""
    write_rules(place.source, f"*.other memcg={place.other.path}")
    for n in range(30):
        place.put(place.source, f"f{n}", 8 * KIB)
        place.put(place.source, f"f{n}.other", MIB, n)
    mount = place.cover(f"charger_timeout={settings.seconds(20):.0f}",
                        "max_threads=32", f"io={io}")

    def use(n):
        path = mount / f"f{n}.other"
        assert content.digest(path) == content.md5(content.data(MIB, n))
        content.write(path, 100_000, n + 1)
        content.write(mount / f"new{n}.other", 100_000, n)
        return content.digest(path)

    with standstill(mount):
        waiting = [place.start(try_to_read, mount / f"f{n}") for n in range(30)]
        time.sleep(1)
        begin = time.monotonic()
        for n in range(settings.scaled(30)):
            assert place.run(use, n) == content.md5(content.data(100_000, n + 1))
        assert time.monotonic() - begin < settings.seconds(15)
        assert any(alive(child.pid) for child in waiting)
        place.judge.owned_by(place.other, *place.source.glob("*.other"),
                             at_least=settings.scaled(30))
    for child in waiting:
        assert child.result()[0] == content.md5(content.data(8 * KIB))


def test_the_opener_pays_as_long_as_it_lasts(place, standstill):
    """With io=cached, for pages of the mount. They are claimed when the charger
    has answered somebody."""
    for name in ("new", "other"):
        place.put(place.source, name, MIB)
    mount = place.cover("io=cached", "on_error=opener", OPTION)
    with standstill(mount), kernel.admin_may_enter():
        outcome, _ = place.run(try_to_read, mount / "new")
        assert outcome == content.md5(content.data(MIB))
        report = place.judge.look(place.source / "new", mount / "new",
                                  through=True)
        assert report.of(place.daemon) == 0, report.describe(place.reader)
        assert report.of(place.reader) >= 192, report.describe(place.reader)
    place.run(try_to_read, mount / "other")
    with kernel.admin_may_enter():
        assert eventually(lambda: not place.judge.look(
            mount / "new", through=True).foreign_to(place.target), 15)


def test_a_write_that_timed_out_is_not_made_later(place, standstill):
    path = place.put(place.source, "file", 64 * KIB)
    mount = place.cover(OPTION)
    fd = os.open(mount / "file", os.O_WRONLY)
    with standstill(mount):
        with pytest.raises(OSError) as error:
            os.pwrite(fd, b"late", 0)
        assert error.value.errno == errno.ETIMEDOUT
    time.sleep(0.2)
    assert path.read_bytes() == content.data(64 * KIB)
    assert os.pwrite(fd, b"soon", 0) == 4
    os.close(fd)
    assert path.read_bytes()[:4] == b"soon"


def test_unmount_does_not_wait_for_it(place, standstill):
    """SIGTERM ends the mount, though a client waits for the charger."""
    place.put(place.source, "new", MIB)
    mount = place.cover("charger_timeout=60")
    with standstill(mount):
        waiting = place.start(try_to_read, mount / "new")
        time.sleep(0.5)
        mount.daemon.signal(signal.SIGTERM)
        assert mount.daemon.wait(15) == 0
        mount.stopped = True
        outcome, _ = waiting.result()
        assert isinstance(outcome, int) and outcome
        assert eventually(lambda: not mount.target.members())


def test_a_large_strict_read_waits_once(place, standstill):
    """It has two ways to its data, and must not wait on both in turn."""
    place.put(place.source, "file", MIB)
    mount = place.cover(OPTION, "io=strict")
    fd = os.open(mount / "file", os.O_RDONLY)
    assert os.pread(fd, MIB, 0) == content.data(MIB)
    with standstill(mount):
        begin = time.monotonic()
        with pytest.raises(OSError) as error:
            os.pread(fd, MIB // 2, 0)
        assert error.value.errno == errno.ETIMEDOUT
        assert time.monotonic() - begin < BOUND * 1.5 + 1
    os.close(fd)
