# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a test happens: a backing directory, its mount, a directory beside
it on the same filesystem, and the cgroups of who pays and who reads."""

import shutil
from pathlib import Path

from . import act, actions, content, kernel
from .control import ctl_json
from .judge import evict
from .mount import make_mount, proc_mounts, unmount
from .wait import eventually


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
        actions.second_copies = not self.mount.cached
        return self.mount

    def owned_by(self, cgroup, *names, at_least=1):
        """The judge's word on files of the tree by their names, or on all of
        it. An io=cached mount has pages of its own, which are the cgroup's a
        moment after they were read."""
        paths = [self.source / name for name in names or [""]]
        if not self.mount.cached:
            return self.judge.owned_by(cgroup, *paths, at_least=at_least)
        paths += [self.mount / name for name in names or [""]]
        self.settle()
        # What was in memory before is claimed in the background.
        with kernel.admin_may_enter():
            eventually(lambda: not self.judge.look(*paths, through=True)
                       .foreign_to(cgroup), every=0.2)
            return self.judge.owned_by(cgroup, *paths, at_least=at_least,
                                       through=True)

    def kept_once(self, name):
        """What was read of a file is in memory as pages of the mount, or as
        those of its backing, and not as both."""
        report = self.judge.look(self.source / name, self.mount / name,
                                 through=True)
        assert report.resident <= report.pages // 2, \
            report.describe(self.target)

    def settle(self):
        """Until readers of an io=cached mount are charged for nothing more."""
        def reader_pages():
            [status] = ctl_json("status", self.mount.path)
            return status["counters"]["reader_pages"]

        assert eventually(lambda: not reader_pages(), limit=2), reader_pages()

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

