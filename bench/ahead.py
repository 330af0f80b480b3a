#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a file size gains and costs by being charged ahead at open, which is
what the default of ahead= rests on. For each size, memcgfs with ahead= above
it ("ahead") and below it ("strict"), and the native file:

  glance  milliseconds to open a cold file and read its first 64 KiB: the
          price of charging it whole is paid here, for nothing
  whole   MiB/s of a cold read from start to end
  warm    thousands of 4k random reads a second

Rounds are interleaved; a figure is the median.
"""

import contextlib
import os
import statistics
import sys

sys.dont_write_bytecode = True

from bench import make_top
from cgroup import Corner
from filesystems import Filesystem, memcgfs_with
from tools import PAGES, WORKER, compile_helpers, run

MIB = 1 << 20
SIZES = [1, 4, 16, 64, 256, 1024]       # MiB
ROUNDS = 5
KINDS = (("native", None), ("ahead", memcgfs_with("ahead=4G")),
         ("strict", memcgfs_with("ahead=0")))


def drop(path):
    run("sync", "-f", path)
    left = int(run(PAGES, "drop", path))
    if left:
        raise RuntimeError(f"{left} pages cannot be dropped")


def worker(fs, *verb):
    return float(run(WORKER, "-g", fs.client, "-s", "0.2", *verb))


def look(fs, name):
    """The three figures of one file."""
    drop(f"{fs.source}/{name}")
    glance = 1000 / worker(fs, "glance", f"{fs.mnt}/{name}")
    drop(f"{fs.source}/{name}")
    whole = worker(fs, "coldread", str(MIB), f"{fs.mnt}/{name}") / MIB
    warm = worker(fs, "randread", f"{fs.mnt}/{name}") / 1000
    return glance, whole, warm


def measure(filesystems):
    found = {}
    for number in range(ROUNDS):
        for size in SIZES:
            for i in range(len(filesystems)):
                fs = filesystems[(i + number) % len(filesystems)]
                found.setdefault((size, fs.name), []).append(
                    look(fs, f"file-{size}"))
    return found


def print_table(found):
    names = [name for name, _ in KINDS]
    for figure, title in enumerate(("glance, ms", "whole, MiB/s",
                                    "warm, k/s")):
        print(f"\n{title:>14}" + "".join(f"{n:>10}" for n in names))
        for size in SIZES:
            cells = [statistics.median(look[figure]
                                       for look in found[size, name])
                     for name in names]
            print(f"{size:>10} MiB" + "".join(f"{c:>10,.1f}" for c in cells))


def main():
    if os.geteuid() != 0:
        sys.exit("bench: needs root: sudo make bench-ahead")
    compile_helpers()
    with contextlib.ExitStack() as stack:
        top, kind = make_top(stack, len(KINDS))
        cgroups = stack.enter_context(Corner(f"memcgfs-ahead-{os.getpid()}"))
        target = cgroups.make("target")
        filesystems = []
        for name, command in KINDS:
            fs = Filesystem(name, (name, ""), command)
            fs.place(top, cgroups)
            for size in SIZES:
                run(WORKER, "fill", f"{fs.source}/file-{size}",
                    str(size * MIB))
            stack.callback(fs.unmount)
            why = fs.mount(WORKER, target)
            if why:
                sys.exit(f"bench: {why}")
            filesystems.append(fs)
        print(f"{kind}, medians of {ROUNDS} rounds")
        print_table(measure(filesystems))


if __name__ == "__main__":
    main()
