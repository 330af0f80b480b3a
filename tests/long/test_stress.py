# SPDX-License-Identifier: GPL-2.0-or-later
"""What stress-ng has for filesystems, with its own checks of the results: a
stressor that is content natively is content in the mount."""

import re
import subprocess

import pytest

from lib import act

SECONDS = 2

# Those of its class that act on files of a directory that can be chosen.
STRESSORS = """access chattr chdir chmod chown copy-file dentry dir dirdeep
    dirmany dnotify dup fallocate fanotify fcntl fiemap file-ioctl filename
    flock fpunch fsize fstat getdent handle hdd inode-flags inotify io iomix
    lease link locka lockf lockofd mknod open rename symlink sync-file touch
    utime verity xattr""".split()
# Of other classes, what goes through files all the same.
STRESSORS += ["aio", "aiol", "mmap", "msync", "readahead", "seek", "sendfile",
              "splice", "io-uring", "revio", "fault", "mmapfixed", "mincore"]

PASSED = 0
NOT_HERE = 3  # "not implemented or resource not available"


def stress(stressor, directory, cgroup):
    done = act.command(
        ["stress-ng", f"--{stressor}", 2, "--verify", "-t", SECONDS,
         "--temp-path", directory], cgroup=cgroup, check=False, limit=60)
    failed = re.findall(r"^.*(?:fail|error).*$", done.stdout + done.stderr,
                        re.MULTILINE | re.IGNORECASE)
    return done.returncode, failed


@pytest.mark.parametrize("stressor", sorted(set(STRESSORS)))
def test_stress(yard, sides, stressor):
    beside, through = sides
    code, failed = stress(stressor, through, yard.reader)
    if code == PASSED:
        return
    native = stress(stressor, beside, yard.reader)
    assert code == native[0], (f"native: {native[0]}, mount: {code}\n"
                               + "\n".join(failed[:20]))


def test_the_list_is_known(yard):
    """So that none of them is skipped for its name alone."""
    text = subprocess.run(["stress-ng", "--help"], capture_output=True,
                          text=True, check=True).stdout
    unknown = [s for s in STRESSORS if f"--{s} N" not in text]
    assert not unknown
