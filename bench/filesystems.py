# SPDX-License-Identifier: GPL-2.0-or-later
"""The filesystems that are compared: how each is mounted and what it is
called. Every one has a tree of its own, so that no run warms or charges the
pages of another."""

import contextlib
import glob
import os
import shutil
import signal
import subprocess
import time

from tools import BUILD, HERE, first_line, run

MEMCGFS = f"{BUILD}/memcgfs"
PASSTHROUGH_HP = f"{BUILD}/libfuse/bin/passthrough_hp"
URING_SWITCH = "/sys/module/fuse/parameters/enable_uring"

# passthrough_hp has this built in; all others are told to do the same.
TIMEOUT = 86400
TIMEOUTS = (f"attr_timeout={TIMEOUT},entry_timeout={TIMEOUT},"
            f"negative_timeout={TIMEOUT}")


def memcgfs_with(*options):
    def command(target, source, mnt):
        joined = ",".join([f"memcg={target}", *options])
        return [MEMCGFS, "-f", "-o", joined, source, mnt]
    return command


def _passthrough_hp(options):
    return lambda target, source, mnt: [
        PASSTHROUGH_HP, "--foreground", "-o", options, source, mnt]


def _bindfs(target, source, mnt):
    return ["bindfs", "-f", "--multithreaded", "-o", TIMEOUTS, source, mnt]


def _mergerfs(target, source, mnt):
    options = (f"cache.attr={TIMEOUT},cache.entry={TIMEOUT},"
               f"cache.negative_entry={TIMEOUT},use_ino,"
               "minfreespace=0,allow_other")
    return ["mergerfs", "-f", "-o", options, source, mnt]


class Filesystem:
    """One column. `command` gives the argv of its server, None for native;
    `only` names the workloads it takes part in, None for all; `own_pages`: the
    mount's files have pages of their own, be it beside the backing files' or
    instead of them."""

    def __init__(self, name, titles, command, only=None, uring=False,
                 own_pages=False):
        self.name = name
        self.titles = titles
        self.command = command
        self.only = only
        self.uring = uring
        self.own_pages = own_pages
        self.source = self.mnt = self.client = self.daemon = None
        self._process = None

    @property
    def is_memcgfs(self):
        return self.name.startswith("memcgfs")

    @property
    def pid(self):
        """Of the server; the worker that starts it becomes it."""
        return self._process.pid

    def takes(self, workload):
        return self.only is None or workload in self.only

    def missing(self):
        """Why it cannot take part, or None."""
        if self.command is None:
            return None
        program = self.command("", "", "")[0]
        if shutil.which(program):
            return None
        if os.path.isabs(program):
            return f"{os.path.relpath(program)} is not built"
        return f"not installed (apt-get install {program})"

    def place(self, top, cgroups):
        """Gives it its directories and cgroups."""
        self.source = f"{top}/{self.name}/source"
        self.mnt = f"{top}/{self.name}/mnt" if self.command else self.source
        os.makedirs(self.source)
        os.makedirs(self.mnt, exist_ok=True)
        # ext4 then gives each new directory a block group of its own, where
        # no inodes of other runs were deleted just now (see worker.c).
        subprocess.run(["chattr", "+T", self.source], check=False,
                       stderr=subprocess.DEVNULL)
        self.client = cgroups.make(f"client-{self.name}")
        self.daemon = cgroups.make(f"daemon-{self.name}")

    def mount(self, worker, target):
        """Starts the server in its own cgroup; an error string, or None. A
        mount keeps the transport that it began with. Were the switch on, a
        server that takes what it finds would have a faster one than those that
        must be asked: so it is off for all but who is to have it."""
        if self.command is None:
            return None
        try:
            with fuse_uring(self.uring):
                return self._start(worker, target)
        except (OSError, RuntimeError) as error:
            return str(error)

    def _start(self, worker, target):
        argv = [worker, "-g", self.daemon, "exec",
                *self.command(target, self.source, self.mnt)]
        with open(self._log_path(), "wb") as log:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        deadline = time.monotonic() + 20
        while not self.is_mounted():
            if self._process.poll() is not None or time.monotonic() > deadline:
                return self._last_words() or "does not mount"
            time.sleep(0.02)
        run("stat", self.mnt)       # is answered when the mount is set up
        return None

    def death(self):
        """Why the server is no more, None while it lives."""
        if not self._process or self._process.poll() is None:
            return None
        code = self._process.returncode
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with {code}"
        return f"the server ended {how}; its last words: {self._last_words()}"

    def _log_path(self):
        return os.path.dirname(self.source) + "/log"

    def _last_words(self):
        with open(self._log_path(), encoding="utf-8", errors="replace") as log:
            return log.read().strip().split("\n")[-1]

    def is_mounted(self):
        with open("/proc/self/mountinfo", encoding="utf-8") as mountinfo:
            return any(line.split()[4] == self.mnt for line in mountinfo)

    def unmount(self):
        """Until there is neither a mount nor a server: one that was only just
        started may still mount."""
        for attempt in range(100):
            if self.is_mounted():
                lazy = ["-l"] if attempt >= 40 else []
                subprocess.run(["umount", *lazy, self.mnt], check=False,
                               stderr=subprocess.DEVNULL)
            elif not self._process or self._process.poll() is not None:
                return
            elif attempt >= 60:
                self._process.kill()
            elif attempt >= 20:
                self._process.terminate()
            time.sleep(0.05)

    def resident_bytes(self):
        """Pss of the server and its helpers: every process of its program
        that names its mount point."""
        program = os.path.realpath(self.command("", "", "")[0])
        total = processes = 0
        for proc in glob.glob("/proc/[0-9]*"):
            try:
                if os.readlink(f"{proc}/exe") != program:
                    continue
                with open(f"{proc}/cmdline", "rb") as cmdline:
                    if self.mnt.encode() not in cmdline.read().split(b"\0"):
                        continue
                with open(f"{proc}/smaps_rollup", encoding="utf-8") as smaps:
                    pss = [line for line in smaps if line.startswith("Pss:")]
                total += int(pss[0].split()[1]) * 1024
                processes += 1
            except OSError:
                pass    # it has just ended, or is a kernel thread
        return total, processes


PATHS = (("auto", ()), ("strict", ("io=strict",)), ("cached", ("io=cached",)))


def _memcgfs(path, options, uring):
    """Who goes through a cold tree for the first time is a scanner, and leaves
    nothing in memory: nothing would be warm. So that has a line of its own."""
    name = "memcgfs" if path == "auto" else f"memcgfs-{path}"
    options = ("ahead=512M", "scan=off", TIMEOUTS, *options)
    if uring:
        return Filesystem(f"{name}-uring", (f"{path},", "io_uring"),
                          memcgfs_with(*options, "io_uring"), uring=True,
                          own_pages=path == "cached")
    return Filesystem(name, ("memcgfs", path), memcgfs_with(*options),
                      own_pages=path == "cached")


def all_filesystems():
    return [
        Filesystem("native", ("native", ""), None),
        *(_memcgfs(*path, uring) for uring in (False, True) for path in PATHS),
        Filesystem("passthrough_hp", ("passthr-", "ough_hp"),
                   _passthrough_hp("allow_other")),
        Filesystem("passthrough_hp-uring", ("pass._hp,", "io_uring"),
                   _passthrough_hp("allow_other,io_uring"), uring=True),
        Filesystem("bindfs", ("bindfs", ""), _bindfs, own_pages=True),
        Filesystem("mergerfs", ("mergerfs", ""), _mergerfs,
                   own_pages=True),
        Filesystem("memcgfs-1s", ("memcgfs", "1 s"),
                   memcgfs_with("ahead=512M"), only=("stat", "find")),
        Filesystem("memcgfs-scan", ("memcgfs", "scan=auto"),
                   memcgfs_with("ahead=512M", TIMEOUTS),
                   only=("openread", "grep", "coldtree")),
    ]


@contextlib.contextmanager
def fuse_uring(enabled):
    """Switches FUSE over io_uring for new mounts, and back."""
    try:
        with open(URING_SWITCH, encoding="ascii") as switch:
            before = switch.read().strip()
    except OSError:
        if enabled:
            raise OSError("the kernel has no FUSE over io_uring "
                          f"({URING_SWITCH})") from None
        yield
        return
    wanted = "Y" if enabled else "N"
    try:
        _write(URING_SWITCH, wanted, unless=before)
        yield
    finally:
        _write(URING_SWITCH, before, unless=wanted)


def _write(path, text, unless):
    if text != unless:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)


def versions():
    """What was measured, for the header and the JSON file."""
    found = {"memcgfs": first_line(MEMCGFS, "--version"),
             "commit": first_line("git", "-C", HERE, "rev-parse", "HEAD"),
             "bindfs": first_line("bindfs", "--version"),
             "mergerfs": first_line("mergerfs", "--version")}
    for path in glob.glob(f"{BUILD}/libfuse/**/fuse3.pc", recursive=True):
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.startswith("Version:"):
                    found["passthrough_hp"] = "libfuse " + line.split()[1]
    return found
