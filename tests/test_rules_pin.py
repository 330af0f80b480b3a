# SPDX-License-Identifier: GPL-2.0-or-later
"""pin: from its first open on a file stays resident, locked, and its target's,
whatever the pressure; within a budget, and no longer than its rule says."""

import contextlib
import os
import random
import time
from pathlib import Path

import pytest

from lib import actions, content, settings
from lib.judge import evict
from lib.mount import remove_target
from lib.rules import log_says, reload_rules, write_rules
from lib.settings import KIB, MIB
from lib.wait import eventually

SIZE = MIB
PAGES = SIZE // settings.PAGE


def put(place, *names, size=SIZE):
    for name in names:
        place.put(place.source, name, size, seed=len(name))


def read(place, *names):
    for name in names:
        place.run(actions.read_whole, place.mount / name)


def left(place, *names):
    """How many of the files' pages are there, when all that can be dropped
    has been."""
    paths = [place.source / name for name in names]
    evict(*paths)
    return place.judge.look(*paths).resident


def smaps(cgroup):
    """What the cgroup's chargers map, and how, as /proc/PID/smaps says it."""
    for pid in cgroup.chargers():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield from Path(f"/proc/{pid}/smaps").read_text().splitlines()


def locked(cgroup, path):
    """The bytes of a file that the cgroup's chargers hold locked. (Not as
    "Locked" has it: that is less while somebody else maps them, too.)"""
    total = resident = 0
    for line in smaps(cgroup):
        key, *fields = line.split()
        if not key.endswith(":"):
            is_its = line.endswith(f" {path}")
        elif key == "Rss:":
            resident = int(fields[0]) * KIB
        elif key == "VmFlags:" and is_its and "lo" in fields:
            total += resident
    return total


def is_pinned(place, cgroup, *names):
    """All pages are there, the cgroup's, and can't be dropped."""
    paths = [place.source / name for name in names]
    evict(*paths)
    report = place.judge.look(*paths)
    return (report.resident == report.pages == report.of(cgroup)
            and all(locked(cgroup, path) >= path.stat().st_size
                    for path in paths))


def test_pinned_from_the_first_open_on(place):
    put(place, "a.so", "b.so", "c")
    write_rules(place.source, "*.so pin", "b.so -pin")
    place.cover()
    assert left(place, "a.so") == 0
    read(place, "a.so", "b.so", "c")
    assert is_pinned(place, place.target, "a.so")
    assert left(place, "b.so", "c") == 0


@pytest.mark.parametrize("how", ["ahead=4k", "io=strict"])
def test_pinned_whatever_its_path(place, how):
    """One that is read strictly is pinned as well."""
    put(place, "a")
    write_rules(place.source, f"* pin {how}")
    place.cover()
    read(place, "a")
    assert is_pinned(place, place.target, "a")


def test_pages_that_were_somebody_elses(place):
    put(place, "a")
    write_rules(place.source, "* pin")
    place.run(actions.read_whole, place.source / "a")
    place.cover()
    assert place.judge.look(place.source / "a").of(place.reader) == PAGES
    read(place, "a")
    assert is_pinned(place, place.target, "a")


def test_the_rule_goes(place):
    put(place, "a")
    rules = write_rules(place.source, "* pin")
    place.cover()
    read(place, "a")
    assert is_pinned(place, place.target, "a")
    rules.unlink()
    assert eventually(lambda: left(place, "a") == 0)


def test_the_target_changes(place):
    put(place, "a")
    write_rules(place.source, "* pin")
    place.cover()
    read(place, "a")
    assert is_pinned(place, place.target, "a")
    write_rules(place.source, f"* pin memcg={place.other.path}")
    assert eventually(lambda: is_pinned(place, place.other, "a"))


def is_mapped(place, name):
    return any(str(place.source / name) in line
               for line in smaps(place.target))


def test_the_last_name_goes(place):
    """Then nothing of it stays, and the disk has its blocks back."""
    put(place, "a", size=8 * MIB)
    write_rules(place.source, "* pin")
    place.cover()
    read(place, "a")
    assert is_pinned(place, place.target, "a") and is_mapped(place, "a")
    free = os.statvfs(place.source).f_bfree
    (place.mount / "a").unlink()
    assert eventually(lambda: place.target.file_bytes() < 2 * MIB)
    assert eventually(lambda: os.statvfs(place.source).f_bfree > free)


def test_the_last_name_goes_beside_the_mount(place):
    """That is seen within half a minute, or at a reload."""
    put(place, "a")
    write_rules(place.source, "* pin")
    place.cover()
    read(place, "a")
    assert is_mapped(place, "a")
    (place.source / "a").unlink()
    reload_rules(place)
    assert eventually(lambda: not is_mapped(place, "a"))


def test_a_file_that_grows(place):
    put(place, "a")
    write_rules(place.source, "* pin")
    place.cover()
    read(place, "a")
    with open(place.mount / "a", "ab") as file:
        file.write(b"x" * SIZE)
    read(place, "a")
    assert (place.source / "a").stat().st_size == 2 * SIZE
    assert is_pinned(place, place.target, "a")


def test_a_file_that_is_written_anew(place):
    """In its place, and as long as it was."""
    put(place, "a")
    write_rules(place.source, "* pin")
    place.cover()
    read(place, "a")
    (place.mount / "a").write_bytes(b"y" * SIZE)
    read(place, "a")
    assert is_pinned(place, place.target, "a")


# The budget


def pinned(place, names):
    return [name for name in names if left(place, name)]


def test_a_quarter_of_the_limit(place):
    """Of 64 MiB: four files of 4 MiB, and no more; said once."""
    names = [f"f{n}" for n in range(8)]
    put(place, *names, size=4 * MIB)
    place.target.set_limit(64 * MIB)
    write_rules(place.source, "* pin")
    place.cover()
    for name in names:
        read(place, name)
        time.sleep(0.15)  # the host's room is looked at again
    assert pinned(place, names) == names[:4]
    assert is_pinned(place, place.target, *names[:4])
    assert place.log.read_text().count("is not pinned") == 1
    # One goes, and another can be had.
    (place.mount / "f0").unlink()
    read(place, "f7")
    assert eventually(lambda: is_pinned(place, place.target, "f7"))


def test_pin_max(place):
    names = ["f0", "f1", "f2"]
    put(place, *names)
    write_rules(place.source, "* pin")
    place.cover("pin_max=2M")
    read(place, *names)
    assert pinned(place, names) == names[:2]
    assert log_says(place, "pin_max=")
    # One that grows needs what it has no second time.
    os.truncate(place.mount / "f1", SIZE // 2)
    read(place, "f1")
    os.truncate(place.mount / "f1", SIZE)
    read(place, "f1")
    assert is_pinned(place, place.target, "f1")


def test_budgets_of_two_targets(place):
    put(place, "a", "b.o", "c", "d.o")
    write_rules(place.source, "* pin", f"*.o memcg={place.other.path}")
    place.cover("pin_max=1M")
    read(place, "a", "b.o", "c", "d.o")
    assert is_pinned(place, place.target, "a")
    assert is_pinned(place, place.other, "b.o")
    assert left(place, "c", "d.o") == 0


# What they must live through


def test_a_charger_that_is_killed(place):
    """Its pins go with it, and come back by themselves, the target's."""
    names = ["a", "b", "c"]
    put(place, *names)
    write_rules(place.source, "* pin")
    place.cover("pin_max=3M")
    read(place, *names)
    for _ in range(3):
        assert is_pinned(place, place.target, *names)
        assert place.target.kill_chargers()
        assert eventually(lambda: is_pinned(place, place.target, *names))


def test_a_target_that_is_away_for_a_while(place):
    """What was asked of its files meanwhile doesn't make them forget."""
    put(place, "a")
    write_rules(place.source, "* pin")
    place.cover()
    read(place, "a")
    assert is_pinned(place, place.target, "a")
    remove_target(place.mount)
    assert eventually(lambda: left(place, "a") == 0)
    assert eventually(lambda: "cannot restart" in place.log.read_text())
    reload_rules(place)
    place.target.create()
    assert eventually(lambda: is_pinned(place, place.target, "a"), 10)


def test_no_charger_leaves_with_pins(place):
    put(place, "a")
    write_rules(place.source, "* pin")
    place.cover("charger_idle=1")
    read(place, "a")
    time.sleep(2.5)
    assert place.target.chargers()
    assert is_pinned(place, place.target, "a")
    (place.source / ".memcgfs").unlink()
    reload_rules(place)
    assert eventually(lambda: not place.target.chargers())


def thrash(directory, names, seed, duration):
    """Reads files at random; each byte counts."""
    choose = random.Random(seed)
    end, done = time.monotonic() + duration, 0
    while time.monotonic() < end:
        name = choose.choice(names)
        with open(directory / name, "rb") as file:
            assert file.read() == content.data(256 * KIB, len(name)), name
        done += 1
    return done


@pytest.mark.long_form
@pytest.mark.figures
def test_no_page_leaks_under_pressure(place, figure):
    """Four readers of two cgroups go through four times of what the target
    may have, the pinned files among it. Looked at all the time, not one page
    of those is away, or anybody else's; of those not pinned, most are."""
    limit = 32 * MIB * (2 if settings.SANITIZED else 1)
    pinned_names = [f"pinned{n:02}" for n in range(24)]
    others = [f"other{n:04}" for n in range(4 * limit // (256 * KIB))]
    put(place, *pinned_names, *others, size=256 * KIB)
    place.target.set_limit(limit)
    write_rules(place.source, "pinned* pin")
    place.cover()
    read(place, *pinned_names)
    duration = 30 if settings.LONG else 4
    readers = [place.start(thrash, place.mount.path, pinned_names * 10 + others,
                           n, duration, cgroup=c) for n, c in
               enumerate([place.reader, place.other] * 2)]
    paths = [place.source / name for name in pinned_names]
    looks = 0
    end = time.monotonic() + duration
    while time.monotonic() < end:
        report = place.judge.look(*paths)
        assert report.resident == report.pages == report.of(place.target), (
            report.describe(place.target))
        looks += 1
    done = sum(reader.result(duration + 60) for reader in readers)
    rest = place.judge.look(*(place.source / name for name in others))
    figure(f"{done} files read, {looks} looks at {report.pages} pinned pages: "
           f"all the target's; of {rest.pages} not pinned {rest.resident} "
           f"resident, {rest.foreign_to(place.target)} foreign")
    assert looks >= 3 and rest.resident < rest.pages // 2
