# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory cgroups. The only place that knows v1 from v2."""

import itertools
import os
import select
import signal
from pathlib import Path

from . import settings
from .wait import eventually

# What differs between the versions: names of files; keys of memory.stat, with
# what the descendants have counted in; what gives children the controller (on
# v1 they have it), and what a delegated cgroup's user is to own. None: that version has nothing of the kind.
VERSIONS = {
    1: {"limit": "memory.limit_in_bytes", "usage": "memory.usage_in_bytes",
        "high": None, "low": None, "soft limit": "memory.soft_limit_in_bytes",
        "reclaim": "memory.force_empty",
        "file": "total_cache", "dirty": "total_dirty",
        "events": "memory.oom_control", "io": None,
        "limit hits": ("memory.failcnt", None),
        "delegation": None, "delegated files": ["cgroup.procs", "tasks"]},
    2: {"limit": "memory.max", "usage": "memory.current",
        "high": "memory.high", "low": "memory.low", "soft limit": None,
        "reclaim": "memory.reclaim",
        "file": "file", "dirty": "file_dirty",
        "events": "memory.events", "io": "io.stat",
        "limit hits": ("memory.events", "max"),
        "delegation": "cgroup.subtree_control",
        "delegated files": ["cgroup.procs", "cgroup.threads",
                            "cgroup.subtree_control"]},
}


class Hierarchy:
    """The mount of the memory controller: v2 where that has it, else v1."""

    def __init__(self):
        self.version, self.root = self._find()
        self.names = VERSIONS[self.version]

    @staticmethod
    def _find():
        v1 = None
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            left, right = line.split(" - ")
            mountpoint = Path(left.split()[4])
            kind, _, options = right.split()[:3]
            if kind == "cgroup2":
                controllers = (mountpoint / "cgroup.controllers").read_text()
                if "memory" in controllers.split():
                    return 2, mountpoint
            elif kind == "cgroup" and "memory" in options.split(","):
                v1 = mountpoint
        if v1 is None:
            raise RuntimeError("no memory cgroup hierarchy is mounted")
        return 1, v1


class Cgroup:
    """One directory in the memory hierarchy, made by us and removed by us."""

    def __init__(self, hierarchy, path):
        self.hierarchy = hierarchy
        self.path = path  # as in /proc/PID/cgroup
        self.dir = Path(str(hierarchy.root) + path)

    def __repr__(self):
        return f"cgroup {self.path}"

    def child(self, name):
        return Cgroup(self.hierarchy, f"{self.path}/{name}")

    def create(self):
        self.dir.mkdir()
        return self

    def exists(self):
        return self.dir.is_dir()

    def hand_over(self, user):
        """Delegate it, as the kernel's cgroup-v2.rst says."""
        for name in (".", *self.hierarchy.names["delegated files"]):
            os.chown(self.dir / name, user.uid, user.gid)

    def read(self, name):
        return (self.dir / name).read_text()

    def write(self, name, value):
        (self.dir / name).write_text(str(value))

    def has(self, what):
        """Whether this version has it, and this cgroup, too."""
        name = self.hierarchy.names[what]
        return name is not None and (self.dir / name).exists()

    def delegate(self, controller):
        """Let children have it, too."""
        if self.hierarchy.names["delegation"]:
            self.write(self.hierarchy.names["delegation"], f"+{controller}")

    def withdraw(self, controller):
        """The reverse."""
        self.write(self.hierarchy.names["delegation"], f"-{controller}")

    def delegate_memory(self):
        """Let children have memory limits of their own."""
        self.delegate("memory")

    def set(self, what, value):
        """One of the knobs in the table."""
        self.write(self.hierarchy.names[what], value)

    def set_limit(self, size):
        self.set("limit", size)

    def usage(self):
        return int(self.read(self.hierarchy.names["usage"]))

    def keyed(self, file, key):
        """The number behind a key in one of its files."""
        for line in self.read(file).splitlines():
            name, value = line.split()
            if name == key:
                return int(value)
        raise KeyError(key)

    def file_bytes(self):
        """Page cache charged here and below; lags by some 100 pages."""
        return self.keyed("memory.stat", self.hierarchy.names["file"])

    def dirty_bytes(self):
        """The part of it that is to be written to disk."""
        return self.keyed("memory.stat", self.hierarchy.names["dirty"])

    def limit_hits(self):
        """How often its limit was met, and something reclaimed for it."""
        file, key = self.hierarchy.names["limit hits"]
        return self.keyed(file, key) if key else int(self.read(file))

    def oom_kills(self):
        """Processes that were killed here for want of memory."""
        return self.keyed(self.hierarchy.names["events"], "oom_kill")

    def enter(self):
        """Move the calling process here."""
        self.write("cgroup.procs", os.getpid())

    def pids(self):
        """The live members, of the cgroups below as well."""
        found = set()
        for directory, _, _ in os.walk(self.dir):
            try:
                text = Path(directory, "cgroup.procs").read_text()
            except OSError:
                continue
            found.update(int(pid) for pid in text.split())
        return {pid for pid in found if alive(pid)}

    def members(self):
        return {pid: comm(pid) for pid in self.pids()}

    def chargers(self):
        return [pid for pid, name in self.members().items()
                if name == settings.CHARGER]

    def kill_members(self):
        """Only processes that were started for this cgroup can be in it."""
        for pid in self.pids() - {os.getpid()}:
            kill(pid)
        return eventually(lambda: not self.pids())

    def kill_chargers(self):
        """Kill them, and wait until they are gone with all they had: one that
        dies has left cgroup.procs before it gives its memory back, and until
        then what it locked stays locked. How many there were."""
        pids = self.chargers()
        pidfds = [fd for fd in map(pidfd_open, pids) if fd is not None]
        for pid in pids:
            kill(pid)
        for fd in pidfds:
            assert select.select([fd], [], [], settings.seconds(10))[0]
            os.close(fd)
        return len(pidfds)

    def remove(self):
        """Kill what is left, then remove the directory and those below it."""
        if not self.exists():
            return
        self.kill_members()
        for directory, _, _ in os.walk(self.dir, topdown=False):
            eventually(lambda: rmdir(directory))


class Cgroups:
    """Makes the cgroups of a run, all below one directory of its own."""

    def __init__(self):
        self.hierarchy = Hierarchy()
        self.base = Cgroup(self.hierarchy, f"/memcgfs-test-{os.getpid()}")
        self.counter = itertools.count(1)
        root = Cgroup(self.hierarchy, "")
        root.delegate_memory()
        self.base.create().delegate_memory()

    def fresh(self, name):
        """A new empty cgroup, whose name says what it is for."""
        return self.base.child(f"{name}-{next(self.counter)}").create()


def rmdir(directory):
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


def kill(pid):
    """Whether there was one to kill."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def pidfd_open(pid):
    """None: it has gone meanwhile."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def comm(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    except OSError:
        return ""


def alive(pid):
    """A zombie only waits for its parent; it holds nothing."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
