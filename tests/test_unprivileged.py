# SPDX-License-Identifier: GPL-2.0-or-later
"""A plain user mounts, with cgroups that were delegated to him. He may not
have passthrough, nor see who owns a page: io=auto is io=cached, which is said,
and io=strict is there; that the pages are his target's is shown by root."""

import errno
import mmap
import os
import signal
import stat
from errno import EACCES

import pytest

from lib import act, actions, content, kernel, settings
from lib.act import STRANGER, User, errno_of
from lib.cgroup import alive
from lib.control import addresses, ask, ctl, ctl_fails, ctl_json, device_of
from lib.judge import evict
from lib.mount import complaints, mounts_at, unmount
from lib.settings import KIB, MIB
from lib.wait import eventually

USER = User("nobody", 65534, 65534)  # fusermount3 wants one that has a name

pytestmark = [pytest.mark.needs_daemon,
              pytest.mark.turns("io", alone=True)]


@pytest.fixture(scope="module", autouse=True)
def device():
    """/dev/fuse is for all, as udev makes it; a machine may lack udev."""
    mode = stat.S_IMODE(os.stat("/dev/fuse").st_mode)
    os.chmod("/dev/fuse", 0o666)
    yield
    os.chmod("/dev/fuse", mode)


@pytest.fixture
def his(place):
    """The place with a subtree of his own: he makes the cgroups in it."""
    subtree = place.cgroups.fresh("delegated")
    subtree.hand_over(USER)

    def divide():
        subtree.delegate_memory()
        return [subtree.child(n).create() for n in ("target", "reader", "daemon")]

    subtree.target, subtree.reader, subtree.daemon = act.run(divide, user=USER)
    for directory in (place.source, place.mountpoint, place.beside):
        os.chown(directory, USER.uid, USER.gid)
    place.subtree = subtree
    yield place
    if place.mount is not None:
        place.mount.stop()
    subtree.remove()


def cover(place, *options, **how):
    how.setdefault("target", place.subtree.target)
    return place.cover(*options, user=USER,
                       daemon_cgroup=place.subtree.daemon, **how)


def run(place, function, *args, **how):
    """As he does it himself, from another of his cgroups."""
    how.setdefault("cgroup", place.subtree.reader)
    how.setdefault("user", USER)
    return place.run(function, *args, **how)


def own(path):
    os.chown(path, USER.uid, USER.gid)
    return path


IO = ["io=auto", "io=strict"]


def use(place):
    for _ in range(3):
        run(place, actions.read_whole, place.mount / "file")
        run(place, actions.mmap_shared, place.mount / "file")
    run(place, content.write, place.mount / "new", MIB, 2)


@pytest.mark.parametrize("io, said", [
    ("io=auto", ["io=cached here: FUSE passthrough needs CAP_SYS_ADMIN",
                 "reached by path alone", "read and written alone"]),
    ("io=strict", ["strict: FUSE passthrough needs CAP_SYS_ADMIN"])])
def test_what_he_has_no_right_to_is_said_once(his, io, said):
    """One line for each thing, at the start; and no word more when the mount
    is used."""
    mount = cover(his, io)
    said = [*said, "owners can't be read", "opened by handle"]

    def lines():
        return complaints(mount.daemon.text())

    assert eventually(lambda: all(any(s in line for line in lines())
                                  for s in said)), lines()
    before = lines()
    own(his.put(his.source, "file", MIB))
    use(his)
    assert lines() == before
    mount.daemon.signal(signal.SIGUSR1)
    opens = 0 if mount.cached else 7
    assert eventually(lambda: f"opens_strict {opens}" in mount.daemon.text())
    assert "opens_passthrough 0" in mount.daemon.text()


@pytest.mark.parametrize("size", [16 * KIB, 8 * MIB])
@pytest.mark.parametrize("action", [
    pytest.param(a, id=a.__name__) for a in
    (actions.read_whole, actions.read_by_4k, actions.pread_at_random)])
@pytest.mark.parametrize("io", IO)
def test_reading_charges_the_target(his, action, size, io):
    pages = his.judge.pages(size)
    own(his.put(his.beside, "file", size))
    run(his, action, his.beside / "file")
    his.judge.owned_by(his.subtree.reader, his.beside / "file", at_least=pages)
    mount = cover(his, io)
    own(his.put(his.source, "file", size))
    assert run(his, action, mount / "file") == 0
    his.owned_by(his.subtree.target, "file", at_least=pages)


@pytest.mark.parametrize("action", [
    pytest.param(a, id=a.__name__) for a in
    (actions.write_new, actions.write_at_random, actions.append,
     actions.fallocate_and_write, actions.splice_in)])
@pytest.mark.parametrize("io", IO)
def test_writing_charges_the_target(his, action, io):
    mount = cover(his, io)
    run(his, action, his.beside / "new")
    his.judge.owned_by(his.subtree.reader, his.beside / "new", at_least=768)
    run(his, action, mount / "new")
    his.owned_by(his.subtree.target, "new", at_least=768)
    assert (his.source / "new").read_bytes() == actions.expected()


def test_pages_from_before_are_claimed_in_the_dark(his):
    """Whose they are can't be seen: they are dropped, and read again."""
    backing = own(his.put(his.source, "file", 4 * MIB))
    his.run(actions.read_whole, backing, cgroup=his.other)
    his.judge.owned_by(his.other, backing, at_least=1024)  # the control
    mount = cover(his)
    assert run(his, content.digest, mount / "file") == \
        content.md5(content.data(4 * MIB))
    his.owned_by(his.subtree.target, "file", at_least=1024)


@pytest.mark.parametrize("io", IO)
def test_a_mapping(his, io):
    """What the README says of it: with io=strict the backing's pages are the
    target's, and the mapping is FUSE's own cache, charged to who maps. With
    io=cached that cache is the target's. It is coherent."""
    size = 8 * MIB
    mount = cover(his, io)
    backing = own(his.put(his.source, "file", size))

    def use_mapping():
        fd = os.open(mount / "file", os.O_RDWR)
        with mmap.mmap(fd, size) as m:
            before = his.subtree.reader.usage()
            seen = content.md5(m)
            charged = his.subtree.reader.usage() - before
            os.pwrite(fd, b"by write", 5 * MIB + 7)
            assert m[5 * MIB + 7:5 * MIB + 15] == b"by write"
            m[MIB:MIB + 8] = b"by store"
            m.flush()
            assert os.pread(fd, 8, MIB) == b"by store"
        os.close(fd)
        return seen, charged

    seen, charged = run(his, use_mapping)
    assert seen == content.md5(content.data(size))
    assert mount.cached or abs(charged - size) < 2 * MIB, charged
    # What was written of it the kernel keeps of the backing, at most.
    his.owned_by(his.subtree.target, "file",
                 at_least=1 if mount.cached else 2048)
    wanted = bytearray(content.data(size))
    wanted[MIB:MIB + 8] = b"by store"
    wanted[5 * MIB + 7:5 * MIB + 15] = b"by write"
    assert backing.read_bytes() == wanted


def test_running_a_program(his):
    """Its text is the target's, as is any mapping."""
    mount = cover(his)
    program = his.source / "prog"
    program.write_bytes(open("/bin/cat", "rb").read())
    own(program).chmod(0o755)
    evict(program)
    done = his.command([mount / "prog", "/proc/self/cgroup"],
                       cgroup=his.subtree.reader, user=USER)
    assert his.subtree.reader.path in done.stdout
    his.owned_by(his.subtree.target, "prog", at_least=4)


def test_the_targets_limit_holds(his):
    limit = 8 * MIB * (2 if settings.SANITIZED else 1)
    his.subtree.target.set_limit(limit)
    mount = cover(his)
    run(his, content.write, mount / "file", 4 * limit, 3, limit=120)
    assert run(his, content.digest, mount / "file") == \
        content.md5(content.data(4 * limit, 3))
    report = his.owned_by(his.subtree.target, "file")
    assert report.resident * settings.PAGE <= limit


def test_a_target_of_his_own_making(his):
    """`create` within the subtree; it goes with the mount."""
    target = his.subtree.child("made")
    mount = cover(his, "create", target=target)
    own(his.put(his.source, "file", MIB))
    run(his, actions.read_whole, mount / "file")
    his.owned_by(target, "file", at_least=256)
    mount.stop()
    assert not target.exists()


def test_a_target_beside_his_subtree_is_refused(his):
    with pytest.raises(AssertionError, match="no right"):
        cover(his, target=his.other)
    assert not mounts_at(his.mountpoint)
    his.mount = None


def test_rights_are_his(his):
    """Nobody else gets in, not even root; and he gets no further than
    without the mount."""
    secret = his.put(his.source, "secret", 100)
    secret.chmod(0o600)
    mount = cover(his)

    assert run(his, errno_of, content.digest, mount / "secret") == EACCES
    assert run(his, errno_of, os.chmod, mount / "secret", 0o644) == errno.EPERM
    assert run(his, errno_of, content.digest, mount / "secret",
               user=STRANGER) == EACCES
    with kernel.admin_may_enter(False):
        assert run(his, errno_of, os.listdir, mount.path,
                   user=act.ROOT) == EACCES


def test_his_charger_dies_and_is_replaced(his):
    mount = cover(his)
    own(his.put(his.source, "file", MIB))
    assert mount.target.kill_chargers()
    assert run(his, content.digest, mount / "file") == \
        content.md5(content.data(MIB))
    his.owned_by(his.subtree.target, "file", at_least=256)


def test_he_unmounts(his):
    mount = cover(his)
    done = his.command(["fusermount3", "-u", mount.path], user=USER,
                       cgroup=his.subtree.reader)
    assert done.returncode == 0
    assert mount.daemon.wait() == 0
    mount.stopped = True
    assert not mounts_at(mount.path)
    assert eventually(lambda: not his.subtree.target.members())


def test_his_daemon_is_killed(his):
    mount = cover(his)
    chargers = mount.chargers()
    mount.daemon.signal(signal.SIGKILL)
    mount.daemon.wait()
    mount.stopped = True
    assert eventually(lambda: not any(map(alive, chargers)))
    assert eventually(lambda: not his.subtree.target.members())
    assert unmount(mount.path).returncode == 0


# Looking inside


def test_who_may_ask_his_mount(place, his):
    """He and root may change it. Root may ask for the state of what he can't
    enter; for others the daemon can't tell what they may read."""
    place.put(place.source, "his", MIB)
    mount = cover(place)
    for user in (None, USER):
        [answer] = ctl_json("status", mount.path, user=user)
        assert answer["pid"] == mount.daemon.pid
        assert not answer["passthrough"]
        assert answer["io"] == "cached"
        assert any("io=cached here" in d for d in answer["degraded"])
        assert any("owners can't be read" in d for d in answer["degraded"])
        assert not ctl("reload", mount.path, user=user).stderr
    line = ctl_fails("reload", mount.path, user=STRANGER)
    assert "only root and the mount's owner may reload" in line
    [answer] = ctl_json("explain", mount / "his", user=USER)
    assert answer["target"] == place.subtree.target.path
    assert answer["read"] == {"path": "cached",
                              "why": "the mount is io=cached"}
    with kernel.admin_may_enter(False):
        assert "Permission denied" in ctl_fails("explain", mount / "his")
    [address] = addresses(ctl_device(mount.path))
    assert act.run(ask, address, "explain", "his")["type"] == "file"
    answer = act.run(ask, address, "explain", "his", user=STRANGER)
    assert answer["errno"] == errno.EPERM


def test_what_cannot_be_told_is_not_told(his):
    """His books say what is resident, and what his chargers brought in; what
    takes a look at owners is refused, and nothing is dropped for it. A page
    that came in beside the mount is foreign, and not told of."""
    backing = own(his.put(his.source, "file", MIB))
    mount = cover(his, "io=strict")
    run(his, actions.read_whole, mount / "file")
    his.judge.owned_by(his.subtree.target, backing, at_least=256)
    [answer] = ctl_json("tree", mount.path, user=USER)
    tree = {account["path"]: account for account in answer["accounts"]}
    assert tree[his.subtree.target.path]["hosted_bytes"] == MIB
    assert tree[his.subtree.reader.path]["shared_bytes"] == MIB
    [answer] = ctl_json("files", mount.path, user=USER)
    assert [(f["path"], f["resident_bytes"], f["host"], f["sharers"])
            for f in answer["files"]] == \
        [("/file", MIB, his.subtree.target.path, [his.subtree.reader.path])]
    for command in (["verify"], ["claim"], ["drop"], ["drop", "--yes"]):
        assert "page owners can't be read here" in \
            ctl_fails(*command, mount / "file", user=USER), command
    his.judge.owned_by(his.subtree.target, backing, at_least=256)
    evict(backing)
    his.run(actions.read_whole, backing, cgroup=his.other)
    his.judge.owned_by(his.other, backing, at_least=256)
    [answer] = ctl_json("status", mount.path, user=USER)
    assert answer["hosts"][0]["foreign_bytes"] == 0
    assert any("owners can't be read" in d for d in answer["degraded"])


def ctl_device(path):
    """Of a mount that root can't enter."""
    return act.run(device_of, path, user=USER) + "/"


# Rules


def rule(place, text):
    (place.source / ".memcgfs").write_text(text)
    return own(place.source / ".memcgfs")


def test_his_rules_name_his_cgroups(his):
    pages = his.judge.pages(MIB)
    rule(his, f"a memcg={his.subtree.reader.path}\n")
    for name in ["a", "b"]:
        own(his.put(his.source, name, MIB))
    mount = cover(his)
    run(his, actions.read_whole, mount / "a", cgroup=his.subtree.daemon)
    run(his, actions.read_whole, mount / "b")
    his.owned_by(his.subtree.reader, "a", at_least=pages)
    his.owned_by(his.subtree.target, "b", at_least=pages)


@pytest.mark.parametrize("memcg, said", [
    ("@opener", "needs FUSE passthrough"),
    (None, "no right to put processes into the cgroup")])
def test_his_rules_name_what_he_cannot_have(his, memcg, said):
    """First touch can't be had without passthrough, nor a cgroup that wasn't
    delegated to him: the mount's own holds, and the log says why."""
    rule(his, f"* memcg={memcg or his.other.path}\n")
    own(his.put(his.source, "a", MIB))
    mount = cover(his)
    run(his, actions.read_whole, mount / "a")
    his.owned_by(his.subtree.target, "a",
                       at_least=his.judge.pages(MIB))
    assert said in mount.daemon.text()
