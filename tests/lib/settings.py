# SPDX-License-Identifier: GPL-2.0-or-later
"""What the environment asks of a test run, read in one place.

MEMCGFS              the binary to test (build/memcgfs)
MEMCGFS_SCRATCH      directory on the filesystem to back the mounts (/var/tmp)
MEMCGFS_FLAVOUR      release, asan or tsan: how that binary was built
MEMCGFS_LONG=1       the long forms of the tests that have one
MEMCGFS_PATIENCE     factor on all time limits, for slow machines
MEMCGFS_BRIEF=1      less of what is done many times, as under a sanitizer
MEMCGFS_TURN         a number: whose turn it is then (turns.py)
MEMCGFS_TEST_NATIVE=1  replace the mount by a bind mount: what compares with
                     native behaviour must pass, what is about pages must fail
"""

import os
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
BUILD = TESTS.parent / "build"

BINARY = Path(os.environ.get("MEMCGFS", BUILD / "memcgfs")).absolute()
SCRATCH = os.environ.get("MEMCGFS_SCRATCH", "/var/tmp")
FLAVOUR = os.environ.get("MEMCGFS_FLAVOUR", "release")
SANITIZED = FLAVOUR in ("asan", "tsan")
LONG = os.environ.get("MEMCGFS_LONG") == "1"
BRIEF = SANITIZED or os.environ.get("MEMCGFS_BRIEF") == "1"
TURN = int(os.environ.get("MEMCGFS_TURN",
                          {"asan": 1, "tsan": 2}.get(FLAVOUR, 0)))
NATIVE = os.environ.get("MEMCGFS_TEST_NATIVE") == "1"
PATIENCE = float(os.environ.get("MEMCGFS_PATIENCE", 4 if SANITIZED else 1))

FS_TYPE = "fuse.memcgfs"
CHARGER = "memcgfs-charge"
PAGE = os.sysconf("SC_PAGE_SIZE")
KIB = 1024
MIB = 1024 * KIB


def seconds(n):
    """A time limit, longer on slow machines and under a sanitizer."""
    return n * PATIENCE


def scaled(n):
    """An amount of work, less of it where that is asked for."""
    return max(1, n // 5) if BRIEF else n
