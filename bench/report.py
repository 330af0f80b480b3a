# SPDX-License-Identifier: GPL-2.0-or-later
"""From what was measured: the table, the JSON file, the figures to reach."""

import datetime
import json
import math
import os
import platform
import statistics
import textwrap

from filesystems import TIMEOUT
from workloads import WORKLOADS

LABEL, FIRST, COLUMN = 16, 12, 10
MIB = 1 << 20

READS = ("randread", "read128k", "read1m", "mmap", "cold1m", "openread", "grep")
WRITES = ("randwrite", "write1m", "tar")

# What is to be at least how much of what: (words, workload, who, of whom, bound)
RATIOS = (
    ("4k random read", "randread", "memcgfs", "native", 0.90),
    ("128k read", "read128k", "memcgfs", "native", 0.95),
    ("1M read", "read1m", "memcgfs", "native", 0.95),
    ("mmap read", "mmap", "memcgfs", "native", 0.95),
    ("cold 1M read", "cold1m", "memcgfs", "native", 0.95),
    ("strict 1M read", "read1m", "memcgfs-strict", "native", 0.50),
    ("strict 1M write", "write1m", "memcgfs-strict", "native", 0.50),
    ("4k random write", "randwrite", "memcgfs", "passthrough_hp", 1.00),
    ("open+read+close", "openread", "memcgfs", "passthrough_hp", 1.00),
    ("create+unlink", "create", "memcgfs", "passthrough_hp", 1.00),
    ("stat", "stat", "memcgfs", "passthrough_hp", 1.00),
    ("find", "find", "memcgfs", "passthrough_hp", 1.00),
    ("4k random write", "randwrite", "memcgfs-uring", "passthrough_hp-uring", 1.00),
    ("open+read+close", "openread", "memcgfs-uring", "passthrough_hp-uring", 1.00),
    ("create+unlink", "create", "memcgfs-uring", "passthrough_hp-uring", 1.00),
    ("stat", "stat", "memcgfs-uring", "passthrough_hp-uring", 1.00),
    ("find", "find", "memcgfs-uring", "passthrough_hp-uring", 1.00),
)
RESIDENT_BOUND_BYTES = 40 * MIB


class Cell:
    """One workload on one filesystem: an entry per round, None if it failed."""

    def __init__(self):
        self.rates = []
        self.parts = []
        self.owned = []         # percent; None where no page is concerned
        self.failures = []

    def add(self, rate, parts, owned):
        self.rates.append(rate)
        self.parts.append(parts)
        self.owned.append(owned)

    def add_failure(self, text):
        self.add(None, None, None)
        self.failures.append(text)

    def least_owned(self):
        known = [owned for owned in self.owned if owned is not None]
        return min(known) if known else None


class Spread:
    """Median, minimum and maximum."""

    def __init__(self, values):
        self.median = statistics.median(values)
        self.low, self.high = min(values), max(values)

    def __str__(self):
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"

    def as_dict(self):
        return {"median": self.median, "min": self.low, "max": self.high}


def spread(values):
    values = [value for value in values if value is not None]
    return Spread(values) if values else None


def ratio(cells, who, base):
    """Of two filesystems, round by round; None where one is missing."""
    if who not in cells or base not in cells:
        return None
    pairs = zip(cells[who].rates, cells[base].rates)
    return spread([a / b for a, b in pairs if a is not None and b])


# ---- the table ----

def facts(args, backing, versions):
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        models = [line.split(":", 1)[1].strip() for line in cpuinfo
                  if line.startswith("model name")]
    now = datetime.datetime.now().astimezone()
    return {"date": now.isoformat(timespec="seconds"),
            "kernel": platform.release(),
            "cpu": models[0] if models else platform.machine(),
            "cpus": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PHYS_PAGES") *
                            os.sysconf("SC_PAGE_SIZE"),
            "backing": backing, "versions": versions,
            "rounds": args.rounds, "seconds": args.seconds,
            "timeouts_seconds": TIMEOUT}


def print_header(known, bench):
    print(f"{known['date'][:16].replace('T', ' ')}  Linux {known['kernel']}  "
          f"{known['cpu']}, {known['cpus']} CPUs, "
          f"{known['memory_bytes'] >> 30} GiB  {known['backing']}")
    print(textwrap.fill(
        f"Ratios to native, the median of {known['rounds']} interleaved rounds, "
        "and the share of the files' resident pages that the target owns; below "
        "it the lowest and highest round. All servers let the kernel keep names "
        f"and attributes for {TIMEOUT:,} s, as passthrough_hp has built in.",
        80))
    for name, why in bench.left_out.items():
        print(f"left out: {name}: {why}")
    shown = _columns(bench.filesystems)
    print()
    for line in (0, 1):
        _print_line("", [fs.titles[line] for fs in shown])


def _columns(filesystems):
    """Those that take part in everything; the others get lines of their own."""
    return [fs for fs in filesystems if fs.only is None]


def _print_line(label, texts):
    widths = [FIRST] + [COLUMN] * (len(texts) - 1)
    columns = "".join(f"{text:>{width}}" for text, width in zip(texts, widths))
    print(f"{label:<{LABEL}}{columns}".rstrip(), flush=True)


def print_row(workload, cells, filesystems):
    shown = _columns(filesystems)
    upper, lower = [], []
    for fs in shown:
        texts = _native_texts if fs.command is None else _ratio_texts
        for line, text in zip((upper, lower), texts(cells, fs)):
            line.append(text)
    _print_line(workload.title, upper)
    _print_line("  " + workload.unit, lower)
    for fs in filesystems:
        if fs.only and fs.name in cells:
            print(f"  {' '.join(fs.titles)}: "
                  f"{ratio(cells, fs.name, 'native') or 'failed'}")
    for name, cell in cells.items():
        for failure in sorted(set(cell.failures)):
            text = (f"{name}: {failure} (in {cell.failures.count(failure)} of "
                    f"{len(cell.rates)} rounds)")
            print(textwrap.fill(text, 80, initial_indent="  ",
                                subsequent_indent="    "), flush=True)


def _native_texts(cells, fs):
    rates = spread(cells[fs.name].rates)
    if not rates:
        return "failed", ""
    return (_number(rates.median),
            f"{_number(rates.low)}-{_number(rates.high)}")


def _number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _ratio_texts(cells, fs):
    found = ratio(cells, fs.name, "native")
    if not found:
        return "failed", ""
    owned = cells[fs.name].least_owned()
    share = "" if owned is None else f" {math.floor(owned)}%"
    return (_short(found.median) + share,
            f"{_short(found.low)}-{_short(found.high)}")


def _short(value):
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


# ---- the end ----

def print_end(bench, found, lines):
    shown = _columns(bench.filesystems)
    for title, key, unit in (
            ("Pages of the backing files in the end", "backing_pages", 1),
            ("File charge in the end, KiB: with second copies, and the backing"
             " filesystem's\nown blocks (directories, inode tables)",
             "file_bytes", 1024)):
        print(f"\n{title}")
        for who in ("client", "server"):
            _print_line(f"  of the {who}",
                        [str(found["charges"][fs.name][who][key] // unit)
                         for fs in shown])
    print("\nFigures to reach")
    for line in lines:
        print(textwrap.fill(f"  {line['verdict']:<13}{line['text']}", 80,
                            subsequent_indent=" " * 15))


def figures(bench, found):
    """[{verdict: reached, not reached or not measured; text}]"""
    lines = []
    for fs in bench.filesystems:
        if fs.is_memcgfs and fs.only is None:
            lines.append(_ownership(bench, fs, found))
            lines.append(_server_charge(fs, found))
    names = [fs.name for fs in bench.filesystems]
    for words, workload, who, base, bound in RATIOS:
        if workload in bench.results and (who in names or "uring" not in who):
            lines.append(_ratio_line(bench, words, workload, who, base, bound))
    if "memory" in bench.args.only:
        lines.append(_memory(found["memory"]))
    return lines


def _line(verdict, text):
    words = {True: "reached", False: "not reached", None: "not measured"}
    return {"verdict": words[verdict], "text": text}


def _ratio_line(bench, words, workload, who, base, bound):
    title = f"{words}, {who} >= {bound:.2f} of {base}"
    value = ratio(bench.results.get(workload, {}), who, base)
    if value is None:
        return _line(None, title)
    return _line(value.median >= bound, f"{title}: {value}")


def _ownership(bench, fs, found):
    """Every page, in every round; also of exec and sendfile. Where no page
    is resident afterwards, none is charged to anybody."""
    short, n = [], 0
    for workload in READS + WRITES + ("mix",):
        cell = bench.results.get(workload, {}).get(fs.name)
        if not cell:
            continue
        n += 1
        owned = cell.least_owned()
        if cell.failures or owned not in (100, None):
            short.append(f"{workload} {_percent(owned)}")
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


def _memory(memory):
    title = f"memory of daemon and chargers <= {RESIDENT_BOUND_BYTES // MIB} MiB"
    if not memory:
        return _line(None, title)
    if "failure" in memory:
        return _line(None, f"{title}: {memory['failure']}")
    return _line(memory["after_bytes"] <= RESIDENT_BOUND_BYTES,
                 f"{title} after opening {memory['files']:,} files: "
                 f"{memory['after_bytes'] / MIB:.1f} MiB in "
                 f"{memory['processes']} processes "
                 f"({memory['before_bytes'] / MIB:.1f} before)")


# ---- JSON ----

def write_json(path, known, bench, found, lines):
    workloads = {w.name: {"title": w.title, "unit": w.unit,
                          "filesystems": _cells(bench.results[w.name])}
                 for w in WORKLOADS if w.name in bench.results}
    document = dict(known, left_out=bench.left_out, workloads=workloads,
                    checks=found, figures=lines)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.write("\n")


def _cells(cells):
    out = {}
    for name, cell in cells.items():
        rates, to_native = spread(cell.rates), ratio(cells, name, "native")
        out[name] = {"rates": cell.rates, "parts": cell.parts,
                     "owned_percent": cell.owned, "failures": cell.failures,
                     "rate": rates and rates.as_dict(),
                     "ratio": to_native and to_native.as_dict()}
    return out
