# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures that are to be reached, and whether they were."""

import math
import textwrap

from filesystems import all_filesystems
from growth import RESIDENT_BOUND_BYTES, RESIDENT_FILES
from report import ratio
from workloads import MIB, WORKLOADS

AUTO, STRICT, CACHED = "memcgfs", "memcgfs-strict", "memcgfs-cached"
AUTO_URING = "memcgfs-uring"
ANY_PATH = tuple(fs.name for fs in all_filesystems()
                 if fs.is_memcgfs and fs.only is None)
PEERS = ("passthrough_hp", "bindfs", "mergerfs")
PEERS_URING = PEERS + ("passthrough_hp-uring",)

# What is to be at least how much of native: (words, workload, who, bound). Of
# several, the best counts.
RATIOS = (
    ("4k random read", "randread", AUTO, 0.90),
    ("128k read", "read128k", AUTO, 0.95),
    ("1M read", "read1m", AUTO, 0.95),
    ("mmap read", "mmap", AUTO, 0.95),
    ("cold 1M read", "cold1m", AUTO, 0.95),
    ("strict 1M read", "read1m", STRICT, 0.50),
    ("strict 1M write", "write1m", STRICT, 0.50),
    ("open+read+close", "openread", CACHED, 0.80),
    ("stat", "stat", CACHED, 0.80),
    ("4k random read", "randread", CACHED, 0.90),
    ("mmap read", "mmap", CACHED, 0.90),
    ("find", "find", CACHED, 0.90),
    ("compile", "compile", CACHED, 0.90),
    ("grep -r", "grep", CACHED, 0.80),
    ("small files, cold", "coldtree", CACHED, 0.50),
    ("cold 1M read", "cold1m", CACHED, 0.80),
    ("1M write in some path", "write1m", ANY_PATH, 0.60),
    ("4k write in some path", "randwrite", ANY_PATH, 0.20),
    ("1M write from the host", "write1m-host", AUTO, 0.90),
    ("4k write from the host", "randwrite-host", AUTO, 0.40),
)

# Who is to be ahead of all of whom, and in what (all workloads where empty).
AHEAD = (
    (AUTO, PEERS, ("create", "rm")),
    (AUTO_URING, PEERS_URING, ("create", "rm")),
    (AUTO_URING, PEERS_URING, ()),
)


def all_figures(bench, found):
    """[{verdict: reached, not reached or not measured; text}]"""
    lines = []
    for fs in bench.filesystems:
        if fs.is_memcgfs and fs.only is None:
            lines.append(_ownership(bench, fs, found))
            lines.append(_server_charge(fs, found))
    for words, workload, who, bound in RATIOS:
        if workload in bench.results:
            lines.append(_ratio(bench, words, workload, who, bound))
    for who, peers, workloads in AHEAD:
        lines.append(_ahead(bench, who, peers, workloads))
    if "growth" in bench.args.only:
        lines.append(_memory(found["growth"]["growth"].get(AUTO)))
    return lines


def print_all(lines):
    print("\nFigures to reach")
    for line in lines:
        print(textwrap.fill(f"  {line['verdict']:<13}{line['text']}", 80,
                            subsequent_indent=" " * 15))


def _line(verdict, text):
    words = {True: "reached", False: "not reached", None: "not measured"}
    return {"verdict": words[verdict], "text": text}


def _ratio(bench, words, workload, who, bound):
    title = f"{words}, {who if isinstance(who, str) else 'memcgfs'} >= {bound:.2f}"
    names = (who,) if isinstance(who, str) else who
    values = [(value, name) for name in names
              if (value := ratio(bench.results[workload], name, "native"))]
    if not values:
        return _line(None, f"{title} of native")
    value, name = max(values, key=lambda pair: pair[0].median)
    by = "" if isinstance(who, str) else f" ({name})"
    return _line(value.median >= bound, f"{title} of native: {value}{by}")


def _ahead(bench, who, peers, workloads):
    behind, n = [], 0
    for workload, cells in bench.results.items():
        if workloads and workload not in workloads:
            continue
        values = [(value.median, peer) for peer in peers
                  if (value := ratio(cells, who, peer))]
        if not values:
            continue
        n += 1
        least, peer = min(values)
        if least < 1:
            behind.append(f"{workload} {least:.2f} of {peer}")
    title = f"{who} is ahead of every peer in " + (
        " and ".join(workloads) or f"all {n} workloads")
    if not n:
        return _line(None, title)
    return _line(not behind, title + (": " if behind else "")
                 + ", ".join(behind))


def _ownership(bench, fs, found):
    """Every page, in every round; also of exec and sendfile. Where no page
    is resident afterwards, none is charged to anybody."""
    short, n = [], 0
    for workload in WORKLOADS:
        cell = bench.results.get(workload.name, {}).get(fs.name)
        if not cell or not workload.pages:
            continue
        n += 1
        owned = cell.least_owned()
        if cell.failures or owned not in (100, None):
            short.append(f"{workload.name} {_percent(owned)}")
    for use, owned in found["ownership"].get(fs.name, {}).items():
        n += 1
        if owned not in (100, None):
            short.append(f"{use} {_percent(owned)}")
    title = f"{fs.name}: the target owns 100% of the pages of {n} workloads"
    if not n:
        return _line(None, title)
    return _line(not short, f"{title}{': ' if short else ''}{', '.join(short)}")


def _percent(owned):
    """Rounded down: 100 means all pages, not nearly all."""
    if not isinstance(owned, (int, float)):
        return f"failed ({owned})" if owned else "failed"
    return f"{math.floor(owned * 100) / 100:g}%"


def _server_charge(fs, found):
    charge = found["charges"][fs.name]["server"]
    return _line(charge["backing_pages"] == 0,
                 f"{fs.name}: the daemon owns no page of the files: "
                 f"{charge['backing_pages']} (its cgroup's file charge, the "
                 "backing filesystem's own blocks included: "
                 f"{charge['file_bytes'] >> 10} KiB)")


def _memory(growth):
    title = (f"memory of daemon and chargers <= {RESIDENT_BOUND_BYTES // MIB} MiB"
             f" after opening {RESIDENT_FILES:,} files")
    steps = [step for step in (growth or {}).get("steps", ())
             if step["files"] == RESIDENT_FILES]
    if not steps:
        return _line(None, title)
    used = steps[0]["memory_bytes"]
    return _line(used <= RESIDENT_BOUND_BYTES,
                 f"{title}: {used / MIB:.1f} MiB")
