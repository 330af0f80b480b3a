# SPDX-License-Identifier: GPL-2.0-or-later
"""Every page of file cache used through the mount belongs to the target.

The judge is the kernel's own record of who pays for each page. Each test has
its control: the same action beside the mount charges the one who acts. With
MEMCGFS_TEST_NATIVE=1 all must fail, but for those whose actor lives in the
target, where the kernel charges rightly by itself.
"""

import mmap
import os
import shutil
import sys
from pathlib import Path

import pytest

from lib import actions, content, kernel, settings
from lib.judge import evict
from lib.mount import standing_still
from lib.settings import KIB, MIB
from lib.wait import eventually

pytestmark = pytest.mark.turns("mode")

MODES = ["io=auto", "io=strict", "io=cached"]
# Small files go the same way, as do large ones, where less has to do.
SIZES = {"1page": 100, "6M": 6 * MIB} if settings.BRIEF else {
    "1page": 100, "16k": 16 * KIB, "24M": 24 * MIB}


def named(functions):
    return [pytest.param(f, id=f.__name__) for f in functions]


@pytest.fixture
def read_both(place):
    """Act on a file beside the mount, then on its twin through it. That the
    mount keeps all it reads resident is no promise; most of it will be."""
    def check(action, size, cgroup=None):
        beside = place.put(place.beside, "file", size)
        backing = place.put(place.source, "file", size)
        pages = place.judge.pages(size)
        place.run(action, beside, cgroup=cgroup)
        # The control may lose a page to readahead that overtook itself.
        place.judge.owned_by(cgroup or place.reader, beside,
                             at_least=pages * 9 // 10)
        left = place.run(action, place.mount / "file", cgroup=cgroup)
        assert left == 0, f"{left} pages are cached twice"
        place.owned_by(place.target, backing.name, at_least=-(-pages // 2))
        if place.mount.cached and size < MIB:
            place.kept_once("file")
    return check


@pytest.fixture
def write_both(place):
    def check(action, cgroup=None):
        pages = place.judge.pages(actions.SIZE)
        beside, backing = place.beside / "new", place.source / "new"
        place.run(action, beside, cgroup=cgroup)
        place.judge.owned_by(cgroup or place.reader, beside, at_least=pages)
        left = place.run(action, place.mount / "new", cgroup=cgroup)
        # With io=cached what was written is dropped, and not all comes back.
        some = pages // 4 if place.mount.cached else pages
        place.owned_by(place.target, backing.name, at_least=some)
        assert left == 0, f"{left} pages are cached twice"
        assert backing.read_bytes() == actions.expected()
    return check


# A page at a time, more than that is no different and takes its time.
ENOUGH_IN_STEPS = 10 * MIB


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("action", named(actions.READS))
def test_reading_charges_the_target(place, read_both, action, size, mode):
    place.cover(mode)
    in_steps = action in (actions.read_by_4k, actions.pread_at_random)
    read_both(action, min(size, ENOUGH_IN_STEPS) if in_steps else size)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("action", named(actions.WRITES))
def test_writing_charges_the_target(place, write_both, action, mode):
    place.cover(mode)
    write_both(action)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("action", named([actions.read_whole,
                                          actions.mmap_shared]))
def test_a_reader_in_the_host_is_no_exception(place, read_both, action, mode):
    place.cover(mode)
    read_both(action, 4 * MIB)
    again = place.put(place.source, "again", 4 * MIB)
    assert place.run(action, place.mount / "again", cgroup=place.target) == 0
    place.owned_by(place.target, again.name, at_least=1024)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("action", named(actions.WRITES))
def test_a_writer_in_the_host_is_no_exception(place, action, mode):
    place.cover(mode)
    place.run(action, place.beside / "new")
    place.judge.owned_by(place.reader, place.beside / "new", at_least=768)
    left = place.run(action, place.mount / "new", cgroup=place.target)
    place.owned_by(place.target, "new", at_least=768)
    assert left == 0, f"{left} pages are cached twice"
    assert (place.source / "new").read_bytes() == actions.expected()


def copy_in(place, original, name):
    """The same program or library beside the mount and below it."""
    copies = place.beside / name, place.source / name
    for copy in copies:
        shutil.copy(original, copy)
        copy.chmod(0o755)
        evict(copy)
    return copies


@pytest.mark.parametrize("mode", MODES)
def test_running_a_program(place, mode):
    place.cover(mode)
    beside, backing = copy_in(place, os.path.realpath(sys.executable), "prog")
    place.run(actions.run_program, beside)
    place.judge.owned_by(place.reader, beside, at_least=100)
    place.run(actions.run_program, place.mount / "prog")
    place.owned_by(place.target, backing.name, at_least=100)


@pytest.mark.parametrize("mode", MODES)
def test_loading_a_library(place, mode):
    place.cover(mode)
    library = next(Path("/usr/lib").rglob("libcrypto.so.3"))
    beside, backing = copy_in(place, library, "lib.so")
    place.run(actions.load_library, beside)
    place.judge.owned_by(place.reader, beside, at_least=20)
    place.run(actions.load_library, place.mount / "lib.so")
    place.owned_by(place.target, backing.name, at_least=20)


@pytest.mark.parametrize("mode", MODES)
def test_direct_io_leaves_no_foreign_page(place, mode):
    size = 4 * MIB
    place.cover(mode)
    beside = place.put(place.beside, "file", size)
    backing = place.put(place.source, "file", size)
    place.run(actions.read_whole, beside)
    place.judge.owned_by(place.reader, beside, at_least=1024)
    for action, name in ((actions.direct_read, "file"),
                         (actions.direct_write, "new")):
        assert place.run(action, place.mount / name) == 0
        place.owned_by(place.target, name, at_least=0)
    assert backing.read_bytes() == content.data(size)
    assert (place.source / "new").read_bytes() == actions.expected()


# Changes of a file that is there: what they bring in is the target's, too.


def truncate_in_a_page(path):
    os.truncate(path, 5 * settings.PAGE + 77)


def truncate_open_file(path):
    fd = os.open(path, os.O_RDWR)
    os.ftruncate(fd, 3 * settings.PAGE + 5)
    os.ftruncate(fd, 40 * settings.PAGE + 5)
    os.close(fd)


def change_few_bytes(path):
    fd = os.open(path, os.O_RDWR)
    for at in range(100, 60 * settings.PAGE, 3 * settings.PAGE):
        os.pwrite(fd, b"few bytes", at)
    os.close(fd)


def append_to_part_of_a_page(path):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(fd, b"more" * 5000)
    os.close(fd)


def punch_parts_of_pages(path):
    fd = os.open(path, os.O_RDWR)
    kernel.fallocate(fd, kernel.FALLOC_PUNCH_HOLE | kernel.FALLOC_KEEP_SIZE,
                     1000, 9 * settings.PAGE)
    kernel.fallocate(fd, kernel.FALLOC_ZERO, 20 * settings.PAGE + 9, 9000)
    os.close(fd)


def copy_a_range(path):
    """Both sides of copy_file_range, at odd offsets so that bytes move."""
    source = os.open(path, os.O_RDONLY)
    sink = os.open(f"{path}.copy", os.O_RDWR | os.O_CREAT, 0o644)
    size, at = os.fstat(source).st_size, 0
    while at < size:
        at += os.copy_file_range(source, sink, size - at, at, at + 1)
    os.close(source)
    os.close(sink)


def map_and_change(path):
    fd = os.open(path, os.O_RDWR)
    size = os.fstat(fd).st_size
    with mmap.mmap(fd, size) as m:
        for at in range(17, size, 2 * settings.PAGE):
            m[at] = 1
    os.close(fd)


CHANGES = [truncate_in_a_page, truncate_open_file, change_few_bytes,
           append_to_part_of_a_page, punch_parts_of_pages, copy_a_range,
           map_and_change]


@pytest.mark.parametrize("where", ["reader", "target"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("change", named(CHANGES))
def test_changing_a_file(place, change, mode, where):
    size = 64 * settings.PAGE + 321
    place.cover(mode)
    for directory in (place.beside, place.source):
        place.put(directory, "file", size)
    place.run(change, place.beside / "file")
    place.judge.owned_by(place.reader, place.beside)
    place.run(change, place.mount / "file", cgroup=getattr(place, where))
    place.owned_by(place.target)
    for name in os.listdir(place.beside):
        assert (place.source / name).read_bytes() == \
               (place.beside / name).read_bytes()


# Pages that somebody brought in before.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("open_flags", [os.O_RDONLY, os.O_RDWR],
                         ids=["read", "write"])
def test_pages_from_before_the_mount_are_claimed(place, mode, open_flags):
    backing = place.put(place.source, "file", 8 * MIB)
    place.run(actions.read_whole, backing, cgroup=place.other)
    place.judge.owned_by(place.other, backing, at_least=2048)  # the control

    place.cover(mode)

    def open_and_read(path):
        fd = os.open(path, open_flags)
        while os.read(fd, MIB):
            pass
        os.close(fd)

    place.run(open_and_read, place.mount / "file")
    place.owned_by(place.target, backing.name, at_least=2048)


@pytest.mark.parametrize("mode", MODES)
def test_dirty_pages_from_before_the_mount_are_claimed(place, mode):
    backing = place.source / "file"
    place.run(content.write, backing, 8 * MIB, cgroup=place.other)
    place.judge.owned_by(place.other, backing, at_least=2048)  # the control
    place.cover(mode)
    place.run(actions.read_whole, place.mount / "file")
    place.owned_by(place.target, backing.name, at_least=2048)
    assert backing.read_bytes() == content.data(8 * MIB)


def test_pages_that_came_in_beside_the_mount_are_claimed(place):
    """Someone reads the backing file beside a mount that knows it already."""
    place.cover()
    backing = place.put(place.source, "file", 4 * MIB)
    place.run(actions.read_whole, place.mount / "file")
    with standing_still(place.mount):   # it would look after its last reader
        evict(backing)
        place.run(actions.read_whole, backing, cgroup=place.other)
        place.judge.owned_by(place.other, backing, at_least=1024)  # the control

    def is_claimed():
        place.run(actions.read_whole, place.mount / "file")
        return not place.judge.look(backing).foreign_to(place.target)

    assert eventually(is_claimed, 10, every=0.5), "never claimed"


def test_foreign_pages_that_cannot_move_do_no_harm(place):
    """Pages mapped natively stay where they are; the file reads right."""
    backing = place.put(place.source, "file", 2 * MIB)

    def map_and_wait(path, ready, done):
        fd = os.open(path, os.O_RDONLY)
        with mmap.mmap(fd, 2 * MIB, mmap.MAP_SHARED, mmap.PROT_READ) as m:
            actions.touch_all(m, 2 * MIB)
            os.write(ready, b"!")
            os.read(done, 1)

    ready, said_ready = os.pipe()
    done, say_done = os.pipe()
    mapper = place.start(map_and_wait, backing, said_ready, done,
                         cgroup=place.other)
    os.read(ready, 1)
    place.judge.owned_by(place.other, backing, at_least=512)
    place.cover()
    assert place.run(content.digest, place.mount / "file") == \
        content.md5(content.data(2 * MIB))
    os.write(say_done, b"!")
    mapper.result()
    assert place.run(content.digest, place.mount / "file") == \
        content.md5(content.data(2 * MIB))
    place.owned_by(place.target, backing.name, at_least=512)


# Files that are not charged whole at open.


@pytest.mark.parametrize("action", named([
    actions.read_whole, actions.read_by_4k, actions.pread_at_random,
    actions.sendfile_out, actions.splice_out]))
def test_a_file_larger_than_ahead(place, read_both, action):
    place.cover("ahead=1M")
    read_both(action, 8 * MIB)


@pytest.mark.parametrize("size", [16 * KIB, 64 * KIB, 68 * KIB])
def test_files_around_ahead(place, read_both, size):
    place.cover("ahead=64K")
    read_both(actions.read_by_4k, size)


def test_a_file_that_grows_beyond_ahead_while_open(place):
    """Charged ahead and passed through at open; then it grows, and readers
    see the new part through the old open."""
    place.cover("ahead=1M")
    backing = place.put(place.source, "file", 512 * KIB)
    beside = place.put(place.beside, "file", 512 * KIB)

    def read_grow_read(path, grow):
        fd = os.open(path, os.O_RDONLY)
        while os.read(fd, MIB):
            pass
        grow(path)
        while os.read(fd, MIB):
            pass
        os.close(fd)

    def grow(path):
        with open(path, "ab") as f:
            f.write(content.data(2 * MIB, 3))

    place.run(read_grow_read, beside, grow)
    place.judge.owned_by(place.reader, beside, at_least=640)
    place.run(read_grow_read, place.mount / "file", grow)
    place.judge.owned_by(place.target, backing, at_least=640)


@pytest.mark.parametrize("target_first", [True, False])
def test_readers_and_writers_of_two_cgroups_at_once(place, target_first):
    """An inode has one backing: whoever opens it first, all others go along."""
    place.cover()
    backing = place.put(place.source, "file", 4 * MIB)
    beside = place.put(place.beside, "file", 4 * MIB)
    first = place.target if target_first else place.reader

    def read_and_change(path, seed):
        fd = os.open(path, os.O_RDWR)
        for n in range(200):
            at = (n * 37 + seed) % 1000 * 4096
            os.pread(fd, 4096, at)
            os.pwrite(fd, bytes([seed]) * 10, at + 5)
        os.close(fd)

    place.run(read_and_change, beside, 1)
    place.judge.owned_by(place.reader, beside, at_least=200)
    holder = os.open(backing, os.O_PATH)  # keeps the inode, opens nothing
    children = [place.start(read_and_change, place.mount / "file", n, cgroup=c)
                for n, c in enumerate([first, place.reader, place.target,
                                       place.other])]
    for child in children:
        child.result()
    os.close(holder)
    place.judge.owned_by(place.target, backing, at_least=200)


def test_the_daemon_pays_for_no_page(place):
    """What all its work leaves behind is found neither in the daemon's pages
    of the tree nor in the file charge of its cgroup."""
    place.cover()

    def work(directory):
        for action in actions.WRITES:
            action(directory / f"w-{action.__name__}")
        for action in actions.READS:
            action(directory / "big")

    place.put(place.beside, "big", 16 * MIB)
    place.put(place.source, "big", 16 * MIB)
    place.run(work, place.beside)
    place.judge.owned_by(place.reader, place.beside, at_least=4096)
    before = place.daemon.file_bytes()
    place.run(work, place.mount.path)
    report = place.judge.owned_by(place.target, place.source, at_least=4096)
    assert report.of(place.daemon) == 0
    grown = place.daemon.file_bytes() - before
    assert grown < MIB, f"the daemon's file charge grew by {grown} bytes"


def test_a_tree_of_small_files(place):
    """Two readers in two cgroups walk one tree; all of it is the target's."""
    number = settings.scaled(600)
    place.cover("scan=off")  # as walkers may be taken for scanners

    def make(directory):
        for n in range(number):
            os.makedirs(directory / f"d{n % 20}", exist_ok=True)
            content.write(directory / f"d{n % 20}" / f"f{n}", 500 + 37 * n, n)

    def read_all(directory):
        for where, _, names in os.walk(directory):
            for name in names:
                content.digest(os.path.join(where, name))

    place.run(make, place.beside)
    place.judge.owned_by(place.reader, place.beside, at_least=number)
    place.run(make, place.mount.path)
    place.judge.owned_by(place.target, place.source, at_least=number)
    evict(*[f for f in map(str, place.source.rglob("f*"))])
    place.judge.none_resident(place.source)
    readers = [place.start(read_all, place.mount.path, cgroup=c)
               for c in (place.reader, place.other)]
    for reader in readers:
        reader.result()
    place.judge.owned_by(place.target, place.source, at_least=number)


def test_host_below_a_target_that_may_hold_no_process(place):
    """cgroup v2: with controllers for its children, a target has none of its
    own; the charge is held by the leaf memcgfs below it."""
    if place.cgroups.hierarchy.version != 2:
        pytest.skip("no cgroup v2 memory controller here")
    place.target.delegate_memory()
    place.cover()
    host = place.target.child("memcgfs")
    beside = place.put(place.beside, "file", MIB)
    backing = place.put(place.source, "file", MIB)
    place.run(actions.read_whole, beside)
    place.judge.owned_by(place.reader, beside, at_least=256)
    place.run(actions.read_whole, place.mount / "file")
    place.judge.owned_by(host, backing, at_least=256)
    place.mount.stop()
    assert eventually(lambda: not host.exists()), "the leaf is left behind"
