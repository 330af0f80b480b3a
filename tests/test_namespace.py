# SPDX-License-Identifier: GPL-2.0-or-later
"""What is mounted where: overmounts, crossings, big trees, other backings."""

import os
import subprocess
from errno import EMFILE, ENFILE, ENOMEM, EROFS, EXDEV
from pathlib import Path

import pytest

from lib import act, actions, content, settings
from lib.control import ctl_json
from lib.judge import evict
from lib.mount import mounts_at, unmount_below
from lib.settings import MIB, scaled
from lib.wait import eventually

pytestmark = pytest.mark.needs_daemon


def bind(source, where):
    where.mkdir()
    act.command(["mount", "--bind", source, where])
    return where


def test_overmount(place):
    """SOURCE is its own mountpoint; a bind mount made before keeps the view
    of what is below."""
    place.put(place.source, "file", MIB)
    below = bind(place.source, place.root / "below")
    place.run(actions.read_whole, place.put(place.beside, "file", MIB))
    place.judge.owned_by(place.reader, place.beside / "file", at_least=256)

    mount = place.cover(path=place.source)
    assert place.run(content.digest, mount / "file") == \
        content.md5(content.data(MIB))
    place.run(actions.write_new, mount / "new")
    place.judge.owned_by(place.target, below, at_least=1024)
    assert sorted(os.listdir(place.source)) == ["file", "new"]

    mount.stop()
    assert (place.source / "new").read_bytes() == actions.expected()


def test_tmpfs_below_the_source(place):
    crossed = place.source / "tmp"
    crossed.mkdir()
    act.command(["mount", "-t", "tmpfs", "none", crossed])
    place.cover()
    through = place.mount / "tmp"
    place.run(actions.write_new, place.beside / "new")
    place.judge.owned_by(place.reader, place.beside / "new", at_least=768)
    place.run(actions.write_new, through / "new")
    assert (crossed / "new").read_bytes() == actions.expected()
    place.judge.owned_by(place.target, crossed / "new", at_least=768)
    with pytest.raises(OSError) as refused:
        os.rename(through / "new", place.mount / "new")
    assert refused.value.errno == EXDEV  # as natively
    with pytest.raises(OSError) as refused:
        os.link(through / "new", place.mount / "new")
    assert refused.value.errno == EXDEV
    with pytest.raises(OSError):
        os.rmdir(through)


@pytest.fixture
def loop_image(place):
    """An ext4 image in a loop device, mounted below the source."""
    image, where = place.root / "image", place.source / "disk"
    with open(image, "wb") as f:
        f.truncate(64 * MIB)
    act.command(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0", image])
    where.mkdir()
    done = act.command(["mount", "-o", "loop", image, where], check=False)
    if done.returncode != 0:
        pytest.skip("no loop device here")
    yield where
    place.mount.stop()
    unmount_below(where)


def test_a_filesystem_mounted_below_the_source(place, loop_image):
    backing = place.put(loop_image, "file", 4 * MIB)
    place.run(actions.read_whole, backing)
    place.judge.owned_by(place.reader, backing, at_least=1024)  # the control
    evict(backing)

    place.cover()
    place.run(actions.read_whole, place.mount / "disk/file")
    place.judge.owned_by(place.target, backing, at_least=1024)
    place.run(actions.write_new, place.mount / "disk/new")
    place.run(actions.mmap_shared, place.mount / "disk/file")
    place.judge.owned_by(place.target, loop_image, at_least=1792)
    assert (loop_image / "new").read_bytes() == actions.expected()


def test_equal_inode_numbers_of_two_filesystems(place, loop_image):
    """Inodes are told apart by device as well: the first inode of two new
    filesystems has one number."""
    second = place.source / "second"
    second.mkdir()
    act.command(["mount", "-t", "tmpfs", "none", second])
    for n in range(12):
        (loop_image / f"f{n}").write_text(f"disk {n}")
        (second / f"f{n}").write_text(f"tmpfs {n}")
    place.cover()
    for n in range(12):
        assert (place.mount / f"disk/f{n}").read_text() == f"disk {n}"
        assert (place.mount / f"second/f{n}").read_text() == f"tmpfs {n}"


def test_inode_numbers_that_are_used_again(place):
    """ext4 gives a freed inode number to the next file; handles and caches of
    the one that is gone must not serve the one that came."""
    place.cover()

    def use_again():
        for n in range(scaled(300)):
            backing = place.source / f"name{n % 3}"
            backing.write_text(f"generation {n}")
            assert (place.mount / f"name{n % 3}").read_text() == \
                f"generation {n}"
            (place.mount / f"name{n % 3}").unlink()

    place.run(use_again)


def test_mountpoint_inside_the_source(place):
    """The mount is below what it shows: find comes to an end."""
    inside = place.source / "inside"
    inside.mkdir()
    place.put(place.source, "file", 10_000)
    mount = place.cover(path=inside)
    place.command(["find", inside, "-type", "f"], limit=30, check=False)
    place.command(["find", place.source, "-type", "f"], limit=30, check=False)
    assert place.run(content.digest, mount / "file") == \
        content.md5(content.data(10_000))


def test_a_mount_of_a_mount(place):
    """memcgfs on memcgfs works, or is refused; it hangs in no case."""
    place.put(place.source, "file", 100_000)
    place.cover()
    outer = place.root / "outer"
    outer.mkdir()
    done = act.command([settings.BINARY, "-o", f"memcg={place.target.path}",
                        place.mount.path, outer], cgroup=place.daemon,
                       check=False, limit=30)
    if done.returncode == 0:
        assert place.run(content.digest, outer / "file") == \
            content.md5(content.data(100_000))
        act.command(["umount", outer])


def test_remount(place):
    """mount(8) leaves it to us, with all options that the mount has."""
    place.put(place.source, "file", 10_000)
    mount = place.cover("nosuid")

    def options():
        [(_, _, found)] = mounts_at(mount.path)
        return found.split(",")

    def remount(more, check=True):
        words = [*options(), "remount", more]
        return act.command([settings.BINARY, place.source, mount.path,
                            "-o", ",".join(words)], check=check, limit=20)

    writer = os.open(mount / "file", os.O_RDWR)
    assert "busy" in remount("ro", check=False).stderr
    os.close(writer)
    remount("ro")
    assert {"ro", "nosuid"} <= set(options())
    with pytest.raises(OSError) as refused:
        os.open(mount / "file", os.O_RDWR)
    assert refused.value.errno == EROFS
    assert os.statvfs(mount.path).f_flag & os.ST_RDONLY
    assert place.run(content.digest, mount / "file") == \
        content.md5(content.data(10_000))
    remount("rw,noexec")
    assert {"rw", "nosuid", "noexec"} <= set(options())
    place.run(actions.write_new, mount / "new")
    place.judge.owned_by(place.target, place.source / "new", at_least=768)


def overlay(place, lower, *upper):
    """overlayfs, for what is written: over a directory (and its work)."""
    where = place.root / "overlay"
    where.mkdir()
    options = f"lowerdir={lower}"
    if upper:
        options += f",upperdir={upper[0]},workdir={upper[1]}"
    act.command(["mount", "-t", "overlay", "none", "-o", options, where])
    return where


@pytest.mark.parametrize("way", ["io=auto", "io=strict"])
def test_overlayfs_on_top(place, way):
    """Of images whose layers are in the mount: what is read of the lower
    directory is the target's, and so is what is written to the upper one."""
    for name in ("lower", "upper", "work"):
        (place.source / name).mkdir()
    for name in ("kept", "changed", "removed"):
        place.put(place.source / "lower", name, MIB)
    mount = place.cover(way)
    top = overlay(place, mount / "lower", mount / "upper", mount / "work")
    assert place.run(content.digest, top / "kept") == \
        content.md5(content.data(MIB))
    place.judge.owned_by(place.target, place.source / "lower/kept",
                         at_least=256)

    place.run(actions.write_new, top / "new")
    place.run(os.truncate, top / "changed", 1000)
    place.run(os.unlink, top / "removed")
    place.run(os.rename, top / "new", top / "newer")
    assert sorted(os.listdir(top)) == ["changed", "kept", "newer"]
    assert (top / "newer").read_bytes() == actions.expected()
    assert (top / "changed").read_bytes() == content.data(MIB)[:1000]
    assert (place.source / "lower/changed").stat().st_size == MIB
    place.judge.owned_by(place.target, place.source / "upper/newer",
                         at_least=768)
    act.command(["umount", top])


def test_a_source_on_overlayfs(place):
    """It is read by passthrough, too."""
    for name in ("lower", "upper", "work"):
        (place.root / name).mkdir()
    place.put(place.root / "lower", "file", MIB)
    source = overlay(place, place.root / "lower", place.root / "upper",
                     place.root / "work")
    mount = place.cover(source=source)
    for _ in range(2):
        assert place.run(content.digest, mount / "file") == \
            content.md5(content.data(MIB))
    [answer] = ctl_json("status", mount.path)
    assert answer["counters"]["opens_passthrough"] == 2
    place.run(actions.write_new, mount / "new")
    assert (source / "new").read_bytes() == actions.expected()
    mount.stop()
    act.command(["umount", source])


def count_tree(directory):
    """How many files, and bytes by stat, a walk finds."""
    files = size = 0
    for where, _, names in os.walk(directory):
        for name in names:
            size += os.lstat(os.path.join(where, name)).st_size
            files += 1
    return files, size


def test_a_walk_over_more_files_than_descriptors(place):
    """Ten times as many inodes are known at a time as the daemon may have
    files open."""
    number = scaled(10_000)
    for n in range(number):
        if n % 1000 == 0:
            directory = place.source / f"d{n // 1000}"
            directory.mkdir()
        with open(directory / f"f{n}", "w") as f:
            f.write(str(n))
    place.cover(fds=1024)
    expected = number, sum(len(str(n)) for n in range(number))
    assert place.run(count_tree, place.mount.path, limit=120) == expected
    assert place.run(count_tree, place.mount.path, limit=120) == expected
    assert place.mount.daemon.open_fds() < 1024

    def read_every_seventh():
        for n in range(0, number, 7):
            path = place.mount / f"d{n // 1000}" / f"f{n}"
            assert path.read_text() == str(n)
            os.chmod(path, 0o600)

    place.run(read_every_seventh, limit=120)
    assert place.mount.daemon.open_fds() < 1024


def test_more_open_files_than_descriptors(place):
    """Where the daemon can open no more, clients get an errno that says so,
    and all goes on when they close."""
    place.cover(fds=256)

    def open_many():
        fds, error = [], None
        for n in range(1000):
            try:
                fds.append(os.open(place.mount / f"f{n}",
                                   os.O_RDWR | os.O_CREAT))
            except OSError as failed:
                error = failed.errno
                break
        for n, fd in enumerate(fds):
            os.write(fd, b"%d" % n)
            os.close(fd)
        return len(fds), error

    number, error = place.run(open_many)
    assert error in (None, ENFILE, EMFILE, ENOMEM), os.strerror(error)
    assert number >= 100
    for n in range(0, number, 10):
        assert place.run(Path.read_text, place.mount / f"f{n}") == str(n)


@pytest.mark.parametrize("mode", ["io=auto", "io=strict"])
def test_tmpfs_backing(place, mode):
    """The whole source is a tmpfs: what is written belongs to the target."""
    act.command(["mount", "-t", "tmpfs", "none", place.source])
    place.run(actions.write_new, place.beside / "new")
    place.judge.owned_by(place.reader, place.beside / "new", at_least=768)
    place.cover(mode)
    for action in (actions.write_new, actions.append, actions.mmap_write,
                   actions.fallocate_and_write):
        path = place.mount / action.__name__
        assert place.run(action, path) == 0
        assert place.run(content.digest, path) == \
            content.md5(actions.expected())
    place.judge.owned_by(place.target, place.source, at_least=4 * 768)

    def use_it_all():
        for action in (actions.read_whole, actions.mmap_shared):
            action(place.mount / "append")
        os.setxattr(place.mount / "append", "trusted.x", b"1")
        os.rename(place.mount / "append", place.mount / "renamed")
        fd = os.open(place.mount.path, os.O_TMPFILE | os.O_RDWR)
        os.write(fd, b"x")

    place.run(use_it_all)
    place.judge.owned_by(place.target, place.source, at_least=4 * 768)
    place.mount.stop()
    unmount_below(place.source)


def test_a_read_only_source(place):
    place.put(place.source, "file", 100_000)
    view = bind(place.source, place.root / "view")
    act.command(["mount", "-o", "remount,bind,ro", view])
    mount = place.cover(source=view)
    assert place.run(content.digest, mount / "file") == \
        content.md5(content.data(100_000))
    with pytest.raises(OSError) as refused:
        os.open(mount / "file", os.O_WRONLY)
    assert refused.value.errno == EROFS
    place.judge.owned_by(place.target, place.source / "file", at_least=25)
    mount.stop()


def test_two_mounts_of_two_targets(place):
    """Two mounts beside each other, each with its own target."""
    one = place.put(place.source, "file", MIB)
    two = place.put(place.beside, "file", MIB)
    place.run(actions.read_whole, place.put(place.root, "control", MIB))
    place.judge.owned_by(place.reader, place.root / "control", at_least=256)
    first = place.cover()
    second_path = place.root / "mnt2"
    second_path.mkdir()
    second = place.cover(source=place.beside, path=second_path,
                         target=place.other)
    try:
        place.run(actions.read_whole, first / "file")
        place.run(actions.read_whole, second / "file")
        place.judge.owned_by(place.target, one, at_least=256)
        place.judge.owned_by(place.other, two, at_least=256)
    finally:
        first.stop()


def test_unmount_with_files_open(place):
    """umount says busy; umount -l lets the last user end in peace."""
    place.put(place.source, "file", 100_000)
    mount = place.cover()
    fd = os.open(mount / "file", os.O_RDONLY)
    busy = act.command(["umount", mount.path], check=False)
    assert busy.returncode != 0 and mounts_at(mount.path)
    act.command(["umount", "-l", mount.path])
    assert os.pread(fd, 100, 50_000) == content.data(100_000)[50_000:50_100]
    os.close(fd)
    assert mount.daemon.wait() == 0
    mount.stopped = True
    mount.daemon.check_log()


def test_a_source_that_is_moved(place):
    """The mount holds its source by descriptor, not by name."""
    place.put(place.source, "file", 10_000)
    mount = place.cover()
    place.source.rename(place.root / "elsewhere")
    assert place.run(content.digest, mount / "file") == \
        content.md5(content.data(10_000))
    place.run(actions.write_new, mount / "new")
    assert (place.root / "elsewhere/new").read_bytes() == actions.expected()


def test_tools_of_every_day(place):
    """tar, cp -a, rsync-like copies and find agree with the native tree."""
    place.cover()
    script = """
        set -e
        mkdir tree; cd tree
        for d in a b c; do mkdir -p $d/x/y; for f in 1 2 3; do
            echo "$d $f" > $d/x/y/$f; ln -s $f $d/x/y/link$f; done; done
        ln a/x/y/1 hard; mkfifo fifo; chmod 4750 b/x/y/2; touch -d @5 c/x
        cd ..; tar cf tree.tar tree; mkdir out; tar xpf tree.tar -C out
        cp -a tree copied; diff -r --no-dereference tree/a copied/a
        (cd out/tree && find . -type f -print0 | sort -z | xargs -0 md5sum)
        (cd copied && find . -printf '%M %n %U %G %s %p %l %T@\\n' |
            grep -v '^d' | sort -k6)
        sed -i s/a/A/ copied/a/x/y/1; cat copied/a/x/y/1
        rm -r out; ls -A
    """
    native = subprocess.run(["sh", "-c", script], cwd=place.beside, text=True,
                            capture_output=True, env={**os.environ, "TZ": "UTC"})
    assert native.returncode == 0, native.stderr
    seen = place.command(["sh", "-c", script], cwd=place.mount.path)
    strip = [line.rsplit(" ", 1)[0] for line in native.stdout.splitlines()]
    assert [line.rsplit(" ", 1)[0] for line in seen.stdout.splitlines()] == strip


# -- names that aren't there --

def is_there(path):
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True


def test_a_name_made_beside_is_found_at_once(place):
    place.cover("entry_timeout=100")
    assert not is_there(place.mount / "new")
    place.put(place.source, "new", 1)
    assert is_there(place.mount / "new")


def test_it_is_kept_that_there_is_no_such_name(place):
    place.cover("negative_timeout=100")
    assert not is_there(place.mount / "new")
    place.put(place.source, "new", 1)
    assert not is_there(place.mount / "new")
    # That holds for the name, not for what it is to be used for.
    with pytest.raises(FileExistsError):
        os.mkdir(place.mount / "new")
    assert is_there(place.mount / "new")


def test_it_is_kept_for_so_long(place):
    place.cover(f"negative_timeout={settings.seconds(2)}")
    assert not is_there(place.mount / "new")
    place.put(place.source, "new", 1)
    assert not is_there(place.mount / "new")
    assert eventually(lambda: is_there(place.mount / "new"))


MAKERS = {
    "open": lambda old, new: open(new, "xb").close(),
    "mkdir": lambda old, new: os.mkdir(new),
    "mknod": lambda old, new: os.mkfifo(new),
    "symlink": lambda old, new: os.symlink("target", new),
    "link": os.link,
    "rename": os.rename,
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_name_made_through_the_mount_is_there(place, make):
    place.put(place.source, "old", 1)
    place.cover("negative_timeout=100,entry_timeout=100")
    old, new = place.mount / "old", place.mount / "new"
    for _ in range(2):
        assert not is_there(new)
        make(old, new)
        assert is_there(new)
        (os.rmdir if new.is_dir() and not new.is_symlink() else
         os.unlink)(new)
        assert not is_there(new)
        if not is_there(old):
            old.write_bytes(b"again")
