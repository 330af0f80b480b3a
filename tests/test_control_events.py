# SPDX-License-Identifier: GPL-2.0-or-later
"""Following events: what happens is told, to who may know, and nobody who
listens badly disturbs anybody."""

import errno
import os
import signal
import time

import pytest

from lib import act, actions, settings
from lib.control import Lines, addresses, ask, device_of, request, served
from lib.hold import Mapper
from lib.rules import write_rules
from lib.settings import KIB
from lib.wait import eventually

pytestmark = pytest.mark.needs_daemon

SIZE = 256 * KIB
FOLLOWERS = 8


@pytest.fixture
def mount(place):
    return place.cover()


@pytest.fixture
def address(mount):
    [found] = addresses(device_of(mount.path) + "/")
    return found


@pytest.fixture
def events(address):
    """An ear that hears from now on."""
    with Lines(address, "events") as lines:
        first = lines.next()
        assert first["event"] == "follow" and first["version"] == 1
        assert abs(first["time"] - time.time()) < settings.seconds(5)
        yield lines


def test_a_claim(place, mount, events):
    """Pages that somebody beside the mount has brought in."""
    path = place.put(place.source, "a", SIZE)
    place.run(actions.read_whole, path)
    place.run(actions.read_whole, mount / "a")
    line = events.until(event="claim")
    assert line["path"] == "/a" and line["host"] == place.target.path
    assert SIZE / 2 <= line["bytes"] <= SIZE and line["version"] == 1


def test_residue(place, mount, events):
    """Pages that somebody beside the mount maps can't be taken from him."""
    path = place.put(place.source, "a", SIZE)
    with Mapper(place, path):
        place.run(actions.read_whole, mount / "a")
        line = events.until(event="residue")
        assert line["path"] == "/a" and 0 < line["bytes"] <= SIZE
        assert "mapped" in line["reason"].split(", ")


def test_sharers(place, mount, address, events):
    """Each is told of once, and the host isn't one."""
    place.put(place.source, "a", SIZE)
    for cgroup in (place.target, place.reader, place.reader, place.other):
        place.run(actions.read_whole, mount / "a", cgroup=cgroup)
    ask(address, "reload")
    told = []
    while (line := events.next())["event"] != "rules":
        if line["event"] == "share":
            assert line["path"] == "/a" and line["host"] == place.target.path
            told.append(line["account"])
    assert told == [place.reader.path, place.other.path]


def test_a_charger_that_dies(mount, events):
    [pid] = mount.chargers()
    os.kill(pid, signal.SIGKILL)
    line = events.until(event="charger")
    assert line["reason"] == "died" and line["host"] == mount.target.path
    assert events.until(event="charger")["reason"] == "restarted"


def test_rules_and_moves(place, mount, events):
    """A file gets another host; then its rules are wrong."""
    place.put(place.source, "a", SIZE)
    place.run(actions.read_whole, mount / "a")
    write_rules(place.source, f"* memcg={place.other.path}")
    assert eventually(lambda: place.run(actions.read_whole, mount / "a") == 0
                      and place.other.chargers())
    line = events.until(event="move")
    assert line["path"] == "/a" and line["host"] == place.other.path
    assert line["account"] == place.target.path
    write_rules(place.source, "* memgc=/none")
    place.run(actions.read_whole, mount / "a")
    line = events.until(event="rules")
    while "unknown" not in line["reason"]:
        line = events.until(event="rules")
    assert line["reason"].startswith(".memcgfs:1:3: unknown attribute")
    # Which is no good state to be in.
    line = events.until(event="degraded")
    assert line["reason"] == "1 rule file is refused"


def test_a_pin_that_is_refused(place):
    mount = place.cover("pin_max=4K")
    [address] = addresses(device_of(mount.path) + "/")
    write_rules(place.source, "* pin")
    place.put(place.source, "a", SIZE)
    with Lines(address, "events") as events:
        events.until(event="follow")
        place.run(actions.read_whole, mount / "a")
        line = events.until(event="pin")
    assert line["path"] == "/a" and line["reason"] == "its budget is used up"


def test_so_many_follow(address, events):
    """One who comes in addition is told; and may, when another has left."""
    more = [Lines(address, "events") for _ in range(FOLLOWERS - 1)]
    assert all(lines.next()["event"] == "follow" for lines in more)
    answer = request(address, "events")
    assert answer["errno"] == errno.EAGAIN
    assert answer["error"] == "too many follow events; try again"
    more.pop().connection.close()

    def is_welcome():
        with Lines(address, "events") as lines:
            return lines.next().get("event") == "follow"

    assert eventually(is_welcome)
    for lines in more:
        lines.connection.close()


def test_who_leaves_is_forgotten(address, events):
    before = served(address)
    events.connection.close()
    assert eventually(lambda: served(address) == before - 1)


def ask_as(user, address):
    return act.run(request, address, "events", user=user)


def test_masters_alone_may(address):
    answer = ask_as(act.STRANGER, address)
    assert answer["errno"] == errno.EPERM
    assert answer["error"] == \
        "only root and the mount's owner may follow events"


def test_one_who_does_not_read_is_cut_off(place, mount, address, events):
    """When more is told than a socket holds; the mount doesn't wait for him."""
    path = place.put(place.source, "a", SIZE)

    def is_cut_off():
        for _ in range(200):
            assert "errno" not in ask(address, "reload")
        return served(address) == 0

    assert served(address) == 1
    assert eventually(is_cut_off, 30, every=0.1)
    assert ask(address, "status")["pid"] == mount.daemon.pid
    place.run(actions.read_whole, mount / "a")
    place.judge.owned_by(place.target, path, at_least=SIZE // settings.PAGE)


def test_what_was_missed_is_said(address):
    """By one who reads again after a while, before he is cut off."""
    def missed():
        with Lines(address, "events") as events:
            for _ in range(2000):
                ask(address, "reload")
            while (line := events.next()) and line["event"] != "missed":
                pass
            return line and (line["count"], events.until(event="rules"))

    count, line = eventually(missed, 20)
    assert count > 0 and line["reason"] == "read again"


def test_a_follower_does_not_hold_up_the_end(mount, events):
    begin = time.monotonic()
    mount.stop()
    assert time.monotonic() - begin < settings.seconds(1.5)


def test_stream_is_a_boolean(address):
    answer = request(address, "status", stream=1)
    assert answer["errno"] == errno.EINVAL
    assert answer["error"] == '"stream" is to be true or false'
    assert request(address, "status", stream=True)["inodes"] >= 1
