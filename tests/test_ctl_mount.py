# SPDX-License-Identifier: GPL-2.0-or-later
"""memcgfsctl's commands on a mount, as people have them: what they show, and
what the kernel then says of the pages."""

import pytest

from lib import act, actions
from lib.control import CTL, ctl, ctl_fails
from lib.hold import Mapper
from lib.judge import evict
from lib.settings import MIB
from lib.terminal import Terminal
from lib.wait import eventually

pytestmark = pytest.mark.needs_daemon

SIZE = 2 * MIB


@pytest.fixture
def path(place):
    return place.put(place.source, "a", SIZE)


@pytest.fixture
def mount(place, path):
    """The reader has read the file."""
    mount = place.cover("reconcile=0.01")
    place.run(actions.read_whole, mount / "a")
    return mount


def test_files_and_tree(place, mount):
    target, reader = (cgroup.path.rpartition("/")[2]
                      for cgroup in (place.target, place.reader))

    def shown():
        place.run(actions.read_whole, mount / "a")
        return (ctl("files", mount.path).stdout.splitlines()[1:],
                ctl("tree", mount.path).stdout)

    def all_shown():
        files, tree = shown()
        return (files == [f"       2M         0       1  {place.target.path}  /a"]
                and f"-{target} (usage=2M, hosted=2M)\n" in tree
                and f"-{reader} (usage= 0, shared=2M)\n" in tree)

    assert eventually(all_shown), shown()


def test_verify_and_claim(place, mount, path):
    """Pages that are another's are foreign, verify's status says that the
    books didn't know, and claim brings them home."""
    def plant():
        evict(path)
        place.run(actions.read_whole, path, cgroup=place.other)
        if place.judge.look(path).of(place.other) == 0:
            return None  # claimed already
        done = ctl("verify", mount.path, check=False)
        told = (f"residue /a: 2M of {place.other.path}, not claimed yet\n",
                "disagreement /a: of ")
        return (done.returncode == 1 and not done.stderr
                and all(text in done.stdout for text in told))

    assert eventually(plant, 10)
    text = ctl("verify", mount.path).stdout
    assert "the books agree with the kernel\n" in text
    text = ctl("claim", mount / "a").stdout
    assert text.startswith("files 1, claimed ")
    place.judge.owned_by(place.target, path)
    assert ctl("verify", mount.path).returncode == 0


def ask_to_drop(mount, name, key):
    """Its status, if it asked: what was written may have been too early on
    the disk, and is then dropped without a question."""
    (mount / name).write_bytes(b"x" * SIZE)
    with Terminal([CTL, "drop", mount / name]) as terminal:
        terminal.shows("files 1, dropped")
        if eventually(lambda: terminal.process.poll() is not None
                      or "[y/N]" in "\n".join(terminal.lines())) \
                and terminal.process.poll() is not None:
            return None
        terminal.shows(f"/{name}: resident ", ", dirty ")
        terminal.press(f"{key}\n")
        return terminal.wait()


@pytest.mark.parametrize("key, code", [("n", 1), ("y", 0)])
def test_drop_asks_for_a_dirty_file(place, mount, key, code):
    """The answer decides, and nothing that was written is lost."""
    for n in range(10):
        found = ask_to_drop(mount, f"new{n}", key)
        if found is not None:
            break
    assert found == code
    source = place.source / f"new{n}"
    resident = place.judge.look(source).resident
    assert (resident == 0) == (key == "y"), resident
    evict(source)
    assert source.read_bytes() == b"x" * SIZE


def test_drop_of_a_mapped_file_alone_in_the_dark(place, mount, path):
    """The reader's close may come to the daemon a moment after he is gone; of
    what is open nobody would be asked."""
    def said():
        done = ctl("drop", mount / "a", check=False)
        assert done.returncode == 1
        return done.stderr

    with Mapper(place, path):
        assert eventually(lambda: "1 files are dirty or mapped, and nobody is "
                          "there" in said()), said()
        assert place.judge.look(path).resident > 0
    assert ctl("drop", mount / "a").returncode == 0
    place.judge.none_resident(path)


def test_events(place, mount, path):
    """A claim is told to who follows."""
    with Terminal([CTL, "events", mount.path], columns=300) as terminal:
        terminal.shows(" follow")
        evict(path)
        place.run(actions.read_whole, path, cgroup=place.other)
        ctl("claim", mount / "a")
        terminal.shows(f" claim /a host={place.target.path} bytes=")
        terminal.press("\x03")
        assert terminal.wait() == 0


def test_top(place, mount):
    with Terminal([CTL, "top", mount.path]) as terminal:
        terminal.shows(f"memcgfs {mount.path}"[:40], "degraded: no",
                       place.target.path.rpartition("/")[2])
        terminal.press("f")
        terminal.shows("  /a")
        terminal.press("h")
        terminal.shows("running", "opens_passthrough")
        terminal.press("q")
        assert terminal.wait() == 0


def test_who_may(place, mount):
    text = ctl("tree", mount.path, user=act.STRANGER).stdout
    assert f"-{place.target.path.rpartition('/')[2]} (usage=" in text
    for command in "claim", "drop", "events", "reload":
        line = ctl_fails(command, mount.path, user=act.STRANGER)
        assert "only root and the mount's owner may" in line
