# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures for Prometheus: what its own tools say of them."""

import re
import subprocess

import pytest

from lib import act, actions, settings
from lib.control import addresses, ask, device_of
from lib.settings import KIB

pytestmark = pytest.mark.needs_daemon

PROMTOOL = settings.BUILD / "prometheus/usr/bin/promtool"
SIZE = 256 * KIB


def address_of(mount):
    [found] = addresses(device_of(mount.path) + "/")
    return found


def check(text):
    """By promtool, who complains of bad form and of bad names."""
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=settings.seconds(30))
    assert done.returncode == 0 and not done.stdout, done.stdout


def value(text, name, **labels):
    """The value of the only sample with that name and those labels."""
    found = []
    for match in re.finditer(rf"^memcgfs_{name}\{{(.*)\}} (\S+)$", text, re.M):
        if all(f'{k}="{v}"' in match[1] for k, v in labels.items()):
            found.append(float(match[2]))
    assert len(found) == 1, (name, labels, found)
    return found[0]


def test_promtool_finds_nothing(place):
    mount = place.cover()
    place.put(place.source, "a", SIZE)
    place.run(actions.read_whole, mount / "a")
    text = ask(address_of(mount), "metrics")["text"]
    check(text)
    with pytest.raises(AssertionError, match="no help text"):
        check(text + "memcgfs_frob 1\n")


def test_figures(place):
    mount = place.cover()
    path = place.put(place.source, "a", SIZE)
    place.run(actions.read_whole, mount / "a")
    place.judge.owned_by(place.target, path, at_least=SIZE // settings.PAGE)
    text = ask(address_of(mount), "metrics")["text"]
    status = ask(address_of(mount), "status")
    here = {"mountpoint": mount.path}
    assert value(text, "inodes", **here) == status["inodes"]
    assert value(text, "degraded", **here) == 0
    assert value(text, "ahead_bytes_total", **here) == SIZE
    assert value(text, "info", memcg=place.target.path, io="auto") == 1
    host = here | {"host": place.target.path, "target": place.target.path}
    assert value(text, "host_charger_up", **host) == 1
    assert value(text, "host_usage_bytes", **host) == SIZE
    for name in status["counters"]:
        if name.startswith("pinned"):
            value(text, name)
        else:
            value(text, f"{name.replace('look_ns', 'look_seconds')}_total")


def test_an_odd_mount_point(place):
    """Its name is escaped."""
    path = place.root / 'quo"te\\back\nline'
    path.mkdir()
    mount = place.cover(path=path)
    text = act.run(ask, address_of(mount), "metrics", user=act.STRANGER)["text"]
    check(text)
    assert 'quo\\"te\\\\back\\nline"' in text
