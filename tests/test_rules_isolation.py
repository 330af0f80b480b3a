# SPDX-License-Identifier: GPL-2.0-or-later
"""Many hosts in one mount: one that is frozen, full, or dies again and again
is the trouble of who uses its files, and of nobody else."""

import contextlib
import os
import signal
import statistics
import threading
import time

import pytest

from lib import content, settings
from lib.cgroup import kill
from lib.judge import evict
from lib.rules import write_rules
from lib.settings import KIB, MIB
from lib.wait import eventually

FILES = 8
SIZE = 128 * KIB
SPELL = 3 if settings.LONG else 0.7  # seconds


def work(directory, duration):
    """Cold reads, strict writes, names; how often, and the longest it took."""
    end, done, worst = time.monotonic() + duration, 0, 0
    while (begin := time.monotonic()) < end:
        path = directory / f"f{done % FILES}"
        with open(path, "r+b") as file:
            assert file.read() == content.data(SIZE, done % FILES)
            file.seek(0)
            file.write(content.data(4 * KIB, done % FILES))
        new = directory / "new"
        new.write_bytes(b"x" * 4 * KIB)
        new.unlink()
        done += 1
        worst = max(worst, time.monotonic() - begin)
    return done, worst


def crowd(path, go):
    """Opens the files of the host in trouble, until told to stop; what comes
    of it is another test's."""
    done = 0
    while not go.is_set():
        with contextlib.suppress(OSError):
            with open(path, "r+b") as file:
                file.read(4 * KIB)
                file.write(b"x")
        done += 1
    return done


class Crowd:
    """Threads that use a host's files; they may wait for it."""

    def __init__(self, directory):
        self.go = threading.Event()
        self.threads = [threading.Thread(target=crowd, daemon=True, args=(
            directory / f"f{n % FILES}", self.go)) for n in range(12)]
        for thread in self.threads:
            thread.start()

    def end(self):
        self.go.set()
        for thread in self.threads:
            thread.join(settings.seconds(30))
            assert not thread.is_alive()


@contextlib.contextmanager
def stopped(place):
    pids = place.other.chargers()
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def can_be_limited(cgroup, limit):
    """v1 refuses a limit as long as too much can't be reclaimed."""
    try:
        cgroup.set_limit(limit)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def full(place):
    """Four megabytes for cache, of which two writers want 24 each; what a
    sanitizer's charger takes for itself comes on top."""
    own = place.other.usage() - place.other.file_bytes()
    limit = 4 * MIB + (own if settings.SANITIZED else 0)
    assert eventually(lambda: can_be_limited(place.other, limit))
    writers = [place.start(content.write, place.mount / f"bad/big{n}",
                           24 * MIB, n) for n in range(2)]
    try:
        yield
    finally:
        for writer in writers:
            writer.end()


@contextlib.contextmanager
def dying(place):
    """Its charger is killed fifty times a second."""
    go = threading.Event()

    def kill_them():
        while not go.wait(0.02):
            for pid in place.other.chargers():
                kill(pid)
    thread = threading.Thread(target=kill_them)
    thread.start()
    try:
        yield
    finally:
        go.set()
        thread.join()


TROUBLES = {"frozen": stopped, "full": full, "dying": dying}


@pytest.mark.long_form
@pytest.mark.figures
@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_of_one_is_not_the_others(place, figure, trouble):
    """Beside the same crowd: first all is well, then not, three times."""
    for directory in ["bad", "good"]:
        (place.source / directory).mkdir()
        for n in range(FILES):
            place.put(place.source / directory, f"f{n}", SIZE, seed=n)
    write_rules(place.source, f"/bad/** memcg={place.other.path}")
    place.cover("charger_timeout=2")
    place.run(work, place.mount / "bad", 0.2)
    place.run(work, place.mount / "good", 0.2)
    assert eventually(place.other.chargers)
    before, under, worst = [], [], 0
    others = Crowd(place.mount / "bad")
    try:
        for _ in range(3):
            before.append(place.run(work, place.mount / "good", SPELL)[0])
            with TROUBLES[trouble](place):
                time.sleep(0.2)
                evict(*(place.source / "good").iterdir())
                done, longest = place.run(work, place.mount / "good", SPELL)
            under.append(done)
            worst = max(worst, longest)
    finally:
        others.end()
    ratio = statistics.median(u / b for u, b in zip(under, before))
    figure(f"{statistics.median(before):.0f} rounds in {SPELL} s, beside a "
           f"{trouble} host {statistics.median(under):.0f}; the longest took "
           f"{1000 * worst:.0f} ms")
    # A slow machine makes a few rounds only: there it is that none hangs.
    assert settings.seconds(ratio) > 0.5
    assert worst < settings.seconds(1)
    report = place.judge.look(*(place.source / f"good/f{n}"
                                for n in range(FILES)))
    assert report.foreign_to(place.target) == 0


def test_sixteen_hosts(place):
    """Each pays for its own, and a charger comes to those alone that are
    used."""
    hosts = [place.target.child(f"h{n}") for n in range(16)]
    place.target.delegate_memory()
    lines = []
    for n, host in enumerate(hosts):
        host.create()
        (place.source / f"d{n}").mkdir()
        place.put(place.source / f"d{n}", "f", SIZE, seed=n)
        lines.append(f"/d{n}/** memcg={host.path}")
    write_rules(place.source, *lines)
    place.target.path, kept = "@opener", place.target.path
    place.cover()
    place.target.path = kept
    for n in range(0, 16, 2):
        place.run(content.digest, place.mount / f"d{n}/f")
    for n, host in enumerate(hosts):
        if n % 2:
            assert not host.chargers()
        else:
            place.judge.owned_by(host, place.source / f"d{n}/f", at_least=32)
