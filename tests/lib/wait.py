# SPDX-License-Identifier: GPL-2.0-or-later
"""Waiting for what other processes do."""

import time

from . import settings


def eventually(condition, limit=5, every=0.02):
    """The first true value of condition(), or its last one at the limit."""
    end = time.monotonic() + settings.seconds(limit)
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(every)


def steady(value, for_seconds, limit=10):
    """The value(), once it has been the same for so long; else its last one,
    at the limit."""
    end = time.monotonic() + settings.seconds(limit)
    for_seconds = settings.seconds(for_seconds)
    last, since = value(), time.monotonic()
    while time.monotonic() < min(since + for_seconds, end):
        time.sleep(0.05)
        now = value()
        if now != last:
            last, since = now, time.monotonic()
    return last
