# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules: which cgroup pays is said per directory and file, may be changed
while mounted, and is believed only of who could have put himself there."""

import errno
import os
import shutil

import pytest

from lib import act, actions, content, settings
from lib.judge import evict
from lib.settings import KIB, MIB
from lib.wait import eventually

SIZE = 256 * KIB
PAGES = SIZE // 4096


def write_rules(directory, *lines, mode=0o644):
    path = directory / ".memcgfs"
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(mode)
    return path


def put(place, *names):
    """Files of the source, in directories that are made for them."""
    for name in names:
        (place.source / name).parent.mkdir(parents=True, exist_ok=True)
        place.put(place.source, name, SIZE, seed=len(name))


def read(place, *names):
    for name in names:
        place.run(actions.read_whole, place.mount / name)


def owned(place, cgroup, *names):
    place.judge.owned_by(cgroup, *(place.source / name for name in names),
                         at_least=PAGES * len(names))


def is_owned(place, cgroup, name):
    report = place.judge.look(place.source / name)
    return report.foreign_to(cgroup) == 0 and report.resident > PAGES // 2


def log_says(place, *words):
    return eventually(lambda: all(w in place.log.read_text() for w in words))


# What holds where


@pytest.mark.parametrize("mode", ["io=auto", "io=strict"])
def test_rules_of_a_directory(place, mode):
    write_rules(place.source, "# whose is what",
                f"*.so*    memcg={place.other.path}",
                "tmp/     memcg=@opener")
    names = ["lib.so.1", "sub/deep/lib.so", "plain", "sub/plain", "tmp/x",
             "sub/tmp/y/z"]
    put(place, *names)
    place.cover(mode)
    read(place, *names)
    owned(place, place.other, "lib.so.1", "sub/deep/lib.so")
    owned(place, place.target, "plain", "sub/plain")
    owned(place, place.reader, "tmp/x", "sub/tmp/y/z")


def test_what_is_written_has_rules_too(place):
    write_rules(place.source, f"*.log memcg={place.other.path}")
    place.cover()
    for name in ["new.log", "new"]:
        place.run(actions.write_new, place.mount / name)
    pages = place.judge.pages(actions.SIZE)
    place.judge.owned_by(place.other, place.source / "new.log", at_least=pages)
    place.judge.owned_by(place.target, place.source / "new", at_least=pages)


def test_the_nearer_file_wins_attribute_by_attribute(place):
    put(place, "a", "sub/b", "sub/sub/c")
    write_rules(place.source, f"* memcg={place.other.path} io=strict")
    write_rules(place.source / "sub", "* memcg=@mount")
    write_rules(place.source / "sub/sub", f"c memcg={place.other.path}")
    place.cover()
    read(place, "a", "sub/b", "sub/sub/c")
    owned(place, place.other, "a", "sub/sub/c")
    owned(place, place.target, "sub/b")


def test_rules_of_the_mount(place):
    """Patterns of rules=FILE are relative to the mount, and yield to files
    in directories."""
    rules = place.root / "rules"
    rules.write_text(f"/weights/** memcg={place.other.path}\n")
    put(place, "weights/a", "weights/b/c", "sub/weights/d", "weights/e/f")
    write_rules(place.source / "weights/e", "* memcg=@mount")
    place.cover(f"rules={rules}")
    read(place, "weights/a", "weights/b/c", "sub/weights/d", "weights/e/f")
    owned(place, place.other, "weights/a", "weights/b/c")
    owned(place, place.target, "sub/weights/d", "weights/e/f")


def test_norulefiles(place):
    put(place, "a")
    write_rules(place.source, f"* memcg={place.other.path}")
    place.cover("norulefiles")
    read(place, "a")
    owned(place, place.target, "a")


def test_a_mount_that_enforces_by_rules_alone(place):
    """memcg=@opener for all, but for what a rule says."""
    put(place, "a", "b")
    write_rules(place.source, f"a memcg={place.other.path}")
    target = place.target
    target.path = "@opener"
    place.cover(target=target)
    read(place, "a", "b")
    owned(place, place.other, "a")
    owned(place, place.reader, "b")


def test_reading_rules_leaves_no_pages(place):
    """A rule file is a covered file as any other."""
    put(place, "a")
    rules = write_rules(place.source, *["# comment"] * 1000,
                        f"* memcg={place.other.path}")
    evict(rules)
    place.cover()
    read(place, "a")
    owned(place, place.other, "a")
    place.judge.none_resident(rules)
    rules.read_text()
    assert place.judge.look(rules).resident > 0


def copy_range(source, target):
    with open(source, "rb") as a, open(target, "wb") as b:
        left = os.fstat(a.fileno()).st_size
        while left:
            left -= os.copy_file_range(a.fileno(), b.fileno(), left)


def test_copying_between_two_hosts(place):
    """Each host pays for its side: 24 MiB, in more than one piece."""
    write_rules(place.source, f"*.out memcg={place.other.path}")
    place.put(place.source, "in", 24 * MIB + 100, seed=3)
    place.cover("io=strict", "ahead=1M")
    place.run(copy_range, place.mount / "in", place.mount / "x.out")
    assert (place.source / "x.out").read_bytes() == content.data(
        24 * MIB + 100, 3)
    place.judge.owned_by(place.other, place.source / "x.out", at_least=6144)
    place.judge.owned_by(place.target, place.source / "in", at_least=1)


# Who is believed


BAD_LINES = {
    "unknown attribute": ("* memgc=/x", ":1:3: unknown attribute \"memgc\""),
    "unknown word": ("\n* io=fast", ":2:6: \"io=fast\": allowed are auto"),
    "bad size": ("* ahead=1Q", ":1:9: \"ahead=1Q\": a size is needed"),
    "no cgroup": ("* memcg=/web.slcie", ": 1: unknown cgroup \"/web.slcie\""),
    "later": ("*.iso scan", ":1:7: \"scan\" is not built yet"),
    "shared": ("* memcg=@shared", ":1:9: \"memcg=@shared\" is not built yet"),
    "macro": ("[attr]lib pin", ":1:1: macros"),
    "quoted macro": ("\"[attr]lib\" pin", ":1:1: macros"),
    "bracket": ("[a pin", ":1:1: pattern \"[a\": \"[\" without \"]\""),
}


@pytest.mark.parametrize("bad", BAD_LINES)
def test_a_bad_line_refuses_the_file(place, bad):
    """The whole file: the good line before it doesn't hold, either. The
    rules from above do."""
    text, said = BAD_LINES[bad]
    put(place, "sub/a", "sub/lib.so")
    write_rules(place.source, f"*.so memcg={place.other.path}")
    path = place.source / "sub/.memcgfs"
    path.write_text(f"{text}\n* memcg={place.other.path}\n")
    path.chmod(0o644)
    place.cover()
    read(place, "sub/a", "sub/lib.so")
    owned(place, place.target, "sub/a")
    owned(place, place.other, "sub/lib.so")
    assert log_says(place, "rules refused: sub/.memcgfs", said)


def refused_files(place):
    """What is no rule file, though it has the name and good content."""
    good = f"* memcg={place.other.path}\n"

    def plain(path, mode=0o644, text=good):
        path.write_text(text)
        path.chmod(mode)

    def link(path):
        plain(path.with_name("elsewhere"))
        path.symlink_to("elsewhere")

    return {
        "group": (lambda p: plain(p, 0o664), "mode 664"),
        "world": (lambda p: plain(p, 0o646), "mode 646"),
        "link": (link, "not a regular file"),
        "loop": (lambda p: p.symlink_to(".memcgfs"), "not a regular file"),
        "fifo": (lambda p: os.mkfifo(p, 0o644), "not a regular file"),
        "directory": (lambda p: p.mkdir(), "not a regular file"),
        "large": (lambda p: plain(p, text=good + "#" * 65536), "65536"),
        "binary": (lambda p: plain(p, text=good + "\0"), "a NUL byte"),
        "latin1": (lambda p: (p.write_bytes(good.encode() + b"# \xe9\n"),
                              p.chmod(0o644)), ":2:3: byte 0xe9: no UTF-8"),
    }


@pytest.mark.parametrize("how", ["group", "world", "link", "loop", "fifo",
                                 "directory", "large", "binary", "latin1"])
def test_a_bad_file_is_refused(place, how):
    make, said = refused_files(place)[how]
    put(place, "a", "good/b")
    make(place.source / ".memcgfs")
    write_rules(place.source / "good", f"* memcg={place.other.path}")
    place.cover()
    read(place, "a", "good/b")
    owned(place, place.target, "a")
    owned(place, place.other, "good/b")
    assert log_says(place, "rules refused: .memcgfs", said)


def test_an_owner_without_the_right(place):
    """Whoever could not enter a cgroup can't charge it; who could, can."""
    put(place, "his/a", "mine/b")
    for name in ["his", "mine"]:
        path = write_rules(place.source / name, f"* memcg={place.other.path}")
        os.chown(path, act.OWNER.uid, act.OWNER.gid)
    procs = place.other.dir / "cgroup.procs"
    place.cover()
    read(place, "his/a")
    owned(place, place.target, "his/a")
    assert log_says(place, "rules refused: his/.memcgfs: 1:", "uid 12001",
                    place.other.path)
    os.chown(procs, act.OWNER.uid, -1)
    read(place, "mine/b")
    owned(place, place.other, "mine/b")


def mount_fails(place, *options):
    done = act.command([settings.BINARY, "-o",
                        ",".join([f"memcg={place.target.path}", *options]),
                        place.source, place.mountpoint], check=False, limit=20)
    assert done.returncode != 0
    return done.stderr.strip().splitlines()


@pytest.mark.parametrize("text, said", [
    ("* memcg=/web.slcie\n", "unknown cgroup \"/web.slcie\""),
    ("* pin\n* foo\n", ":2:3: unknown attribute \"foo\""),
    (None, "No such file"),
])
def test_bad_rules_of_the_mount(place, text, said):
    rules = place.root / "rules"
    if text is not None:
        rules.write_text(text)
    lines = mount_fails(place, f"rules={rules}")
    assert len(lines) == 1 and str(rules) in lines[0] and said in lines[0]


# Change


def test_a_change_beside_the_mount(place):
    """New opens within a second; what is resident moves by itself."""
    put(place, "a", "sub/b")
    rules = write_rules(place.source, "* io=auto")
    place.cover()
    read(place, "a", "sub/b")
    owned(place, place.target, "a", "sub/b")
    write_rules(place.source, f"* memcg={place.other.path}")
    assert eventually(lambda: is_owned(place, place.other, "a"), 5)
    assert eventually(lambda: is_owned(place, place.other, "sub/b"), 5)
    rules.unlink()
    assert eventually(lambda: is_owned(place, place.target, "a"), 5)


def test_a_change_holds_for_new_opens_within_a_second(place):
    put(place, "a", "b", "c", "sub/d")
    place.cover()
    read(place, "a", "sub/d")
    write_rules(place.source, f"* memcg={place.other.path}")
    assert eventually(lambda: (read(place, "b"),
                               is_owned(place, place.other, "b"))[1], 1)
    read(place, "a", "c", "sub/d")
    owned(place, place.other, "a", "c", "sub/d")


@pytest.mark.parametrize("how", ["write", "replace", "remove", "append"])
def test_a_change_through_the_mount(place, how):
    put(place, "a", "b")
    write_rules(place.source, f"a memcg={place.other.path}")
    if how == "remove":
        write_rules(place.source, f"a memcg={place.other.path}",
                    f"b memcg={place.other.path}")
    place.cover()
    read(place, "a")
    owned(place, place.other, "a")
    rules = place.mount / ".memcgfs"
    text = f"b memcg={place.other.path}\n"
    if how == "write":
        rules.write_text(text)
    elif how == "append":
        with open(rules, "a") as f:
            f.write(text)
    elif how == "replace":
        (place.mount / "new").write_text(text)
        (place.mount / "new").rename(rules)
    else:
        rules.unlink()
    read(place, "b")
    owned(place, place.target if how == "remove" else place.other, "b")
    expected = place.other if how == "append" else place.target
    assert eventually(lambda: is_owned(place, expected, "a"), 5)


def test_a_refused_change_is_no_change_of_the_rest(place):
    """A file that was good and is bad now leaves its directory to the rules
    from above; put right, it holds again."""
    put(place, "a", "b")
    write_rules(place.source, f"* memcg={place.other.path}")
    place.cover()
    read(place, "a")
    owned(place, place.other, "a")
    write_rules(place.source, f"* memcg={place.other.path} foo")
    assert log_says(place, "rules refused: .memcgfs:1:", "foo")
    read(place, "b")
    owned(place, place.target, "b")
    write_rules(place.source, f"* memcg={place.other.path}")
    assert eventually(lambda: is_owned(place, place.other, "b"), 5)


def read_slowly(path, go, size):
    """Reads it in pieces while the test changes rules: every byte counts."""
    with open(path, "rb", buffering=0) as f:
        data = f.read(size // 4)
        os.read(go, 1)
        while part := f.read(64 * KIB):
            data += part
    return data == content.data(size, 5)


@pytest.mark.parametrize("mode", ["io=auto", "io=strict"])
def test_an_open_file_while_its_rule_changes(place, mode):
    size = 8 * MIB
    place.put(place.source, "a", size, seed=5)
    write_rules(place.source, "* on_error=deny")
    place.cover(mode)
    go, gone = os.pipe()
    child = place.start(read_slowly, place.mount / "a", go, size)
    write_rules(place.source, f"* memcg={place.other.path}")
    os.write(gone, b"x")
    assert child.result()
    os.close(go)
    os.close(gone)
    assert eventually(lambda: is_owned(place, place.other, "a"), 5)


def write_steadily(path, go, size):
    with open(path, "wb", buffering=0) as f:
        data = content.data(size, 6)
        for at in range(0, size, 64 * KIB):
            f.write(data[at:at + 64 * KIB])
            if at == size // 2:
                os.read(go, 1)


def test_dirty_data_while_the_rule_changes(place):
    size = 8 * MIB
    write_rules(place.source, "* io=auto")
    place.cover()
    go, gone = os.pipe()
    child = place.start(write_steadily, place.mount / "a", go, size)
    assert eventually(lambda: (place.source / "a").exists()
                      and (place.source / "a").stat().st_size > size // 4)
    write_rules(place.source, f"* memcg={place.other.path}")
    os.write(gone, b"x")
    child.result()
    os.close(go)
    os.close(gone)
    assert (place.source / "a").read_bytes() == content.data(size, 6)
    assert eventually(lambda: is_owned(place, place.other, "a"), 10)


def test_renaming_into_the_reach_of_a_rule(place):
    """The next open of its new name has its new rule; of a directory, all
    that is in it."""
    put(place, "a", "dir/b", "dir/sub/c")
    (place.source / "libs").mkdir()
    write_rules(place.source, f"/libs/** memcg={place.other.path}")
    place.cover()
    read(place, "a", "dir/b", "dir/sub/c")
    owned(place, place.target, "a", "dir/b", "dir/sub/c")
    (place.mount / "a").rename(place.mount / "libs/a")
    (place.mount / "dir").rename(place.mount / "libs/dir")
    names = ["libs/a", "libs/dir/b", "libs/dir/sub/c"]
    read(place, *names)
    owned(place, place.other, *names)
    (place.mount / "libs/dir").rename(place.mount / "back")
    read(place, "back/b", "back/sub/c")
    owned(place, place.target, "back/b", "back/sub/c")


def test_linking_into_the_reach_of_a_rule(place):
    put(place, "a")
    (place.source / "libs").mkdir()
    write_rules(place.source, f"/libs/* memcg={place.other.path}")
    place.cover()
    read(place, "a")
    owned(place, place.target, "a")
    os.link(place.mount / "a", place.mount / "libs/a")
    read(place, "libs/a")
    owned(place, place.other, "libs/a")


# Idle chargers


def test_an_idle_charger_leaves(place):
    """So that its cgroup can be removed, and one of the same name made: the
    next need finds it."""
    put(place, "a", "b", "c")
    write_rules(place.source, f"a memcg={place.other.path}",
                f"c memcg={place.other.path}")
    place.cover("charger_idle=1")
    assert not place.other.chargers()
    read(place, "a")
    owned(place, place.other, "a")
    assert place.other.chargers()
    assert eventually(lambda: not place.other.chargers(), 5)
    assert eventually(lambda: not place.target.chargers(), 5)
    place.other.dir.rmdir()
    read(place, "b")
    owned(place, place.target, "b")
    with pytest.raises(OSError) as error:
        os.close(os.open(place.mount / "c", os.O_RDONLY))
    assert error.value.errno == errno.EHOSTDOWN
    place.other.create()
    assert eventually(lambda: can_open(place.mount / "c"), 5)
    read(place, "c", "a")
    owned(place, place.other, "c", "a")


def can_open(path):
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        return False
    return True


def test_removing_all_that_rules_named(place):
    """rm -rf of a tree with rules, while it is being read."""
    for i in range(20):
        put(place, f"d{i}/a")
        write_rules(place.source / f"d{i}", f"* memcg={place.other.path}")
    place.cover()
    read(place, *(f"d{i}/a" for i in range(20)))
    shutil.rmtree(place.mount / "d3")
    for i in range(20):
        shutil.rmtree(place.mount / f"d{i}", ignore_errors=True)
    assert os.listdir(place.source) == []
