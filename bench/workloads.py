# SPDX-License-Identifier: GPL-2.0-or-later
"""What is measured, as a table."""

import dataclasses

from datasets import (BIG_BYTES, GIT, MIB, MIX_BYTES, MODULES, PACKAGES,
                      SMALL_BYTES, WRITE_BYTES)

# Of one filesystem: what it has, what is being written, and a block for each
# of the smallest files.
TREE_BYTES = BIG_BYTES + WRITE_BYTES + 2 * MIX_BYTES + 10_000 * (SMALL_BYTES + 4096)


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much of what."""
    files: int = 10_000
    tar_files: int = 2_000
    doomed_files: int = 2_000       # for rm -rf
    c_files: int = 24
    transactions: int = 1_000
    modules: int = PACKAGES * MODULES


FULL, QUICK = Scale(), Scale(2_500, 500, 500, 8, 250)


@dataclasses.dataclass(frozen=True)
class Workload:
    """`command` is the worker's, words as in a shell, with {mnt}, {new} (a fresh name inside the
    mount), {tar} and {sql} and the names of the scale filled in. `needs` are
    data sets. `pages` are the files whose owner is asked for, relative to the
    tree, {new} for what was made. Where the worker tells runs a second, `times`
    is what of the scale a run goes through."""
    name: str
    title: str
    unit: str                   # MiB/s, or k/s: thousands of operations
    command: str
    needs: tuple = ()
    pages: tuple = ()
    times: str = ""
    cold: tuple = ()            # whose pages to drop first
    makes: str = ""             # "file" or "directory" called {new}
    dirty: bool = False         # leaves work for the disk
    in_host: bool = False       # the worker lives in the target's cgroup

    def needs_dropped(self, all_pages):
        """What must not be resident before: of all pages those that are there
        before the run."""
        if all_pages:
            return tuple(name for name in self.pages if name != "{new}")
        return self.cold


def _of_big(name, title, unit, command, **more):
    return Workload(name, title, unit, command, ("big",), ("big",), **more)


# create comes before all that opens the small files: a server that keeps an fd
# per inode has none to spare.
WORKLOADS = (
    _of_big("randread", "4k random read", "k/s", "randread {mnt}/big"),
    _of_big("randread2", "4k read, 2 threads", "k/s", "randreads 2 {mnt}/big"),
    _of_big("read128k", "128k read", "MiB/s", "seqread 131072 {mnt}/big"),
    _of_big("read1m", "1M read", "MiB/s", "seqread 1048576 {mnt}/big"),
    _of_big("readers16", "1M read, 16 readers", "MiB/s",
            "readers 16 1048576 {mnt}/big"),
    _of_big("mmap", "mmap read", "MiB/s", "mmapread {mnt}/big"),
    _of_big("cold1m", "1M read, cold", "MiB/s",
            "coldread 1048576 {mnt}/big", cold=("big",)),
    _of_big("randwrite", "4k random write", "k/s", "randwrite {mnt}/big",
            dirty=True),
    _of_big("randwrite-host", "4k write in host", "k/s", "randwrite {mnt}/big",
            dirty=True, in_host=True),
    Workload("write1m", "1M write", "MiB/s",
             f"seqwrite {{mnt}}/{{new}} {WRITE_BYTES}", pages=("{new}",),
             makes="file", dirty=True),
    Workload("write1m-host", "1M write in host", "MiB/s",
             f"seqwrite {{mnt}}/{{new}} {WRITE_BYTES}", pages=("{new}",),
             makes="file", dirty=True, in_host=True),
    Workload("create", "create unlink", "k/s", "create {mnt}/{new} {files}",
             makes="directory", dirty=True),
    Workload("rm", "rm -rf", "k/s",
             "remove-tree {mnt}/{new}/tree {doomed_files}",
             makes="directory", dirty=True),
    Workload("openread", "open read close", "k/s", "openread {mnt}/small",
             ("small",), ("small",)),
    Workload("stat", "stat", "k/s", "stat {mnt}/small", ("small",)),
    Workload("find", "find -size", "k/s",
             "warm find {mnt}/small -type f -size +1M", ("small",),
             times="files"),
    Workload("grep", "grep -r", "k/s", "warm grep -r NOTHING {mnt}/small",
             ("small",), ("small",), times="files"),
    Workload("coldtree", "small files, cold", "k/s", "walk {mnt}/small",
             ("small",), ("small",), cold=("small",)),
    Workload("tar", "tar x", "k/s", "once tar xf {tar} -C {mnt}/{new}",
             ("tar",), ("{new}",), times="tar_files", makes="directory",
             dirty=True),
    Workload("compile", "compile -j2", "files/s",
             "warm make -s -B -j2 -C {mnt}/code O={mnt}/{new}",
             ("code",), ("code", "{new}"), times="c_files",
             makes="directory", dirty=True),
    Workload("git", "git status", "k/s",
             f"warm {' '.join(GIT)} -C {{mnt}}/repository status --porcelain",
             ("repository",), ("repository",), times="files"),
    Workload("sqlite", "SQLite", "k/s",
             "once sqlite3 -batch -init /dev/null {mnt}/{new} "
             "'.read {sql}'",
             ("sql",), ("{new}",), times="transactions", makes="file",
             dirty=True),
    Workload("python", "python imports", "k/s",
             "warm python3 -I -S -B {mnt}/modules/start.py",
             ("modules",), tuple(f"modules/p{package}/__pycache__"
                                 for package in range(PACKAGES)),
             times="modules"),
    Workload("mix", "8-process mix", "k/s", "mix {mnt}",
             ("big", "mix"), ("big", "mix0", "mix1"), dirty=True),
)
DIVISORS = {"MiB/s": MIB, "k/s": 1000, "files/s": 1}


def rate_of(workload, output, scale):
    """The figure of a cell in the workload's unit, and its parts: the mix
    prints three rates, of which the geometric mean is taken."""
    parts = [float(word) for word in output.split()]
    product = 1.0
    for part in parts:
        product *= part
    rate = product ** (1 / len(parts))
    if workload.times:
        rate *= getattr(scale, workload.times)
    unit = DIVISORS[workload.unit]
    return rate / unit, [part / unit for part in parts]
