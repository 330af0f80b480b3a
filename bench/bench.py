#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""make bench: memcgfs beside the native filesystem and its peers.

Each workload goes round-robin over the filesystems, several rounds, so that
what else the machine does hits all alike; a figure is the median of the rounds,
as a ratio to native in the same round. The timed loops are C (worker.c) and run
in a cgroup that is neither the target nor the server's. After each run the
kernel says who pays for the pages, and in the first round how much more is
charged to all who took part than was before: that is what the data costs.

It is done when the time is: a workload whose rounds take long has fewer.
"""

import argparse
import contextlib
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

import chart
import checks
import datasets
import figures
import growth
import perf
import report
from cgroup import Corner
from filesystems import all_filesystems, versions
from tools import BUILD, PAGES, WORKER, compile_helpers, progress, run
from workloads import FULL, QUICK, TREE_BYTES, WORKLOADS, rate_of

EXTRA = ("ownership",) + growth.PARTS       # see checks.py, growth.py
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LEAST_ROUNDS = 2
LEAST_DATA_BYTES = 8 << 20


def parse_arguments():
    names = [w.name for w in WORKLOADS]
    parser = argparse.ArgumentParser(
        description="Measures memcgfs beside native and its peers.",
        epilog=f"WORKLOAD: {', '.join(names)}; for memcgfs alone "
               f"{', '.join(EXTRA)}.")
    parser.add_argument("--quick", action="store_true",
                        help="2 rounds of shorter runs with a quarter of "
                             "the small files")
    parser.add_argument("--rounds", type=int, metavar="N",
                        help="how often each cell is measured at most (5)")
    parser.add_argument("--minutes", type=float, metavar="N", default=10,
                        help="for the rounds of all workloads together (10); "
                             f"each has {LEAST_ROUNDS} in any case")
    parser.add_argument("--only", metavar="WORKLOAD,...")
    parser.add_argument("--fs", metavar="NAME,...",
                        help="besides native, which is always measured")
    parser.add_argument("--million", action="store_true",
                        help="let growth go on to a million files")
    parser.add_argument("--profile", metavar="WORKLOAD",
                        help="instead: where the server's time goes, of the "
                             "first of --fs (needs perf)")
    parser.add_argument("--json", metavar="FILE",
                        default=f"{BUILD}/bench/results.json")
    parser.add_argument("--svg", metavar="FILE",
                        default=f"{BUILD}/bench/bench.svg")
    args = parser.parse_args()
    if args.rounds is None:
        args.rounds = 2 if args.quick else 5
    if args.rounds < 1:
        parser.error("--rounds: at least 1")
    args.seconds = 0.2 if args.quick else 0.3
    args.scale = QUICK if args.quick else FULL
    filesystems = [fs.name for fs in all_filesystems()]
    if args.profile:
        _choose(parser, args.profile, names)
        args.only = args.profile
        args.fs = (args.fs or "memcgfs").split(",")[0]
    args.only = _choose(parser, args.only, names + list(EXTRA))
    args.fs = _choose(parser, args.fs, filesystems)
    return args


def _choose(parser, text, known):
    chosen = text.split(",") if text else known
    for name in chosen:
        if name not in known:
            parser.error(f"unknown \"{name}\": one of {', '.join(known)}")
    return chosen


def make_top(stack, trees):
    """A directory on a disk filesystem with room for all trees."""
    needed = (trees + 2) * TREE_BYTES
    for parent in ("/var/tmp", "/var/lib", BUILD):
        kind = run("df", "--output=fstype", parent).split()[-1]
        if kind in ("tmpfs", "ramfs") or shutil.disk_usage(parent).free < needed:
            continue
        top = tempfile.mkdtemp(prefix="memcgfs-bench.", dir=parent)
        stack.callback(subprocess.run,
                       ["rm", "-rf", "--one-file-system", top], check=False)
        return top, kind
    raise RuntimeError(f"no disk filesystem with {needed >> 30} GiB free in "
                       f"/var/tmp, /var/lib or {BUILD}")


class Bench:
    """One run: what is mounted, and what was measured."""

    def __init__(self, args, stack):
        self.args = args
        self.stack = stack
        self.begun = time.monotonic()
        self.cgroups = stack.enter_context(
            Corner(f"memcgfs-bench-{os.getpid()}"))
        self.target = self.cgroups.make("target")
        self.workloads = [w for w in WORKLOADS if w.name in args.only]
        self.filesystems = []
        self.left_out = {}          # name of the filesystem: why
        self.results = {}           # name of the workload: of the fs: Cell
        self.dead = set()
        self.top = self.top_kind = None

    def seconds(self):
        return time.monotonic() - self.begun

    # ---- set-up ----

    def mount_all(self):
        wanted = [fs for fs in all_filesystems()
                  if fs.name == "native" or
                  (fs.name in self.args.fs and self._has_part(fs))]
        self.top, self.top_kind = make_top(self.stack, len(wanted))
        progress("preparing what is the same for all")
        datasets.make_templates(f"{self.top}/templates",
                                self._needs(self.workloads), self.args.scale)
        for fs in wanted:
            progress(f"preparing {fs.name}")
            self._fill(fs)
        self.sync()
        for fs in wanted:
            self.drop(fs.source)
        for fs in wanted:
            progress(f"mounting {fs.name}")
            why = fs.missing() or self.mount(fs)
            if why:
                self.left_out[fs.name] = why
            else:
                self.filesystems.append(fs)

    def _has_part(self, fs):
        return any(fs.takes(w.name) for w in self.workloads) or (
            fs.is_memcgfs and "ownership" in self.args.only)

    @staticmethod
    def _needs(workloads):
        return dict.fromkeys(name for w in workloads for name in w.needs)

    def _fill(self, fs):
        fs.place(self.top, self.cgroups)
        datasets.fill(fs.source,
                      self._needs(w for w in self.workloads if fs.takes(w.name)),
                      self.args.scale, f"{self.top}/templates")

    def mount(self, fs):
        """None, or why it does not mount."""
        self.stack.callback(fs.unmount)
        return fs.mount(WORKER, self.target)

    # ---- pages ----

    def sync(self):
        run("sync", "-f", self.top)

    def drop(self, path):
        """Drops the cached pages below a backing path; the number of pages
        that are busy and stay."""
        for _ in range(5):
            left = int(run(PAGES, "drop", path))
            if not left:
                break
            self.sync()
        return left

    def make_cold(self, fs, names):
        for name in names:
            if fs.own_pages:
                run(PAGES, "drop", f"{fs.mnt}/{name}")
            left = self.drop(f"{fs.source}/{name}")
            if left:
                raise RuntimeError(f"{left} pages cannot be dropped")

    def owned_pages(self, paths, cgroup):
        """Of the resident pages of these files: those charged to a cgroup or
        one below it, and all."""
        inodes = self.cgroups.inodes(cgroup)
        owners = [tuple(map(int, line.split()))
                  for line in run(PAGES, "owners", *paths).splitlines()]
        return (sum(pages for inode, pages in owners if inode in inodes),
                sum(pages for _, pages in owners))

    def owned(self, paths):
        """The target's share in percent, None where no page is resident."""
        mine, total = self.owned_pages(paths, self.target)
        return 100 * mine / total if total else None

    def look(self, fs, names):
        """The target's share. Of memcgfs all pages count; a peer drops its own
        when the file is opened for a look."""
        paths = [f"{fs.source}/{name}" for name in names]
        if fs.own_pages and fs.is_memcgfs:
            paths += [f"{fs.mnt}/{name}" for name in names]
        return self.owned(paths)

    def charged_bytes(self, fs):
        """To all who may be charged for a filesystem's files."""
        return sum(self.cgroups.file_bytes(cgroup)
                   for cgroup in (fs.client, fs.daemon, self.target))

    def settled_bytes(self, fs):
        """A server may let go of what was removed a little later."""
        last = None
        for _ in range(20):
            now = self.charged_bytes(fs)
            if now == last:
                break
            last = now
            time.sleep(0.05)
        return last

    # ---- measuring ----

    def worker(self, fs, *verb, cgroup=None):
        return run(WORKER, "-g", cgroup or fs.client, "-s",
                   str(self.args.seconds), *verb)

    def measure_all(self):
        self.sync()
        end = time.monotonic() + 60 * self.args.minutes
        for i, workload in enumerate(self.workloads):
            now = time.monotonic()
            share = max(end - now, 0) / (len(self.workloads) - i)
            self._measure(workload, now + share)
            progress("")
            report.print_row(workload, self.results[workload.name],
                             self.filesystems)

    def _measure(self, workload, end):
        cells = {fs.name: report.Cell() for fs in self.filesystems
                 if fs.takes(workload.name)}
        self.results[workload.name] = cells
        took = 0
        for number in range(self.args.rounds):
            began = time.monotonic()
            if number >= LEAST_ROUNDS and began + took > end:
                break
            self._round(workload, number, cells)
            took = time.monotonic() - began

    def _round(self, workload, number, cells):
        n = len(self.filesystems)
        for i in range(n):
            fs = self.filesystems[(i + number) % n]     # nobody is always first
            if fs.name not in cells:
                continue
            if fs.name in self.dead:
                cells[fs.name].add_failure("its server is dead")
                continue
            progress(f"{workload.title}, round {number + 1} of "
                     f"{self.args.rounds}: {fs.name}")
            try:
                self.cell(workload, fs, number, cells[fs.name])
            except (RuntimeError, OSError,
                    subprocess.SubprocessError) as error:
                cells[fs.name].add_failure(fs.death() or str(error))
            if fs.death():
                self.dead.add(fs.name)

    def cell(self, workload, fs, number, cell):
        new = f"new-{workload.name}-{fs.name}-{number}"
        if workload.makes == "directory":
            run("mkdir", f"{fs.mnt}/{new}")
        pages = [name.format(new=new) for name in workload.pages]
        first = number == 0 and pages
        self.make_cold(fs, workload.needs_dropped(first))
        try:
            before = self.settled_bytes(fs) if first else 0
            output = self.worker(fs, *self._words(workload, fs, new),
                                 cgroup=workload.in_host and self.target)
            more = self.charged_bytes(fs) - before if first else 0
            cell.add(*rate_of(workload, output, self.args.scale),
                     self.look(fs, pages) if pages else None,
                     copies_of([f"{fs.source}/{name}" for name in pages], more)
                     if first else None)
        finally:
            if workload.makes:
                with contextlib.suppress(RuntimeError):
                    run("rm", "-rf", f"{fs.mnt}/{new}")
            if workload.dirty:
                self.sync()

    def _words(self, workload, fs, new):
        names = dict(vars(self.args.scale), mnt=fs.mnt, new=new,
                     tar=f"{self.top}/templates/tar",
                     sql=f"{self.top}/templates/sql")
        return [word.format(**names) for word in shlex.split(workload.command)]


def copies_of(paths, charged_bytes):
    """How much is charged for the data of these files, in full pages, as a
    factor; None where there is too little for the kernel's lazy counters."""
    files = [path for path in paths if os.path.isfile(path)]
    for path in paths:
        for directory, _, names in os.walk(path):
            files += [f"{directory}/{name}" for name in names]
    page = resource.getpagesize()
    data = sum(-(-os.stat(file).st_size // page) * page for file in files)
    return charged_bytes / data if data >= LEAST_DATA_BYTES else None


def measure(args, stack):
    bench = Bench(args, stack)
    bench.mount_all()
    progress("")
    if args.profile:
        perf.print_profile(bench)
        return
    facts = report.facts(args, bench.top_kind, versions())
    report.print_header(facts, bench)
    bench.measure_all()
    found = checks.run_all(bench)
    found["growth"] = growth.run_all(bench)
    reached = figures.all_figures(bench, found)
    report.print_end(bench, found)
    growth.print_all(found["growth"])
    figures.print_all(reached)
    facts["seconds_taken"] = round(bench.seconds())
    report.write_json(args.json, facts, bench, found, reached)
    why = chart.draw(args.json, args.svg)
    if why:
        print(f"no chart: {why}")
    minutes, seconds = divmod(facts["seconds_taken"], 60)
    print(f"\nIt took {minutes} min {seconds} s. {os.path.relpath(args.json)}, "
          f"{os.path.relpath(args.svg)}")


def run_all(args):
    stack = contextlib.ExitStack()
    try:
        measure(args, stack)
    finally:
        for number in ENDINGS:
            signal.signal(number, signal.SIG_IGN)
        progress("")
        stack.close()


def on_ending(number, _frame):
    sys.exit(128 + number)


def raise_fd_limit():
    """A server may hold an fd per inode."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main():
    args = parse_arguments()
    if os.geteuid() != 0:
        sys.exit("bench: needs root (cgroups, mounts, /proc/kpagecgroup): "
                 "sudo make bench")
    for number in ENDINGS:
        signal.signal(number, on_ending)
    raise_fd_limit()
    try:
        compile_helpers()
        run_all(args)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        sys.exit(f"bench: {error}")


if __name__ == "__main__":
    main()
