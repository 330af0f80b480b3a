# SPDX-License-Identifier: GPL-2.0-or-later
"""SQLite: two processes move money between accounts in one database, with
each kind of journal, read or mapped, and one of them is killed now and then.
Nothing is lost, and the database is whole."""

import os
import random
import signal
import sqlite3
import time

import pytest

from lib.settings import MIB
from lib.wait import eventually

ACCOUNTS = 500
START = 1000
SECONDS = 4


def connect(path, journal, mapped):
    db = sqlite3.connect(path, timeout=30, isolation_level=None)
    db.execute(f"PRAGMA mmap_size = {mapped}")
    assert db.execute(f"PRAGMA journal_mode = {journal}").fetchone()[0] == journal
    db.execute("PRAGMA synchronous = FULL")
    return db


def create(path, journal, mapped):
    db = connect(path, journal, mapped)
    db.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, value INTEGER, "
               "note BLOB)")
    db.execute("CREATE TABLE transfer (number INTEGER PRIMARY KEY, who, amount)")
    db.execute("BEGIN")
    db.executemany("INSERT INTO account VALUES (?, ?, ?)",
                   ((n, START, os.urandom(300)) for n in range(ACCOUNTS)))
    db.execute("COMMIT")
    db.close()


def transfer(db, who, dice):
    one, two = dice.sample(range(ACCOUNTS), 2)
    amount = dice.randrange(50)
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE account SET value = value - ?, note = ? WHERE id = ?",
               (amount, os.urandom(dice.randrange(600)), one))
    db.execute("UPDATE account SET value = value + ? WHERE id = ?",
               (amount, two))
    db.execute("INSERT INTO transfer (who, amount) VALUES (?, ?)", (who, amount))
    db.execute("COMMIT")


def total(db):
    return db.execute("SELECT sum(value) FROM account").fetchone()[0]


def work(path, journal, mapped, who, done_path):
    """Notes each transfer that it was told is done, outside of the mount."""
    db = connect(path, journal, mapped)
    dice = random.Random(who)
    end = time.monotonic() + SECONDS
    with open(done_path, "wb", buffering=0) as done:
        while time.monotonic() < end:
            transfer(db, who, dice)
            done.write(b".")
            assert total(db) == ACCOUNTS * START
            time.sleep(0.002)  # who waits for a lock polls
    db.close()


def count(db, who):
    return db.execute("SELECT count(*) FROM transfer WHERE who = ?",
                      (who,)).fetchone()[0]


def examine(path, journal, mapped):
    db = connect(path, journal, mapped)
    result = (db.execute("PRAGMA integrity_check").fetchone()[0], total(db),
              count(db, 1), count(db, 2))
    db.close()
    return result


@pytest.mark.parametrize("mapped", [0, 64 * MIB], ids=["read", "mapped"])
@pytest.mark.parametrize("journal", ["wal", "delete", "persist"])
def test_two_processes(yard, sides, figure, journal, mapped):
    _, through = sides
    path, how = through / "db", (journal, mapped)
    notes = [yard.root / f"{through.name}.{who}" for who in (1, 2)]
    yard.run(create, path, *how)
    one = yard.start(work, path, *how, 1, notes[0])
    two = yard.start(work, path, *how, 2, notes[1])
    assert eventually(lambda: notes[1].exists() and notes[1].stat().st_size > 4,
                      30)
    os.kill(two.pid, signal.SIGKILL)
    two.end()
    one.result(60)
    whole, money, first, second = yard.run(examine, path, *how,
                                           cgroup=yard.other)
    assert whole == "ok"
    assert money == ACCOUNTS * START
    assert first == notes[0].stat().st_size
    told = notes[1].stat().st_size
    assert told <= second <= told + 1, "a transfer that was told done is gone"
    figure(f"{first / SECONDS:.0f} transfers a second")


def test_damage_is_found(yard, sides):
    """The control: a page overwritten beside the mount."""
    _, through = sides
    yard.run(create, through / "db", "delete", 0)
    with open(yard.source / through.name / "db", "r+b") as f:
        f.seek(3 * 4096)
        f.write(os.urandom(4096))
    try:
        whole = yard.run(examine, through / "db", "delete", 0)[0]
    except AssertionError as failed:
        assert "malformed" in str(failed)
    else:
        assert whole != "ok"
