# SPDX-License-Identifier: GPL-2.0-or-later
"""One mount of memcgfs and the daemon behind it."""

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

from . import act, kernel, settings
from .cgroup import alive, kill
from .wait import eventually

# What a sanitizer prints when it has found something.
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer"
                       r"|runtime error:|SUMMARY: \w+Sanitizer")


def proc_mounts():
    """(source, mountpoint, type, options) of each mount, in their order."""
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        fields = line.split(" ")[:4]
        found.append([re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), f)
                      for f in fields])
    return found


def complaints(text):
    """What memcgfs has said, but for the one warning that is true and due
    where this machine gives even root no CAP_SYS_RESOURCE."""
    due = not kernel.has_capability(kernel.CAP_SYS_RESOURCE)
    return [line for line in text.splitlines()
            if not (due and "OOM killer" in line and "CAP_SYS_RESOURCE" in line)]


def mounts_at(path):
    """(type, source, options) of what is mounted on path, topmost last."""
    return [(kind, source, options)
            for source, where, kind, options in proc_mounts()
            if where == str(path)]


def memcgfs_mounts(below):
    """The mountpoints of memcgfs below a directory."""
    return [where for _, where, kind, _ in proc_mounts()
            if kind == settings.FS_TYPE and where.startswith(f"{below}/")]


def unmount(path, lazily=False):
    return act.command(["umount", *(["-l"] if lazily else []), path],
                       check=False, limit=30)


def unmount_below(path):
    """What a mount covered. Over io_uring the kernel lets go of it a moment
    after the daemon's end."""
    assert eventually(lambda: unmount(path).returncode == 0), \
        unmount(path).stderr


class Daemon:
    """A memcgfs process in a cgroup of its own, started with -f."""

    def __init__(self, arguments, cgroup, log, fds=None, user=None):
        self.arguments = [str(settings.BINARY), *map(str, arguments)]
        words = act.launcher.words(self.arguments, cgroup, user, fds)
        self.cgroup = cgroup
        self.log = Path(log)
        with open(log, "ab") as stderr:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)

    @property
    def pid(self):
        return self.process.pid

    def exited(self):
        return self.process.poll() is not None

    def wait(self, limit=20):
        return self.process.wait(settings.seconds(limit))

    def signal(self, number):
        self.process.send_signal(number)

    def open_fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory(self):
        """Bytes of its own, without files' pages."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"^RssAnon:\s*(\d+) kB$", status, re.M)[1]) * 1024

    def text(self):
        return self.log.read_text(errors="replace")

    def check_log(self):
        found = SANITIZER.search(self.text())
        assert not found, f"the daemon's log has {found.group()!r}"


class Mount:
    """SOURCE seen through memcgfs at a mountpoint, pages paid by a target."""

    def __init__(self, source, path, target, daemon_cgroup, log,
                 options=(), fds=None, user=None, debug=False):
        self.source, self.path = Path(source), Path(path)
        self.target, self.daemon_cgroup = target, daemon_cgroup
        self.user = user
        self.options = [f"memcg={target.path}", *options]
        # Of an ordinary user's mount it is the default.
        self.cached = "io=cached" in options or (
            user is not None and "io=strict" not in options)
        self.stopped = False
        self.daemon = Daemon(["-d" if debug else "-f", "-o",
                              ",".join(self.options), source, path],
                             daemon_cgroup, log, fds, user)
        self._wait_until_usable()

    def __truediv__(self, name):
        return self.path / name

    def _is_mounted(self):
        there = mounts_at(self.path)
        return bool(there) and there[-1][0] == settings.FS_TYPE

    def _wait_until_usable(self):
        eventually(lambda: self._is_mounted() or self.daemon.exited(), 20)
        if not self._is_mounted() or self.daemon.exited():
            self.kill()
            raise AssertionError("the mount did not come up: "
                                 + " ".join(self.daemon.arguments) + "\n"
                                 + self.daemon.text())
        if self.user:
            act.run(os.stat, self.path, user=self.user, limit=20)
        else:
            os.stat(self.path)

    def chargers(self):
        return self.target.chargers()

    def died(self):
        """How the daemon ended that should be running, or None."""
        code = self.daemon.process.poll()
        return None if code is None else f"the daemon exited {code}"

    def unmount(self):
        """umount(8), while someone may just be closing his last file."""
        done = eventually(lambda: (d := unmount(self.path)).returncode == 0
                          and d, 5, every=0.1)
        assert done, f"umount: {unmount(self.path).stderr}"

    def stop(self):
        """Unmount; nothing of the mount may be left."""
        if self.stopped:
            return
        self.stopped = True
        try:
            self.unmount()
            assert self.daemon.wait() == 0, (
                f"the daemon exited {self.daemon.process.returncode}")
            assert eventually(lambda: not self.chargers()), (
                "chargers outlived the mount")
            self.daemon.check_log()
        except BaseException:
            self.kill()
            raise

    def kill(self):
        """The end without questions, for a test that failed or wants it."""
        self.stopped = True
        for pid in [*self.chargers(), self.daemon.pid]:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.daemon.wait()
        while mounts_at(self.path) and self._is_mounted():
            if unmount(self.path, lazily=True).returncode != 0:
                break


@contextlib.contextmanager
def standing_still(mount):
    """Its daemon does nothing; who reads by passthrough doesn't need it."""
    os.kill(mount.daemon.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        if alive(mount.daemon.pid):
            os.kill(mount.daemon.pid, signal.SIGCONT)


class NativeMount:
    """A bind mount in the place of memcgfs, for MEMCGFS_TEST_NATIVE=1."""

    def __init__(self, source, path, target, daemon_cgroup, log,
                 options=(), fds=None, user=None):
        self.source, self.path = Path(source), Path(path)
        self.target, self.daemon_cgroup = target, daemon_cgroup
        self.cached = False
        self.stopped = False
        act.command(["mount", "--bind", source, path])

    def __truediv__(self, name):
        return self.path / name

    def died(self):
        return None

    def stop(self):
        if not self.stopped:
            self.stopped = True
            act.command(["umount", self.path])

    kill = stop


def make_mount(*args, **options):
    return (NativeMount if settings.NATIVE else Mount)(*args, **options)


def remove_target(mount):
    """Take the target away under the mount, in the moment when its charger
    has been killed and not yet replaced."""
    def without_members():
        for pid in mount.chargers():
            kill(pid)
        try:
            os.rmdir(mount.target.dir)
        except OSError:
            return False
        return True

    assert eventually(without_members, 10, every=0.001), "never without members"
