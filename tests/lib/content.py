# SPDX-License-Identifier: GPL-2.0-or-later
"""Known content: any part of any file can be made and checked alone."""

import hashlib
import os
import random

from . import settings

CHUNK = settings.MIB


def chunk(seed, number, size=CHUNK):
    """The first bytes of the number-th MiB of the file that has this seed.
    They come in words of four, so less of them is the beginning of more."""
    return random.Random(f"{seed}/{number}").randbytes(-(-size // 4) * 4)[:size]


def parts(size):
    """(number, size) of each MiB of a file, the last of them perhaps less."""
    for number in range(-(-size // CHUNK)):
        yield number, min(CHUNK, size - number * CHUNK)


def data(size, seed=0):
    return b"".join(chunk(seed, n, part) for n, part in parts(size))


def write(path, size, seed=0):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for number, length in parts(size):
        part = chunk(seed, number, length)
        written = os.write(fd, part)
        assert written == len(part), f"{written} of {len(part)} bytes written"
    os.close(fd)
    return path


def digest(path):
    """md5 of a file as it reads now."""
    md5 = hashlib.md5()
    fd = os.open(path, os.O_RDONLY)
    while part := os.read(fd, CHUNK):
        md5.update(part)
    os.close(fd)
    return md5.hexdigest()


def md5(part):
    return hashlib.md5(part).hexdigest()
