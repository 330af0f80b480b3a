# SPDX-License-Identifier: GPL-2.0-or-later
"""The bench's own corner of the memory cgroup hierarchy, v1 or v2."""

import os
import signal
import time


def memory_hierarchy():
    """Where the memory controller is mounted, and whether that is v2."""
    v2 = None
    with open("/proc/self/mountinfo", encoding="utf-8") as mountinfo:
        for line in mountinfo:
            fields, _, rest = line.partition(" - ")
            path = fields.split()[4]
            kind, _, options = rest.split()[:3]
            if kind == "cgroup" and "memory" in options.split(","):
                return path, False
            if kind == "cgroup2":
                v2 = path
    if v2 and "memory" in _read(f"{v2}/cgroup.controllers").split():
        return v2, True
    raise RuntimeError("no cgroup hierarchy has the memory controller")


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


class Corner:
    """One cgroup at the top, and one below it per role. A context manager:
    whatever still runs inside is killed at the end, and all of it removed."""

    def __init__(self, name):
        self.root, self.is_v2 = memory_hierarchy()
        self.path = f"{self.root}/{name}"

    def __enter__(self):
        self._hand_down(self.root)
        os.mkdir(self.path)
        self._hand_down(self.path)
        return self

    def __exit__(self, *_):
        for attempt in range(100):
            if self._remove_empty():
                return
            if attempt >= 10:
                self._kill()
            time.sleep(0.1)
        print(f"bench: the cgroup {self.path} is left over")

    def _hand_down(self, path):
        """v2 gives a controller only to the children of who enables it."""
        if self.is_v2:
            with open(f"{path}/cgroup.subtree_control", "w",
                      encoding="utf-8") as control:
                control.write("+memory")

    def make(self, role):
        path = f"{self.path}/{role}"
        os.mkdir(path)
        return path

    def _groups(self):
        return [path for path, _, _ in os.walk(self.path, topdown=False)]

    def _remove_empty(self):
        for path in self._groups():
            try:
                os.rmdir(path)
            except OSError:
                pass
        return not os.path.isdir(self.path)

    def _kill(self):
        for path in self._groups():
            for pid in _read(f"{path}/cgroup.procs").split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass

    def inodes(self, path):
        """What /proc/kpagecgroup says for a cgroup and those below it."""
        return {os.stat(p).st_ino for p, _, _ in os.walk(path)}

    def file_bytes(self, path):
        """The file pages charged to this very cgroup, without shmem (both
        versions count it in). The kernel's counter lags by up to 2 s."""
        lines = _read(f"{path}/memory.stat").splitlines()
        stat = {key: int(value) for key, value in map(str.split, lines)}
        return stat["file" if self.is_v2 else "cache"] - stat["shmem"]
