# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules that change while the mount is used: new opens follow within a second,
what is resident follows by itself, and no byte is lost on the way."""

import mmap
import os
import random
import shutil
import time

import pytest

from lib import act, actions, content, settings
from lib.control import ctl_json
from lib.rules import (PAGES, is_owned, log_says, owned, put, read,
                       write_rules)
from lib.settings import KIB, MIB
from lib.wait import eventually


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


def test_files_that_were_closed_just_now(place):
    """They are looked at for what leaked while they were open. When that is
    before the move all is dropped, and has to come back as well."""
    names = [f"f{n}" for n in range(30)]
    put(place, *names)
    write_rules(place.source, "* io=auto")
    place.cover()
    for cgroup in [place.other, place.reader, place.other]:
        read(place, *names)
        write_rules(place.source, f"* memcg={cgroup.path}")
        assert eventually(lambda: is_owned(place, cgroup, *names), 5)


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


def test_a_file_that_was_only_written(place):
    """Nobody has looked at its pages yet when its rule changes."""
    write_rules(place.source, "* io=auto")
    place.cover()
    place.run(content.write, place.mount / "a", MIB)
    assert is_owned(place, place.target, "a")
    time.sleep(0.5)
    write_rules(place.source, f"* memcg={place.other.path}")
    assert eventually(lambda: is_owned(place, place.other, "a"), 10)


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


# How soon: each way to change what holds, beside the mount


def edit(place):
    write_rules(place.source / "dir", f"* memcg={place.other.path}")


def edit_in_place(place):
    """The same inode, and as many bytes."""
    path = place.source / "dir/.memcgfs"
    with open(path, "r+b") as file:
        file.write(b"*" + b" " * (path.stat().st_size - len(
            f"* memcg={place.other.path}\n")) + b" memcg="
            + place.other.path.encode() + b"\n")
        file.truncate()


def replace(place):
    """As editors do it."""
    path = write_rules(place.source / "beside", f"* memcg={place.other.path}")
    path.rename(place.source / "dir/.memcgfs")


def create_above(place):
    """The first file of a directory that had none; the nearer one goes."""
    write_rules(place.source, f"* memcg={place.other.path}")
    (place.source / "dir/.memcgfs").unlink()


def rename_directory(place):
    """Another directory takes the place, with its rules."""
    write_rules(place.source / "spare", f"* memcg={place.other.path}")
    for path in (place.source / "dir").glob("f*"):
        path.rename(place.source / "spare" / path.name)
    shutil.rmtree(place.source / "dir")
    (place.source / "spare").rename(place.source / "dir")
    time.sleep(0.3)  # the client's kernel knows the old one a little longer


WAYS = [edit, edit_in_place, replace, create_above, rename_directory]
FILES = 60


@pytest.mark.figures
@pytest.mark.parametrize("change", WAYS, ids=lambda way: way.__name__)
def test_new_opens_follow_within_a_second(place, figure, change):
    """Files that nobody has read yet are read, one after another: those that
    were opened a second after the change, or later, are all the other's."""
    names = [f"dir/f{n}" for n in range(FILES)]
    put(place, *names)
    for name in ["beside", "spare"]:
        (place.source / name).mkdir()
    write_rules(place.source / "dir", "* " + " " * 80 + "io=auto")
    place.cover("entry_timeout=0.2")
    read(place, names[0])
    owned(place, place.target, names[0])
    change(place)
    begin, ages, owners = time.monotonic(), [], []
    for name in names[1:]:
        ages.append(time.monotonic() - begin)
        place.run(actions.read_whole, place.mount / name)
        report = place.judge.look(place.source / name)
        assert report.of(place.target) + report.of(place.other) == PAGES
        owners.append(place.other if report.of(place.other) == PAGES
                      else place.target)
        if ages[-1] > settings.seconds(1.2):
            break
        time.sleep(0.02)
    assert owners[-1] is place.other
    late = [age for age, owner in zip(ages, owners) if owner is place.target]
    figure(f"the last open by the old rule {1000 * max(late, default=0):.0f} "
           "ms after the change")
    assert not late or late[-1] < settings.seconds(1)


def test_replaced_again_and_again(place):
    """Nobody opens anything: each new file at the old name is seen."""
    put(place, "a")
    write_rules(place.source, "* io=auto")
    (place.source / "beside").mkdir()
    place.cover()
    read(place, "a")
    owned(place, place.target, "a")
    for n in range(4):
        cgroup = [place.other, place.target][n % 2]
        write_rules(place.source / "beside", f"* memcg={cgroup.path}").rename(
            place.source / ".memcgfs")
        assert eventually(lambda: is_owned(place, cgroup, "a")), n


def map_until(path, ready, go):
    """Holds all of it mapped, and looks at it again at the end."""
    fd = os.open(path, os.O_RDONLY)
    with mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ) as m:
        before = bytes(m)
        os.write(ready, b"x")
        os.read(go, 1)
        same = bytes(m) == before
    os.close(fd)
    return same


def test_what_is_mapped_moves_when_it_can(place):
    """Mapped pages stay whose they were, and the reader sees no change; when
    he has gone they are dropped, or the new host's, and at the next use all
    are."""
    put(place, "a")
    write_rules(place.source, "* io=auto")
    place.cover()
    (ready_out, ready), (go, go_in) = os.pipe(), os.pipe()
    child = place.start(map_until, place.mount / "a", ready, go)
    os.read(ready_out, 1)
    owned(place, place.target, "a")
    write_rules(place.source, f"* memcg={place.other.path}")
    time.sleep(settings.seconds(1))
    assert place.judge.look(place.source / "a").of(place.target) == PAGES
    os.write(go_in, b"x")
    assert child.result()
    assert eventually(lambda: not place.judge.look(
        place.source / "a").of(place.target), 10)
    read(place, "a")
    owned(place, place.other, "a")
    for fd in [ready_out, ready, go, go_in]:
        os.close(fd)


def test_many_changes_of_what_is_mapped(place):
    """However often its rule changed: a file that can't be moved yet is tried
    as one, now and then."""
    def moves():
        return ctl_json("status", place.mountpoint)[0]["counters"]["moves"]

    put(place, "a")
    write_rules(place.source, "* io=auto")
    place.cover()
    (ready_out, ready), (go, go_in) = os.pipe(), os.pipe()
    child = place.start(map_until, place.mount / "a", ready, go)
    os.read(ready_out, 1)
    for n in range(12):
        before = moves()
        cgroup = [place.other, place.reader][n % 2]
        write_rules(place.source, f"* memcg={cgroup.path}")
        assert eventually(lambda: moves() > before), n
    before = moves()
    time.sleep(4)
    assert 1 <= moves() - before <= 5
    os.write(go_in, b"x")
    assert child.result()
    for fd in [ready_out, ready, go, go_in]:
        os.close(fd)


def write_and_check(path, seed, duration):
    """Writes blocks at random and reads others, through one open file, others
    opened anew, and a mapping; keeps what should be there."""
    choose = random.Random(seed)
    wanted = bytearray(content.data(MIB, seed))
    end, done = time.monotonic() + duration, 0
    fd = os.open(path, os.O_RDWR)
    while time.monotonic() < end:
        at = choose.randrange(MIB // KIB) * KIB
        block = choose.randbytes(KIB)
        os.pwrite(fd, block, at)
        wanted[at:at + KIB] = block
        at = choose.randrange(MIB - 8 * KIB)
        assert os.pread(fd, 8 * KIB, at) == wanted[at:at + 8 * KIB], at
        if done % 50 == 0:
            with open(path, "rb") as file, mmap.mmap(
                    file.fileno(), 0, prot=mmap.PROT_READ) as m:
                assert m[:] == wanted, "mapped"
        if done % 70 == 0:
            os.fsync(fd)
        done += 1
    os.close(fd)
    assert path.read_bytes() == wanted
    return bytes(wanted), done


@pytest.mark.long_form
@pytest.mark.figures
@pytest.mark.parametrize("mode", ["io=auto", "io=strict"])
def test_no_byte_is_lost_while_rules_flip(place, figure, mode):
    """Four writers, of the reader's cgroup and of both targets, while their
    files go to and fro."""
    duration = 20 if settings.LONG else 2
    names = [f"w{n}" for n in range(4)]
    for n, name in enumerate(names):
        place.put(place.source, name, MIB, seed=n)
    write_rules(place.source, "* io=auto")
    place.cover(mode)
    cgroups = [place.reader, place.target, place.other, place.reader]
    children = [place.start(write_and_check, place.mount / name, n, duration,
                            cgroup=cgroups[n])
                for n, name in enumerate(names)]
    end, flips = time.monotonic() + duration - 0.5, 0
    while time.monotonic() < end:
        cgroup = [place.other, place.target][flips % 2]
        write_rules(place.source, f"* memcg={cgroup.path}")
        flips += 1
        time.sleep(0.15)
    write_rules(place.source, f"* memcg={place.other.path}")
    writes = 0
    for name, child in zip(names, children):
        wanted, done = child.result(duration + 60)
        assert (place.source / name).read_bytes() == wanted, name
        writes += done
    figure(f"{writes} blocks written and read, {flips} changes of rules")
    for name in names:
        assert eventually(lambda: place.judge.look(
            place.source / name).foreign_to(place.other) == 0, 20), name


# Places


def test_a_directory_takes_its_rules_along(place):
    put(place, "x/dir/a", "x/dir/b", "y/c")
    write_rules(place.source / "x", f"* memcg={place.other.path}")
    write_rules(place.source / "x/dir", "a memcg=@mount")
    write_rules(place.source / "y", f"* memcg={place.daemon.path}")
    place.cover()
    read(place, "x/dir/a", "x/dir/b")
    owned(place, place.target, "x/dir/a")
    owned(place, place.other, "x/dir/b")
    (place.mount / "x/dir").rename(place.mount / "y/dir")
    read(place, "y/dir/a", "y/dir/b")
    owned(place, place.target, "y/dir/a")
    owned(place, place.daemon, "y/dir/b")


def test_a_rename_beside_the_mount(place):
    put(place, "dir/a", "dir/sub/b")
    (place.source / "libs").mkdir()
    write_rules(place.source, f"/libs/** memcg={place.other.path}")
    place.cover("entry_timeout=0")
    read(place, "dir/a", "dir/sub/b")
    owned(place, place.target, "dir/a", "dir/sub/b")
    (place.source / "dir").rename(place.source / "libs/dir")
    time.sleep(0.5)
    read(place, "libs/dir/a", "libs/dir/sub/b")
    owned(place, place.other, "libs/dir/a", "libs/dir/sub/b")


def test_two_names_under_two_rules(place):
    """The one used last decides, from its open on."""
    put(place, "a")
    (place.source / "libs").mkdir()
    os.link(place.source / "a", place.source / "libs/a")
    write_rules(place.source, f"/libs/* memcg={place.other.path}")
    place.cover("entry_timeout=0")
    for name, cgroup in [("a", place.target), ("libs/a", place.other)] * 3:
        act.run(actions.read_whole, place.mount / name, cgroup=place.reader)
        owned(place, cgroup, "a")
