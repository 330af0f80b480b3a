# SPDX-License-Identifier: GPL-2.0-or-later
"""Plans of random calls, made natively and in the mount at the same time.

A difference is told with the steps that it takes, and the seed of its plan:
with MEMCGFS_SEED=N plans begin with that one, and not with the first.
"""

import os
import time

import pytest

from lib import act, datawalk, kernel, namewalk
from lib.differ import Pair
from lib.place import Place
from lib.settings import LONG, scaled
from lib.twin import comparable, snapshot, tree_difference

pytestmark = [pytest.mark.sequential, pytest.mark.needs_daemon,
              pytest.mark.long_form, pytest.mark.time_limit(300)]

SEED = int(os.environ.get("MEMCGFS_SEED", 1))
SECONDS = 60 if LONG else 2


class Yard:
    """A mount, and a directory beside it for each of its directories."""

    def __init__(self, place, option):
        self.place, self.number = place, 0
        place.cover(option)

    def cast(self, people):
        """Every other one lives in the target, so that what they read and
        write passes through where the option lets it."""
        homes = self.place.reader, self.place.target
        return {name: (user, homes[n % 2])
                for n, (name, user) in enumerate(people.items())}

    def directories(self):
        self.number += 1
        name = f"plan-{self.number}"
        for side in (self.place.beside, self.place.source):
            (side / name).mkdir()
            (side / name).chmod(0o777)
            kernel.spread(side / name)
        return self.place.beside / name, self.place.mount / name

    def look(self, native, seen):
        """Natively and in the mount alike; the mount as what is below it."""
        trees = [act.run(snapshot, path)
                 for path in (native, self.place.source / seen.name, seen)]
        if trees[1] != trees[2]:
            return "not as below: " + tree_difference(*trees[1:])
        for entry in (*trees[0].values(), *trees[2].values()):
            del entry["stat"]["blocks"]  # depends on the page cache's folios
        return tree_difference(*map(comparable, trees[::2])) or None


@pytest.fixture(scope="module", params=["io=auto", "io=strict"])
def yard(request, new_scratch, cgroups, judge):
    here = Place(new_scratch("random"), cgroups, judge)
    try:
        yield Yard(here, request.param)
    finally:
        here.leave(keep_files=True)


def walk(yard, walker, length, figure):
    """Plans of one seed after the other, for some seconds."""
    pair = Pair(walker.Player, yard.cast(walker.CAST), yard.directories,
                yard.look)
    end, seed = time.monotonic() + SECONDS, SEED
    while seed == SEED or time.monotonic() < end:
        found = pair.play(walker.Maker(seed).plan(length))
        assert not found, f"seed {seed}: {pair.shorten(found)}"
        assert not yard.place.mount.died()
        seed += 1
    figure(f"{seed - SEED} plans of {length} steps")


def test_names_and_attributes(yard, figure):
    walk(yard, namewalk, scaled(600), figure)


def test_data(yard, figure):
    walk(yard, datawalk, scaled(300), figure)
