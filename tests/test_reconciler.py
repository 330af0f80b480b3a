# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages of open files that are reclaimed and brought back by a reader are his.
They are found, and claimed, while the file is open, and after its close."""

import contextlib
import mmap
import os
import resource
import time
from pathlib import Path

import pytest

from lib import content, settings
from lib.hold import Mapper
from lib.mount import standing_still
from lib.rules import write_rules
from lib.settings import MIB
from lib.wait import eventually

pytestmark = pytest.mark.needs_daemon

SIZE = 8 * MIB
PAGES = SIZE // settings.PAGE
# Where time is dear a look at the file may take all that is saved up: in
# user-mode Linux, which counts what its host gives to others as used, from 20
# to 380 ms were seen, and 1 % of a CPU is then no second look in half a minute.
ALLOWANCE = ("reconcile=20",) if settings.PATIENCE > 1 else ()


class Client:
    """A process of the reader's that has a file open and does as it is told."""

    def __init__(self, place, path):
        self.orders, out = os.pipe()
        answers, self.answers = os.pipe()
        self.child = place.start(self._work, path)
        os.close(self.orders)
        os.close(self.answers)
        self.orders, self.answers = out, answers

    def _work(self, path):
        fd = os.open(path, os.O_RDONLY)
        maps = []
        while True:
            order = os.read(self.orders, 1)
            if order == b"r":
                assert content.md5(os.pread(fd, SIZE, 0)) == \
                    content.md5(content.data(SIZE))
            elif order == b"m":
                maps.append(mmap.mmap(fd, SIZE, mmap.MAP_SHARED,
                                      mmap.PROT_READ))
            elif order == b"t":
                assert maps[-1][:] == content.data(SIZE)
            elif order == b"u":
                maps.pop().close()
            elif order == b"c":
                close_all(path)
            else:
                return
            os.write(self.answers, b"!")

    def do(self, order):
        os.write(self.orders, order)
        assert os.read(self.answers, 1) == b"!", "the client failed"

    def close(self):
        os.write(self.orders, b".")
        os.close(self.orders)
        os.close(self.answers)
        self.child.result()


def close_all(path):
    """A file, by the copies of its fd that Python's maps keep, too."""
    for fd in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):
            if os.readlink(fd).startswith(str(path)):
                os.close(int(fd.name))


def reclaim_all(place, path):
    """The target gives its pages back, by its limit or as it is asked to."""
    if place.target.hierarchy.version == 2:
        def take():
            with contextlib.suppress(OSError):
                place.target.write("memory.reclaim", SIZE * 4)
            return place.judge.look(path).resident < PAGES // 2
    else:
        def take():
            place.target.write("memory.force_empty", 0)
            return place.judge.look(path).resident < PAGES // 2
    assert eventually(take, 10, every=0.1), "nothing was reclaimed"


def deleted_files(pid):
    """What a process keeps of files that are gone."""
    found = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(os.readlink(fd))
    return [name for name in found if name.endswith("/file (deleted)")]


@pytest.fixture
def leak(place):
    """A file, open by the reader, most of whose pages are his, as they were
    reclaimed and he read again: (file, client)."""
    path = place.put(place.source, "file", SIZE)
    place.cover(*ALLOWANCE)
    client = Client(place, place.mount / "file")
    client.do(b"r")
    place.judge.owned_by(place.target, path, at_least=PAGES)
    yield path, client
    client.close()


def lose_pages(place, path, client, order=b"r"):
    reclaim_all(place, path)
    client.do(order)
    foreign = place.judge.look(path).foreign_to(place.target)
    assert foreign > PAGES // 4, "the test shows nothing: no page was lost"
    return foreign


def look_still(place, path):
    """Looked at while no page is being dropped, which the judge would miss,
    and bring in himself."""
    with standing_still(place.mount):
        time.sleep(0.3)
        return place.judge.look(path)


def all_owned(place, path, limit=10, at_least=0):
    """All that is resident; some of at_least may be reclaimed by now."""
    def look():
        report = look_still(place, path)
        return report.foreign_to(place.target) == 0 and \
            report.resident >= at_least * 0.75
    return eventually(look, limit, every=0.5)


def comes_back_whole(place, path, client, limit=10):
    """And is there before the client reads again, who'd be charged for what
    isn't: for a while he is, for what the machine takes in between."""
    for _ in range(2):
        assert all_owned(place, path, limit, at_least=PAGES), \
            place.judge.look(path).describe(place.target)
        client.do(b"r")
    assert all_owned(place, path, limit, at_least=PAGES), \
        place.judge.look(path).describe(place.target)


@pytest.mark.figures
def test_pages_of_an_open_file_come_back(place, leak, figure):
    path, client = leak
    with standing_still(place.mount):
        foreign = lose_pages(place, path, client)
        begin = time.monotonic()
    assert all_owned(place, path), place.judge.look(path).describe(place.target)
    figure(f"{foreign} of {PAGES} pages claimed "
           f"{time.monotonic() - begin:.1f} s after")
    comes_back_whole(place, path, client)


def test_pages_of_a_file_that_was_closed_come_back(place, leak):
    path, client = leak
    with standing_still(place.mount):
        lose_pages(place, path, client)
        client.do(b"c")
    assert all_owned(place, path), place.judge.look(path).describe(place.target)


def test_pages_that_are_mapped_come_back_when_they_can(place, leak):
    path, client = leak
    client.do(b"m")
    with standing_still(place.mount):
        lose_pages(place, path, client, b"t")
    time.sleep(1)
    assert place.judge.look(path).foreign_to(place.target) > 0, \
        "mapped pages can't be dropped: what was it that moved them?"
    client.do(b"u")
    client.do(b"c")
    assert all_owned(place, path, 15), \
        place.judge.look(path).describe(place.target)


@pytest.mark.parametrize("how", ["open", "claimed"])
def test_residue_that_was_never_the_hosts_comes_when_it_can(place, how):
    """Somebody beside the mount maps pages of his before a client opens the
    file, or the file is claimed: they are tried again, also on a machine that
    reclaims nothing, where that is the only reason to."""
    path = place.put(place.source, "file", SIZE)
    place.cover(*ALLOWANCE)
    with contextlib.ExitStack() as stack:
        with Mapper(place, path):
            if how == "open":
                client = Client(place, place.mount / "file")
                stack.enter_context(contextlib.closing(client))
                client.do(b"r")
            else:
                os.setxattr(place.mount / "file", "user.memcgfs.claim", b"")
            assert place.judge.look(path).foreign_to(place.target) > 0
        if how == "open":
            comes_back_whole(place, path, client, 15)
        else:
            assert all_owned(place, path, 15), \
                place.judge.look(path).describe(place.target)


def test_a_file_that_is_removed_is_not_kept(place):
    """What waits to be looked at holds no space of a file that is gone."""
    place.put(place.source, "file", SIZE)
    place.cover(*ALLOWANCE)
    place.run(content.digest, place.mount / "file")
    place.run(os.unlink, place.mount / "file")
    assert eventually(lambda: not deleted_files(place.mount.daemon.pid), 1), \
        deleted_files(place.mount.daemon.pid)


def test_pages_of_a_mapping_that_outlives_its_file_come_back(place, leak):
    """ld.so and most others close a file that they have mapped."""
    path, client = leak
    client.do(b"m")
    client.do(b"t")
    client.do(b"c")
    time.sleep(2)
    with standing_still(place.mount):
        lose_pages(place, path, client, b"t")
    client.do(b"u")
    assert all_owned(place, path, 15), \
        place.judge.look(path).describe(place.target)


def test_pages_of_an_open_file_that_was_removed_come_back(place, leak):
    """As of a library that was replaced; and no space of it is kept after."""
    path, client = leak
    own = os.open(path, os.O_RDONLY)
    path = f"/proc/{os.getpid()}/fd/{own}"
    place.run(os.unlink, place.mount / "file")
    with standing_still(place.mount):
        lose_pages(place, path, client)
    comes_back_whole(place, path, client)
    client.do(b"c")
    assert eventually(lambda: not deleted_files(place.mount.daemon.pid), 2), \
        deleted_files(place.mount.daemon.pid)
    os.close(own)


def test_pages_of_a_file_that_was_open_before_its_rule_come_back(place):
    path = place.put(place.source, "file", SIZE)
    write_rules(place.source, "* memcg=@opener")
    place.cover(*ALLOWANCE)
    with contextlib.closing(Client(place, place.mount / "file")) as client:
        client.do(b"r")
        place.judge.owned_by(place.reader, path, at_least=PAGES)
        place.run(os.unlink, place.mount / ".memcgfs")
        assert all_owned(place, path, at_least=PAGES)
        with standing_still(place.mount):
            lose_pages(place, path, client)
        comes_back_whole(place, path, client)


# ---- what it may take ----

FILES, FILE_SIZE = 12000, MIB // 4
WINDOW_S = 12
# What was saved up, and a look that goes beyond: of it, and of who counts.
SPARE_S = 2 * 0.1 + 0.1
COUNTING = 0.005


def processor_s(pids):
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def open_and_hold(mount, ready):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    fds = [os.open(mount / f"f{n}", os.O_RDONLY) for n in range(FILES)]
    for fd in fds:
        os.read(fd, 1)
    os.write(ready, b"!")
    time.sleep(3600)


def refault(place, path):
    """Pages beside the mount are reclaimed and brought back: somebody's."""
    place.run(path.read_bytes, cgroup=place.other)
    with contextlib.suppress(OSError):
        if place.other.hierarchy.version == 2:
            place.other.write("memory.reclaim", SIZE)
        else:
            place.other.write("memory.force_empty", 0)


def used_by_looking(place, percent):
    """Processor time of the mount, while there is reason to look at many open
    files all the time, and nothing else is asked of it."""
    place.cover(f"reconcile={percent}")
    is_ready, ready = os.pipe()
    child = place.start(open_and_hold, place.mount.path, ready)
    os.close(ready)
    assert os.read(is_ready, 1) == b"!"
    os.close(is_ready)
    time.sleep(1)
    pids = [place.mount.daemon.pid, *place.mount.chargers()]
    begin, before = time.monotonic(), processor_s(pids)
    while time.monotonic() < begin + WINDOW_S:
        refault(place, place.beside / "victim")
    used = processor_s(pids) - before
    lasted = time.monotonic() - begin
    child.end()
    place.mount.stop()
    return used, SPARE_S + (percent / 100 + COUNTING) * lasted


@pytest.mark.figures
@pytest.mark.processor_time
def test_it_keeps_to_its_share(place, figure):
    """The control is who may take all of a processor: he does take more."""
    for n in range(FILES):
        (place.source / f"f{n}").touch()
        os.truncate(place.source / f"f{n}", FILE_SIZE)
    (place.beside / "victim").write_bytes(bytes(SIZE))
    used, allowed = used_by_looking(place, 1)
    freely, _ = used_by_looking(place, 100)
    figure(f"{used:.2f} s of {allowed:.2f} in {WINDOW_S} s; "
           f"{freely:.2f} s where 100 % are allowed")
    assert used <= allowed < freely
