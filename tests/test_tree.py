# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of the mail that the accounting is from, drawn of real cgroups,
with files that processes in them read through the mount."""

import pytest

from lib import actions, content
from lib.control import ctl
from lib.rules import write_rules
from lib.settings import MIB
from lib.wait import eventually

pytestmark = pytest.mark.needs_daemon

TABLES = ["""\
A (usage=48M)
+-B (usage=16M)
\\-C (usage=32M)
""", """\
A (usage=48M, hosted= 8M)
+-B (usage= 8M, shared= 8M)
\\-C (usage=32M, shared= 8M)
""", """\
A (usage=56M, hosted= 8M)
+-B (usage= 8M, shared= 8M)
+-C (usage=32M, shared= 8M)
\\-D (usage= 8M)
""", """\
A (usage=56M, hosted= 8M)
+-B (usage= 8M, shared= 8M)
+-C (usage=32M, shared= 8M)
\\-D (usage= 8M, shared= 8M)
""", """\
A (usage=64M, hosted=16M)
+-B (usage= 8M, shared=16M)
+-C (usage=32M, shared=16M)
\\-D (usage= 8M, shared=16M)
"""]


@pytest.fixture
def siblings(place):
    """A, which is the mount's, and B, C and D below it, whose files are in
    directories of their names."""
    place.target.delegate_memory()
    found = {}
    for name, size in ("B", 8), ("C", 32), ("D", 8):
        found[name] = place.target.child(name).create()
        (place.source / name).mkdir()
        write_rules(place.source / name, f"* memcg={found[name].path}")
        place.put(place.source, f"{name}/own", size * MIB)
    (place.source / "shared").mkdir()
    place.put(place.source, "shared/inode", 8 * MIB)
    return found


def draws(place, table, read_again):
    """Whether the tree comes to look so. The machine may reclaim pages at any
    time, which who uses them then reads again."""
    def drawn():
        text = ctl("tree", place.mountpoint).stdout
        return text.replace(place.target.path, "A", 1)

    def is_drawn():
        if drawn() == table:
            return True
        read_again()
        return False
    assert eventually(is_drawn, 10, every=0.2), drawn()


def test_tables_of_the_mail(place, siblings):
    done = []

    def read(name, path):
        place.run(actions.read_whole, mount / path, cgroup=siblings[name])
        done.append((name, path))

    def read_again():
        for name, path in set(done):
            read(name, path)

    write_rules(place.source / "shared", f"* memcg={siblings['B'].path}")
    mount = place.cover("attr_timeout=0")
    read("B", "B/own")
    read("B", "shared/inode")
    read("C", "C/own")
    draws(place, TABLES[0], read_again)
    # "C starts accessing an inode which is 8M": it gets a host above both.
    write_rules(place.source / "shared", f"* memcg={place.target.path}")
    read("B", "shared/inode")
    read("C", "shared/inode")
    draws(place, TABLES[1], read_again)
    read("D", "D/own")
    draws(place, TABLES[2], read_again)
    read("D", "shared/inode")
    draws(place, TABLES[3], read_again)
    # "D accesses an area of the inode which hasn't been accessed by others".
    place.run(content.write, mount / "shared/inode", 16 * MIB,
              cgroup=siblings["D"])
    read("D", "shared/inode")
    draws(place, TABLES[4], read_again)
    # And the kernel says the same of every page.
    host = place.target
    if place.cgroups.hierarchy.version == 2:
        host = host.child("memcgfs")
    place.judge.owned_by(host, place.source / "shared/inode")
    for name, cgroup in siblings.items():
        place.judge.owned_by(cgroup, place.source / name / "own")
