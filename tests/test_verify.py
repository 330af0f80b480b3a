# SPDX-License-Identifier: GPL-2.0-or-later
"""What escaped: foreign pages that are planted beside the mount are found,
reported and claimed; each figure beside what the kernel says of the pages."""

import contextlib
import errno
import os
import select
import signal
import time

import pytest

from lib import act, actions, settings
from lib.control import (Lines, addresses, ask, ctl, ctl_json, device_of,
                         request, served)
from lib.hold import Mapper
from lib.judge import evict
from lib.rules import write_rules
from lib.settings import KIB, PAGE
from lib.wait import eventually

pytestmark = pytest.mark.needs_daemon

SIZE = 512 * KIB


@pytest.fixture
def mount(place):
    return place.cover("reconcile=0.01")


@pytest.fixture
def address(mount):
    [found] = addresses(device_of(mount.path) + "/")
    return found


def known(place, *names):
    """Files that the mount knows, of whose pages none is resident."""
    paths = []
    for name in names:
        (place.source / name).parent.mkdir(exist_ok=True)
        paths.append(place.put(place.source, name, SIZE))
        os.stat(place.mount / name)
    return paths


def plant(place, *paths, cgroup=None):
    """Pages that somebody beside the mount brings in at his own charge."""
    for path in paths:
        place.run(actions.read_whole, path, cgroup=cgroup)


def same_as_judge(place, answer, *paths):
    """What verify says of all files is what the kernel says."""
    report = place.judge.look(*paths)
    assert answer["resident_bytes"] == report.resident * PAGE
    assert answer["foreign_bytes"] == report.foreign_to(place.target) * PAGE
    told = {}
    for residue in answer["residue"]:
        told[residue["owner"]] = told.get(residue["owner"], 0) + residue["bytes"]
    owners = {path: pages * PAGE for path, pages in report.owners.items()
              if path != place.target.path and pages}
    assert told == owners


def verified(place, address, *paths, **more):
    """An answer that the judge agrees to; pages may go at any moment."""
    def look():
        answer = request(address, "verify", **more)
        with contextlib.suppress(AssertionError):
            same_as_judge(place, answer, *paths)
            return answer
        return None

    answer = eventually(look, 10, every=0.2)
    if not answer:
        same_as_judge(place, request(address, "verify", **more), *paths)
    return answer


def test_all_is_well(place, mount, address):
    paths = known(place, "a", "sub/b")
    for name in ("a", "sub/b"):
        place.run(actions.read_whole, mount / name)
    answer = verified(place, address, *paths)
    assert answer["files"] == 2 and answer["foreign_bytes"] == 0
    assert answer["disagreements"] == [] and answer["residue"] == []
    assert answer["resident_bytes"] > SIZE


def test_planted_pages_are_found_and_claimed(place, mount, address):
    """In a file that is read by the target, too, and in one that nobody has
    opened here; the third is another's business."""
    paths = known(place, "a", "sub/b", "c")
    place.run(actions.read_whole, mount / "c")
    plant(place, paths[0])
    plant(place, paths[1], cgroup=place.other)
    answer = verified(place, address, *paths)
    assert answer["files"] == 3
    owners = {r["path"]: (r["owner"], r["reason"]) for r in answer["residue"]}
    assert owners == {"/a": (place.reader.path, "not claimed yet"),
                      "/sub/b": (place.other.path, "not claimed yet")}
    # Now the books know of it.
    answer = verified(place, address, *paths)
    assert answer["disagreements"] == []
    found = request(address, "files", sort="foreign")
    assert found["count"] == 3
    assert {f["path"] for f in found["files"][:2]} == {"/a", "/sub/b"}
    for file in found["files"][:2]:
        report = place.judge.look(place.source / file["path"][1:])
        assert file["foreign_bytes"] <= report.foreign_to(place.target) * PAGE \
            or file["foreign_bytes"] == file["resident_bytes"]
        assert file["host"] == place.target.path
        [residue] = file["residue"]
        assert residue["bytes"] == file["foreign_bytes"]
    answer = request(address, "claim")
    assert answer["files"] == 3 and answer["residue"] == []
    assert SIZE < answer["claimed_bytes"] <= 2 * SIZE
    place.judge.owned_by(place.target, *paths, at_least=2 * SIZE // PAGE)
    answer = verified(place, address, *paths)
    assert answer["foreign_bytes"] == 0 and answer["disagreements"] == []


def test_disagreements_are_told_once(place, mount, address):
    """The books don't know of what was just planted, unless they have counted
    again meanwhile; and are corrected by what was seen."""
    paths = known(place, "a")

    def disagree():
        evict(*paths)
        plant(place, *paths)
        return request(address, "verify")["disagreements"]

    place.run(actions.read_whole, mount / "a")
    found = eventually(disagree, 10)
    assert len(found) == 1
    [wrong] = found
    assert wrong["path"] == "/a" and wrong["account"] == place.reader.path
    assert wrong["books_bytes"] < wrong["kernel_bytes"] <= SIZE
    assert request(address, "verify")["disagreements"] == []


def test_reclaimed_pages_have_moved(place, mount, address):
    """Nobody is told of those: no disagreement, and the books are put right."""
    [path] = known(place, "a")
    place.run(actions.read_whole, mount / "a")
    assert eventually(lambda: request(address, "files")["count"] == 1)
    evict(path)
    answer = request(address, "verify")
    assert answer["resident_bytes"] == 0 and answer["disagreements"] == []
    assert request(address, "files")["count"] == 0


def test_a_file_that_was_only_looked_up(place):
    """Its rule holds all the same: what its target pays isn't foreign."""
    write_rules(place.source, f"theirs memcg={place.other.path}")
    path = place.put(place.source, "theirs", SIZE)
    mount = place.cover()
    os.stat(mount / "theirs")
    [address] = addresses(device_of(mount.path) + "/")
    plant(place, path, cgroup=place.other)
    answer = request(address, "verify")
    assert answer["files"] == 1 and answer["resident_bytes"] > 0
    assert answer["foreign_bytes"] == 0 and answer["residue"] == []
    [file] = request(address, "files")["files"]
    assert file["host"] == place.other.path and file["foreign_bytes"] == 0


def test_pages_of_another_targets_leaf(place, mount, address):
    """v2: they are that target's, in the books and to who verifies them."""
    if place.cgroups.hierarchy.version != 2:
        pytest.skip("no cgroup v2 memory controller here")
    [path] = known(place, "a")
    place.other.delegate_memory()
    leaf = place.other.child("memcgfs").create()
    place.cgroup_list.insert(0, leaf)
    with Mapper(place, path, cgroup=leaf):
        for _ in range(3):
            place.judge.owned_by(leaf, path)
            answer = request(address, "verify")
            [residue] = answer["residue"]
            assert residue["owner"] == place.other.path
        assert answer["disagreements"] == [] and answer["moved_files"] == 0


def test_mapped_pages_are_residue(place, mount, address):
    """With who maps them. They are claimed when he has let go."""
    [path] = known(place, "a")
    with Mapper(place, path, cgroup=place.other) as mapper:
        answer = verified(place, address, path)
        [residue] = answer["residue"]
        assert residue["reason"] == "mapped" and residue["pids"] == [mapper.pid]
        assert residue["owner"] == place.other.path
        answer = request(address, "claim")
        assert answer["claimed_bytes"] == 0
        [residue] = answer["residue"]
        assert residue["reason"] == "mapped" and residue["pids"] == [mapper.pid]
        [file] = request(address, "files")["files"]
        [residue] = file["residue"]
        assert residue["owner"] == place.other.path
        assert residue["reason"] == "mapped"
    answer = request(address, "claim")
    assert answer["residue"] == []
    verified(place, address, path)
    place.judge.owned_by(place.target, path)


def test_below_a_path(place, mount, address):
    paths = known(place, "a", "sub/b", "sub/c", "subtle")
    plant(place, *paths)
    answer = verified(place, address, *paths[1:3], path="/sub")
    assert {r["path"] for r in answer["residue"]} == {"/sub/b", "/sub/c"}
    answer = verified(place, address, paths[3], path="/subtle")
    assert {r["path"] for r in answer["residue"]} == {"/subtle"}
    verified(place, address, *paths, path="/")
    answer = request(address, "files", path="/sub", sort="name")
    assert [f["path"] for f in answer["files"]] == ["/sub/b", "/sub/c"]
    answer = request(address, "claim", path="/sub/b")
    assert answer["files"] == 1
    place.judge.owned_by(place.target, paths[1])
    assert place.judge.look(paths[0]).of(place.target) == 0
    for verb in ("files", "verify", "claim", "drop"):
        answer = request(address, verb, path="/none")
        assert answer["errno"] == errno.ENOENT


def test_orders_and_limits(place, mount, address):
    for n, name in enumerate("abcd"):
        place.put(place.source, name, (64 << n) * KIB)

    def names(**how):
        return "".join(f["path"][1:]
                       for f in request(address, "files", **how)["files"])

    def are_in_order():
        for name in "abcd":
            place.run(actions.read_whole, mount / name)
        place.run(actions.read_whole, mount / "b", cgroup=place.other)
        return (names() == "dcba" and names(limit=2) == "dc"
                and names(sort="shared") == "bdca")

    assert eventually(are_in_order), (names(), names(sort="shared"))
    assert names(sort="name") == "abcd"
    [b] = request(address, "files", path="/b")["files"]
    assert sorted(b["sharers"]) == sorted([place.reader.path, place.other.path])
    assert request(address, "files", limit=1)["count"] == 4
    for bad in ({"sort": "frob"}, {"sort": 1}, {"limit": 0}, {"limit": "x"},
                {"limit": 10001}):
        assert request(address, "files", **bad)["errno"] == errno.EINVAL


def test_who_may(place, mount, address):
    """Anybody, of what he may read: files that he may not, or those of
    directories that he may not search, aren't there for him."""
    paths = known(place, "open", "secret", "closed/c", "closed/deep/d")
    plant(place, *paths)
    (place.source / "secret").chmod(0o600)
    (place.source / "closed").chmod(0o700)
    for user, count in ((None, 4), (act.STRANGER, 1)):
        answer = act.run(request, address, "verify", user=user)
        assert answer["files"] == count, answer
        answer = act.run(request, address, "files", user=user)
        assert answer["count"] == count
    for path in ("/secret", "/closed", "/closed/c"):
        for verb in ("files", "verify"):
            answer = act.run(lambda p, v: request(address, v, path=p), path,
                             verb, user=act.STRANGER)
            assert answer["errno"] == errno.EACCES, (path, answer)
    for verb in ("claim", "drop"):
        answer = act.run(lambda v: request(address, v, path="/open"), verb,
                         user=act.STRANGER)
        assert answer["errno"] == errno.EPERM
        assert answer["error"] == f"only root and the mount's owner may {verb}"


def test_strangers_change_no_books(place, mount, address):
    """They are told what is wrong, again and again; a master puts it right."""
    [path] = known(place, "a")
    with Mapper(place, path, cgroup=place.other):
        for _ in range(2):
            answer = act.run(request, address, "verify", user=act.STRANGER)
            assert answer["foreign_bytes"] > 0
            assert request(address, "files")["count"] == 0
        assert request(address, "verify")["foreign_bytes"] > 0
        [file] = request(address, "files")["files"]
        assert file["foreign_bytes"] > 0


def test_strangers_arent_told_who_brought_it_in(place, mount, address):
    known(place, "a")
    place.run(actions.read_whole, mount / "a")

    def contributors(user):
        accounts = act.run(request, address, "tree", user=user)["accounts"]
        return [c["path"] for a in accounts for c in a["contributors"]]

    assert eventually(lambda: contributors(None) == [place.reader.path])
    assert contributors(act.STRANGER) == []


def test_what_nobody_can_look_at_is_told(place):
    """Nothing has a charger: that says nothing about whose the pages are."""
    path = place.put(place.source, "a", SIZE)
    place.target.path, kept = "@opener", place.target.path
    try:
        mount = place.cover()
    finally:
        place.target.path = kept
    os.stat(mount / "a")
    [address] = addresses(device_of(mount.path) + "/")
    assert request(address, "verify")["unseen_files"] == 0
    with Mapper(place, path):
        answer = request(address, "verify")
        assert answer["files"] == 1 and answer["unseen_files"] == 1
        [answer] = ctl_json("verify", mount.path, check=False)
        assert answer["unseen_files"] == 1


def test_strangers_are_told_no_pids(place, mount, address):
    [path] = known(place, "a")
    with Mapper(place, path, cgroup=place.other):
        answer = act.run(request, address, "verify", user=act.STRANGER)
        [residue] = answer["residue"]
        assert residue["reason"] == "mapped" and residue["pids"] == []


# Dropping


def test_drop(place, mount, address):
    paths = known(place, "a", "sub/b")
    for name in ("a", "sub/b"):
        place.run(actions.read_whole, mount / name)
    before = place.judge.look(paths[1]).resident * PAGE
    answer = request(address, "drop", path="/sub")
    assert answer["files"] == 1 and answer["left"] == []
    assert before * 3 / 4 <= answer["dropped_bytes"] <= before
    place.judge.none_resident(paths[1])
    place.judge.owned_by(place.target, paths[0], at_least=SIZE // PAGE)
    # It is brought in again at the target's charge.
    place.run(actions.read_whole, mount / "sub/b")
    place.judge.owned_by(place.target, paths[1], at_least=SIZE // PAGE)
    assert request(address, "drop")["errno"] == errno.EINVAL
    assert request(address, "drop", path="/a", force=1)["errno"] == errno.EINVAL


def test_dirty_pages_are_dropped_when_forced(place, mount, address):
    def write():
        (mount / "new").write_bytes(b"x" * SIZE)
        answer = request(address, "drop", path="/new")
        return answer["left"] and answer

    answer = eventually(write)
    assert answer["dropped_bytes"] == 0
    [left] = answer["left"]
    assert left["path"] == "/new" and 0 < left["dirty_bytes"] <= SIZE
    assert place.judge.look(place.source / "new").resident > 0
    answer = request(address, "drop", path="/new", force=True)
    assert answer["left"] == [] and answer["dropped_bytes"] > 0
    place.judge.none_resident(place.source / "new")
    assert (place.source / "new").read_bytes() == b"x" * SIZE


def test_what_cant_be_seen_is_asked_about(place):
    """There is no charger that could tell what is dirty, or mapped."""
    place.target.path, kept = "@opener", place.target.path
    try:
        mount = place.cover()
    finally:
        place.target.path = kept
    (place.source / "new").write_bytes(b"x" * SIZE)
    [address] = addresses(device_of(mount.path) + "/")
    answer = request(address, "drop", path="/new")
    [left] = answer["left"]
    assert answer["dropped_bytes"] == 0 and left["unseen"]
    assert place.judge.look(place.source / "new").resident > 0
    done = ctl("drop", mount / "new", check=False)
    assert done.returncode == 1 and "as far as can be told" in done.stderr
    assert place.judge.look(place.source / "new").resident > 0
    answer = request(address, "drop", path="/new", force=True)
    assert answer["left"] == [] and answer["dropped_bytes"] > 0
    place.judge.none_resident(place.source / "new")
    assert (place.source / "new").read_bytes() == b"x" * SIZE


def test_mapped_and_open_files_stay(place, mount, address):
    """What a reader has open by passthrough would come back at his charge:
    that isn't dropped even by force."""
    paths = known(place, "mapped", "open")
    with Mapper(place, paths[0]), open(mount / "open", "rb") as file:
        file.read()
        answer = request(address, "drop", path="/")
        left = {entry["path"]: entry for entry in answer["left"]}
        assert left["/mapped"]["mapped_bytes"] > 0
        assert left["/open"]["open"] and not left["/mapped"]["open"]
        answer = request(address, "drop", path="/", force=True)
        left = {entry["path"]: entry for entry in answer["left"]}
        assert left["/mapped"]["mapped_bytes"] > 0
        assert left["/open"]["open"]
        place.judge.owned_by(place.target, paths[1], at_least=SIZE // PAGE)
    assert eventually(
        lambda: request(address, "drop", path="/open")["left"] == [])


def test_pinned_files_stay(place, mount, address):
    write_rules(place.source, "p pin")
    [path] = known(place, "p")
    place.run(actions.read_whole, mount / "p")
    [left] = request(address, "drop", path="/", force=True)["left"]
    assert left["pinned"] and left["path"] == "/p"
    place.judge.owned_by(place.target, path, at_least=SIZE // PAGE)


# Long work


@pytest.fixture
def many(place, mount):
    """Files that somebody beside the mount has written: how many."""
    count = settings.scaled(2500)
    for n in range(count):
        (place.source / f"f{n}").write_bytes(b"x")
        os.stat(mount / f"f{n}")
    return count


@contextlib.contextmanager
def stopped(mount):
    """Its chargers do nothing, so that what needs them waits."""
    pids = mount.chargers()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_progress_is_told_to_who_asks(many, place, address):
    with Lines(address, "verify", stream=True) as lines:
        said = []
        while "progress" in (line := lines.next()):
            said.append(line["progress"])
        assert line["files"] == many and "errno" not in line
    for progress in said:
        assert progress["unit"] == "files"
        assert 0 <= progress["done"] < progress["total"]
        # Directories aren't gone through.
        assert progress["total"] == many
    assert [p["done"] for p in said] == sorted(p["done"] for p in said)
    assert said
    assert ask(address, "verify")["files"] == many


def test_who_leaves_ends_the_work(many, place, mount, address):
    """It is not done to its end."""
    def looks():
        return ask(address, "status")["counters"]["look_ns"]

    before = looks()
    assert ask(address, "verify")["files"] == many
    whole = looks() - before
    before = looks()
    with stopped(mount):
        with Lines(address, "verify", stream=True) as lines:
            assert "progress" in lines.next()
        time.sleep(0.3)  # the next time that he is to be told
    assert eventually(lambda: served(address) == 0)
    assert looks() - before < whole / 2


def answered(works):
    """Those that have a line to read, as soon as one has."""
    ready, _, _ = select.select([work.connection for work in works], [], [],
                                settings.seconds(5))
    return [work for work in works if work.connection in ready]


def test_so_much_long_work_at_a_time(place, mount, address):
    paths = known(place, "a")
    plant(place, *paths)
    with contextlib.ExitStack() as stack:
        with stopped(mount):
            works = [stack.enter_context(Lines(address, "verify"))
                     for _ in range(3)]
            [refused] = answered(works)
            works.remove(refused)
            answer = refused.next()
            assert answer["errno"] == errno.EAGAIN
            assert answer["error"] == "others have such work done; try again"
            assert request(address, "files")["errno"] == errno.EAGAIN
            assert "pid" in ask(address, "status")
            # Of others there are as many.
            assert "files" in act.run(request, address, "files",
                                      user=act.STRANGER)
        assert [work.next()["files"] for work in works] == [1, 1]
    assert request(address, "verify")["files"] == 1


def test_the_client_shows_it(place, mount):
    """By memcgfsctl, as users have it."""
    paths = known(place, "a")
    plant(place, *paths)
    [answer] = ctl_json("verify", mount.path, check=False)
    assert answer["files"] == 1
    [answer] = ctl_json("claim", mount / "a")
    assert answer["files"] == 1
    place.judge.owned_by(place.target, *paths)
    assert ctl_json("verify", mount / "a")[0]["foreign_bytes"] == 0
