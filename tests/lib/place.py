# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a test happens: a backing directory, its mount, a directory beside
it on the same filesystem, and the cgroups of who pays and who reads."""

import shutil
from pathlib import Path

from . import act, content, kernel
from .judge import evict
from .mount import make_mount, proc_mounts, unmount


class Place:
    def __init__(self, scratch, cgroups, judge, name="place"):
        self.root = Path(scratch)
        self.cgroups, self.judge = cgroups, judge
        self.source = self._directory("source")
        self.mountpoint = self._directory("mnt")
        self.beside = self._directory("beside")
        self.log = self.root / "daemon.log"
        self.target = cgroups.fresh("target")
        self.reader = cgroups.fresh("reader")
        self.other = cgroups.fresh("other")
        self.daemon = cgroups.fresh("daemon")
        self.cgroup_list = [self.target, self.reader, self.other, self.daemon]
        self.mount = None

    def _directory(self, name):
        path = self.root / name
        path.mkdir()
        path.chmod(0o755)
        kernel.spread(path)
        return path

    def cover(self, *options, **how):
        """Mount the source over the mountpoint."""
        how.setdefault("source", self.source)
        how.setdefault("path", self.mountpoint)
        how.setdefault("target", self.target)
        how.setdefault("daemon_cgroup", self.daemon)
        self.mount = make_mount(log=self.log, options=options, **how)
        return self.mount

    def put(self, directory, name, size, seed=0):
        """A file with known content and none of its pages in memory."""
        path = Path(directory) / name
        content.write(path, size, seed)
        evict(path)
        return path

    def log_tail(self):
        return self.log.read_text(errors="replace")[-8000:]

    def leftovers(self):
        """Who is still in the cgroups, though everything has ended."""
        return {c.path: c.members() for c in self.cgroup_list
                if c.exists() and c.members()}

    def leave(self, keep_files=False):
        """Stop, complain about anything left, and remove everything (the
        files at the end of the run, where that is better: kernel.spread)."""
        try:
            if self.mount is not None:
                self.mount.stop()
            assert not self.leftovers(), self.leftovers()
        finally:
            self._remove(keep_files)

    def _remove(self, keep_files):
        for cgroup in self.cgroup_list:
            cgroup.kill_members()
        self._unmount_below()
        if not keep_files:
            shutil.rmtree(self.root, ignore_errors=True)
        for cgroup in self.cgroup_list:
            cgroup.remove()

    def _unmount_below(self):
        for _, path, _, _ in reversed(proc_mounts()):
            if path.startswith(f"{self.root}/"):
                unmount(path, lazily=True)

    def run(self, function, *args, cgroup=None, **how):
        """In a child in the reader's cgroup, unless told otherwise."""
        return act.run(function, *args, cgroup=cgroup or self.reader, **how)

    def start(self, function, *args, cgroup=None, **how):
        return act.Child(function, *args, cgroup=cgroup or self.reader, **how)

    def command(self, argv, cgroup=None, **how):
        return act.command(argv, cgroup=cgroup or self.reader, **how)

