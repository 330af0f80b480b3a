# SPDX-License-Identifier: GPL-2.0-or-later
"""Looking inside: the control socket, who may ask what, and memcgfsctl."""

import contextlib
import errno
import json
import os
import resource
import signal
import socket
import time

import pytest

from lib import act, actions, settings
from lib.act import MATE, OWNER, STRANGER
from lib.cgroup import rmdir
from lib.control import (CTL, EXPLAIN_KEYS, HOST_KEYS, RULE_KEYS, STATUS_KEYS,
                         addresses, ask, ask_raw, connect, ctl, ctl_fails,
                         ctl_json, device_of, read_answer, served)
from lib.mount import Mount, unmount
from lib.settings import KIB, MIB
from lib.wait import eventually

pytestmark = pytest.mark.needs_daemon

SIZE = 256 * KIB
STATUS = b'{"verb":"status"}\n'


def write_rules(directory, *lines):
    path = directory / ".memcgfs"
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(0o644)
    return path


@pytest.fixture
def mount(place):
    return place.cover()


@pytest.fixture
def address(mount):
    found = addresses(device_of(mount.path) + "/")
    assert len(found) == 1
    return found[0]


@pytest.fixture
def second(place, request):
    """A second mount, of the same target."""
    @contextlib.contextmanager
    def cover(path, *options):
        source = place.root / "source2"
        source.mkdir()
        mount = Mount(source, path, place.target, place.daemon,
                      place.root / "second.log", options)
        try:
            yield mount
        except BaseException:
            mount.kill()
            raise
        mount.unmount()
        assert mount.daemon.wait() == 0
        mount.daemon.check_log()
    return cover


# The socket's life


def test_nothing_is_left_of_it(mount, address):
    device = device_of(mount.path)
    assert ask(address, "status")["source"] == str(mount.source)
    mount.stop()
    assert addresses(device + "/") == []


def test_nothing_is_left_after_sigkill(place, mount, address):
    """Nor of its clients: they are cut off. The next mount has its own."""
    device = device_of(mount.path)
    with connect(address) as waiting:
        mount.daemon.signal(signal.SIGKILL)
        mount.daemon.wait()
        assert eventually(lambda: addresses(device + "/") == [])
        assert read_answer(waiting) is None
    line = ctl_fails("status", place.mountpoint)
    assert "can't be asked: nobody listens" in line
    assert str(place.mountpoint) in line
    mount.kill()
    place.cover()
    [answer] = ctl_json("status", place.mountpoint)
    assert answer["pid"] == place.mount.daemon.pid


def test_a_client_does_not_hold_up_the_end(mount, address):
    with connect(address):
        begin = time.monotonic()
        mount.stop()
        assert time.monotonic() - begin < settings.seconds(1.5)


def test_a_daemon_that_is_stopped(place, mount):
    """Who asks is not told anything wrong, and can give up."""
    mount.daemon.signal(signal.SIGSTOP)
    try:
        with pytest.raises(act.subprocess.TimeoutExpired):
            act.subprocess.run([CTL, "status", place.mountpoint], timeout=0.5)
    finally:
        mount.daemon.signal(signal.SIGCONT)
    assert ctl_json("status", place.mountpoint)[0]["pid"] == mount.daemon.pid


# Several mounts


def test_two_mounts(place, mount, second):
    other = place.beside
    with second(other):
        for path in (place.mountpoint, other):
            [answer] = ctl_json("status", path)
            assert answer["mountpoint"] == str(path)
        line = ctl_fails("status")
        assert "name one of" in line and "mounts of memcgfs" in line


def test_the_innermost_mount(place, mount, second):
    """Of nested mounts, the one that the path is in; of another filesystem
    mounted within, none."""
    for name in ("inner", "tmp"):
        (place.source / name).mkdir()
    place.put(place.source, "inner/hidden", SIZE)
    with second(place.mountpoint / "inner"):
        (place.root / "source2/a").write_text("a")
        [answer] = ctl_json("explain", place.mountpoint / "inner/a")
        assert answer["path"] == "/a"
        [answer] = ctl_json("status", place.mountpoint / "inner")
        assert answer["mountpoint"] == str(place.mountpoint / "inner")
    act.command(["mount", "-t", "tmpfs", "none", place.mountpoint / "tmp"])
    try:
        line = ctl_fails("explain", place.mountpoint / "tmp")
        assert f'"{place.mountpoint}/tmp" is in no mount of memcgfs' in line
    finally:
        unmount(place.mountpoint / "tmp")


def test_a_mount_over_its_source(place):
    place.put(place.source, "a", SIZE)
    place.cover(path=place.source)
    [answer] = ctl_json("explain", place.source / "a")
    assert answer["path"] == "/a"


def test_odd_mount_points(place, second, mount):
    """mountinfo writes them with escapes."""
    path = place.root / "with blank\ttab\\040 - x"
    path.mkdir()
    with second(path):
        (place.root / "source2/a").write_text("a")
        [answer] = ctl_json("explain", path / "a")
        assert answer["path"] == "/a"
        assert ctl_json("status", path)[0]["mountpoint"] == str(path)


def test_a_part_that_is_bound_elsewhere(place, mount):
    """What a container is given: the path is told from the mount's root."""
    (place.source / "sub").mkdir()
    place.put(place.source, "sub/a", SIZE)
    act.command(["mount", "--bind", place.mountpoint / "sub", place.beside])
    try:
        [answer] = ctl_json("explain", place.beside / "a")
        assert answer["path"] == "/sub/a"
        assert answer["asked"] == str(place.beside / "a")
    finally:
        unmount(place.beside)


def in_namespace(script, *arguments):
    """In a mount namespace of its own, where no other memcgfs is mounted."""
    return act.command(["unshare", "-m", "--propagation", "private", "bash",
                        "-c", script, "bash", *arguments], check=False)


def test_the_only_mount_needs_no_name(place, mount):
    """Nor does it matter in which mount namespace one asks."""
    done = in_namespace(
        "awk -v keep=$1 '$3 == \"fuse.memcgfs\" && $2 != keep { print $2 }' "
        "/proc/mounts | xargs -r umount -l; shift; exec \"$@\"",
        place.mountpoint, CTL, "--json", "status")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["mountpoint"] == str(place.mountpoint)
    done = in_namespace(
        "awk '$3 == \"fuse.memcgfs\" { print $2 }' /proc/mounts | "
        "xargs -r umount -l; exec \"$@\"", CTL, "status")
    assert done.returncode == 1
    assert done.stderr == "memcgfsctl: there is no mount of memcgfs\n"


# Whom to believe


def lie(name, ready):
    """Listens by a name, and would tell whoever asks anything."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(name)
    listener.listen(8)
    listener.settimeout(20)
    os.write(ready, b"x")
    while True:
        connection, _ = listener.accept()
        with contextlib.suppress(OSError):
            connection.sendall(b'{"version":1,"pid":1,"source":"lie"}\n')


def test_a_liar_is_not_believed(place, mount, address):
    """Any user can listen by a name that looks right. The control: memcgfsctl
    does believe root."""
    device = device_of(mount.path) + "/"
    name = f"\0memcgfs/{device}!"
    with lying(place, name, STRANGER):
        for _ in range(5):
            [answer] = ctl_json("status", mount.path)
            assert answer["pid"] == mount.daemon.pid
        mount.daemon.signal(signal.SIGKILL)
        assert eventually(lambda: addresses(device) == [name])
        assert "nobody listens" in ctl_fails("status", mount.path)
    with lying(place, name, None):
        assert ctl_json("status", mount.path)[0]["source"] == "lie"
    mount.kill()


@contextlib.contextmanager
def lying(place, name, user):
    got, ready = os.pipe()
    child = place.start(lie, name, ready, user=user)
    os.close(ready)
    try:
        assert os.read(got, 1)
        yield
    finally:
        child.end()
        os.close(got)


# Hostile clients


GARBAGE = {
    "nothing": (b"\n", "JSON object"),
    "no JSON": (b"status\n", "JSON object"),
    "binary": (bytes(range(128, 256)) + b"\n", "JSON object"),
    "zeros": (bytes(100) + b"\n", "JSON object"),
    "deep": (b"[" * 10000 + b"\n", "JSON object"),
    "huge": (b"x" * (1 << 20), "at most 16384 bytes"),
    "verb": (b'{"verb":"frob"}\n', 'unknown verb "frob"'),
    "no path": (b'{"verb":"explain"}\n', 'needs a "path"'),
    "dot dot": (b'{"verb":"explain","path":"a/../b"}\n', "Invalid argument"),
    "escape": (b'{"verb":"explain","path":"../../etc/passwd"}\n',
               "Invalid argument"),
    "long name": (b'{"verb":"explain","path":"' + b"x" * 300 + b'"}\n',
                  "File name too long"),
    "deep path": (b'{"verb":"explain","path":"' + b"a/" * 3000 + b'"}\n',
                  "No such file"),
}


def test_garbage(place, mount, address):
    (place.source / "a").mkdir()
    for what, (line, said) in GARBAGE.items():
        answer, _ = place.run(ask_raw, address, line, user=STRANGER)
        assert said in answer["error"] and answer["errno"] > 0, what
        assert sorted(answer) == ["errno", "error", "version"], what
    assert ask(address, "status")["pid"] == mount.daemon.pid


def test_what_comes_behind_a_request(address):
    answer, seconds = ask_raw(address, STATUS + STATUS + b"more")
    assert answer["version"] == 1 and seconds < settings.seconds(1)


def hold_open(address, count, ready, data=b""):
    """Connections that say nothing, or not enough."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, count + 100))
    held = []
    for _ in range(count):
        connection = connect(address)
        with contextlib.suppress(OSError):
            connection.sendall(data)
        held.append(connection)
    os.write(ready, b"x")
    time.sleep(60)


@contextlib.contextmanager
def holding(place, address, count, data=b"", user=STRANGER):
    got, ready = os.pipe()
    child = place.start(hold_open, address, count, ready, data, user=user)
    os.close(ready)
    try:
        assert os.read(got, 1)
        yield
    finally:
        child.end()
        os.close(got)


@pytest.mark.parametrize("data", [b"", b'{"verb":', STATUS],
                         ids=["silent", "half", "never reads"])
def test_who_is_slow_holds_up_nobody(place, address, data):
    """Neither the others, nor, with a few connections, himself."""
    with holding(place, address, 5, data):
        for user in (None, OWNER, STRANGER):
            answer, seconds = place.run(ask_raw, address, STATUS, user=user)
            assert "pid" in answer and seconds < settings.seconds(1)


def test_thousands_of_connections(place, mount, address):
    """They cost him his own turn, and the daemon little."""
    before = mount.daemon.open_fds()
    with holding(place, address, 3000):
        assert mount.daemon.open_fds() - before <= 70
        for user in (None, OWNER):
            answer, seconds = place.run(ask_raw, address, STATUS, user=user)
            assert "pid" in answer and seconds < settings.seconds(1)
    assert eventually(lambda: mount.daemon.open_fds() <= before + 1)
    answer, _ = place.run(ask_raw, address, STATUS, user=STRANGER)
    assert "pid" in answer


def test_a_long_answer_that_nobody_takes(place, mount, address):
    """More than the kernel keeps for him: he is cut off after 5 seconds. The
    control: who takes it has all of it, and in the meantime."""
    for n in range(256):
        directory = place.source / ("\1" * 200 + str(n))
        directory.mkdir()
        write_rules(directory, "* frob")
        (directory / "a").write_text("a")
        assert (mount / directory.name / "a").read_text() == "a"
    with holding(place, address, 4, STATUS):
        begin = time.monotonic()
        answer, seconds = place.run(ask_raw, address, STATUS, user=STRANGER)
        assert len(answer["refused_rules"]) == 256
        assert len(json.dumps(answer)) > 256 * 1200
        assert seconds < settings.seconds(1.5)
        assert served(address) == 4
        assert eventually(lambda: served(address) == 0, 10)
        assert time.monotonic() - begin > 4.5


def test_of_one_user_so_many_at_a_time(place, address):
    def crowd():
        held = [connect(address) for _ in range(20)]
        time.sleep(1)
        answers = []
        for connection in held:
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                answers.append(read_answer(connection))
        return answers

    answers = place.run(crowd, user=STRANGER)
    assert len(answers) == 12
    for answer in answers:
        assert answer["errno"] == errno.EAGAIN
        assert answer["error"] == "too many ask at a time; try again"


def trickle(address):
    """A byte each quarter second: how long, and what was said."""
    begin = time.monotonic()
    with connect(address) as connection:
        with contextlib.suppress(OSError):
            for _ in range(100):
                connection.sendall(b" ")
                time.sleep(0.25)
                connection.settimeout(0.001)
                with contextlib.suppress(TimeoutError):
                    if answer := read_answer(connection):
                        return answer, time.monotonic() - begin
    return None, time.monotonic() - begin


def test_the_time_for_a_request_is_for_all_of_it(place, address):
    answer, seconds = place.run(trickle, address, user=STRANGER)
    assert answer["errno"] == errno.ETIMEDOUT
    assert 1.9 < seconds < settings.seconds(4)


def test_a_host_that_stands_still_holds_up_its_own(place):
    """Who asks for the pages of its files waits, as long as an open would;
    the status says it, and others are answered."""
    place.put(place.source, "a", SIZE)
    mount = place.cover("charger_timeout=2")
    place.run(actions.read_whole, mount / "a")
    [address] = addresses(device_of(mount.path) + "/")
    for pid in mount.chargers():
        os.kill(pid, signal.SIGSTOP)
    try:
        waiting = place.start(ctl_json, "explain", mount / "a")
        answer, seconds = ask_raw(address, STATUS)
        assert "pid" in answer and seconds < settings.seconds(1)
        [explained] = waiting.result()
        assert explained["foreign_bytes"] is None
        assert explained["resident_bytes"] == SIZE
        [status] = ctl_json("status", mount.path)
        assert status["hosts"][0]["charger"] == "silent"
        assert any("charger is silent" in d for d in status["degraded"])
        begin = time.monotonic()
        ctl_json("explain", mount / "a")
        assert time.monotonic() - begin < settings.seconds(1)
    finally:
        for pid in mount.chargers():
            os.kill(pid, signal.SIGCONT)


# Who may ask what


@pytest.fixture
def tree(place):
    """Files that some may read and others may not."""
    def make(name, mode, owner=0, group=0):
        path = place.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 5000)
        path.chmod(mode)
        os.chown(path, owner, group)
        return path

    make("all", 0o644)
    make("his", 0o600, OWNER.uid, OWNER.gid)
    make("team", 0o640, 0, act.TEAM)
    make("owned-none", 0o004, STRANGER.uid)
    make("closed/in", 0o644)
    (place.source / "closed").chmod(0o700)
    make("search/in", 0o644)
    (place.source / "search").chmod(0o711)
    make("acl", 0o600)
    act.command(["setfacl", "-m", f"u:{STRANGER.uid}:r", place.source / "acl"])
    return place.source


MAY_ASK = {
    ("all", STRANGER): 0, ("his", STRANGER): errno.EACCES, ("his", OWNER): 0,
    ("team", STRANGER): errno.EACCES, ("team", MATE): 0,
    ("owned-none", STRANGER): errno.EACCES, ("owned-none", MATE): 0,
    ("closed/in", STRANGER): errno.EACCES,
    ("closed/nothing", STRANGER): errno.EACCES,
    ("search/in", STRANGER): 0, ("search/nothing", STRANGER): errno.ENOENT,
    ("search", STRANGER): errno.EACCES, ("", STRANGER): 0,
    ("acl", STRANGER): 0, ("acl", MATE): errno.EACCES,
    ("all/x", STRANGER): errno.ENOTDIR, ("link/in", None): errno.ENOTDIR,
    ("his", None): 0, ("closed/in", None): 0, ("nothing", None): errno.ENOENT,
}


def test_who_may_ask_about_a_file(place, tree, mount, address):
    """The daemon decides, by his rights and no more than what they say of
    each directory on the way: whoever asks it needs no memcgfsctl."""
    (tree / "link").symlink_to("search")
    for (path, user), wanted in MAY_ASK.items():
        answer = place.run(ask, address, "explain", path, user=user)
        who = f"{path} by {user.name if user else 'root'}: {answer}"
        assert answer.get("errno", 0) == wanted, who
        assert ("target" in answer) == (not wanted), who


def test_who_may_change_anything(place, mount):
    for user in (STRANGER, OWNER):
        line = ctl_fails("reload", mount.path, user=user)
        assert "only root and the mount's owner may reload" in line
    done = ctl("reload", mount.path)
    assert not done.stdout and not done.stderr


def test_refusals_are_told_to_those_who_may_read_the_file(place, mount):
    """A refusal quotes the file."""
    for name in ("open", "closed"):
        (place.source / name).mkdir()
        place.put(place.source, f"{name}/a", SIZE)
        write_rules(place.source / name, f"* secret-of-{name}")
        place.run(actions.read_whole, mount / name / "a")
    (place.source / "closed/.memcgfs").chmod(0o600)
    [answer] = ctl_json("status", mount.path)
    assert len(answer["refused_rules"]) == answer["rules_refused"] == 2
    [answer] = ctl_json("status", mount.path, user=STRANGER)
    assert answer["rules_refused"] == 2
    [told] = answer["refused_rules"]
    assert told.startswith("open/.memcgfs:1:3: ") and "secret-of-open" in told
    text = ctl("status", mount.path, user=STRANGER).stdout
    assert "rules refused: 1 more" in text and "secret-of-closed" not in text


# What is said


def test_status(place):
    place.put(place.source, "a", SIZE)
    place.put(place.source, "b", SIZE)
    write_rules(place.source, f"b memcg={place.other.path} io=strict")
    mount = place.cover()
    for name in ("a", "b"):
        place.run(actions.read_whole, mount / name)
    # One that came just now is running when its start has been noted.
    assert eventually(lambda: all(
        host["charger"] == "running"
        for host in ctl_json("status", mount.path)[0]["hosts"]))
    [answer] = ctl_json("status", mount.path)
    assert sorted(answer) == STATUS_KEYS
    assert answer["source"] == str(place.source)
    assert answer["memcg"] == place.target.path
    assert answer["degraded"] == [] and answer["refused_rules"] == []
    assert answer["passthrough"] and answer["io"] == "auto"
    hosts = {host["target"]: host for host in answer["hosts"]}
    assert set(hosts) == {place.target.path, place.other.path}
    for host in hosts.values():
        assert sorted(host) == HOST_KEYS
        assert host["usage_bytes"] == SIZE
    assert answer["counters"]["opens_passthrough"] == 1
    assert answer["counters"]["opens_strict"] == 1
    text = ctl("status", mount.path).stdout
    assert f"{place.source} on {place.mountpoint}, " \
           f"memcg={place.target.path}, pid {mount.daemon.pid}\n" in text
    assert "degraded: no\n" in text
    assert "paths: io=auto, with passthrough\n" in text
    assert (f"host {hosts[place.other.path]['host']} of target "
            f"{place.other.path}: charger running, restarts 0, usage 256K, "
            "hosted 256K, foreign 0, pinned 0\n") in text
    assert "opens: 1 passthrough, 1 strict, 0 first touch, 0 refused" in text


def test_status_of_what_is_wrong(place):
    """A host that is gone, a rule file that is refused."""
    place.put(place.source, "a", SIZE)
    place.put(place.source, "b", SIZE)
    write_rules(place.source, f"a memcg={place.other.path}")
    (place.source / "sub").mkdir()
    place.put(place.source, "sub/c", SIZE)
    write_rules(place.source / "sub", "* memgc=/x")
    mount = place.cover("charger_idle=1")
    place.run(actions.read_whole, mount / "a")
    place.run(actions.read_whole, mount / "sub/c")
    assert eventually(lambda: not place.other.chargers())
    [answer] = ctl_json("status", mount.path)
    assert {h["charger"] for h in answer["hosts"]} <= {"away", "running"}
    assert answer["degraded"] == ["1 rule file is refused"]
    assert eventually(lambda: rmdir(place.other.dir))
    os.posix_fadvise(fd := os.open(place.source / "a", os.O_RDONLY), 0, 0,
                     os.POSIX_FADV_DONTNEED)
    os.close(fd)
    with pytest.raises(OSError):
        os.open(mount / "a", os.O_RDONLY)
    text = ctl("status", mount.path).stdout
    assert f"degraded: host {place.other.path}: its charger is down\n" in text
    assert "rules refused: sub/.memcgfs:1:3: unknown attribute" in text
    place.other.create()


def test_explain(place, figure):
    """Which rule, which cgroup, which path, and why; of its pages what the
    kernel says of their owners, before and after."""
    (place.source / "sub").mkdir()
    place.put(place.source, "sub/lib.so", SIZE)
    write_rules(place.source, "* io=strict", "*.so ahead=1M")
    write_rules(place.source / "sub", "# libraries", "",
                f"*.so memcg={place.other.path} io=auto")
    mount = place.cover()
    place.run(actions.read_whole, place.source / "sub/lib.so")
    [answer] = ctl_json("explain", mount / "sub/lib.so")
    assert sorted(answer) == EXPLAIN_KEYS
    assert answer["path"] == "/sub/lib.so" and answer["type"] == "file"
    assert answer["target"] == place.other.path
    assert answer["host"].startswith(place.other.path)
    assert sorted(answer["rule"]) == sorted(answer["said_by"]) == RULE_KEYS
    assert answer["rule"] == {
        "memcg": place.other.path, "io": "auto", "ahead": MIB, "pin": False,
        "on_error": "deny", "scan": "auto", "scanners": None}
    assert answer["said_by"] == {
        "memcg": "sub/.memcgfs:3", "io": "sub/.memcgfs:3",
        "ahead": ".memcgfs:2", "pin": "mount", "on_error": "mount",
        "scan": "mount", "scanners": "mount"}
    report = place.judge.look(place.source / "sub/lib.so")
    foreign = report.foreign_to(place.other)
    assert foreign == place.judge.pages(SIZE)
    assert answer["resident_bytes"] == report.resident * settings.PAGE
    assert answer["foreign_bytes"] == foreign * settings.PAGE
    assert answer["size_bytes"] == SIZE and not answer["open"]
    assert answer["read"] == {"path": "ahead", "why":
                              "its pages are charged before it is read"}
    assert answer["write"]["path"] == "strict-ahead"
    # Looking has changed nothing.
    assert place.judge.look(
        place.source / "sub/lib.so").foreign_to(place.other) == foreign
    place.run(actions.read_whole, mount / "sub/lib.so")
    place.judge.owned_by(place.other, place.source / "sub/lib.so",
                         at_least=foreign)
    fd = os.open(mount / "sub/lib.so", os.O_RDONLY)
    [answer] = ctl_json("explain", mount / "sub/lib.so")
    os.close(fd)
    assert answer["foreign_bytes"] == 0 and answer["open"]
    assert answer["read"]["path"] == "passthrough"
    text = ctl("explain", mount / "sub/lib.so").stdout
    assert text.startswith(f"{mount.path}/sub/lib.so\n")
    assert f"  memcg={place.other.path} (sub/.memcgfs:3)\n" in text
    assert "  size 256K, resident 256K, foreign 0\n" in text


def test_explain_of_other_things(place):
    """Directories, the root, what nothing is enforced for; several paths."""
    (place.source / "tmp").mkdir()
    place.put(place.source, "tmp/a", SIZE)
    write_rules(place.source, "/tmp/ memcg=@opener")
    mount = place.cover()
    root, directory, file = ctl_json("explain", mount.path, mount / "tmp",
                                     mount / "tmp/a")
    assert root["path"] == "/" and root["type"] == "directory"
    assert root["target"] == place.target.path
    assert set(root["said_by"].values()) == {"mount"}
    assert "read" not in root and "read" not in directory
    assert directory["type"] == "directory"
    assert file["target"] == "@opener" and file["host"] is None
    assert file["charger"] is None and file["foreign_bytes"] is None
    assert file["read"]["path"] == "passthrough"
    done = ctl("explain", mount / "tmp/a", mount / "nothing", check=False)
    assert done.returncode == 1 and "target @opener, host none" in done.stdout
    assert done.stderr == (f'memcgfsctl: "{mount.path}/nothing": '
                           "No such file or directory\n")


def test_explain_of_odd_names(place):
    """Control characters don't reach the terminal; JSON has them."""
    name = 'a "b"\\\t\x1b[31mé'
    place.put(place.source, name, SIZE)
    mount = place.cover()
    [answer] = ctl_json("explain", mount / name)
    assert answer["path"] == "/" + name
    text = ctl("explain", mount / name).stdout
    assert text.startswith(f'{mount.path}/a "b"\\??[31mé\n')
    latin = os.fsencode(place.source) + b"/latin-\xe9"
    with open(latin, "w"):
        pass
    line = ctl_fails("explain", os.fsdecode(latin).replace(
        str(place.source), str(mount.path)))
    assert "the path is no UTF-8" in line


def test_what_a_stranger_sees(place):
    place.put(place.source, "a", SIZE)
    mount = place.cover()
    [answer] = ctl_json("explain", mount / "a", user=STRANGER)
    assert sorted(answer) == EXPLAIN_KEYS
    assert sorted(ctl_json("status", mount.path, user=STRANGER)[0]) \
        == STATUS_KEYS


def test_reload(place):
    """Of rules=FILE, which nobody watches; bad ones leave all as it was."""
    rules = place.root / "rules"
    rules.write_text("* io=auto\n")
    place.put(place.source, "a", SIZE)
    mount = place.cover(f"rules={rules}")
    place.run(actions.read_whole, mount / "a")
    rules.write_text(f"* memcg={place.other.path}\n")
    [answer] = ctl_json("explain", mount / "a")
    assert answer["target"] == place.target.path
    assert ctl_json("reload", mount.path) == [{"version": 1}]
    assert eventually(lambda: ctl_json("explain", mount / "a")[0]["target"]
                      == place.other.path)
    [answer] = ctl_json("explain", mount / "a")
    assert answer["said_by"]["memcg"] == f"{rules}:1"
    assert eventually(lambda: place.judge.look(
        place.source / "a").foreign_to(place.other) == 0)
    rules.write_text("* memcg=/web.slcie\n")
    line = ctl_fails("reload", mount.path)
    assert f"{rules}" in line and 'unknown cgroup "/web.slcie"' in line
    [answer] = ctl_json("explain", mount / "a")
    assert answer["target"] == place.other.path


def test_sigusr1_says_the_same(place):
    """The log and the status have one source."""
    place.put(place.source, "a", SIZE)
    mount = place.cover()
    place.run(actions.read_whole, mount / "a")
    [answer] = ctl_json("status", mount.path)
    mount.daemon.signal(signal.SIGUSR1)
    assert eventually(lambda: "unsafe_maps" in mount.daemon.text())
    text = mount.daemon.text()
    for name, value in answer["counters"].items():
        assert f"{name} {value} (" in text
    [host] = answer["hosts"]
    assert (f"host {host['host']} target {host['target']} charger running "
            f"restarts 0 usage {host['usage_bytes']} pinned 0") in text


# The program


BAD_CALLS = {
    "nothing": ([], 2, "a command is needed"),
    "command": (["frob"], 2, 'unknown command "frob"'),
    "option": (["--jsno", "status"], 2, "--jsno"),
    "no path": (["explain"], 2, '"explain" needs a path'),
    "two": (["status", "/a", "/b"], 2, 'unexpected argument "/b"'),
    "missing": (["status", "/no/such"], 1, '"/no/such": No such file'),
    "elsewhere": (["explain", "/proc"], 1, '"/proc" is in no mount of memcgfs'),
}


@pytest.mark.parametrize("what", BAD_CALLS)
def test_bad_calls(what):
    arguments, code, said = BAD_CALLS[what]
    program = act.command([CTL, *arguments], check=False)
    assert program.returncode == code and not program.stdout
    [line] = program.stderr.splitlines()
    assert said in line


def test_help_and_version():
    for option in ("-h", "--help"):
        done = ctl(option)
        for word in ("status", "explain", "reload", "--json"):
            assert word in done.stdout
    assert ctl("--version").stdout.split()[0] == "memcgfsctl"
    done = act.command([settings.BINARY, "--version"])
    assert done.stdout.split()[1].rstrip(",") == ctl("-V").stdout.split()[1]


def test_output_that_cannot_be_written(mount):
    with open("/dev/full", "w") as full:
        done = act.subprocess.run([CTL, "status", mount.path], stdout=full,
                                  stderr=act.subprocess.PIPE, text=True)
    assert done.returncode == 1 and "No space left" in done.stderr
