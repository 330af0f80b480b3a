# SPDX-License-Identifier: GPL-2.0-or-later
"""Who is seen to be a scanner, by the events of a mount."""

import threading
import time
from contextlib import contextmanager

from .control import Lines, addresses, ctl, device_of
from .wait import eventually


def listen(lines, told, end):
    """To the end, which is that the rules are read again after that."""
    while line := lines.next():
        if line["event"] == "scanner":
            told.append(line)
        if line["event"] == "rules" and end and line["time"] >= end[0]:
            told.append(None)
            return


@contextmanager
def watch(mountpoint, is_done=lambda: True):
    """The events of scanners that come meanwhile, until that is so."""
    [address] = addresses(device_of(mountpoint))
    told, end = [], []
    with Lines(address, "events") as lines:
        lines.until(event="follow")
        listener = threading.Thread(target=listen, args=(lines, told, end))
        listener.start()
        try:
            yield told
            assert eventually(is_done, 20)
        finally:
            # Whatever was to be told of is told before that.
            end.append(time.time())
            ctl("reload", mountpoint)
            listener.join()
    assert told.pop() is None


def verdicts(told):
    """Those by which somebody became one."""
    return [line for line in told
            if not line["reason"].startswith("no longer")]


def files_of(verdict):
    """"tar (pid 7), 16 files: ..." says how many it took."""
    return int(verdict["reason"].split("), ")[1].split()[0])
