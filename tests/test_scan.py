# SPDX-License-Identifier: GPL-2.0-or-later
"""Who goes once through many files leaves them as he found them: what was
resident stays, and its owner's; what he brought in goes; and what others have
in use isn't pushed out. The kernel is asked page by page. Each has its control:
the same without the treatment does the harm, and beside the mount the scanner
is charged.

Sizes are a quarter of those promised for, in the same proportions, unless
MEMCGFS_LONG is set."""

import errno
import mmap
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from lib import act, content, kernel, settings
from lib.control import ctl_json
from lib.judge import evict
from lib.mount import unmount_below
from lib.place import Place
from lib.settings import KIB, MIB
from lib.wait import eventually, steady

SCALE = 1 if settings.LONG else 4
HOT, LIMIT, TREE = 64 * MIB // SCALE, 96 * MIB // SCALE, 1024 * MIB // SCALE
if not settings.LONG:
    LIMIT += 2 * MIB  # what a charger takes itself isn't less in a small target
LEFT = 8 * MIB // SCALE
SCANNER_LIMIT = 16 * MIB  # a process has to live there
SIZE = 64 * KIB
LARGE = 4 * LEFT
FIRST = 128 * KIB
# With io=cached: what a quick one pays for may go before it is the target's.
GREPS = 8

BY_RULE = "/tree/** scan\n/half/** scan\n/large scan\n"
WORD = "no such word"
BOTH = pytest.mark.parametrize("mode", ["io=auto", "io=cached"])

pytestmark = [pytest.mark.needs_daemon, pytest.mark.not_sanitized]


def fill(directory, total, size=SIZE):
    """Files of that size in directories of a hundred; what they are doesn't
    matter, and is no text with the word that is looked for."""
    part = content.data(size)
    for n in range(total // size):
        below = directory / f"d{n // 100}"
        below.mkdir(parents=True, exist_ok=True)
        (below / f"f{n}").write_bytes(part)


def files_below(directory):
    return [path for path in Path(directory).rglob("*") if path.is_file()]


def read_all(directory):
    for path in files_below(directory):
        path.read_bytes()


def use(directory):
    """Read all of it again and again, in no order, as no scanner does."""
    files = files_below(directory)
    choose = random.Random(0)
    for _ in range(3):
        choose.shuffle(files)
        for path in files:
            path.read_bytes()


class Scene(Place):
    """A place with a hot set and a tree that is scanned, mounted anew for each
    test with its rules."""

    def populate(self):
        fill(self.source / "hot", HOT, MIB)
        fill(self.source / "tree", TREE)
        self.hot, self.tree = self.source / "hot", self.source / "tree"
        self.scanner = self.cgroups.fresh("scanner")
        self.scanner.set_limit(SCANNER_LIMIT)
        self.cgroup_list.append(self.scanner)

    def begin(self, rules, *options):
        evict(*files_below(self.source))
        (self.source / ".memcgfs").write_text(rules)
        self.target.set_limit(LIMIT)
        self.cover(*options)
        self.run(use, self.mount / "hot")
        self.owned_by(self.target, "hot", at_least=HOT // settings.PAGE)

    def end(self):
        self.mount.stop()
        self.mount = None

    def grep(self, directory, cgroup=None):
        done = self.command(["grep", "-r", WORD, directory], check=False,
                            cgroup=cgroup or self.scanner)
        assert done.returncode == 1, done.stderr

    def look(self, *paths):
        """Where the mount has pages of its own, at these, too."""
        if not self.mount.cached:
            return self.judge.look(*paths)
        own = [self.mount / path.relative_to(self.source) for path in paths]
        with kernel.admin_may_enter():
            return self.judge.look(*paths, *own, through=True)

    def left(self, *paths):
        """The pages of what was scanned, after a moment. Who looks at pages of
        the mount that are just being dropped brings them in again."""
        limit = LEFT // settings.PAGE
        if self.mount.cached:
            # What scanners missed goes with the daemon's next look, in 2 s.
            steady(lambda: counters(self.mount)["scan_dropped_bytes"], 2.5)
        eventually(lambda: self.look(*paths).resident <= limit, 2)
        return self.look(*paths)

    def hot_share(self):
        """For each file what the mount or the backing has, the larger."""
        most = {}
        for file in self.look(self.hot).files:
            name = Path(file["path"]).name
            most[name] = max(most.get(name, 0), file["resident"])
        return sum(most.values()) * settings.PAGE / HOT

    def hot_share_after_grep(self, times=1):
        """Where the machine takes what is idle by itself, the best of a few:
        that doesn't happen each time, and takes little; a scan's harm is done
        each time."""
        share = 0
        for _ in range(3 if kernel.takes_what_is_idle() else 1):
            self.run(use, self.mount / "hot")
            before = counters(self.mount)
            for _ in range(times):
                self.grep(self.mount / "tree")
            left = self.hot_share()
            assert left >= 0.9
            share = max(share, left)
            after = counters(self.mount)
            for name in "scan_bytes", "scan_dropped_bytes":
                assert after[name] - before[name] >= times * TREE * 0.95
            if share >= 0.99:
                break
        return share


@pytest.fixture(scope="module")
def stage(new_scratch, cgroups, judge):
    scene = Scene(new_scratch("scan"), cgroups, judge)
    scene.populate()
    yield scene
    scene.leave(keep_files=True)


@pytest.fixture
def scene(request, stage):
    yield stage
    report = getattr(request.node, "report_call", None)
    if report is not None and report.failed and stage.log.exists():
        report.sections.append(("daemon's log", stage.log_tail()))
    if stage.mount is not None:
        stage.end()


def sharers(mount, directory):
    """Those of the first, the last and one more of the files."""
    files = sorted(files_below(mount / directory))
    names = set()
    for path in (files[0], files[len(files) // 2], files[-1]):
        try:
            told = os.getxattr(path, "user.memcgfs.sharers")
        except OSError as error:  # of what nobody uses there is nothing to say
            assert error.errno == errno.ENODATA, error
            continue
        names.update(told.decode().split())
    return names


def counters(mount):
    return ctl_json("status", mount.path)[0]["counters"]


@pytest.mark.figures
@pytest.mark.parametrize("mode, rules", [
    pytest.param("io=auto", BY_RULE, id="by-rule"),
    pytest.param("io=strict", BY_RULE, id="by-rule-strict"),
    pytest.param("io=auto", "* scanners=grep\n", id="by-name"),
    pytest.param("io=auto", "", id="found-out")])
def test_grep_takes_nothing_and_leaves_nothing(scene, figure, mode, rules):
    scene.begin(rules, mode)
    before = sharers(scene.mount, "hot")
    share = scene.hot_share_after_grep()
    report = scene.left(scene.tree)
    charged = scene.scanner.file_bytes()
    figure(f"{100 * share:.1f} % of the hot set stay, {report.resident} pages "
           f"are left, {charged // KIB} KiB charged to the scanner")
    assert share >= 0.99
    scene.judge.owned_by(scene.target, scene.hot)
    assert report.resident * settings.PAGE <= LEFT, \
        report.describe(scene.target)
    assert report.of(scene.scanner) == 0
    assert charged < MIB
    assert sharers(scene.mount, "tree") == set()
    assert sharers(scene.mount, "hot") == before
    assert counters(scene.mount)["scans"] >= TREE // SIZE


@pytest.mark.figures
@pytest.mark.parametrize("rules", [
    pytest.param(BY_RULE, id="by-rule"),
    pytest.param("* scanners=grep\n", id="by-name"),
    pytest.param("", id="found-out")])
def test_grep_through_pages_of_the_mount(scene, figure, rules):
    """With io=cached. Of who is found out it is told some files later, whose
    reader is taken for one who uses them."""
    scene.begin(rules, "io=cached")
    share = scene.hot_share_after_grep(GREPS)
    assert eventually(lambda: scene.scanner.file_bytes() < MIB)
    report = scene.left(scene.tree)
    charged = scene.scanner.file_bytes()
    figure(f"{100 * share:.1f} % of the hot set stay, {report.resident} pages "
           f"are left, {charged // KIB} KiB charged to the scanner")
    assert share >= 0.99
    scene.owned_by(scene.target, "hot")
    # What went before doesn't grow with the tree.
    limit = LEFT if rules else 8 * MIB
    assert report.resident * settings.PAGE <= limit, \
        report.describe(scene.target)
    if rules:
        assert scene.scanner.path not in sharers(scene.mount, "tree")


@pytest.mark.figures
@pytest.mark.parametrize("mode", ["io=auto", "io=cached"])
def test_without_the_treatment_it_does(scene, figure, mode):
    """The control of the tests in this file."""
    scene.begin("", mode, "scan=off")
    for _ in range(1 if mode == "io=auto" else GREPS):
        scene.grep(scene.mount / "tree")
        report, share = scene.look(scene.tree), scene.hot_share()
        if share < 0.9:
            break
    figure(f"{100 * share:.1f} % of the hot set stay, "
           f"{report.resident} pages are left")
    assert report.resident * settings.PAGE > LEFT
    assert share < 0.9
    assert scene.scanner.path in sharers(scene.mount, "tree")


def test_beside_the_mount_the_scanner_is_charged(scene):
    scene.begin(BY_RULE)
    scene.grep(scene.tree)
    report = scene.judge.look(scene.tree)
    assert report.of(scene.scanner) * settings.PAGE > LEFT
    assert report.of(scene.target) == 0


def read_part(path, size):
    with open(path, "rb", buffering=0) as file:
        file.read(size)


def make_half(scene):
    """A tree, half of whose files are resident, and one file in part."""
    half = scene.source / "half"
    if not half.exists():
        fill(half / "cold", 2 * LEFT)
        fill(half / "warm", 2 * LEFT // 4)
        content.write(half / "parts", 2 * MIB)
    evict(*files_below(half))
    return half


@BOTH
def test_tar_leaves_the_half_that_was_there(scene, mode):
    half = make_half(scene)
    scene.begin(BY_RULE, mode)
    scene.run(read_all, half / "warm", cgroup=scene.target)
    scene.run(read_part, half / "parts", FIRST, cgroup=scene.target)
    warm = scene.look(half / "warm", half / "parts")
    assert warm.resident >= 2 * LEFT // 4 // settings.PAGE
    assert scene.look(half / "parts").resident < 512
    scene.command(["sh", "-c", f"tar -C {scene.mount / 'half'} -cf - . | "
                               "cat > /dev/null"], cgroup=scene.scanner)
    report = scene.left(half / "cold")
    assert report.resident * settings.PAGE <= LEFT
    after = scene.look(half / "warm", half / "parts")
    assert after.resident >= warm.resident * 0.99
    assert after.foreign_to(scene.target) == 0, after.describe(scene.target)
    assert after.resident <= warm.resident + LEFT // settings.PAGE
    # What else was of the file in part went again.
    assert scene.look(half / "parts").resident < 512


def dying(scene):
    """Cgroups of these tests that are gone, and that something still holds;
    None where the kernel doesn't tell (v1)."""
    stat = Path(scene.cgroups.base.dir) / "cgroup.stat"
    if not stat.exists():
        return None
    return dict(line.split() for line in stat.read_text().splitlines())[
        "nr_dying_descendants"]


@BOTH
def test_scans_by_cgroups_that_come_and_go(scene, mode):
    """The target has room for the hot set alone: reclaim never ends."""
    half = make_half(scene)
    scene.begin(BY_RULE, mode)
    scene.target.set_limit(HOT + 4 * MIB)
    before = dying(scene)
    for _ in range(settings.scaled(50)):
        passing = scene.cgroups.fresh("passing")
        passing.set_limit(SCANNER_LIMIT)
        scene.grep(scene.mount / "half", cgroup=passing)
        passing.remove()
    report = scene.left(half, scene.hot)

    def is_clean():
        report = scene.look(half, scene.hot)
        return report.foreign_to(scene.target) == 0
    assert eventually(is_clean), report.describe(scene.target)
    assert scene.look(half).resident * settings.PAGE <= LEFT
    if before is not None:
        assert eventually(lambda: int(dying(scene)) <= int(before) + 2), \
            f"{before} cgroups were dying, and now {dying(scene)}"


@pytest.fixture
def large(scene):
    path = scene.source / "large"
    if not path.exists():
        content.write(path, LARGE)
    evict(path)
    return path


@BOTH
def test_a_large_file_is_read_as_it_is(scene, large, mode):
    scene.begin(BY_RULE, mode)
    assert scene.run(content.digest, scene.mount / "large",
                     cgroup=scene.scanner) == content.digest(large)
    evict(large)
    scene.run(content.digest, scene.mount / "large", cgroup=scene.scanner)
    assert scene.left(large).resident * settings.PAGE <= LEFT
    assert scene.hot_share() >= 0.99
    if not scene.mount.cached:
        answer = ctl_json("explain", scene.mount / "large")[0]
        assert answer["read"]["path"] == "scan"


def hold_and_read(path, pipe):
    """Open the file, tell, and close it when told to."""
    with open(path, "rb", buffering=0) as file:
        file.read()
        os.write(pipe[1], b"x")
        os.read(pipe[2], 1)


@BOTH
@pytest.mark.parametrize("name", ["tree/d0/f0", "large"])
def test_who_reads_at_the_same_time_keeps_his_pages(scene, large, name, mode):
    """Whoever comes while a scanner has the file open is no scanner."""
    scene.begin(f"/{name} scanners=scanning\n", mode)
    pages = scene.judge.pages((scene.source / name).stat().st_size)
    script = Path(scene.root / "scanning")
    script.write_text("#!/bin/sh\nexec 3< $1; cat <&3 >/dev/null; echo; read x")
    script.chmod(0o755)
    with subprocess.Popen([script, scene.mount / name], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE,
                          preexec_fn=scene.scanner.enter) as scanning:
        scanning.stdout.readline()
        scene.run(content.digest, scene.mount / name)
        scanning.communicate(b"\n")
    assert not eventually(
        lambda: scene.look(scene.source / name).resident < pages // 2, 1)


def map_and_touch(path):
    with open(path, "rb") as file:
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as m:
            return sum(m[at] for at in range(0, len(m), settings.PAGE))


@BOTH
@pytest.mark.parametrize("name", ["tree/d0/f1", "large"])
def test_what_a_scanner_maps_goes_as_well(scene, large, name, mode):
    scene.begin(BY_RULE, mode)
    scene.run(map_and_touch, scene.mount / name, cgroup=scene.scanner)
    report = scene.left(scene.source / name)
    assert report.resident * settings.PAGE <= LEFT
    assert eventually(lambda: scene.look(
        scene.source / name).of(scene.scanner) == 0)


def test_the_books_say_what_the_kernel_says(scene):
    scene.begin(BY_RULE)
    scene.grep(scene.mount / "tree")
    scene.left(scene.tree)

    def usage():
        hosts = ctl_json("status", scene.mount.path)[0]["hosts"]
        return sum(host["usage_bytes"] for host in hosts)

    def agrees():
        resident = scene.judge.look(scene.source).resident * settings.PAGE
        return abs(usage() - resident) <= LEFT // 8
    assert eventually(agrees, 20), usage()


@pytest.fixture
def overlaid(scene):
    """The scene's files as an overlay has them: it hasn't reads that keep
    nothing, nor a count of pages."""
    where = scene.root / "overlay"
    for name in ("upper", "work", "merged"):
        (where / name).mkdir(parents=True)
    act.command(["mount", "-t", "overlay", "-o",
                 f"lowerdir={scene.source},upperdir={where / 'upper'},"
                 f"workdir={where / 'work'}", "none", where / "merged"])
    lower, scene.source = scene.source, where / "merged"
    yield lower
    if scene.mount is not None:
        scene.end()
    scene.source = lower
    unmount_below(where / "merged")
    shutil.rmtree(where)


def test_where_all_reads_are_kept_it_is_dropped_behind(scene, large, overlaid):
    scene.begin(BY_RULE)
    evict(large)
    scene.run(read_part, large, FIRST, cgroup=scene.other)
    before = scene.judge.look(large)
    assert 0 < before.resident < 512
    assert scene.run(content.digest, scene.mount / "large",
                     cgroup=scene.scanner) == content.digest(large)
    evict(large)
    scene.run(read_part, large, FIRST, cgroup=scene.other)
    scene.run(content.digest, scene.mount / "large", cgroup=scene.scanner)
    assert eventually(lambda: scene.judge.look(large).resident
                      == before.resident), scene.judge.look(large).owners
    assert scene.judge.look(large).of(scene.other) == before.resident


@pytest.fixture
def in_memory(scene):
    """The scene's files on a tmpfs."""
    where = scene.root / "tmpfs"
    where.mkdir()
    act.command(["mount", "-t", "tmpfs", "-o", "size=1G", "none", where])
    source, scene.source = scene.source, where / "source"
    fill(scene.source / "tree", LIMIT // 4)
    yield scene
    if scene.mount is not None:
        scene.end()
    scene.source = source
    unmount_below(where)
    where.rmdir()


def test_on_a_tmpfs_all_stays_as_it_was(in_memory):
    """Its pages are the files: none can be dropped, nor is any moved."""
    tree = in_memory.source / "tree"
    before = in_memory.judge.look(tree)
    (in_memory.source / ".memcgfs").write_text(BY_RULE)
    in_memory.target.set_limit(LIMIT)
    in_memory.cover()
    in_memory.grep(in_memory.mount / "tree")
    after = in_memory.judge.look(tree)
    assert after.owners == before.owners
    assert after.resident == after.pages
    assert sharers(in_memory.mount, "tree") == set()


def test_on_a_tmpfs_others_move_it(in_memory):
    """The control: who is no scanner has the pages claimed, as far as they
    can be, and shares the files."""
    (in_memory.source / ".memcgfs").write_text("* noscan\n")
    in_memory.target.set_limit(LIMIT)
    in_memory.cover()
    in_memory.grep(in_memory.mount / "tree")
    assert in_memory.scanner.path in sharers(in_memory.mount, "tree")
