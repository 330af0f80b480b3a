# SPDX-License-Identifier: GPL-2.0-or-later
"""PostgreSQL with its data in the mount: pgbench, all of its processes killed
in the middle, recovery; checksums and indexes are right, and no branch has
another balance than its history says."""

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from lib import act
from lib.verdicts import verdicts, watch
from lib.wait import eventually

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
SECONDS = 15
BALANCES = """SELECT count(*) FROM pgbench_branches b WHERE bbalance <>
    (SELECT coalesce(sum(delta), 0) FROM pgbench_history h WHERE h.bid = b.bid)
    """


class Cluster:
    def __init__(self, yard, data, sockets):
        self.yard, self.data, self.sockets = yard, data, sockets
        self.process = None
        user = pwd.getpwnam("postgres")
        self.user = act.User("postgres", user.pw_uid, user.pw_gid)

    def run(self, program, *arguments, check=True, limit=90):
        return act.command([PROGRAMS[-1] / program, *arguments],
                           cgroup=self.yard.reader, user=self.user,
                           check=check, limit=limit, cwd="/",
                           env={**os.environ, "PGHOST": str(self.sockets),
                                "LC_ALL": "C"})

    def create(self):
        self.run("initdb", "-D", self.data, "--data-checksums", "-A", "trust",
                 "-E", "UTF8")

    def log(self):
        return (self.sockets / "log").read_text()

    def start(self):
        """As a child of ours, so that it is gone when it is dead."""
        with open(self.sockets / "log", "ab") as log:
            self.process = subprocess.Popen(
                [PROGRAMS[-1] / "postgres", "-D", str(self.data),
                 "-c", "listen_addresses=", "-c", "shared_buffers=16MB",
                 "-c", f"unix_socket_directories={self.sockets}",
                 "-c", "checkpoint_timeout=30s", "-c", "max_wal_size=64MB"],
                cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "LC_ALL": "C"},
                preexec_fn=lambda: act.prepare(self.yard.reader, self.user))
        assert eventually(lambda: self.run("pg_isready", check=False)
                          .returncode == 0, 60, every=0.2), self.log()[-3000:]

    def stop(self):
        """A fast shutdown, which ends well."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(60) == 0, self.log()[-3000:]

    def kill(self):
        """All of its processes; what its shared memory is recovered from is
        the mount alone."""
        for pid, name in self.yard.reader.members().items():
            if name.startswith("postgres"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: not any(
            name.startswith("postgres")
            for name in self.yard.reader.members().values()), 10)
        if self.process is not None:
            self.process.wait(10)

    def ask(self, sql):
        return self.run("psql", "-XAtd", "postgres", "-c", sql).stdout.strip()

    def bench(self, seconds):
        return self.run("pgbench", "-n", "-c", 4, "-j", 2, "-T", seconds,
                        "postgres", check=False)


@pytest.fixture
def cluster(yard, sides):
    _, through = sides
    sockets = Path(tempfile.mkdtemp(prefix="memcgfs-pg-"))  # short, for them
    sockets.chmod(0o777)
    made = Cluster(yard, through / "data", sockets)
    yield made
    made.kill()
    shutil.rmtree(sockets)


@pytest.mark.time_limit(300)
def test_killed_and_recovered(yard, cluster, figure):
    cluster.create()
    cluster.start()
    cluster.run("pgbench", "-i", "-q", "-s", 5, "postgres")
    cluster.ask("CREATE EXTENSION amcheck")
    done = cluster.bench(SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    rate = re.search(r"tps = ([\d.]+)", done.stdout)
    bench = yard.start(cluster.bench, SECONDS)
    time.sleep(SECONDS / 2)
    before = int(cluster.ask("SELECT count(*) FROM pgbench_history"))
    cluster.kill()
    bench.result()
    assert before > 0
    cluster.start()
    assert "recover" in cluster.log()
    assert int(cluster.ask("SELECT count(*) FROM pgbench_history")) >= before
    assert cluster.ask(BALANCES) == "0"
    assert cluster.bench(2).returncode == 0
    assert cluster.ask(BALANCES) == "0"
    cluster.ask("VACUUM FULL pgbench_accounts")
    cluster.run("pg_amcheck", "--heapallindexed", "-d", "postgres")
    cluster.stop()
    cluster.run("pg_checksums", "--check", "-D", cluster.data)
    figure(f"pgbench: {rate[1]} transactions a second")


def test_a_wrong_page_is_found(yard, cluster):
    """The control: a byte changed beside the mount."""
    cluster.create()
    data = yard.source / cluster.data.relative_to(yard.mountpoint)
    victim = max((data / "base/1").iterdir(), key=lambda p: p.stat().st_size)
    with open(victim, "r+b") as f:
        f.seek(8192 + 4000)
        byte = f.read(1)
        f.seek(-1, 1)
        f.write(bytes([byte[0] ^ 1]))
    done = cluster.run("pg_checksums", "--check", "-D", cluster.data,
                       check=False)
    assert done.returncode != 0


def test_it_is_no_scanner(yard, cluster):
    """Not by scans of its tables one after the other, either."""
    cluster.run("initdb", "-D", cluster.data, "-A", "trust", "-E", "UTF8",
                "--no-sync")
    with watch(yard.mountpoint) as told:
        cluster.start()
        cluster.ask("".join(
            f"CREATE TABLE t{n} AS SELECT g, repeat('x', 100) FROM "
            "generate_series(1, 5000) g;" for n in range(60)))
        cluster.ask("".join(f"SELECT count(*) FROM t{n};" for n in range(60)))
        cluster.run("vacuumdb", "-qaz")
        cluster.run("pg_dump", "-f", "/dev/null", "postgres")
        cluster.stop()
    assert not verdicts(told)
