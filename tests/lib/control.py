# SPDX-License-Identifier: GPL-2.0-or-later
"""The control socket of a mount, and the program that speaks through it."""

import json
import os
import socket
import time
from pathlib import Path

from . import act, settings

CTL = settings.BINARY.parent / "memcgfsctl"
LISTENS = 0x10000  # __SO_ACCEPTCON

# What scripts rely on.
STATUS_KEYS = ["counters", "degraded", "hosts", "inodes", "io", "memcg",
               "mountpoint", "passthrough", "pid", "refused_rules",
               "rules_refused", "scanners", "source", "version", "why_strict"]
HOST_KEYS = ["charger", "foreign_bytes", "host", "hosted_bytes",
             "pinned_bytes", "restarts", "target", "usage_bytes"]
ACCOUNT_KEYS = ["contributors", "depth", "foreign_bytes", "hosted_bytes",
                "own_bytes", "path", "shared_bytes", "usage_bytes"]
EXPLAIN_KEYS = ["asked", "charger", "foreign_bytes", "host", "open", "path",
                "pinned", "read", "resident_bytes", "rule", "said_by",
                "size_bytes", "target", "type", "version", "write"]
RULE_KEYS = ["ahead", "io", "memcg", "on_error", "pin", "scan", "scanners"]


def device_of(path):
    number = os.stat(path).st_dev
    return f"{os.major(number)}:{os.minor(number)}"


def addresses(device=""):
    """The abstract names that are listened at for a mount's device."""
    found = []
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[3], 16) & LISTENS and len(fields) > 7 \
                and fields[7].startswith(f"@memcgfs/{device}"):
            found.append("\0" + fields[7][1:])
    return found


def served(address):
    """How many connections the daemon has there now."""
    name = "@" + address[1:]
    lines = Path("/proc/net/unix").read_text().splitlines()[1:]
    return sum(line.endswith(f" {name}")
               and not int(line.split()[3], 16) & LISTENS for line in lines)


def connect(address):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    connection.settimeout(settings.seconds(20))
    return connection


def read_answer(connection):
    """A JSON object on a line, or None: the connection ended without."""
    data = b""
    while not data.endswith(b"\n"):
        try:
            part = connection.recv(1 << 16)
        except ConnectionResetError:
            break
        if not part:
            break
        data += part
    return json.loads(data) if data.endswith(b"\n") else None


def ask_raw(address, line):
    """The answer to any bytes, and how long it took."""
    begin = time.monotonic()
    with connect(address) as connection:
        try:
            connection.sendall(line)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the answer may have come before
        answer = read_answer(connection)
    return answer, time.monotonic() - begin


def ask(address, verb, path=None):
    request = {"verb": verb} | ({} if path is None else {"path": path})
    return ask_raw(address, json.dumps(request).encode() + b"\n")[0]


def ctl(*arguments, user=None, check=True, **how):
    """memcgfsctl, to its end."""
    return act.command([CTL, *arguments], user=user, check=check, **how)


def ctl_json(*arguments, **how):
    return [json.loads(line) for line in
            ctl("--json", *arguments, **how).stdout.splitlines()]


def ctl_fails(*arguments, code=1, **how):
    """What it says, in one line, and nothing else."""
    done = ctl(*arguments, check=False, **how)
    assert done.returncode == code, (done.returncode, done.stderr)
    assert not done.stdout, done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("memcgfsctl: "), done.stderr
    return lines[0]


def request(address, verb, **more):
    """The answer to a verb with more than a path."""
    line = json.dumps({"verb": verb} | more).encode() + b"\n"
    return ask_raw(address, line)[0]


class Lines:
    """An answer that comes in lines, which are JSON objects."""

    def __init__(self, address, verb, **more):
        self.connection = connect(address)
        self.data = b""
        line = json.dumps({"verb": verb} | more).encode() + b"\n"
        self.connection.sendall(line)

    def __enter__(self):
        return self

    def __exit__(self, *how):
        self.connection.close()

    def next(self):
        """The next line; None: there are no more."""
        while b"\n" not in self.data:
            part = self.connection.recv(1 << 16)
            if not part:
                return None
            self.data += part
        line, _, self.data = self.data.partition(b"\n")
        return json.loads(line)

    def until(self, **wanted):
        """The next one that says all this."""
        while True:
            line = self.next()
            assert line is not None, f"the end, without {wanted}"
            if wanted.items() <= line.items():
                return line
