# SPDX-License-Identifier: GPL-2.0-or-later
"""What the command takes and refuses, and how a mount begins and ends."""

import os
import shlex
import signal
import time
from errno import ECONNABORTED, EFAULT, EINVAL, EIO, ENOTCONN, EROFS
from pathlib import Path

import pytest

from lib import act, actions, content, settings
from lib.cgroup import alive
from lib.mount import (Daemon, complaints, memcgfs_mounts, mounts_at,
                       remove_target, unmount)
from lib.settings import KIB, MIB
from lib.wait import eventually

pytestmark = pytest.mark.needs_daemon


@pytest.fixture
def call(place):
    """Run memcgfs to the end of its foreground part, in the daemon's cgroup."""
    def run(*arguments, program=settings.BINARY, **how):
        how.setdefault("cgroup", place.daemon)
        return act.command([program, *arguments], check=False, limit=30, **how)
    yield run
    if place.mount is None:  # whatever was mounted here has no other end
        for path in memcgfs_mounts(place.root):
            unmount(path)
        eventually(lambda: not place.daemon.pids())


@pytest.fixture
def options(place):
    """The -o argument of an ordinary mount, with more options."""
    return lambda *more: ",".join([f"memcg={place.target.path}", *more])


def assert_refused(place, done, *quoted):
    """One line that names the culprit, and nothing came of it."""
    assert done.returncode > 0, f"exit {done.returncode}\n{done.stderr}"
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, f"not one line:\n{done.stderr}"
    for text in quoted:
        assert str(text) in lines[0], f"{text!r} is not in: {lines[0]}"
    assert not memcgfs_mounts(place.root)
    assert eventually(lambda: not place.daemon.pids()), place.daemon.members()
    assert not place.target.pids(), place.target.members()


BAD_OPTIONS = {
    "unknown": ("nosuchoption", "nosuchoption"),
    "unknown with a value": ("nosuch=7", "nosuch"),
    "io": ("io=fast", "fast"),
    "io empty": ("io=", "io"),
    "io without value": ("io", "io"),
    "rules without a file": ("rules=/no/such/file", "/no/such/file"),
    "rules of other things": ("rules=/etc/passwd", "rules=/etc/passwd:"),
    "norulefiles with a value": ("norulefiles=1", "norulefiles"),
    "pin_max": ("pin_max=lots", "lots"),
    "charger_idle": ("charger_idle=0.5", "0.5"),
    "share_decay": ("share_decay=0.5", "0.5"),
    "reconcile nothing": ("reconcile=0", "reconcile=0"),
    "reconcile too much": ("reconcile=101", "101"),
    "reconcile word": ("reconcile=fast", "fast"),
    "scan": ("scan=maybe", "maybe"),
    "scanners empty": ("scanners=", "scanners"),
    "scanners with nothing between": ("scanners=tar::grep", "tar::grep"),
    "scanners of a path": ("scanners=/bin/tar", "/bin/tar"),
    "scanners of a user's name": ("scanners=tar:uid:root", "uid:root"),
    "scanners of no cgroup": ("scanners=cgroup:backup", "cgroup:backup"),
    "ahead unit": ("ahead=12Q", "12Q"),
    "ahead word": ("ahead=much", "much"),
    "ahead negative": ("ahead=-1", "-1"),
    "ahead empty": ("ahead=", "ahead"),
    "ahead two units": ("ahead=1MM", "1MM"),
    "ahead overflow": ("ahead=99999999999999999999", "99999999999999999999"),
    "ahead overflow by unit": ("ahead=99999999999G", "99999999999G"),
    "ahead fraction": ("ahead=1.5M", "1.5M"),
    "ahead space": ("ahead= 1M", " 1M"),
    "on_error": ("on_error=maybe", "maybe"),
    "attr_timeout word": ("attr_timeout=long", "long"),
    "attr_timeout negative": ("attr_timeout=-1", "-1"),
    "attr_timeout not a number": ("attr_timeout=nan", "nan"),
    "entry_timeout trailing": ("entry_timeout=1x", "1x"),
    "negative_timeout negative": ("negative_timeout=-1", "-1"),
    "negative_timeout word": ("negative_timeout=no", "no"),
    "max_threads zero": ("max_threads=0", "max_threads"),
    "max_threads word": ("max_threads=few", "few"),
    "max_threads negative": ("max_threads=-4", "-4"),
    "create with a value": ("create=yes", "create"),
    "allow_other with a value": ("allow_other=maybe", "allow_other"),
}


@pytest.mark.sequential
@pytest.mark.parametrize("option, quoted", BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_bad_option(place, call, options, option, quoted):
    done = call("-o", options(option), place.source, place.mountpoint)
    assert_refused(place, done, quoted)


@pytest.mark.sequential
@pytest.mark.parametrize("option", ["io=fast", "rules=/etc/passwd"])
def test_bad_option_in_the_foreground(place, call, options, option):
    done = call("-f", "-o", options(option), place.source, place.mountpoint)
    assert_refused(place, done, option.split("=")[0])


BAD_TARGETS = {
    "missing": "/no/such/cgroup",
    "missing under the mountpoint": "/sys/fs/cgroup/no/such/cgroup",
    "relative": "no-such-relative",
    "empty": "",
    "unknown word": "@everyone",
    "shared, not yet": "@shared",
    "a file": "/cgroup.procs",
    "dots": "/../../etc",
}


@pytest.mark.parametrize("target", BAD_TARGETS.values(), ids=BAD_TARGETS)
def test_bad_target(place, call, target):
    done = call("-o", f"memcg={target}", place.source, place.mountpoint)
    assert_refused(place, done, target or "memcg")


def test_no_target(place, call):
    assert_refused(place, call(place.source, place.mountpoint), "memcg")


def test_a_target_whose_parent_is_missing(place, call):
    path = place.target.path + "/a/b/c"
    done = call("-o", f"memcg={path}", place.source, place.mountpoint)
    assert_refused(place, done, path)


@pytest.mark.parametrize("which", ["source", "mountpoint"])
@pytest.mark.parametrize("what", ["missing", "a file", "a dangling link"])
def test_bad_directories(place, call, options, which, what):
    bad = place.root / "bad"
    if what == "a file":
        bad.write_text("no directory")
    elif what == "a dangling link":
        bad.symlink_to("nowhere")
    done = call("-o", options(), *((bad, place.mountpoint) if which == "source"
                                   else (place.source, bad)))
    assert_refused(place, done, bad)


@pytest.mark.sequential
@pytest.mark.parametrize("arguments", [
    [], ["SOURCE"], ["SOURCE", "MOUNTPOINT", "superfluous"], ["--nonsense"],
    ["-Z", "SOURCE", "MOUNTPOINT"], ["SOURCE", "MOUNTPOINT", "-o"]],
    ids=lambda words: " ".join(words) or "nothing")
def test_bad_arguments(place, call, options, arguments):
    names = {"SOURCE": place.source, "MOUNTPOINT": place.mountpoint}
    done = call("-o", options(), *[names.get(a, a) for a in arguments])
    strange = [a for a in arguments if a not in names and a != "-o"]
    assert_refused(place, done, *strange)


def test_a_mountpoint_that_the_user_may_not_use(place, call, options):
    done = call("-o", options(), place.source, place.mountpoint, user=act.OWNER,
                cwd="/")
    assert_refused(place, done)


def test_a_target_that_the_user_could_not_enter(place, call, options):
    """Refused for the target, whatever else he could not do."""
    os.chown(place.mountpoint, act.OWNER.uid, act.OWNER.gid)
    done = call("-o", options(), place.source, place.mountpoint, user=act.OWNER,
                cwd="/")
    assert_refused(place, done, place.target.path)


def test_create_where_the_user_may_not(place, call):
    path = place.target.path + "/new"
    os.chown(place.mountpoint, act.OWNER.uid, act.OWNER.gid)
    done = call("-o", f"memcg={path},create", place.source, place.mountpoint,
                user=act.OWNER, cgroup=None, cwd="/")
    assert_refused(place, done, path)
    assert not place.target.child("new").exists()


def test_help_and_version(place, call):
    done = call("-h")
    assert done.returncode == 0 and not done.stderr
    for word in ("memcg=", "create", "io=", "ahead=", "on_error=", "io_uring",
                 "allow_other", "default_permissions", "ro", "attr_timeout=",
                 "entry_timeout=", "negative_timeout=", "max_threads=", "charger_timeout=",
                 "charger_idle=", "share_decay=", "pin_max=", "rules=", "norulefiles",
                 "reconcile=", "scan=auto|off", "scanners="):
        assert word in done.stdout, f"{word} is not in the help"
    assert "@shared" not in done.stdout, "that is not there yet"
    done = call("-V")
    assert done.returncode == 0 and not done.stderr
    assert "memcgfs" in done.stdout


# A mount in the background


def read_through(place, mountpoint=None):
    place.put(place.source, "file", MIB)
    place.run(actions.read_whole, (mountpoint or place.mountpoint) / "file")
    place.judge.owned_by(place.target, place.source / "file", at_least=256)


def unmounted_cleanly(place, path=None):
    act.command(["umount", path or place.mountpoint])
    assert eventually(lambda: not place.daemon.pids()), place.daemon.members()
    assert eventually(lambda: not place.target.pids()), place.target.members()


def test_background(place, call, options):
    """It returns 0 when the mount is usable, and lets go of the terminal."""
    place.put(place.source, "first", 1000)
    done = call("-o", options(), place.source, place.mountpoint)
    assert done.returncode == 0, done.stderr
    assert (place.mountpoint / "first").read_bytes() == content.data(1000)
    assert not complaints(done.stderr) and not done.stdout
    daemons = place.daemon.pids()
    assert daemons
    for pid in daemons:
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        assert os.getsid(pid) != os.getsid(0)
    read_through(place)
    unmounted_cleanly(place)


def test_it_stands_in_proc_mounts(place, call, options):
    call("-o", options("nosuid,nodev,noatime"), place.source, place.mountpoint)
    (kind, source, shown), = mounts_at(place.mountpoint)
    assert kind == settings.FS_TYPE
    assert str(place.source) in source
    assert {"nosuid", "nodev", "noatime", "allow_other",
            "default_permissions"} <= set(shown.split(",")), shown
    assert f"memcg={place.target.path}" in f"{source} {shown}"
    unmounted_cleanly(place)


GOOD_OPTIONS = [
    "io=auto", "io=strict", "ahead=0", "ahead=4096", "ahead=64K", "ahead=1M",
    "ahead=1G", "on_error=deny", "on_error=opener", "attr_timeout=0",
    "attr_timeout=1.5", "entry_timeout=0", "entry_timeout=10",
    "negative_timeout=0", "negative_timeout=2.5", "max_threads=1",
    "max_threads=32", "allow_other", "default_permissions", "suid,dev,exec",
    "nosuid,nodev,noexec", "scan=auto", "scan=off",
    "scanners=tar:cgroup:/backup:uid:34", "noatime", "relatime", "rw", "create", "sync",
    "io=strict,ahead=1M,max_threads=2,attr_timeout=0,entry_timeout=0",
]


@pytest.mark.parametrize("more", GOOD_OPTIONS)
def test_good_options(place, call, options, more):
    done = call("-o", options(more), place.source, place.mountpoint)
    assert done.returncode == 0 and not complaints(done.stderr), done.stderr
    read_through(place)
    unmounted_cleanly(place)


def test_options_in_several_arguments(place, call, options):
    done = call("-o", "nosuid", place.source, "-o", options(), "-o", "nodev",
                place.mountpoint)
    assert done.returncode == 0, done.stderr
    assert {"nosuid", "nodev"} <= set(mounts_at(place.mountpoint)[0][2].split(","))
    unmounted_cleanly(place)


def test_the_target_by_its_directory(place, call):
    """PATH may be the directory under /sys/fs/cgroup as well."""
    done = call("-o", f"memcg={place.target.dir}", place.source, place.mountpoint)
    assert done.returncode == 0, done.stderr
    read_through(place)
    unmounted_cleanly(place)


def test_relative_directories(place, call, options):
    done = call("-o", options(), "source", "./mnt", cwd=place.root)
    assert done.returncode == 0, done.stderr
    (kind, source, _), = mounts_at(place.mountpoint)
    assert kind == settings.FS_TYPE and str(place.source) in source
    read_through(place)
    unmounted_cleanly(place)


def test_names_that_need_escapes(place, call, options):
    source, mountpoint = place.root / "my source", place.root / "my\tmount"
    source.mkdir()
    mountpoint.mkdir()
    (source / "file").write_text("found")
    done = call("-o", options(), source, mountpoint)
    assert done.returncode == 0, done.stderr
    assert (mountpoint / "file").read_text() == "found"
    unmounted_cleanly(place, mountpoint)


def test_read_only(place, call, options):
    place.put(place.source, "file", MIB)
    call("-o", options("ro"), place.source, place.mountpoint)
    assert "ro" in mounts_at(place.mountpoint)[0][2].split(",")
    for attempt in (lambda: open(place.mountpoint / "new", "w"),
                    lambda: os.unlink(place.mountpoint / "file"),
                    lambda: os.open(place.mountpoint / "file", os.O_RDWR)):
        with pytest.raises(OSError) as refused:
            attempt()
        assert refused.value.errno == EROFS
    read_through(place)
    unmounted_cleanly(place)


def test_first_touch_on_request(place, call):
    """memcg=@opener: nothing is enforced, the reader pays."""
    done = call("-o", "memcg=@opener", place.source, place.mountpoint)
    assert done.returncode == 0, done.stderr
    backing = place.put(place.source, "file", MIB)
    place.run(actions.read_whole, place.mountpoint / "file")
    place.judge.owned_by(place.reader, backing, at_least=256)
    place.run(actions.write_new, place.mountpoint / "new", cgroup=place.other)
    place.judge.owned_by(place.other, place.source / "new", at_least=768)
    unmounted_cleanly(place)


def test_create_makes_and_gives_back(place, call):
    made = place.target.child("made")
    done = call("-o", f"memcg={made.path},create", place.source, place.mountpoint)
    assert done.returncode == 0, done.stderr
    assert made.exists()
    place.put(place.source, "file", MIB)
    place.run(actions.read_whole, place.mountpoint / "file")
    place.judge.owned_by(made, place.source / "file", at_least=256)
    unmounted_cleanly(place)
    assert eventually(lambda: not made.exists()), "the target is left behind"


def test_create_keeps_what_others_use(place, call):
    """A target that was there, or that somebody entered, is not removed."""
    call("-o", f"memcg={place.target.path},create", place.source, place.mountpoint)
    unmounted_cleanly(place)
    assert place.target.exists()

    made = place.target.child("made")
    call("-o", f"memcg={made.path},create", place.source, place.mountpoint)
    ready, say_ready = os.pipe()
    wait, go = os.pipe()

    def stay():
        os.write(say_ready, b"!")
        os.read(wait, 1)

    guest = place.start(stay, cgroup=made)
    os.read(ready, 1)
    act.command(["umount", place.mountpoint])
    assert eventually(lambda: not place.daemon.pids())
    assert made.exists() and made.pids() == {guest.pid}
    os.write(go, b"!")
    guest.result()


def test_create_after_a_refusal_leaves_nothing(place, call):
    made = place.target.child("made")
    done = call("-o", f"memcg={made.path},create", place.source,
                place.root / "missing")
    assert_refused(place, done, place.root / "missing")
    assert not made.exists(), "made for a mount that did not come about"


# As mount(8) calls it


@pytest.fixture
def helper():
    path = settings.BINARY.with_name("mount.memcgfs")
    assert path.exists(), f"{path} is missing"
    return path


def test_mount_helper(place, call, options, helper):
    """SOURCE MOUNTPOINT -o OPTIONS, with everything that fstab may hold."""
    generic = ("rw,nosuid,nodev,_netdev,noauto,nofail,x-systemd.automount,"
               "x-systemd.requires=local-fs.target,comment=mine,users")
    done = call(place.source, place.mountpoint, "-o", f"{generic},{options()}",
                program=helper)
    assert done.returncode == 0, done.stderr
    shown = mounts_at(place.mountpoint)[0][2].split(",")
    assert {"rw", "nosuid", "nodev"} <= set(shown)
    read_through(place)
    unmounted_cleanly(place)


@pytest.mark.parametrize("flags", [["-n"], ["-s"], ["-v"], ["-w"],
                                   ["-t", "fuse.memcgfs"], ["-t", "memcgfs"]],
                         ids=" ".join)
def test_mount_helper_flags(place, call, options, helper, flags):
    done = call(place.source, place.mountpoint, *flags, "-o", options("rw"),
                program=helper)
    assert done.returncode == 0, done.stderr
    read_through(place)
    unmounted_cleanly(place)


def test_mount_helper_read_only(place, call, options, helper):
    done = call(place.source, place.mountpoint, "-r", "-o", options(),
                program=helper)
    assert done.returncode == 0, done.stderr
    assert "ro" in mounts_at(place.mountpoint)[0][2].split(",")
    unmounted_cleanly(place)


def test_mount_helper_refuses(place, call, options, helper):
    done = call(place.source, place.mountpoint, "-o", options("nosuchoption"),
                program=helper)
    assert_refused(place, done, "nosuchoption")


def test_mount_fuse_helper(place, call, options):
    """As mount -t fuse.memcgfs calls it, by way of libfuse's mount.fuse3."""
    done = call(f"{settings.BINARY}#{place.source}", place.mountpoint, "-o",
                f"rw,nosuid,{options()}", program="mount.fuse3")
    assert done.returncode == 0, done.stderr
    assert mounts_at(place.mountpoint)[0][0] == settings.FS_TYPE
    read_through(place)
    unmounted_cleanly(place)


# FUSE over io_uring


def uring_enabled():
    switch = Path("/sys/module/fuse/parameters/enable_uring")
    return switch.exists() and switch.read_text().strip() == "Y"


def test_io_uring_where_it_is_off(place, call, options):
    """To insist on it is refused, and the line says how to enable it."""
    if uring_enabled():
        pytest.skip("FUSE over io_uring is enabled here")
    done = call("-o", options("io_uring"), place.source, place.mountpoint)
    assert_refused(place, done, "io_uring", "enable_uring")


def test_io_uring_where_it_is_on(place, call, options):
    if not uring_enabled():
        pytest.skip("FUSE over io_uring is not enabled here")
    done = call("-o", options("io_uring"), place.source, place.mountpoint)
    assert done.returncode == 0, done.stderr
    read_through(place)
    place.run(actions.write_new, place.mountpoint / "new")
    place.judge.owned_by(place.target, place.source, at_least=1024)
    unmounted_cleanly(place)


# Ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP],
                         ids=lambda n: n.name)
def test_a_signal_unmounts(place, number):
    mount = place.cover()
    read_through(place)
    chargers = mount.chargers()
    assert chargers
    mount.daemon.signal(number)
    assert mount.daemon.wait() == 0
    mount.stopped = True
    assert not mounts_at(mount.path)
    assert eventually(lambda: not any(map(alive, chargers)))
    assert not place.leftovers()
    mount.daemon.check_log()


def test_a_signal_under_load(place):
    """SIGTERM while four processes read and write: it ends, and so do they."""
    mount = place.cover()

    def work(seed):
        try:
            while True:
                content.write(mount / f"f{seed}", 300 * KIB, seed)
                content.digest(mount / f"f{seed}")
        except OSError:
            return "ended"

    workers = [place.start(work, n) for n in range(4)]
    time.sleep(1)
    mount.daemon.signal(signal.SIGTERM)
    mount.daemon.wait()
    mount.stopped = True
    for worker in workers:
        worker.end()
    assert eventually(lambda: not place.leftovers()), place.leftovers()
    for path in memcgfs_mounts(place.root):
        assert unmount(path).returncode == 0


def test_sigkill_of_the_daemon(place):
    """No charger and no member of a cgroup is left, who hangs in the mount is
    told, and umount works."""
    mount = place.cover()
    read_through(place)
    chargers = mount.chargers()
    assert chargers
    fd = os.open(mount / "file", os.O_RDONLY)
    mount.daemon.signal(signal.SIGKILL)
    mount.daemon.wait()
    assert eventually(lambda: not any(map(alive, chargers))), "chargers live on"
    assert eventually(lambda: not place.leftovers()), place.leftovers()
    with pytest.raises(OSError) as told:
        os.stat(mount / "other")
    assert told.value.errno in (ENOTCONN, ECONNABORTED)
    os.close(fd)
    mount.stopped = True
    assert unmount(mount.path).returncode == 0
    assert not mounts_at(mount.path)


def test_sigkill_under_load(place):
    mount = place.cover("io=strict")
    place.put(place.source, "file", 4 * MIB)

    def work():
        try:
            while True:
                content.digest(mount / "file")
        except OSError as error:
            return error.errno

    workers = [place.start(work) for _ in range(4)]
    time.sleep(0.5)
    mount.daemon.signal(signal.SIGKILL)
    errors = {worker.result(20) for worker in workers}
    assert errors <= {ENOTCONN, ECONNABORTED, EIO}, errors
    mount.daemon.wait()
    mount.stopped = True
    assert eventually(lambda: not place.leftovers()), place.leftovers()
    assert unmount(mount.path).returncode == 0


def test_sigkill_during_start(place, options):
    """Killed at any moment of its start, nothing is left either."""
    for n in range(settings.scaled(25)):
        daemon = Daemon(["-f", "-o", options(), place.source, place.mountpoint],
                        place.daemon, place.log)
        time.sleep(n * 0.004 * settings.PATIENCE)
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        assert eventually(lambda: not place.leftovers()), place.leftovers()
        for path in memcgfs_mounts(place.root):
            assert unmount(path).returncode == 0


def test_a_target_that_disappears(place):
    """The target is removed under the mount: an errno says that files cannot
    be used; nothing hangs, and unmount works."""
    mount = place.cover()
    read_through(place)
    place.put(place.source, "new", MIB)
    remove_target(mount)

    def use():
        outcome = []
        for name in ("file", "new", "another"):
            try:
                fd = os.open(mount / name, os.O_RDWR | os.O_CREAT)
                os.pread(fd, 100, 0)
                os.pwrite(fd, b"x", 0)
                os.close(fd)
                outcome.append(0)
            except OSError as error:
                outcome.append(error.errno)
        return outcome

    outcome = place.run(use, limit=30)
    assert 0 not in outcome, "who pays for what was used?"
    assert not set(outcome) & {EIO, EFAULT, EINVAL}, "that says nothing"
    os.stat(mount.path)
    mount.stop()


def test_a_target_that_disappears_with_on_error_opener(place):
    """Then the opener pays, a warning says so, and every open works."""
    mount = place.cover("on_error=opener")
    read_through(place)
    backing = place.put(place.source, "new", MIB)
    remove_target(mount)
    assert place.run(content.digest, mount / "new", limit=30) == \
        content.md5(content.data(MIB))
    place.judge.owned_by(place.reader, backing, at_least=256)
    assert complaints(mount.daemon.text()), "a silent fall back to first touch"
    mount.stop()


def test_many_mounts_in_a_row(place, call, options):
    for _ in range(settings.scaled(15)):
        done = call("-o", options(), place.source, place.mountpoint)
        assert done.returncode == 0, done.stderr
        assert os.listdir(place.mountpoint) == []
        unmounted_cleanly(place)


def test_two_mounts_on_one_mountpoint(place, call, options):
    """The second is refused, and the first is none the worse."""
    (place.source / "file").touch()
    assert call("-o", options(), place.source, place.mountpoint).returncode == 0
    done = call("-o", options(), place.beside, place.mountpoint)
    assert done.returncode > 0
    assert str(place.mountpoint) in done.stderr.strip()
    assert len(complaints(done.stderr)) == 1
    assert os.listdir(place.mountpoint) == ["file"]
    assert len(mounts_at(place.mountpoint)) == 1
    unmounted_cleanly(place)


def test_foreground_says_nothing(place):
    """A mount that goes well prints nothing."""
    mount = place.cover()
    read_through(place)
    mount.stop()
    assert complaints(mount.daemon.text()) == []


def test_debug_output(place, options):
    """-d stays in the foreground and tells what it does."""
    daemon = Daemon(["-d", "-o", options(), place.source, place.mountpoint],
                    place.daemon, place.log)
    assert eventually(lambda: mounts_at(place.mountpoint))
    os.stat(place.mountpoint)
    assert not daemon.exited()
    act.command(["umount", place.mountpoint])
    assert daemon.wait() == 0
    assert daemon.text()


def test_the_unit_clears_a_dead_mount_away(place, call, options):
    """systemd restarts a daemon that was killed; its mount is in the way."""
    unit = (settings.TESTS.parent / "conf/memcgfs@.service").read_text()
    line = next(x for x in unit.splitlines() if x.startswith("ExecStopPost="))
    clear = shlex.split(line.partition("=")[2].replace("%f", str(place.source)))
    content.write(place.source / "file", KIB)
    mount = place.cover(path=place.source)
    mount.daemon.signal(signal.SIGKILL)
    mount.daemon.wait()
    mount.stopped = True
    again = ["-o", options(), place.source, place.source]
    assert call(*again).returncode != 0, "what is there to be cleared away?"
    for _ in range(2):
        act.command(clear)
        assert not mounts_at(place.source)
        assert (place.source / "file").stat().st_size == KIB
    assert call(*again).returncode == 0
    unmount(place.source)
    assert eventually(lambda: not place.leftovers()), place.leftovers()


def test_a_mount_right_after_the_last_ones_end(place, call):
    """Its cgroup is being removed while the next mount finds it there."""
    new = place.cgroups.fresh("new")
    new.remove()
    content.write(place.source / "file", KIB)
    for _ in range(30):
        done = call("-o", f"memcg={new.path},create", place.source,
                    place.mountpoint)
        assert done.returncode == 0, done.stderr
        assert unmount(place.mountpoint).returncode == 0
    assert eventually(lambda: not place.daemon.pids())
    new.remove()
