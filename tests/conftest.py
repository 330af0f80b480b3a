# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures and the rules of a test run. The helpers are in lib/."""

import faulthandler
import gc
import os
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

from lib import act, kernel, settings
from lib import judge as judging
from lib.cgroup import Cgroups
from lib.place import Place
from lib.turns import out_of_turn
from lib.twin import WAYS, Twins, is_turn

# Reasons to skip a test that are facts about a machine and no defect of it or
# of the tests. With --fail-on-skip, any other skip fails the run.
ALLOWED_SKIPS = (
    "no cgroup v2 memory controller here",
    "no cgroup v1 memory controller here",
    "no loop device here",
    "no quotas of users here",
    "FUSE over io_uring is enabled here",
    "FUSE over io_uring is not enabled here",
)

# They have a run of their own: make check-long.
collect_ignore = [] if settings.LONG else ["long"]


def pytest_addoption(parser):
    parser.addoption("--fail-on-skip", action="store_true",
                     help="a skip that the machine does not explain "
                          "fails the run")
    parser.addoption("--second-chance", action="store_true",
                     help="a test that fails is run once more, alone in its "
                          "place, and both runs are told of: machines that "
                          "reclaim pages by themselves can spoil a look")


def pytest_configure(config):
    config.figures = []
    config.bad_skips = []
    config.first_tries = []


def pytest_collection_modifyitems(config, items):
    """Deselect what has no meaning in this kind of run; a skip it is not."""
    unwanted = set()
    if settings.SANITIZED:
        unwanted.add("not_sanitized")
    if settings.FLAVOUR == "tsan":
        unwanted.add("sequential")
    if settings.BRIEF:
        unwanted.add("processor_time")
    if settings.NATIVE:
        unwanted.add("needs_daemon")
    out = [item for item in items
           if any(mark.name in unwanted for mark in item.iter_markers())
           or not is_turn(item)]
    if settings.BRIEF:
        out += out_of_turn([item for item in items if item not in out])
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [i for i in items if i not in out]


def pytest_collection_finish(session):
    """What is there now stays: no use in looking for garbage there again."""
    gc.collect()
    gc.freeze()


def end_once_of(session):
    """As by Ctrl-C; what comes after it doesn't disturb the clearing up. An
    exception can get lost, in a destructor: then the test at hand is the last.
    """
    def end(number, frame):
        for other in act.ENDING:
            signal.signal(other, signal.SIG_IGN)
        session.shouldstop = signal.strsignal(number)
        raise KeyboardInterrupt
    return end


def pytest_sessionstart(session):
    if os.geteuid() != 0:
        pytest.exit("these tests make cgroups and mounts: run them as root", 3)
    if not settings.NATIVE and not session.config.option.collectonly \
            and not os.access(settings.BINARY, os.X_OK):
        pytest.exit(f"{settings.BINARY} is missing: build it first", 3)
    for number in act.ENDING:
        signal.signal(number, end_once_of(session))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    """As pytest's own, but for the second chance."""
    if not item.config.option.second_chance:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid,
                                       location=item.location)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    failed = [report for report in reports if report.failed]
    if failed:
        item.config.first_tries.extend(failed)
        item._initrequest()
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid,
                                        location=item.location)
    return True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Fixtures want to know how the test went; skips are held to account."""
    outcome = yield
    report = outcome.get_result()
    setattr(item, f"report_{report.when}", report)
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        if not any(allowed in reason for allowed in ALLOWED_SKIPS):
            item.config.bad_skips.append(f"{item.nodeid}: {reason}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    if session.config.option.fail_on_skip and session.config.bad_skips:
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter, config):
    for report in config.first_tries:
        terminalreporter.section(f"failed at the first try: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)
    if config.figures:
        terminalreporter.section("figures")
        for line in config.figures:
            terminalreporter.write_line(line)
    if config.option.fail_on_skip and config.bad_skips:
        terminalreporter.section("skips that are failures")
        for line in config.bad_skips:
            terminalreporter.write_line(line)


class Watchdog:
    """Ends what a test has started when the test takes too long: with its
    daemon dead, a call that hangs in a mount returns, and the test fails."""

    def __init__(self, limit, cgroups):
        self.cgroups = cgroups
        self.timer = threading.Timer(limit, self.bite)
        self.timer.daemon = True

    def bite(self):
        sys.__stderr__.write("\nwatchdog: the test takes too long\n")
        faulthandler.dump_traceback(sys.__stderr__)
        self.cgroups.base.kill_members()


@pytest.fixture(autouse=True)
def watchdog(request, cgroups, scratch_root):
    marker = request.node.get_closest_marker("time_limit")
    dog = Watchdog(settings.seconds(marker.args[0] if marker else 120), cgroups)
    dog.timer.start()
    yield
    dog.timer.cancel()
    kernel.give_back_memory()


@pytest.fixture(scope="session")
def cgroups():
    groups = Cgroups()
    yield groups
    groups.base.remove()
    assert not groups.base.exists(), "a cgroup of the tests is left"


@pytest.fixture(scope="session")
def scratch_root():
    """A directory on the filesystem that backs the mounts."""
    root = Path(tempfile.mkdtemp(prefix="memcgfs-test-", dir=settings.SCRATCH))
    root.chmod(0o755)
    kernel.spread(root)
    act.launcher.build(root)
    yield root
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def judge(cgroups, scratch_root):
    return judging.Judge(act.compile_tool("pageowner", scratch_root),
                         cgroups.fresh("observer"))


@pytest.fixture(scope="session")
def new_scratch(scratch_root):
    """A function that makes a fresh directory that any user can enter."""
    def make(name):
        path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=scratch_root))
        path.chmod(0o755)
        kernel.spread(path)
        return path
    return make


@pytest.fixture
def place(request, new_scratch, cgroups, judge):
    """A place of one test's own; nothing may be left of it."""
    here = Place(new_scratch("place"), cgroups, judge)
    yield here
    report = getattr(request.node, "report_call", None)
    if report is not None and report.failed and here.log.exists():
        report.sections.append(("daemon's log", here.log_tail()))
    here.leave()


@pytest.fixture(scope="module", params=WAYS)
def twins(request, new_scratch, cgroups, judge):
    """One mount for all the stories of a module, for each way."""
    here = Place(new_scratch("twins"), cgroups, judge)
    actors_home = here.target if request.param == "host" else here.reader
    yield Twins(here, WAYS[request.param], actors_home)
    here.leave(keep_files=True)


@pytest.fixture(autouse=True)
def twins_log(request):
    """The part of the shared daemon's log that belongs to a failed story."""
    if "twins" not in request.fixturenames:
        yield
        return
    log = request.getfixturevalue("twins").place.log
    before = log.stat().st_size if log.exists() else 0
    yield
    report = getattr(request.node, "report_call", None)
    if report is not None and report.failed and log.exists():
        text = log.read_bytes()[before:].decode(errors="replace")
        report.sections.append(("daemon's log", text[-4000:]))


@pytest.fixture
def figure(request):
    """Keep a measured number for the summary."""
    def add(text):
        request.config.figures.append(f"{request.node.name}: {text}")
    return add
