# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes that hold on to a file's pages until they are told to let go."""

import mmap
import os
import time

from . import settings


class Mapper:
    """Maps a file from a cgroup, having touched all of its pages."""

    def __init__(self, place, path, cgroup=None):
        ready, self.is_ready = os.pipe()
        self.child = place.start(self._map, path, cgroup=cgroup)
        os.close(self.is_ready)
        assert os.read(ready, 1) == b"!", "it can't be mapped"
        os.close(ready)

    @property
    def pid(self):
        return self.child.pid

    def _map(self, path):
        with open(path, "rb") as file:
            pages = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        for at in range(0, len(pages), settings.PAGE):
            pages[at]
        os.write(self.is_ready, b"!")
        time.sleep(3600)

    def __enter__(self):
        return self

    def __exit__(self, *how):
        self.child.end()
