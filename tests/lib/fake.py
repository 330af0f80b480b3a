# SPDX-License-Identifier: GPL-2.0-or-later
"""A mount of memcgfs without memcgfs: the kernel's side of a FUSE mount that
nobody serves, and a control socket that answers as it is told to."""

import contextlib
import ctypes
import json
import os
import re
import secrets
import socket
import threading
from pathlib import Path

from . import settings
from .mount import unmount
from .wait import eventually

libc = ctypes.CDLL(None, use_errno=True)


def device_at(path):
    """The device number of what is mounted there, without asking it."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        where = re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), fields[4])
        if where == str(path):
            return fields[2]
    return None


class Fake:
    """@answers: of each verb, the lines to answer, or a function that gives
    them of the request. A line that is None waits until the client leaves."""

    def __init__(self, path, answers):
        self.path, self.answers = path, answers
        self.requests = []
        self.left = 0  # clients who left before all was said
        self.fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        data = f"fd={self.fuse},rootmode=40000,user_id=0,group_id=0"
        if libc.mount(b"fake", os.fsencode(path), settings.FS_TYPE.encode(), 0,
                      data.encode()) != 0:
            raise OSError(ctypes.get_errno(), "mount")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"\0memcgfs/{device_at(path)}/{secrets.token_hex(8)}")
        self.listener.listen(8)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=[connection],
                             daemon=True).start()

    def _answer(self, connection):
        try:
            with connection, connection.makefile("rw") as file:
                self._say(connection, file)
        except OSError:
            self.left += 1

    def _say(self, connection, file):
        request = json.loads(file.readline())
        self.requests.append(request)
        lines = self.answers[request["verb"]]
        for line in lines(request) if callable(lines) else lines:
            if line is None:
                connection.recv(1)
                raise BrokenPipeError
            file.write(json.dumps({"version": 1} | line) + "\n")
            file.flush()

    def end(self):
        """It listens no more; who is connected sees that end."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        os.close(self.fuse)
        assert eventually(lambda: unmount(self.path).returncode == 0)


@contextlib.contextmanager
def fake_mount(path, answers):
    fake = Fake(path, answers)
    try:
        yield fake
    finally:
        fake.end()
