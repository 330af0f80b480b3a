#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What it costs to go once through many files, and what it costs others. Each
of three kinds has a tree of its own:

  beside   no mount
  plain    a mount whose rules say noscan: what scan=off is
  scan     a mount whose rules say scan

The first part has the time of a scan, cold and warm, of 256 MiB in files of
64 KiB (grep -r) and in files of 64 MiB (cat). Of each round the ratio of scan
and plain is taken, and the median of the ratios is to be at least 0.8.

In the second, somebody reads a hot set of 64 MiB in a cgroup, or through a
mount with a target, of 96 MiB, alone, and while grep goes through the tree with
the idle classes of processor and disk, again and again, from a cgroup of 16 MiB.
His loss is to be under 5 %, or what it is beside the mount. In each round he has
another processor that nobody else is bound to: one of them has the disk's interrupts.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True

from bench import make_top
from cgroup import Corner
from filesystems import TIMEOUTS, Filesystem, memcgfs_with
from tools import PAGES, WORKER, compile_helpers, progress, run

MIB = 1 << 20
ROUNDS = int(os.environ.get("ROUNDS", "7"))
READ_SECONDS = 4
HOT, LIMIT, SCANNER_LIMIT, TREE = 64 * MIB, 96 * MIB, 16 * MIB, 256 * MIB
SPEED, LOSS = 0.8, 0.05
WORD = "no such word"
RULES = {"beside": "", "plain": "* noscan\n",
         "scan": "/small/** scan\n/large/** scan\n"}
SCANS = {"small": ["grep", "-r", "-q", WORD], "large": ["cat"]}


def write(path, size):
    with open(path, "wb") as file:
        for _ in range(size // MIB or 1):
            file.write(os.urandom(min(size, MIB)))


def make_tree(top):
    for name, count, size in (("hot", 64, MIB), ("large", 4, 64 * MIB),
                              ("small", TREE // (64 << 10), 64 << 10)):
        for n in range(count):
            directory = f"{top}/{name}/{n // 100}"
            os.makedirs(directory, exist_ok=True)
            write(f"{directory}/{n}", size)


class Kind:
    """A filesystem with a target of its own, and who scans it."""

    def __init__(self, name, io, top, cgroups):
        command = (memcgfs_with(TIMEOUTS, f"io={io}") if name != "beside"
                   else None)
        self.fs = Filesystem(name, (name, ""), command)
        self.fs.place(top, cgroups)
        self.name, self.cgroups = name, cgroups
        self.target = cgroups.make(f"target-{name}")
        self.scanner = cgroups.make(f"scanner-{name}")
        make_tree(self.fs.source)
        with open(f"{self.fs.source}/.memcgfs", "w", encoding="utf-8") as file:
            file.write(RULES[name])

    def limit(self):
        name = "max" if self.cgroups.is_v2 else "limit_in_bytes"
        for cgroup, size in (self.target, LIMIT), (self.scanner, SCANNER_LIMIT):
            with open(f"{cgroup}/memory.{name}", "w",
                      encoding="utf-8") as file:
                file.write(str(size))

    def files(self, name, top):
        return [f"{path}/{file}" for path, _, files in os.walk(f"{top}/{name}")
                for file in files]

    def argv(self, scan):
        names = self.files(scan, self.fs.mnt) if scan == "large" else \
            [f"{self.fs.mnt}/{scan}"]
        return [*SCANS[scan], *names]

    def seconds(self, scan, warm):
        """What one scan takes."""
        for top in {self.fs.mnt, self.fs.source}:  # either may have pages
            run(PAGES, "drop", f"{top}/{scan}")
        if warm:
            subprocess.run([WORKER, "-g", self.target, "exec", "cat",
                            *self.files(scan, self.fs.source)],
                           stdout=subprocess.DEVNULL, check=True)
            self.scan(scan)  # it is seen whose the pages are
        before = time.monotonic()
        self.scan(scan)
        return time.monotonic() - before

    def scan(self, scan):
        subprocess.run([WORKER, "-g", self.fs.client, "exec", *self.argv(scan)],
                       stdout=subprocess.DEVNULL, check=False)

    def scan_idly(self):
        """In the background, until it is killed."""
        loop = f'while :; do grep -rq "{WORD}" {self.fs.mnt}/small; done'
        return subprocess.Popen(
            [WORKER, "-g", self.scanner, "exec", "chrt", "-i", "0", "ionice",
             "-c", "3", "sh", "-c", loop], start_new_session=True)

    def read_rate(self, cpu):
        """Bytes a second of who reads the hot set, in a process of his own."""
        program = (
            "import os,sys,time\n"
            f"os.sched_setaffinity(0, [{cpu}])\n"
            "fds=[os.open(p,os.O_RDONLY) for p in sys.argv[2:]]\n"
            "end,n=time.monotonic()+float(sys.argv[1]),0\n"
            "while time.monotonic()<end:\n"
            f"  for fd in fds: n+=len(os.pread(fd,{MIB},0))\n"
            "print(n)\n")
        cgroup = self.target if self.name == "beside" else self.fs.client
        done = run(WORKER, "-g", cgroup, "exec", sys.executable, "-c", program,
                   str(READ_SECONDS), *self.files("hot", self.fs.mnt))
        return int(done) / READ_SECONDS

    def loss(self, cpu):
        """Of who reads, by a scan, as a share."""
        alone = self.read_rate(cpu)
        scanning = self.scan_idly()
        try:
            beside = self.read_rate(cpu)
        finally:
            os.killpg(scanning.pid, 9)
            scanning.wait()
        return 1 - beside / alone


def measure_speed(kinds):
    """For each scan the ratios of plain's time and scan's, and all times."""
    for scan in SCANS:
        for warm in (False, True):
            times = {kind.name: [] for kind in kinds}
            for number in range(ROUNDS):
                progress(f"{scan}, {'warm' if warm else 'cold'}, {number + 1}")
                for i in range(len(kinds)):
                    kind = kinds[(i + number) % len(kinds)]
                    times[kind.name].append(kind.seconds(scan, warm))
            progress("")
            ratio = statistics.median(
                plain / scanned for plain, scanned in
                zip(times["plain"], times["scan"]))
            yield f"{scan} {'warm' if warm else 'cold'}", times, ratio


def report_speed(kinds):
    print(f"{'MiB/s':>12}" + "".join(f"{kind.name:>10}" for kind in kinds)
          + f"{'scan/plain':>12}")
    worst = 1
    for name, times, ratio in measure_speed(kinds):
        print(f"{name:>12}" + "".join(
            f"{TREE / MIB / statistics.median(times[kind.name]):>10.0f}"
            for kind in kinds) + f"{ratio:>12.2f}", flush=True)
        worst = min(worst, ratio)
    return worst >= SPEED


def report_loss(kinds):
    losses = {kind.name: [] for kind in kinds}
    for kind in kinds:
        run(PAGES, "drop", kind.fs.source)
        kind.limit()
    cpus = sorted(os.sched_getaffinity(0))
    for number in range(ROUNDS):
        progress(f"a reader's loss, {number + 1}")
        for i in range(len(kinds)):
            kind = kinds[(i + number) % len(kinds)]
            losses[kind.name].append(kind.loss(cpus[number % len(cpus)]))
    progress("")
    medians = {name: statistics.median(found) for name, found in losses.items()}
    print(f"{'loss':>12}" + "".join(
        f"{100 * medians[kind.name]:>9.1f}%" for kind in kinds))
    return medians["scan"] < max(LOSS, medians["beside"] + LOSS)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--io", choices=("auto", "strict", "cached"),
                        default="auto", help="the path of the mounts")
    parser.add_argument("--only", choices=("speed", "loss"),
                        help="one of the two parts")
    args = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: needs root: sudo make bench-scan")
    compile_helpers()
    with contextlib.ExitStack() as stack:
        top, filesystem = make_top(stack, 0)
        cgroups = stack.enter_context(Corner(f"memcgfs-scan-{os.getpid()}"))
        kinds = [Kind(name, args.io, top, cgroups) for name in RULES]
        run("sync", "-f", top)
        for kind in kinds:
            stack.callback(kind.fs.unmount)
            why = kind.fs.mount(WORKER, kind.target)
            if why:
                sys.exit(f"bench: {why}")
        print(f"{filesystem}, medians of {ROUNDS} rounds", flush=True)
        is_fast = args.only == "loss" or report_speed(kinds)
        is_mild = args.only == "speed" or report_loss(kinds)
        if not is_fast or not is_mild:
            sys.exit(f"bench: slower than {SPEED} of plain, or a loss of more "
                     f"than {100 * LOSS:.0f} %")


if __name__ == "__main__":
    main()
