# SPDX-License-Identifier: GPL-2.0-or-later
"""From what was measured: the table and the JSON file."""

import datetime
import json
import math
import os
import platform
import statistics
import textwrap

from filesystems import TIMEOUT
from workloads import WORKLOADS

LABEL, FIRST, COLUMN = 20, 12, 10
MIB = 1 << 20


class Cell:
    """One workload on one filesystem: an entry per round, None if it failed."""

    def __init__(self):
        self.rates = []
        self.parts = []
        self.owned = []         # percent; None where no page is concerned
        self.copies = []        # bytes of pages a byte of data, if looked for
        self.failures = []

    def add(self, rate, parts, owned=None, copies=None):
        self.rates.append(rate)
        self.parts.append(parts)
        self.owned.append(owned)
        self.copies.append(copies)

    def add_failure(self, text):
        self.add(None, None)
        self.failures.append(text)

    def least_owned(self):
        known = [owned for owned in self.owned if owned is not None]
        return min(known) if known else None

    def most_copies(self):
        known = [copies for copies in self.copies if copies is not None]
        return max(known) if known else None


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
        f"Ratios to native, the median of up to {known['rounds']} interleaved "
        "rounds, and the share of the files' resident pages that the target "
        "owns; below it the lowest and highest round, and GiB of page cache for "
        "each GiB of data, all copies and whatever else was read for it. All servers let the kernel keep names "
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
    upper, lower, copies = [], [], []
    for fs in shown:
        texts = _native_texts if fs.command is None else _ratio_texts
        for line, text in zip((upper, lower), texts(cells, fs)):
            line.append(text)
        most = cells[fs.name].most_copies()
        copies.append("" if most is None else f"{most:.2f}")
    _print_line(workload.title, upper)
    _print_line("  " + workload.unit, lower)
    if any(copies):
        _print_line("  GiB a GiB", copies)
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

def print_end(bench, found):
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
                     "owned_percent": cell.owned, "copies": cell.copies,
                     "failures": cell.failures, "rate": rates and rates.as_dict(),
                     "ratio": to_native and to_native.as_dict()}
    return out
