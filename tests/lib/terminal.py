# SPDX-License-Identifier: GPL-2.0-or-later
"""A program on a terminal: what its screen shows, and keys that are pressed."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios

import pyte

from . import act, settings
from .wait import eventually


class Terminal:
    def __init__(self, argv, rows=24, columns=80, environment=None, **streams):
        self.master, self.slave = pty.openpty()
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.resize(rows, columns)
        self.modes = termios.tcgetattr(self.slave)
        streams = {"stdin": self.slave, "stdout": self.slave,
                   "stderr": self.slave} | streams
        self.process = subprocess.Popen(
            [str(a) for a in argv], preexec_fn=self._take_terminal,
            env=os.environ | {"TERM": "xterm", "LC_ALL": "C.UTF-8"}
            | (environment or {}), **streams)

    def _take_terminal(self):
        os.setsid()
        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
        act.prepare()

    def resize(self, rows, columns):
        """As a window does: who runs in it gets SIGWINCH."""
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def read(self):
        """Takes what has been written so far."""
        while select.select([self.master], [], [], 0)[0]:
            try:
                data = os.read(self.master, 1 << 16)
            except OSError:
                break
            self.raw += data
            self.stream.feed(data)

    def lines(self):
        self.read()
        return [line.rstrip() for line in self.screen.display]

    def shows(self, *texts, limit=10):
        """Whether all of them come to be seen; how it looks if not."""
        def all_there():
            shown = "\n".join(self.lines())
            return all(text in shown for text in texts)
        assert eventually(all_there, limit), "\n".join(
            [f"not seen: {texts}", *self.lines()])
        return True

    def press(self, keys):
        os.write(self.master, keys.encode())

    def wait(self, limit=10):
        """Its exit status; and its terminal is as it was before."""
        def ended():
            self.read()
            return self.process.poll() is not None
        assert eventually(ended, limit), "\n".join(self.lines())
        self.read()
        return self.process.returncode

    def is_as_before(self):
        return termios.tcgetattr(self.slave) == self.modes

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(settings.seconds(10))
        os.close(self.master)
        os.close(self.slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
