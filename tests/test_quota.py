# SPDX-License-Identifier: GPL-2.0-or-later
"""Who has used up his quota is told so in the mount as natively, though it is
a charger that writes for him. (xfs; one of a whole filesystem of btrfs is in
test_limits.py.)"""

import os
import shutil
from errno import EDQUOT

import pytest

from lib import act, content
from lib.act import OWNER, STRANGER
from lib.disk import Disk
from lib.settings import KIB, MIB
from lib.wait import eventually

SPACE, FILES = 8 * MIB, 40


@pytest.fixture(params=["io=auto", "io=strict", "io=cached"])
def disk(request, place):
    """One on which OWNER may use so much space, and make so many files."""
    there = Disk(place.root / "disk", "xfs", place.root / "image",
                 options=["usrquota"])
    for directory in (there.source, there.beside):
        directory.chmod(0o777)
    act.command(["xfs_quota", "-x", "-c", f"limit -u bhard={SPACE} "
                 f"ihard={FILES} {OWNER.uid}", there.where])
    place.cover(request.param, source=there.source)
    yield there
    place.mount.stop()
    there.umount()


def write_and_sync(name):
    """The errno of what went wrong before it is synced, or 0."""
    try:
        fd = os.open(name, os.O_RDWR | os.O_CREAT)
        for at in range(0, SPACE * 3 // 4, 64 * KIB):
            os.pwrite(fd, content.data(64 * KIB, at), at)
    except OSError as error:
        return error.errno
    os.fsync(fd)
    return 0


def use_up_space(directory):
    """Two files; what ended the second. Where in it that is is left to xfs, which
    takes room in advance of a writer, as long as anybody has the file open."""
    os.chdir(directory)
    return [write_and_sync(name) for name in ("one", "two")]


def use_up_files(directory):
    os.chdir(directory)
    for n in range(2 * FILES):
        error = act.errno_of(os.mknod, f"f{n}")
        if error:
            return error, n
    return None, None


@pytest.mark.parametrize("use_up", [use_up_space, use_up_files])
def test_a_quota_of_a_user(place, disk, use_up):
    native = place.run(use_up, disk.beside, user=OWNER)
    assert EDQUOT in native
    shutil.rmtree(disk.beside)
    assert place.run(use_up, place.mount.path, user=OWNER) == native
    place.run(content.write, place.mount / "stranger's", MIB, user=STRANGER)
    own = [name for name in os.listdir(place.mount.path) if name != "stranger's"]
    for name in own[:2]:
        os.unlink(place.mount / name)
    # xfs gives back what was removed a moment later, in the background.
    assert eventually(lambda: place.run(
        act.errno_of, content.write, place.mount / "again", MIB,
        user=OWNER) == 0)
    assert content.digest(disk.source / "again") == \
        content.md5(content.data(MIB))
