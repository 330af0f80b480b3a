# SPDX-License-Identifier: GPL-2.0-or-later
"""How memcgfs grows, each part with a mount of its own:

  growth     an open, the memory of daemon and chargers, and memcgfsctl tree, by
             how many files have been opened
  claims     what it costs to claim, and to verify, a GiB of files that others
             have brought in beside the mount
  chargers   an open, and memory, by how many cgroups the files belong to
"""

import os
import statistics
import time

from filesystems import Filesystem, all_filesystems
from tools import CTL, WORKER, progress, run

PARTS = ("growth", "claims", "chargers")
MIB, GIB = 1 << 20, 1 << 30

STEPS = (1_000, 10_000, 100_000)
MILLION = 1_000_000
MILLION_SECONDS = 900
RESIDENT_FILES, RESIDENT_BOUND_BYTES = 100_000, 40 * MIB
TURNS = 3
TREES = 15

CLAIMED = (("files of 1 MiB", MIB, 256), ("files of 16 KiB", 16 << 10, 5_000))
LEAST_FOREIGN = 50      # percent

CHARGERS = (1, 10, 100)
DIRECTORIES, FILES = 100, 10_000     # as worker's fill-tree makes them


def run_all(bench):
    """{part: {filesystem: ...}}, an empty one for what was not asked for."""
    found = {}
    for part, measure in zip(PARTS, (_growth, _claims, _chargers)):
        found[part] = {}
        if part not in bench.args.only:
            continue
        for name, fs in _variants(bench, part):
            try:
                found[part][name] = measure(bench, fs)
            except (RuntimeError, OSError) as error:
                found[part][name] = {"failure": fs.death() or str(error)}
            finally:
                fs.unmount()
                progress(f"{part}: removing its files")
                run("rm", "-rf", "--one-file-system", os.path.dirname(fs.source),
                    seconds=MILLION_SECONDS)
    return found


def _variants(bench, part):
    """Of memcgfs over /dev/fuse those that were asked for, one at a time."""
    for column in all_filesystems():
        if (column.is_memcgfs and not column.uring and column.only is None
                and column.name in bench.args.fs):
            fs = Filesystem(f"{part}-{column.name}", column.titles,
                            column.command)
            fs.place(bench.top, bench.cgroups)
            yield column.name, fs


def _mount(bench, fs):
    why = fs.missing() or bench.mount(fs)
    if why:
        raise RuntimeError(why)


def _open_us(bench, fs, path):
    """Of an open, read and close of a file whose pages are there."""
    return statistics.median(1e6 / float(bench.worker(fs, "openread", path))
                             for _ in range(TURNS))


def _tree_ms(fs):
    """Of memcgfsctl tree, its start included: the median, and the longest."""
    taken = []
    for _ in range(TREES):
        began = time.monotonic()
        run(CTL, "tree", fs.mnt)
        taken.append(1e3 * (time.monotonic() - began))
    return statistics.median(taken), max(taken)


# ---- growth ----

def _growth(bench, fs):
    steps = STEPS + ((MILLION,) if bench.args.million else ())
    before = 0
    for files in steps:
        progress(f"growth: {fs.name}, making {files:,} files")
        run(WORKER, "fill-tree", f"{fs.source}/to{files}", str(files - before),
            "1", seconds=MILLION_SECONDS)
        before = files
    bench.sync()
    bench.drop(fs.source)
    _mount(bench, fs)
    found = {"empty_bytes": fs.resident_bytes()[0], "steps": []}
    for files in steps:
        progress(f"growth: {fs.name}, opening {files:,} files")
        run(WORKER, "-g", fs.client, "walk", f"{fs.mnt}/to{files}",
            seconds=MILLION_SECONDS)
        memory, processes = fs.resident_bytes()
        tree_ms, longest_ms = _tree_ms(fs)
        found["steps"].append(
            {"files": files, "memory_bytes": memory, "processes": processes,
             "tree_ms": tree_ms, "longest_tree_ms": longest_ms,
             "open_us": _open_us(bench, fs, f"{fs.mnt}/to{STEPS[0]}")})
    return found


# ---- claims ----

def _claims(bench, fs):
    for i, (_, size, count) in enumerate(CLAIMED):
        run(WORKER, "fill-tree", f"{fs.source}/claim{i}", str(count), str(size))
    bench.sync()
    _mount(bench, fs)
    found = {}
    for i, (title, size, count) in enumerate(CLAIMED):
        turns = [_claim(bench, fs, f"claim{i}") for _ in range(TURNS)]
        for verb, seconds in zip(("claim", "verify"), zip(*turns)):
            found[f"{verb}, {title}"] = {
                "seconds_a_gib":
                    statistics.median(seconds) * GIB / (size * count)}
    return found


def _claim(bench, fs, name):
    """Seconds to claim, and to verify, what a client has read beside."""
    progress(f"claims: {fs.name}, {name}")
    run(WORKER, "-g", fs.client, "walk", f"{fs.mnt}/{name}")    # they are known
    bench.drop(f"{fs.source}/{name}")
    run(WORKER, "-g", fs.client, "walk", f"{fs.source}/{name}")
    foreign = 100 - bench.owned([f"{fs.source}/{name}"])
    if foreign < LEAST_FOREIGN:     # memcgfs looks after files by itself, too
        raise RuntimeError(f"only {foreign:.0f}% of the pages were foreign")
    began = time.monotonic()
    run(CTL, "claim", f"{fs.mnt}/{name}")
    seconds = [(time.monotonic() - began) * 100 / foreign]
    began = time.monotonic()
    run(CTL, "verify", f"{fs.mnt}/{name}")
    seconds.append(time.monotonic() - began)
    owned = bench.owned([f"{fs.source}/{name}"])
    if owned not in (100, None):
        raise RuntimeError(f"after the claim the target owns {owned:.2f}%")
    return seconds


# ---- chargers ----

def _chargers(bench, fs):
    run(WORKER, "fill-tree", f"{fs.source}/files", str(FILES), "4096")
    targets = [bench.cgroups.make(f"target-{fs.name}-{i}")
               for i in range(max(CHARGERS))]
    plain, found = fs.command, {"steps": []}
    rules = os.path.dirname(fs.source) + "/rules"
    for n in CHARGERS:
        progress(f"chargers: {fs.name}, {n}")
        with open(rules, "w", encoding="utf-8") as file:
            for i in range(DIRECTORIES):
                file.write(f"/files/d{i:03}/ memcg={targets[i % n]}\n")
        fs.command = lambda *place: _with_option(plain(*place),
                                                 f"rules={rules}")
        bench.drop(fs.source)
        _mount(bench, fs)
        open_us = _open_us(bench, fs, f"{fs.mnt}/files")
        memory, processes = fs.resident_bytes()
        found["steps"].append({"chargers": n, "memory_bytes": memory,
                               "processes": processes, "open_us": open_us})
        fs.unmount()
    return found


def _with_option(argv, option):
    at = argv.index("-o") + 1
    return argv[:at] + [f"{argv[at]},{option}"] + argv[at + 1:]


# ---- the tables ----

def _of_each(one, step):
    """What a file has taken since the mount was empty; and how long a tree."""
    if "files" not in step:
        return ""
    grown = step["memory_bytes"] - one["empty_bytes"]
    return (f", {grown / step['files']:.0f} bytes a file; a tree takes "
            f"{step['tree_ms']:.1f} ms, {step['longest_tree_ms']:.1f} at most")


def print_all(found):
    for part, key in (("growth", "files"), ("chargers", "chargers")):
        for name, one in found[part].items():
            print(f"\n{name} by {key}")
            if "failure" in one:
                print(f"  failed: {one['failure']}")
                continue
            for step in one["steps"]:
                print(f"  {step[key]:>9,}  {step['open_us']:6.1f} us an open  "
                      f"{step['memory_bytes'] / MIB:6.1f} MiB in "
                      f"{step['processes']} processes{_of_each(one, step)}")
    for name, one in found["claims"].items():
        print(f"\n{name}, seconds a GiB")
        if "failure" in one:
            print(f"  failed: {one['failure']}")
            continue
        for what, figure in one.items():
            print(f"  {what:<24}{figure['seconds_a_gib']:6.2f}")
