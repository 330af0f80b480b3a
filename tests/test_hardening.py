# SPDX-License-Identifier: GPL-2.0-or-later
"""What the daemon and its chargers are still able to do."""

from pathlib import Path

import pytest

CAPABILITIES = {"DAC_OVERRIDE": 1, "DAC_READ_SEARCH": 2, "FOWNER": 3,
                "FSETID": 4, "IPC_LOCK": 14, "SYS_ADMIN": 21}
NEVER = {"KILL": 5, "SETPCAP": 8, "NET_ADMIN": 12, "SYS_MODULE": 16,
         "SYS_RAWIO": 17, "SYS_CHROOT": 18, "SYS_BOOT": 22, "SYS_RESOURCE": 24,
         "SYS_TIME": 25, "AUDIT_CONTROL": 30, "BPF": 39}


def status(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def mask(names):
    return sum(1 << bit for bit in names.values())


def test_the_daemon_drops_what_it_does_not_need(place):
    mount = place.cover()
    for name in ("CapEff", "CapPrm"):
        have = int(status(mount.daemon.pid)[name], 16)
        assert have & mask(NEVER) == 0, name
        assert have & mask(CAPABILITIES) == mask(CAPABILITIES), name


def test_chargers_keep_a_few_capabilities(place):
    mount = place.cover()
    assert mount.chargers()
    for pid in mount.chargers():
        for name in ("CapEff", "CapPrm", "CapInh"):
            have = int(status(pid)[name], 16)
            assert have & ~mask(CAPABILITIES) == 0, name


def test_the_spawner_has_no_more_than_its_chargers(place):
    mount = place.cover()
    spawners = [pid for pid, name in place.daemon.members().items()
                if name == "memcgfs-spawn"]
    assert len(spawners) == 1
    for name in ("CapEff", "CapPrm", "CapInh"):
        have = int(status(spawners[0])[name], 16)
        assert have & ~mask(CAPABILITIES) == 0, name
    for pid in [mount.daemon.pid, *spawners, *mount.chargers()]:
        assert status(pid)["NoNewPrivs"] == "1", pid


@pytest.mark.not_sanitized
def test_chargers_are_filtered(place):
    """Each of their threads: a filter (2), and no new privileges."""
    mount = place.cover()
    for pid in mount.chargers():
        for task in Path(f"/proc/{pid}/task").iterdir():
            task_status = status(f"{pid}/task/{task.name}")
            assert task_status["Seccomp"] == "2"
            assert task_status["NoNewPrivs"] == "1"
