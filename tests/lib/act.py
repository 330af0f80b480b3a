# SPDX-License-Identifier: GPL-2.0-or-later
"""Doing things in another process: in a cgroup, as a user, within a time."""

import gc
import os
import pickle
import select
import signal
import subprocess
import time
import traceback
from dataclasses import dataclass

from . import kernel, settings


@dataclass(frozen=True)
class User:
    """An identity that a child takes on for good."""

    name: str
    uid: int
    gid: int
    groups: tuple = ()

    def become(self):
        os.setgroups(list(self.groups))
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)


# What ends a run; all is then taken down as by Ctrl-C.
ENDING = signal.SIGINT, signal.SIGTERM, signal.SIGHUP

TEAM = 12050  # a group, of which some are members

ROOT = User("root", 0, 0)
OWNER = User("owner", 12001, 12001)
MEMBER = User("member", 12001, 12001, (TEAM,))
STRANGER = User("stranger", 12002, 12002)
MATE = User("mate", 12003, 12003, (12001, TEAM))


class ChildFailed(AssertionError):
    """What went wrong in a child, with the traceback from there."""


def prepare(cgroup=None, user=None):
    """In a child, before its work: nothing of it may outlive the tests."""
    kernel.die_with_parent()
    if cgroup is not None:
        cgroup.enter()
    os.umask(0o022)
    if user is not None:
        user.become()
        kernel.die_with_parent()  # a change of identity clears it


class Launcher:
    """Starts programs elsewhere, without a copy of this process: launch.c."""

    def __init__(self):
        self.tool = None

    def build(self, directory):
        self.tool = compile_tool("launch", directory)

    def words(self, argv, cgroup=None, user=None, fds=None):
        """What to run in place of argv."""
        return [str(word) for word in (
            self.tool, cgroup.dir / "cgroup.procs" if cgroup else "",
            ":".join(map(str, (user.uid, user.gid, *user.groups)))
            if user else "", "" if fds is None else fds, *argv)]


launcher = Launcher()


def compile_tool(name, directory):
    """The program in tests/NAME.c; returns its path."""
    tool = directory / name
    subprocess.run(["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror",
                    "-o", tool, settings.TESTS / f"{name}.c"], check=True)
    return tool


class Child:
    """A forked copy of this process that runs one function."""

    def __init__(self, function, *args, cgroup=None, user=None):
        self.name = getattr(function, "__name__", str(function))
        self.pipe, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.pipe)
            self._work(writer, function, args, cgroup, user)
        os.close(writer)

    @staticmethod
    def _work(writer, function, args, cgroup, user):
        try:
            gc.freeze()  # to look through all would copy all
            for number in ENDING:
                signal.signal(number, signal.SIG_DFL)
            prepare(cgroup, user)
            outcome = (True, function(*args))
        except BaseException:
            outcome = (False, traceback.format_exc())
        try:
            data = pickle.dumps(outcome)
        except Exception:
            data = pickle.dumps((False, traceback.format_exc()))
        while data:
            data = data[os.write(writer, data):]
        os._exit(0)

    def result(self, limit=60):
        """What the function returned; its failure is ours."""
        data = self._read_all(time.monotonic() + settings.seconds(limit))
        os.close(self.pipe)
        if data is None:
            os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        if data is None:
            raise ChildFailed(f"{self.name} was not done in {limit:.0f} s")
        if not data:
            raise ChildFailed(f"{self.name} died with wait status {status:#x}")
        good, value = pickle.loads(data)
        if not good:
            raise ChildFailed(f"in {self.name}:\n{value}")
        return value

    def end(self):
        """Kill it; what it would have returned does not matter."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.pipe)

    def _read_all(self, end):
        data = b""
        while True:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.pipe], [], [], left)[0]:
                return None
            part = os.read(self.pipe, 1 << 20)
            if not part:
                return data
            data += part


def run(function, *args, cgroup=None, user=None, limit=60):
    """function(*args) in a child of its own; returns what it returns."""
    return Child(function, *args, cgroup=cgroup, user=user).result(limit)


def together(children, limit=60):
    """The results of children that run at the same time, or all failures."""
    end = time.monotonic() + limit
    results, failures = [], []
    for child in children:
        try:
            results.append(child.result(max(1, end - time.monotonic())))
        except ChildFailed as failed:
            failures.append(str(failed))
    if failures:
        raise ChildFailed("\n".join(failures))
    return results


def command(argv, cgroup=None, user=None, limit=60, check=True, **options):
    """Run a program to its end; its output is text."""
    done = subprocess.run(
        launcher.words(argv, cgroup, user), text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, timeout=settings.seconds(limit), **options)
    if check and done.returncode != 0:
        raise ChildFailed(
            f"{' '.join(map(str, argv))} exited {done.returncode}:\n"
            f"{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done


def errno_of(function, *args):
    """The errno of a call, or 0."""
    try:
        function(*args)
        return 0
    except OSError as error:
        return error.errno
