#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""make bench: memcgfs beside the native filesystem and its peers.

Each workload goes round-robin over the filesystems, several rounds, so that
what else the machine does hits all alike; a figure is the median of the rounds,
as a ratio to native in the same round. The timed loops are C (worker.c) and run
in a cgroup that is neither the target nor the server's. After each run the
kernel says who pays for the pages of the backing files.
"""

import argparse
import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

import checks
import report
from cgroup import Corner
from filesystems import all_filesystems, fuse_uring, versions
from tools import (BUILD, HELPER_SECONDS, PAGES, WORKER, compile_helpers,
                   progress, run)
from workloads import (FULL, QUICK, TREE_BYTES, WORKLOADS, fill_tree, make_tar,
                       rate_of)

EXTRA = ("ownership", "memory")     # see checks.py
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
                        help="how often each cell is measured (5)")
    parser.add_argument("--only", metavar="WORKLOAD,...")
    parser.add_argument("--fs", metavar="NAME,...",
                        help="besides native, which is always measured")
    parser.add_argument("--uring", action="store_true",
                        help="also over FUSE-io_uring, which is switched on "
                             "in the kernel while these mount")
    parser.add_argument("--json", metavar="FILE",
                        default=f"{BUILD}/bench/results.json")
    args = parser.parse_args()
    if args.rounds is None:
        args.rounds = 2 if args.quick else 5
    if args.rounds < 1:
        parser.error("--rounds: at least 1")
    args.seconds = 0.2 if args.quick else 0.5
    args.scale = QUICK if args.quick else FULL
    args.only = _choose(parser, args.only, names + list(EXTRA))
    args.fs = _choose(parser, args.fs,
                      [fs.name for fs in all_filesystems(args.uring)])
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
        self.cgroups = stack.enter_context(
            Corner(f"memcgfs-bench-{os.getpid()}"))
        self.target = self.cgroups.make("target")
        self.workloads = [w for w in WORKLOADS if w.name in args.only]
        self.filesystems = []
        self.left_out = {}          # name of the filesystem: why
        self.results = {}           # name of the workload: of the fs: Cell
        self.dead = set()
        self.top = self.top_kind = self.tar = None

    # ---- set-up ----

    def mount_all(self):
        wanted = [fs for fs in all_filesystems(self.args.uring)
                  if fs.name == "native" or
                  (fs.name in self.args.fs and self._has_part(fs))]
        self.top, self.top_kind = make_top(self.stack, len(wanted))
        self.tar = make_tar(self.top, self.args.scale)
        for fs in wanted:
            fs.place(self.top, self.cgroups)
            self._fill(fs)
        self.sync()
        for fs in wanted:
            self.drop(fs.source)
        self._mount_group([fs for fs in wanted if not fs.uring], uring=False)
        self._mount_group([fs for fs in wanted if fs.uring], uring=True)

    def _has_part(self, fs):
        return any(fs.takes(w.name) for w in self.workloads) or (
            fs.is_memcgfs and "ownership" in self.args.only)

    def _fill(self, fs):
        progress(f"preparing {fs.name}")
        fill_tree(fs.source, [w for w in self.workloads if fs.takes(w.name)],
                  self.args.scale)

    def _mount_group(self, group, uring):
        """A mount keeps the transport that it began with. While the switch is
        on, a server that takes what it finds would have a faster one than
        those that must be asked: so it is off for all the others."""
        if not group:
            return
        with fuse_uring(uring):
            for fs in group:
                why = fs.missing() or self.mount(fs)
                if why:
                    self.left_out[fs.name] = why
                else:
                    self.filesystems.append(fs)

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

    # ---- measuring ----

    def worker(self, fs, *verb):
        return run(WORKER, "-g", fs.client, "-s", str(self.args.seconds), *verb)

    def measure_all(self):
        for workload in self.workloads:
            cells = {fs.name: report.Cell() for fs in self.filesystems
                     if fs.takes(workload.name)}
            self.results[workload.name] = cells
            for number in range(self.args.rounds):
                self._round(workload, number, cells)
            progress("")
            report.print_row(workload, cells, self.filesystems)

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
                self._cell(workload, fs, number, cells[fs.name])
            except (RuntimeError, OSError) as error:
                cells[fs.name].add_failure(fs.death() or str(error))
            if fs.death():
                self.dead.add(fs.name)

    def _cell(self, workload, fs, number, cell):
        new = f"new-{workload.name}-{fs.name}-{number}"
        if workload.makes == "directory":
            os.mkdir(f"{fs.mnt}/{new}")
        if workload.cold:
            left = self.drop(f"{fs.source}/big")
            if left:
                raise RuntimeError(f"{left} pages cannot be dropped")
        words = [word.format(mnt=fs.mnt, new=new, tar=self.tar,
                             files=self.args.scale.files)
                 for word in workload.command.split()]
        try:
            rate, parts = rate_of(workload, self.worker(fs, *words),
                                  self.args.scale)
            pages = [f"{fs.source}/{page.format(new=new)}"
                     for page in workload.pages]
            cell.add(rate, parts, self.owned(pages) if pages else None)
        finally:
            if workload.makes:
                subprocess.run(["rm", "-rf", f"{fs.mnt}/{new}"], check=False,
                               stderr=subprocess.DEVNULL,
                               timeout=HELPER_SECONDS)
            if workload.dirty:
                self.sync()


def measure(args):
    stack = contextlib.ExitStack()
    try:
        bench = Bench(args, stack)
        bench.mount_all()
        progress("")
        facts = report.facts(args, bench.top_kind, versions())
        report.print_header(facts, bench)
        bench.measure_all()
        found = checks.run_all(bench)
        figures = report.figures(bench, found)
        report.print_end(bench, found, figures)
        report.write_json(args.json, facts, bench, found, figures)
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
        measure(args)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        sys.exit(f"bench: {error}")


if __name__ == "__main__":
    main()
