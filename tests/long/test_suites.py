# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that others wrote to try filesystems, and a package that is cloned,
built and tested in the mount."""

import os
import re
import sys

import pytest

from lib import act, settings

LIBFUSE = settings.BUILD / "libfuse-src"
PACKAGE = settings.BUILD / "zlib-src"
CHECKS = LIBFUSE / "test/cases/lib/checks.py"

# As test/cases/lib/passthrough.sh of libfuse has them: S is the source, M the
# mount.
LIBFUSE_CHECKS = [
    "statvfs M", "readdir S M --inode-check exact",
    "readdir_big S M --inode-check exact", "open_read S M", "open_write S M",
    "create M", "passthrough S M --inode-check exact", "append S M",
    "seek S M", "mkdir M", "rmdir M --src S", "unlink M --src S", "symlink M",
    "chown M", "utimens M --ns-tol 0", "link M", "truncate_path M",
    "truncate_fd M", "open_unlink M"]


def test_dbench(yard, sides, figure):
    _, through = sides
    done = act.command(["dbench", "-D", through, "-t", 10, 4],
                       cgroup=yard.reader, limit=90)
    rate = re.search(r"^Throughput ([\d.]+)", done.stdout, re.MULTILINE)
    assert rate and float(rate[1]) > 0, done.stdout[-2000:]
    figure(f"{rate[1]} MB/s with 4 clients")


def test_bonnie(yard, sides):
    """But for its reads and writes of single bytes (-f)."""
    _, through = sides
    done = act.command(["/usr/sbin/bonnie++", "-d", through, "-s", 256, "-r",
                        128, "-n", "2:4096:0:2", "-f", "-u", "root", "-q"],
                       cgroup=yard.reader, limit=100)
    assert done.stdout.count(",") > 40, done.stdout + done.stderr


@pytest.fixture(scope="module")
def tools(scratch_root):
    """libfuse's own; what its build would find is found here."""
    (scratch_root / "fuse_config.h").write_text(
        "#define HAVE_COPY_FILE_RANGE\n#define HAVE_STATX\n")
    for tool in ("test_syscalls", "readdir_inode"):
        act.command(["cc", "-O1", "-w", f"-I{scratch_root}", "-o",
                     scratch_root / tool, LIBFUSE / f"test/{tool}.c"])
    return scratch_root


@pytest.mark.parametrize("user", [act.ROOT, act.OWNER], ids=lambda u: u.name)
@pytest.mark.parametrize("where", ["through", "and beside", "unlinked"])
def test_libfuse_syscalls(yard, tools, user, where):
    """In a directory with a short name, as there is a socket in it."""
    short = f"{len(os.listdir(yard.source))}"
    (yard.source / short).mkdir()
    (yard.source / short).chmod(0o777)
    extra = {"through": [], "and beside": [f":{yard.source / short}"],
             "unlinked": [f":{yard.source / short}", "-u"]}[where]
    act.command([tools / "test_syscalls", yard.mount / short, *extra],
                cgroup=yard.reader, user=user, limit=90)


def test_libfuse_syscalls_can_fail(yard, sides, tools):
    """The control: what is shown is not what is there."""
    beside, through = sides
    done = act.command([tools / "test_syscalls", through, f":{beside}"],
                       cgroup=yard.reader, check=False)
    assert done.returncode != 0


@pytest.mark.parametrize("check", LIBFUSE_CHECKS, ids=lambda c: c.split()[0])
def test_libfuse_checks(yard, sides, tools, check):
    _, through = sides
    name, *arguments = check.split()
    places = {"M": through, "S": yard.source / through.name}
    act.command([sys.executable, CHECKS, f"fuse_test_{name}",
                 *(places.get(word, word) for word in arguments)],
                cgroup=yard.reader, limit=90,
                env={**os.environ, "FUSE_TEST_BIN_DIR": str(tools)})


def git(directory, cgroup, *arguments):
    act.command(["git", "-C", directory, "-c", "user.name=t", "-c",
                 "user.email=t@example.org", "-c", "gc.auto=0", *arguments],
                cgroup=cgroup)


@pytest.mark.time_limit(300)
def test_clone_build_and_test_a_package(yard, sides):
    beside, through = sides
    act.command(["cp", "-r", PACKAGE, beside / "origin"])
    for step in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        git(beside / "origin", yard.other, *step)
    git(through, yard.reader, "clone", "-q", f"file://{beside}/origin", "clone")
    clone = through / "clone"
    for command in (["./configure"], ["make", "-j2"], ["make", "test"]):
        act.command(command, cgroup=yard.reader, cwd=clone, limit=120)
    git(clone, yard.reader, "fsck", "--strict", "--no-dangling")
    git(clone, yard.reader, "gc", "--quiet")
    git(clone, yard.reader, "fsck", "--strict", "--no-dangling")
