# SPDX-License-Identifier: GPL-2.0-or-later
"""The dashboard for Grafana asks for nothing that a mount doesn't tell."""

import json
import re

import pytest

from lib import actions, settings
from lib.control import ctl
from lib.settings import KIB

pytestmark = pytest.mark.needs_daemon

DASHBOARD = settings.TESTS.parent / "conf/grafana/memcgfs.json"
NAME = re.compile(r"memcgfs_\w+")
COLUMNS = 24  # of Grafana's grid


@pytest.fixture(scope="module")
def dashboard():
    return json.loads(DASHBOARD.read_text())


@pytest.fixture
def told(place):
    """The labels of each metric that a mount in use tells."""
    place.put(place.source, "a", 256 * KIB)
    mount = place.cover()
    place.run(actions.read_whole, mount / "a")
    samples = re.findall(r"^(memcgfs_\w+)\{(.*)\} \S+$",
                         ctl("metrics", mount.path).stdout, re.M)
    return {name: set(re.findall(r'(\w+)="', labels)) for name, labels in samples}


def targets(dashboard):
    return [target for panel in dashboard["panels"] for target in panel["targets"]]


def test_all_metrics_are_told(dashboard, told):
    asked = {name for target in targets(dashboard)
             for name in NAME.findall(target["expr"])}
    asked |= {name for variable in dashboard["templating"]["list"]
              for name in NAME.findall(json.dumps(variable))}
    assert len(asked) > 10
    assert not asked - set(told)


def test_all_labels_are_told(dashboard, told):
    for target in targets(dashboard):
        [name] = NAME.findall(target["expr"])
        used = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        used |= set(re.findall(r"(\w+)=~", target["expr"]))
        assert used <= told[name], (name, used)
        assert 'mountpoint=~"$mountpoint"' in target["expr"]


def test_counters_are_asked_for_by_their_rate(dashboard):
    for target in targets(dashboard):
        expression = target["expr"]
        assert ("_total{" in expression) == bool(
            re.match(r"(rate|increase)\(", expression)), expression


def test_panels_have_their_places(dashboard):
    taken = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= COLUMNS, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
