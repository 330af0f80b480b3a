# SPDX-License-Identifier: GPL-2.0-or-later
"""What is measured, as a table, and the data set that it needs."""

import dataclasses
import os

from tools import WORKER, run

MIB = 1 << 20
BIG_BYTES = 256 * MIB
MIX_BYTES = 32 * MIB
SMALL_BYTES = 16 << 10
TREE_BYTES = 2 * BIG_BYTES + 2 * MIX_BYTES + 10_000 * SMALL_BYTES


@dataclasses.dataclass(frozen=True)
class Scale:
    """How many small files."""
    files: int = 10_000
    tar_files: int = 2_000


FULL, QUICK = Scale(), Scale(2_500, 500)


@dataclasses.dataclass(frozen=True)
class Workload:
    """`command` is the worker's, with {mnt}, {new} (a fresh name inside the
    mount), {tar} and {files} filled in. `pages` are the files whose owner is asked
    for, relative to the tree, {new} for what was made."""
    name: str
    title: str
    unit: str                   # MiB/s, or k/s: thousands of operations
    command: str
    pages: tuple = ()
    cold: bool = False          # drop the big file's pages first
    makes: str = ""             # "file" or "directory" called {new}
    dirty: bool = False         # leaves work for the disk


# create comes before all that opens the small files: a server that keeps an fd
# per inode has none to spare.
WORKLOADS = (
    Workload("randread", "4k random read", "k/s",
             "randread {mnt}/big", ("big",)),
    Workload("read128k", "128k read", "MiB/s",
             "seqread 131072 {mnt}/big", ("big",)),
    Workload("read1m", "1M read", "MiB/s",
             "seqread 1048576 {mnt}/big", ("big",)),
    Workload("mmap", "mmap read", "MiB/s",
             "mmapread {mnt}/big", ("big",)),
    Workload("cold1m", "1M read, cold", "MiB/s",
             "coldread 1048576 {mnt}/big", ("big",), cold=True),
    Workload("randwrite", "4k random write", "k/s",
             "randwrite {mnt}/big", ("big",), dirty=True),
    Workload("write1m", "1M write", "MiB/s",
             f"seqwrite {{mnt}}/{{new}} {BIG_BYTES}", ("{new}",),
             makes="file", dirty=True),
    Workload("create", "create unlink", "k/s",
             "create {mnt}/{new} {files}",
             makes="directory", dirty=True),
    Workload("openread", "open read close", "k/s",
             "openread {mnt}/small", ("small",)),
    Workload("stat", "stat", "k/s", "stat {mnt}/small"),
    Workload("find", "find -size", "k/s",
             "warm find {mnt}/small -type f -size +1M"),
    Workload("grep", "grep -r", "k/s",
             "warm grep -r NOTHING {mnt}/small", ("small",)),
    Workload("tar", "tar x", "k/s",
             "once tar xf {tar} -C {mnt}/{new}", ("{new}",),
             makes="directory", dirty=True),
    Workload("mix", "8-process mix", "k/s", "mix {mnt}",
             ("big", "mix0", "mix1"), dirty=True),
)


def rate_of(workload, output, scale):
    """The figure of a cell in the workload's unit, and its parts: the mix
    prints three rates, of which the geometric mean is taken."""
    parts = [float(word) for word in output.split()]
    product = 1.0
    for part in parts:
        product *= part
    rate = product ** (1 / len(parts))
    if workload.command.startswith("warm"):     # runs of a command per second
        rate *= scale.files
    if workload.command.startswith("once"):
        rate *= scale.tar_files
    unit = MIB if workload.unit == "MiB/s" else 1000
    return rate / unit, [part / unit for part in parts]


def fill_tree(source, workloads, scale):
    """Writes a filesystem's data set, beside the mount, before it is there."""
    if any("small" in w.command for w in workloads):
        run(WORKER, "fill-tree", f"{source}/small", str(scale.files),
            str(SMALL_BYTES))
    if any("big" in w.pages for w in workloads):
        run(WORKER, "fill", f"{source}/big", str(BIG_BYTES))
    if any(w.name == "mix" for w in workloads):
        for i in (0, 1):
            run(WORKER, "fill", f"{source}/mix{i}", str(MIX_BYTES))
            os.mkdir(f"{source}/meta{i}")


def make_tar(top, scale):
    """The archive of `tar x`, outside of all trees."""
    run(WORKER, "fill-tree", f"{top}/files", str(scale.tar_files),
        str(SMALL_BYTES))
    run("tar", "cf", f"{top}/tar", "-C", f"{top}/files", ".")
    run("rm", "-rf", f"{top}/files")
    return f"{top}/tar"
