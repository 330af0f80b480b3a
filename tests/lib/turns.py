# SPDX-License-Identifier: GPL-2.0-or-later
"""Parameters that take turns where less is asked for (MEMCGFS_BRIEF).

A test marked turns(NAME) then goes with one value of its parameter NAME for
each combination of its other parameters, and with each value for some of them:
three ways to mount by seven ways to read are seven tests, not 21. Where the
others are too few for that, all values are seen, or, if it may be alone, one.
Runs of other builds, or guests, see the others' turns (MEMCGFS_TURN).
"""

import zlib
from collections import defaultdict

from lib import settings


def _others(item, name):
    """Its other parameters; a test's items have them in common, as objects."""
    return tuple(id(value) for other, value in item.callspec.params.items()
                 if other != name)


def _out_of_turn(items, mark):
    """Of one test, the items that are not to be run."""
    groups = defaultdict(list)
    for item in items:
        groups[_others(item, mark.args[0])].append(item)
    most = max(map(len, groups.values()))
    if len(groups) < most and not mark.kwargs.get("alone"):
        return []
    # Whatever else is run: the same test's turns differ by MEMCGFS_TURN alone.
    first = zlib.crc32(items[0].originalname.encode()) + settings.TURN
    chosen = [group[(first + n) % len(group)]
              for n, group in enumerate(groups.values())]
    return [item for item in items if item not in chosen]


def out_of_turn(items):
    """Those of the items that are not to be run."""
    tests, marks = defaultdict(list), {}
    for item in items:
        mark = item.get_closest_marker("turns")
        spec = getattr(item, "callspec", None)
        if mark and spec and mark.args[0] in spec.params:
            tests[item.function].append(item)
            marks[item.function] = mark
    return [item for test, ones in tests.items()
            for item in _out_of_turn(ones, marks[test])]
