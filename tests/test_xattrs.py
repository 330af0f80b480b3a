# SPDX-License-Identifier: GPL-2.0-or-later
"""Virtual attributes: what each file tells of itself, what only its mount's
owner may have done, and that no copy carries any of it."""

import errno
import mmap
import os

import pytest

from lib import act, actions, settings
from lib.act import OWNER, STRANGER
from lib.settings import KIB, MIB

pytestmark = pytest.mark.needs_daemon

SIZE = 256 * KIB
PREFIX = "user.memcgfs."
NAMES = ("target", "host", "rule", "resident", "foreign")


def get(path, name):
    """The attribute's value as text, or the errno."""
    try:
        return os.getxattr(path, PREFIX + name).decode()
    except OSError as error:
        return error.errno


def set_it(path, name, value=b"1"):
    """0, or the errno."""
    try:
        os.setxattr(path, PREFIX + name, value)
    except OSError as error:
        return error.errno
    return 0


def claim(path):
    return set_it(path, "claim")


@pytest.fixture
def files(place):
    """One file of the mount's, one of a rule's, one of nobody's."""
    for name in ("sub/ruled", "plain", "free/a"):
        (place.source / name).parent.mkdir(exist_ok=True)
        place.put(place.source, name, SIZE)
    rules = place.source / "sub/.memcgfs"
    rules.write_text(f"# whose\n\n* memcg={place.other.path}\n")
    rules.chmod(0o644)
    rules = place.source / "free/.memcgfs"
    rules.write_text("* memcg=@opener\n")
    rules.chmod(0o644)
    return place


def test_what_a_file_tells(files):
    place, mount = files, files.cover()
    assert get(mount / "plain", "target") == place.target.path
    assert get(mount / "plain", "rule") == "mount"
    assert get(mount / "sub/ruled", "target") == place.other.path
    assert get(mount / "sub/ruled", "rule") == "sub/.memcgfs:3"
    assert get(mount / "sub/ruled", "host") == place.other.path
    assert get(mount / "free/a", "target") == "@opener"
    assert get(mount / "free/a", "rule") == "free/.memcgfs:1"
    assert get(mount / "free/a", "host") == errno.ENODATA
    assert get(mount / "free/a", "foreign") == errno.ENODATA
    assert get(mount / "sub", "rule") == "mount"
    assert get(mount.path, "target") == place.target.path
    assert get(mount.path, "rule") == "mount"
    for directory in ("sub", ""):
        assert get(mount / directory, "resident") == errno.ENODATA
    for name in ("claim", "nothing", ""):
        assert get(mount / "plain", name) == errno.ENODATA


def test_sharers_are_who_has_opened_it(files):
    """But the host, and nobody else."""
    place, mount = files, files.cover()
    assert get(mount / "plain", "sharers") == errno.ENODATA
    for cgroup in (place.reader, place.other, place.target):
        place.run(actions.read_whole, mount / "plain", cgroup=cgroup)
    assert sorted(get(mount / "plain", "sharers").split("\n")) == \
        sorted([place.reader.path, place.other.path])
    assert get(mount.path, "sharers") == errno.ENODATA


def test_a_crowd_of_sharers(files):
    """Those that were seen last are known by name, and that there are more."""
    place, mount = files, files.cover("io=strict")
    crowd = [place.other.child(f"{n}").create() for n in range(66)]
    try:
        for cgroup in crowd[:64]:
            place.run(actions.pread_at_random, mount / "plain", cgroup=cgroup)
        assert sorted(get(mount / "plain", "sharers").split("\n")) == \
            sorted(cgroup.path for cgroup in crowd[:64])
        for cgroup in crowd[64:]:
            place.run(actions.pread_at_random, mount / "plain", cgroup=cgroup)
        known = get(mount / "plain", "sharers").split("\n")
        assert len(known) == 65 and known[-1] == "others"
        assert {cgroup.path for cgroup in crowd[64:]} < set(known)
    finally:
        for cgroup in crowd:
            cgroup.dir.rmdir()


@pytest.mark.parametrize("mode", ["io=auto", "io=strict"])
def test_pages_are_the_judges(files, mode):
    """Resident and foreign are what the kernel says of each page."""
    place, mount = files, files.cover(mode)
    path, backing = mount / "plain", place.source / "plain"
    assert (get(path, "resident"), get(path, "foreign")) == ("0", "0")
    place.run(read_some, backing)
    report = place.judge.look(backing)
    foreign = report.foreign_to(place.target)
    assert foreign == report.resident > 0
    assert get(path, "resident") == str(report.resident * settings.PAGE)
    assert get(path, "foreign") == str(foreign * settings.PAGE)
    # To look has changed nothing.
    again = place.judge.look(backing)
    assert again.owners == report.owners
    place.run(actions.read_whole, path)
    place.judge.owned_by(place.target, backing, at_least=64)
    assert (get(path, "resident"), get(path, "foreign")) == (str(SIZE), "0")


def read_some(path):
    with open(path, "rb", buffering=0) as f:
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        for at in range(0, SIZE, 3 * settings.PAGE):
            os.pread(f.fileno(), 1, at)


def test_claim(files):
    """Moves what is another's. The control: without it, it stays."""
    place, mount = files, files.cover()
    for name in ("plain", "sub/ruled"):
        place.run(actions.read_whole, place.source / name)
    assert get(mount / "plain", "foreign") == str(SIZE)
    assert claim(mount / "plain") == 0
    place.judge.owned_by(place.target, place.source / "plain", at_least=64)
    report = place.judge.look(place.source / "sub/ruled")
    assert report.of(place.reader) == report.resident == 64
    assert claim(mount / "sub/ruled") == 0
    place.judge.owned_by(place.other, place.source / "sub/ruled", at_least=64)
    for name in ("plain", "sub/ruled"):
        assert get(mount / name, "foreign") == "0"


def hold_mapped(path, ready, until):
    with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, mmap.MAP_SHARED,
                                          mmap.PROT_READ) as m:
        for at in range(0, SIZE, settings.PAGE):
            m[at]
        os.write(ready, b"x")
        os.close(ready)
        os.read(until, 1)


def test_claiming_what_is_mapped(files):
    """It can't be moved now, and "foreign" goes on saying so."""
    place, mount = files, files.cover()
    backing = place.source / "plain"
    got, ready = os.pipe()
    until, go = os.pipe()
    child = place.start(hold_mapped, backing, ready, until)
    os.close(ready)
    assert os.read(got, 1)
    assert claim(mount / "plain") == 0
    report = place.judge.look(backing)
    assert report.foreign_to(place.target) == 64
    assert get(mount / "plain", "foreign") == str(SIZE)
    os.write(go, b"x")
    child.result()
    assert claim(mount / "plain") == 0
    place.judge.owned_by(place.target, backing, at_least=64)
    for fd in (got, until, go):
        os.close(fd)


def test_who_may_claim(files):
    """Root alone, here; who may not even write the file is told so first."""
    place, mount = files, files.cover()
    backing = place.source / "plain"
    os.chown(backing, OWNER.uid, OWNER.gid)
    place.run(actions.read_whole, backing)
    assert act.run(claim, mount / "plain", user=OWNER) == errno.EPERM
    assert act.run(claim, mount / "plain", user=STRANGER) == errno.EACCES
    assert place.judge.look(backing).of(place.reader) == 64
    assert claim(mount / "plain") == 0
    place.judge.owned_by(place.target, backing, at_least=64)


def test_who_may_look(files):
    """Who may read the file."""
    place, mount = files, files.cover()
    (place.source / "plain").chmod(0o600)
    os.chown(place.source / "plain", OWNER.uid, OWNER.gid)
    for name in NAMES:
        assert act.run(get, mount / "plain", name, user=STRANGER) \
            == errno.EACCES
        assert isinstance(act.run(get, mount / "plain", name, user=OWNER), str)


def test_nothing_else_can_be_set_or_removed(files):
    place, mount = files, files.cover()
    for name in (*NAMES, "sharers", "mine"):
        assert set_it(mount / "plain", name) == errno.EOPNOTSUPP, name
        with pytest.raises(OSError) as error:
            os.removexattr(mount / "plain", PREFIX + name)
        assert error.value.errno == errno.EOPNOTSUPP
    assert claim(mount / "sub") == errno.EOPNOTSUPP
    assert os.listxattr(place.source / "plain") == []


def test_real_ones_of_that_name(files):
    """On the files below, where another filesystem may have put them: they
    are not seen, and not touched."""
    place = files
    backing = place.source / "plain"
    os.setxattr(backing, PREFIX + "target", b"/a/lie")
    os.setxattr(backing, PREFIX + "mine", b"1")
    os.setxattr(backing, "user.other", b"2")
    mount = place.cover()
    assert get(mount / "plain", "target") == place.target.path
    assert get(mount / "plain", "mine") == errno.ENODATA
    assert os.listxattr(mount / "plain") == ["user.other"]
    assert act.run(os.listxattr, mount / "plain", user=STRANGER) \
        == ["user.other"]
    assert sorted(os.listxattr(backing)) == [
        PREFIX + "mine", PREFIX + "target", "user.other"]


def test_sizes(files):
    """getfattr asks for the size first; too small a buffer is told so."""
    place, mount = files, files.cover()
    path = os.fsencode(mount / "plain")
    done = act.command(["getfattr", "--only-values", "-n", PREFIX + "target",
                        mount / "plain"])
    assert done.stdout == place.target.path
    done = act.command(["getfattr", "-d", "-m", "-", mount / "plain"])
    assert "memcgfs" not in done.stdout
    with pytest.raises(OSError) as error:
        get_into(path, PREFIX + "target", 3)
    assert error.value.errno == errno.ERANGE


def get_into(path, name, size):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(size)
    if libc.getxattr(path, name.encode(), buffer, size) < 0:
        raise OSError(ctypes.get_errno(), name)


COPIES = {
    "cp": ["cp", "-a", "{from}", "{to}"],
    "rsync": ["rsync", "-aX", "{from}", "{to}"],
    "tar": ["bash", "-c", "mkdir {to}; tar -C {from}/.. --xattrs "
            "--xattrs-include='*' -cf - {name} | tar -C {to} --xattrs "
            "--xattrs-include='*' -xf -"],
}


@pytest.mark.parametrize("program", COPIES)
def test_copies_carry_none(files, program):
    """Out of the mount, into it, and within. The control: real attributes are
    copied."""
    place = files
    os.setxattr(place.source / "plain", PREFIX + "target", b"/a/lie")
    mount = place.cover()
    os.setxattr(mount / "plain", "user.real", b"yes")
    os.setxattr(mount / "sub/ruled", "user.real", b"yes")
    into = mount / "copy"
    for source, target in ((mount.path, place.beside / "copy"),
                           (place.beside / "copy", into)):
        copied = act.command(
            [word.replace("{from}", str(source)).replace("{to}", str(target))
             .replace("{name}", source.name) for word in COPIES[program]],
            check=False)
        assert copied.returncode == 0 and not copied.stderr, copied.stderr
        found = list(target.rglob("ruled"))
        assert found
        for path in found:
            assert path.read_bytes() == (place.source / "sub/ruled").read_bytes()
    for copy in (place.beside / "copy", place.source / "copy"):
        for name in ("ruled", "plain"):
            for path in copy.rglob(name):
                assert os.listxattr(path) == ["user.real"], path
                assert os.getxattr(path, "user.real") == b"yes"


def requests(place, function, *args):
    """What the daemon was asked while that was done (its log with -d)."""
    before = place.log.stat().st_size
    act.run(function, *args)
    return place.log.read_bytes()[before:].decode(errors="replace")


def use_it(path):
    for _ in range(10):
        os.stat(path)
        with open(path, "r+b", buffering=0) as f:
            f.read(4096)
            f.seek(0)
            f.write(b"x" * 4096)
            os.fsync(f.fileno())


@pytest.mark.parametrize("mode", ["io=auto", "io=strict"])
def test_they_cost_nothing(files, mode):
    """Opening, reading, writing, and looking at attributes asks for none.
    The control: getxattr does."""
    place, mount = files, files.cover(mode, debug=True)
    act.run(use_it, mount / "plain")
    log = requests(place, use_it, mount / "plain")
    assert "OPEN" in log
    assert "XATTR" not in log
    assert "GETXATTR" in requests(place, get, mount / "plain", "target")


def test_a_large_sparse_file(place):
    """To look at it takes as long as what is resident of it."""
    path = place.source / "sparse"
    with open(path, "wb") as f:
        f.truncate(1 << 40)
        f.seek(1 << 39)
        f.write(b"x" * MIB)
    mount = place.cover()
    assert act.run(get, mount / "sparse", "foreign", limit=10) == str(MIB)
    assert get(mount / "sparse", "resident") == str(MIB)
