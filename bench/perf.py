# SPDX-License-Identifier: GPL-2.0-or-later
"""bench --profile: where a server's time goes during one workload, by perf:
the functions that it and its helpers were seen in, and their system calls."""

import contextlib
import glob
import os
import shutil
import signal
import subprocess
import time

import report
from tools import BUILD, run

SECONDS = 3
SHOWN, SHOWN_CALLS = 30, 20
EVENTS = "/sys/kernel/tracing/events/syscalls"
CALLS = ("readv", "writev", "read", "write", "pread64", "pwrite64", "preadv2",
         "pwritev2", "splice", "io_uring_enter", "futex", "poll", "ppoll",
         "epoll_wait", "openat", "openat2", "open_by_handle_at",
         "name_to_handle_at", "close", "newfstatat", "newfstat", "statx",
         "readlinkat", "getdents64", "unlinkat", "mkdirat", "renameat2",
         "linkat", "symlinkat", "fchmod", "fchown", "fchownat", "utimensat",
         "fallocate", "ftruncate", "fsync", "fadvise64", "mmap", "munmap",
         "madvise", "mincore", "cachestat", "ioctl", "fgetxattr", "getxattr",
         "lgetxattr", "sched_yield", "clock_gettime", "setfsuid", "setfsgid",
         "setresuid", "setresgid", "setgroups", "capset", "umask", "unshare")


def print_profile(bench):
    if not shutil.which("perf"):
        raise RuntimeError("--profile needs perf (apt-get install linux-perf)")
    servers = [fs for fs in bench.filesystems if fs.command]
    if not servers:
        raise RuntimeError("; ".join(bench.left_out.values()) or
                           "native has no server")
    fs, workload = servers[0], bench.workloads[0]
    bench.args.seconds = SECONDS
    bench.cell(workload, fs, 0, report.Cell())      # all is warm
    pids = server_pids(fs)
    data = f"{BUILD}/bench/perf.data"
    with recording("record", "-q", "-e", "cpu-clock", "-F", "4999", "-g",
                   "-o", data, "-p", pids):
        before = counters(fs)
        cell = report.Cell()
        bench.cell(workload, fs, 1, cell)
        after = counters(fs)
    print(f"{fs.name}, {workload.title}: {cell.rates[0]:.4g} {workload.unit}")
    print(f"{after[0] - before[0]:.2f} s of a CPU, "
          f"{after[1] - before[1]:,} times it waited, "
          f"{after[2] - before[2]:,} times it was taken off the CPU")
    print_symbols(data)
    print_calls(bench, fs, workload, pids)


@contextlib.contextmanager
def recording(*words):
    with subprocess.Popen(["perf", *words], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as perf:
        try:
            time.sleep(0.5)     # until it is attached
            yield perf
        finally:
            perf.send_signal(signal.SIGINT)
            perf.wait()


def print_symbols(data):
    lines = run("perf", "report", "--stdio", "-q", "--no-children", "-g", "none",
                "--sort", "comm,dso,symbol", "-i", data).splitlines()
    for line in [line for line in lines if line.strip()][:SHOWN]:
        print("  " + line.strip())


def print_calls(bench, fs, workload, pids):
    """By counters: perf trace loses what it has no time for."""
    known = [call for call in CALLS if os.path.isdir(f"{EVENTS}/sys_enter_{call}")]
    events = ",".join(f"syscalls:sys_enter_{call}" for call in known)
    with recording("stat", "-x", ",", "-e", events, "-p", pids) as stat:
        bench.cell(workload, fs, 2, report.Cell())
        stat.send_signal(signal.SIGINT)
        words = stat.communicate()[0]
    counts = []
    for line in words.splitlines():
        fields = line.split(",")
        if len(fields) > 2 and fields[0].isdigit() and int(fields[0]):
            counts.append((int(fields[0]), fields[2].split("sys_enter_")[1]))
    print("\nsystem calls, of the same again (requests: readv, or io_uring_enter)")
    for n, name in sorted(counts, reverse=True)[:SHOWN_CALLS]:
        print(f"  {n:>10,} {name}")


def server_pids(fs):
    """Of the server and whatever it has started, as perf wants them."""
    known, found = [fs.pid], []
    while known:
        pid = known.pop()
        found.append(str(pid))
        for path in glob.glob(f"/proc/{pid}/task/*/children"):
            with contextlib.suppress(OSError), open(path, encoding="ascii") as f:
                known += map(int, f.read().split())
    return ",".join(found)


def counters(fs):
    """Seconds on a CPU, waits, preemptions: of all threads that are there."""
    ticks, waits, taken = 0, 0, 0
    for pid in server_pids(fs).split(","):
        for task in glob.glob(f"/proc/{pid}/task/*"):
            with contextlib.suppress(OSError):
                with open(f"{task}/schedstat", encoding="ascii") as file:
                    ticks += int(file.read().split()[0])
                with open(f"{task}/status", encoding="ascii") as file:
                    lines = dict(line.split(":\t", 1) for line in file)
                waits += int(lines["voluntary_ctxt_switches"])
                taken += int(lines["nonvoluntary_ctxt_switches"])
    return ticks / 1e9, waits, taken
