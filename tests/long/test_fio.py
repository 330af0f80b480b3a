# SPDX-License-Identifier: GPL-2.0-or-later
"""fio writes, and reads back what it wrote, by each of its engines."""

import pytest

from lib import act
from lib.settings import MIB

ENGINES = ["psync", "pvsync2", "mmap", "libaio", "io_uring"]
SIZE = 48 * MIB


def fio(directory, cgroup, *options, check=True):
    return act.command(
        ["fio", "--name=job", f"--directory={directory}", f"--size={SIZE}",
         "--bsrange=512-64k", "--bs_unaligned=1", "--iodepth=8",
         "--verify=crc32c", "--verify_fatal=1", "--randrepeat=1",
         "--verify_state_save=0",
         "--output-format=terse", *options], cgroup=cgroup, limit=100,
        check=check)


@pytest.mark.parametrize("pattern", ["write", "randwrite"])
@pytest.mark.parametrize("engine", ENGINES)
def test_what_was_written_is_read(yard, sides, engine, pattern):
    _, through = sides
    fio(through, yard.reader, f"--ioengine={engine}", f"--rw={pattern}",
        "--numjobs=2", "--end_fsync=1")


@pytest.mark.parametrize("engine", ["psync", "libaio", "io_uring"])
def test_direct(yard, sides, engine):
    _, through = sides
    fio(through, yard.reader, f"--ioengine={engine}", "--rw=randwrite",
        "--direct=1", "--bs_unaligned=0", "--bsrange=4k-64k", "--numjobs=2")


@pytest.mark.parametrize("engine", ["psync", "mmap"])
def test_reads_and_writes_mixed(yard, sides, engine):
    _, through = sides
    fio(through, yard.reader, f"--ioengine={engine}", "--rw=randrw",
        "--rwmixread=40", "--numjobs=2", "--loops=2")


def test_a_wrong_byte_is_found(yard, sides):
    """The control: one byte changed beside the mount."""
    _, through = sides
    options = ["--ioengine=psync", "--rw=write", "--bsrange=4k-4k"]
    fio(through, yard.reader, *options, "--do_verify=0")
    with open(yard.source / through.name / "job.0.0", "r+b") as f:
        f.seek(SIZE // 2 + 1234)
        byte = f.read(1)
        f.seek(-1, 1)
        f.write(bytes([byte[0] ^ 1]))
    done = fio(through, yard.reader, *options, "--verify_only=1", check=False)
    assert done.returncode != 0
