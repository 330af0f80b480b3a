# SPDX-License-Identifier: GPL-2.0-or-later
"""Filesystems in images: of a chosen kind and size, to fill, to check, to
break. The directories in them are named as those of a place."""

import os
import re
from pathlib import Path

import pytest

from . import act, kernel
from .settings import MIB
from .wait import eventually

MKFS = {"ext4": ["mkfs.ext4", "-q", "-E", "lazy_itable_init=0"],
        "xfs": ["mkfs.xfs", "-q"],
        "btrfs": ["mkfs.btrfs", "-q"]}
FSCK = {"ext4": ["fsck.ext4", "-f", "-n"], "xfs": ["xfs_repair", "-n"]}
SIZES = {"ext4": 128 * MIB, "xfs": 320 * MIB, "btrfs": 160 * MIB}


class Disk:
    """An image in a loop device, mounted; sparse, unless it is on a tmpfs."""

    def __init__(self, where, kind, image, size=None, options=()):
        self.where, self.kind, self.image = Path(where), kind, Path(image)
        self.where.mkdir()
        with open(self.image, "wb") as f:
            f.truncate(size or SIZES[kind])
        act.command([*MKFS[kind], self.image])
        self.mount(*options)
        self.source, self.beside = self.where / "source", self.where / "beside"
        for directory in (self.source, self.beside):
            directory.mkdir()

    def mount(self, *options):
        done = act.command(["mount", "-o", ",".join(["loop", *options]),
                            self.image, self.where], check=False)
        if done.returncode != 0:
            pytest.skip("no quotas of users here" if "usrquota" in options
                        else "no loop device here")

    def remount(self, option):
        """ro or rw; the last file that was open may just be closing."""
        done = eventually(lambda: act.command(
            ["mount", "-o", f"remount,{option}", self.where],
            check=False).returncode == 0, 5)
        assert done, f"{self.where} cannot be remounted {option}"

    def umount(self):
        """While the last process that had it open may just be ending."""
        done = eventually(lambda: act.command(["umount", self.where],
                                              check=False).returncode == 0, 10)
        assert done, f"{self.where} is busy"

    def check(self):
        """Unmount it; the filesystem's own checker finds nothing wrong."""
        self.umount()
        act.command([*FSCK[self.kind], self.image], limit=120)


class FlawedDisk(Disk):
    """An ext4 whose image is on a tmpfs without room to spare."""

    def __init__(self, where, tmpfs):
        self.tmpfs = Path(tmpfs)
        self.tmpfs.mkdir()
        size = 32 * MIB
        act.command(["mount", "-t", "tmpfs", "-o", f"size={size + MIB}", "none",
                     self.tmpfs])
        super().__init__(where, "ext4", self.tmpfs / "image", size)
        with open(self.image, "r+b") as f:
            os.posix_fallocate(f.fileno(), 0, size)

    def spoil(self, *paths):
        """From now on the blocks of these files cannot be written."""
        with open(self.image, "r+b") as image:
            for path in paths:
                for start, length in extents(path):
                    kernel.fallocate(
                        image.fileno(),
                        kernel.FALLOC_PUNCH_HOLE | kernel.FALLOC_KEEP_SIZE,
                        start, length)
        act.command(["dd", "if=/dev/zero", f"of={self.tmpfs}/full", "bs=4k"],
                    check=False)

    def repair(self):
        (self.tmpfs / "full").unlink()

    def umount(self):
        super().umount()
        act.command(["umount", self.tmpfs])


def extents(path):
    """(start, length) in bytes of where a file's data are on its disk."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    text = act.command(["filefrag", "-e", "-b4096", path]).stdout
    found = re.findall(r"^ *\d+: +\d+\.\. *\d+: +(\d+)\.\. *\d+: +(\d+):", text,
                       re.MULTILINE)
    assert found, text
    return [(int(start) * 4096, int(length) * 4096) for start, length in found]


def kind_of(path):
    """The type of the filesystem that holds a path."""
    return act.command(["stat", "-f", "-c", "%T", path]).stdout.strip()
