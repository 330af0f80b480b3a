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
