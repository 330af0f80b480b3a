# SPDX-License-Identifier: GPL-2.0-or-later
"""Parameters that take turns where less is asked for (MEMCGFS_BRIEF).

A test marked turns(NAME) then goes with one value of its parameter NAME for
each combination of its other parameters, and with each value for some of them:
three ways to mount by seven ways to read are seven tests, not 21. A build with
AddressSanitizer, one with ThreadSanitizer and a guest have the value's turn at
different tests.
"""

from collections import defaultdict

from lib import settings

SHIFT = ("release", "asan", "tsan").index(settings.FLAVOUR)


def _numbered(items, name):
    """Which of the parameter's values each item has, in their order."""
    values = []
    for item in items:
        value = item.callspec.params[name]
        if value not in values:
            values.append(value)
        yield values.index(value)


def _out_of_turn(items, name):
    """Of one test."""
    own = list(_numbered(items, name))
    others = list(zip(*(_numbered(items, other)
                        for other in items[0].callspec.params if other != name)))
    values = 1 + max(own)
    if len(set(others)) < values:
        return []
    return [item for item, number, rest in zip(items, own, others)
            if number != (sum(rest) + SHIFT) % values]


def out_of_turn(items):
    """Those of the items that are not to be run."""
    tests = defaultdict(list)
    for item in items:
        mark = item.get_closest_marker("turns")
        spec = getattr(item, "callspec", None)
        if mark and spec and mark.args[0] in spec.params:
            tests[item.function, mark.args[0]].append(item)
    return [item for (_, name), ones in tests.items()
            for item in _out_of_turn(ones, name)]
