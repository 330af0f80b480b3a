#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What rules cost an open. One mount goes by the rule files of a tree, the
other ignores them (norulefiles):

  wide    10,000 directories with a rule file each, and a file of 4 KiB
  deep    a directory 40 levels down, each of which has a rule file, with 200
          files

All files are opened, read and closed; nothing of it is cold. A figure is the
processor time of an open, the client's and the server's, in microseconds, as
that depends least on what else the machine does. Two mounts that are the same
differ by up to a tenth, for as long as they live: so both are mounted anew in
each round, and the cost is the ratio of the medians over all rounds.
"""

import contextlib
import glob
import os
import statistics
import sys
import time

sys.dont_write_bytecode = True

from bench import make_top
from cgroup import Corner
from filesystems import TIMEOUTS, Filesystem, memcgfs_with
from tools import WORKER, compile_helpers

ROUNDS = 11
TURNS = {"wide": 1, "deep": 40}
DIRECTORIES, LEVELS, FILES = 10_000, 40, 200
ALLOWED = 0.05
KINDS = (("without", "norulefiles"), ("with", "rw"))
RULES = "# whose is what\n*.so memcg=@mount\n*.bin ahead=64M\ntmp/ io=auto\n"


def put(directory, name, text):
    with open(f"{directory}/{name}", "w", encoding="utf-8") as file:
        file.write(text)


def make_tree(top):
    for n in range(DIRECTORIES):
        directory = f"{top}/wide/{n // 100}/{n % 100}"
        os.makedirs(directory)
        put(directory, ".memcgfs", RULES)
        put(directory, "file.bin", "x" * 4096)
    directory = f"{top}/deep"
    for n in range(LEVELS):
        directory += f"/d{n}"
        os.makedirs(directory)
        put(directory, ".memcgfs", RULES)
    for n in range(FILES):
        put(directory, f"file-{n}.bin", "x" * 4096)


def paths_of(fs, tree):
    if tree == "wide":
        return [f"{fs.mnt}/wide/{n // 100}/{n % 100}/file.bin"
                for n in range(DIRECTORIES)]
    below = "".join(f"/d{n}" for n in range(LEVELS))
    return [f"{fs.mnt}/deep{below}/file-{n}.bin" for n in range(FILES)]


def daemon_ns(fs):
    """On a processor so far, by all threads that are and stay there."""
    total = 0
    for stat in glob.glob(f"/proc/{fs.pid}/task/*/schedstat"):
        with open(stat, encoding="utf-8") as file:
            total += int(file.read().split()[0])
    return total


def open_all(paths):
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        os.read(fd, 4096)
        os.close(fd)


def open_cost(fs, tree):
    """Microseconds of an open, read and close."""
    paths = paths_of(fs, tree) * TURNS[tree]
    before = time.process_time_ns() + daemon_ns(fs)
    open_all(paths)
    after = time.process_time_ns() + daemon_ns(fs)
    return (after - before) / len(paths) / 1000


def measure_once(fs, target):
    """The cost for each tree, of a mount that lives just for that."""
    why = fs.mount(WORKER, target)
    if why:
        sys.exit(f"bench: {why}")
    costs = {}
    for tree in TURNS:
        open_all(paths_of(fs, tree))  # charges what isn't the target's
        costs[tree] = open_cost(fs, tree)
    fs.unmount()
    return costs


def measure(filesystems, target):
    found = {}
    for number in range(ROUNDS):
        for i in range(len(filesystems)):
            fs = filesystems[(i + number) % len(filesystems)]
            for tree, cost in measure_once(fs, target).items():
                found.setdefault((tree, fs.name), []).append(cost)
    return found


def report(found):
    """Whether it is as cheap as it should be."""
    worst = 0
    print(f"{'us an open':>12}" + "".join(f"{n:>10}" for n, _ in KINDS)
          + f"{'cost':>9}")
    for tree in TURNS:
        costs = [found[tree, name] for name, _ in KINDS]
        medians = [statistics.median(c) for c in costs]
        more = medians[1] / medians[0] - 1
        worst = max(worst, more)
        print(f"{tree:>12}"
              + "".join(f"{median:>10.1f}" for median in medians)
              + f"{100 * more:>8.1f}%")
    return worst < ALLOWED


def main():
    if os.geteuid() != 0:
        sys.exit("bench: needs root: sudo make bench-rules")
    compile_helpers()
    with contextlib.ExitStack() as stack:
        top, kind = make_top(stack, 0)
        cgroups = stack.enter_context(Corner(f"memcgfs-rules-{os.getpid()}"))
        target = cgroups.make("target")
        filesystems = []
        for name, option in KINDS:
            fs = Filesystem(name, (name, ""), memcgfs_with(TIMEOUTS, option))
            fs.place(top, cgroups)
            stack.callback(fs.unmount)
            filesystems.append(fs)
            fs.source = filesystems[0].source
        make_tree(filesystems[0].source)
        print(f"{kind}, medians of {ROUNDS} rounds", flush=True)
        if not report(measure(filesystems, target)):
            sys.exit(f"bench: more than {100 * ALLOWED:.0f} %")


if __name__ == "__main__":
    main()
