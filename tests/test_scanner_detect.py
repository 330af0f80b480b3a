# SPDX-License-Identifier: GPL-2.0-or-later
"""Who is seen to be a scanner: real programs, each in a job of its own, and
what the mount says of their processes. The table is printed at the end."""

import http.client
import os
import random
import shutil
import signal
import socket
import textwrap
from contextlib import contextmanager
from pathlib import Path

import pytest

from lib import act, schema, settings
from lib.control import ctl, ctl_fails, ctl_json
from lib.place import Place
from lib.settings import KIB, MIB
from lib.verdicts import files_of, verdicts, watch
from lib.wait import eventually

pytestmark = [pytest.mark.needs_daemon, pytest.mark.time_limit(300)]

# It takes as many files, or bytes, for a scanner to be seen.
FILES_MAX, BYTES_MAX = 64, 32 * MIB
TREE_DIRS, TREE_FILES = 12, 20

UNPACKED = settings.BUILD / "scanners/usr"  # see scripts/deps.sh
TOOLS = f"{UNPACKED}/bin:{UNPACKED}/sbin:/usr/sbin:/sbin:{os.environ['PATH']}"
ENV = {"PATH": TOOLS, "LC_ALL": "C", "HOME": "/nonexistent",
       "PYTHONDONTWRITEBYTECODE": "1", "RESTIC_PASSWORD": "none",
       "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
       "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}


def text(seed, size):
    """Lines that look like a program's, none of them twice."""
    choose = random.Random(seed)
    lines = []
    while sum(map(len, lines)) < size:
        lines.append(f"static int v{choose.randrange(10**9)} = {seed};\n")
    return "".join(lines)


def grow_tree(root):
    """Directories within each other, whose files were made in no order."""
    choose = random.Random(1)
    places = ["", "a", "a/deep", "a/deep/down", "b", "c", "c/x", "c/y", "d",
              "e", "e/f", "e/f/g"][:TREE_DIRS]
    names = [f"{place}/{choose.choice('abcxyz')}{n}.c"
             for place in places for n in range(TREE_FILES)]
    choose.shuffle(names)
    for n, name in enumerate(names):
        path = root / "tree" / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(n, choose.randrange(1, 12) * KIB))


@contextmanager
def one_mount(kind, new_scratch, cgroups, judge):
    """For all programs."""
    place = Place(new_scratch("detect"), cgroups, judge)
    if kind == "memory":
        act.command(["mount", "-t", "tmpfs", "-o", "size=512m", "none",
                     place.source])
    try:
        grow_tree(place.source)
        place.cover()
        yield Here(place, kind)
    finally:
        try:
            if place.mount is not None:
                place.mount.stop()
        finally:  # a program may have outlived an interrupt
            if kind == "memory":
                act.command(["umount", "-l", place.source])
            place.leave()


@pytest.fixture(scope="module")
def disk(new_scratch, cgroups, judge):
    with one_mount("disk", new_scratch, cgroups, judge) as made:
        yield made


@pytest.fixture(scope="module")
def memory(new_scratch, cgroups, judge):
    """A tmpfs, which lists directories otherwise."""
    with one_mount("memory", new_scratch, cgroups, judge) as made:
        yield made


@pytest.fixture
def here(request):
    return request.getfixturevalue(getattr(request, "param", "disk"))


class Here:
    def __init__(self, place, kind):
        self.place, self.kind = place, kind
        self.source, self.mnt = place.source, place.mountpoint
        self.out = place.beside

    def watch(self):
        """The verdicts that are told until all who are started have ended."""
        return watch(self.mnt, lambda: not self.place.reader.pids())

    def watch_briefly(self):
        return watch(self.mnt)

    def run(self, script, cwd="tree", check=True, **more):
        """A shell's job, in a session of its own."""
        return act.command(["setsid", "-w", "sh", "-c", script, "sh", self.out],
                           cgroup=self.place.reader, cwd=self.mnt / cwd,
                           env=ENV | more, check=check, limit=120)


def row(figure, here, name, told, wanted):
    first = verdicts(told)[0] if verdicts(told) else None
    what = (f"caught at {files_of(first)} files, {first.get('bytes', 0) // KIB} KiB: "
            f"{first['reason'].split(': ', 1)[1]}" if first else "not caught")
    figure(f"{here.kind:6} {name:24} {'scanner' if wanted else 'other':8} {what}")


# -- scanners

SCANNERS = {
    "grep -r": "grep -r needle . ; true",
    "rg": "rg -uu needle . ; true",
    "tar": "tar cf - . | cat >/dev/null",
    "rsync": "rsync -a . $1/rsync",
    "cp -a": "cp -a . $1/cp",
    "find | xargs md5sum": "find . -type f -print0 | xargs -0 md5sum >/dev/null",
    "find -exec md5sum +": "find . -type f -exec md5sum {} + >/dev/null",
    "clamscan": "clamscan -r --no-summary -d $1/tiny.hdb . >/dev/null",
    "borg": "borg init -e none $1/borg && borg create $1/borg::a .",
    "restic": "restic -q init -r $1/restic && restic -q backup -r $1/restic .",
    "updatedb-like": "ionice -c3 find . -printf '%p %s\\n' >/dev/null",
}


# Nowhere but in one directory.
FLAT_FILES = 60
FLAT_SCANNERS = {
    "grep -r, flat": "grep -r needle . ; true",
    "md5sum *, flat": "md5sum * >/dev/null",
    "find | xargs, flat": "find . -type f | xargs md5sum >/dev/null",
    "tar, flat": "tar cf - . | cat >/dev/null",
}


def grow_flat(root, count, size):
    root.mkdir(exist_ok=True)
    for n in range(count):
        (root / f"part-{n:03}").write_bytes(bytes(size))


def prepare_scanner(here, name):
    if name == "clamscan":
        (here.out / "tiny.hdb").write_text(
            "44d88612fea8a8f36de82e1278abb02f:68:Test\n")
    return {"HOME": str(here.out), "BORG_BASE_DIR": str(here.out)}


def on(kind, names, marks=()):
    return [pytest.param(kind, name, id=f"{kind}-{name}", marks=marks)
            for name in names]


def on_memory(names, *sanitized):
    """What a tmpfs lists in another order is judged by pure code, with tests of
    its own under sanitizers: a few programs do there."""
    return on("memory", sanitized) + on("memory", [
        name for name in names if name not in sanitized],
        pytest.mark.not_sanitized)


@pytest.mark.parametrize("here, name",
                         on("disk", SCANNERS) + on_memory(
                             SCANNERS, "grep -r", "rsync"),
                         indirect=["here"])
def test_scanner(here, figure, name):
    more = prepare_scanner(here, name)
    with here.watch() as told:
        here.run(SCANNERS[name], **more)
    row(figure, here, name, told, True)
    seen = verdicts(told)
    assert seen, told
    assert files_of(seen[0]) <= FILES_MAX or seen[0].get("bytes", 0) <= BYTES_MAX


@pytest.mark.parametrize("here, name",
                         on("disk", FLAT_SCANNERS) + on("memory", FLAT_SCANNERS),
                         indirect=["here"])
def test_flat_scanner(here, figure, name):
    grow_flat(here.source / "flat", FLAT_FILES, 4 * KIB)
    with here.watch() as told:
        here.run(FLAT_SCANNERS[name], cwd="flat")
    row(figure, here, name, told, True)
    assert verdicts(told), told
    assert files_of(verdicts(told)[0]) <= FILES_MAX


# -- others

MODULES = 120
OBJECTS = 150
SERVED = 10000 if settings.LONG else settings.scaled(1000)
SOURCES = Path(__file__).resolve().parent.parent / "src"


def prepare_build(root):
    """A small real program: the modules of this one that are pure."""
    for path in SOURCES.glob("*.[ch]"):
        shutil.copy(path, root)
    names = ["util", "hash", "pattern", "policy", "rules", "scanlist", "scanner",
             "listings", "rulenode", "allowance", "shadow_map", "contributors"]
    (root / "Makefile").write_text(textwrap.dedent(f"""\
        OBJS = {" ".join(f"{name}.o" for name in names)}
        CFLAGS = -D_GNU_SOURCE -O0
        lib.a: $(OBJS)
        \tar rcs $@ $^
        """))


def prepare_imports(root):
    """A package whose modules are all imported, in the order of names."""
    package = root / "package"
    package.mkdir()
    for n in range(MODULES):
        (package / f"m{n:03}.py").write_text(f"value = {n}\n" * 50)
    (package / "__init__.py").write_text("".join(
        f"from . import m{n:03}\n" for n in range(MODULES)))
    library = Path(os.__file__).parent
    (root / "lib").mkdir()
    for name in ["asyncio", "concurrent", "email", "html", "http", "json",
                 "logging", "multiprocessing", "unittest", "urllib", "xml"]:
        shutil.copytree(library / name, root / "lib" / name,
                        ignore=shutil.ignore_patterns("__pycache__"))
    for path in library.glob("*.py"):
        shutil.copy(path, root / "lib")


IMPORTS = ("asyncio, email.mime.text, http.server, http.cookiejar, json.tool, "
           "logging.config, multiprocessing.pool, unittest.mock, urllib.request, "
           "xml.dom.minidom, xml.etree.ElementTree, concurrent.futures, argparse, "
           "csv, difflib, doctest, ftplib, pdb, pickletools, smtplib, tarfile, "
           "zipfile, pydoc")


def prepare_git(root):
    """The tree under git, by whom it is read anew: its times are others."""
    shutil.copytree(root.parent / "tree", root, dirs_exist_ok=True)
    def git(*words):
        act.command(["git", "-c", "user.name=t", "-c", "user.email=t@t",
                     *words], cwd=root, env=os.environ | ENV)
    git("init", "-q")
    for n in range(3):
        for path in sorted(root.rglob("*.c"))[n::3]:
            path.write_text(path.read_text() + "more\n")
        git("add", ".")
        git("commit", "-qm", f"step {n}")
    for path in root.rglob("*.c"):
        os.utime(path)


def prepare_objects(root):
    (root / "one.c").write_text(text(3, 8 * KIB))
    act.command(["gcc", "-c", "one.c", "-o", "first"], cwd=root)
    (root / "one.c").unlink()
    for n in range(OBJECTS):
        shutil.copy(root / "first", root / f"o{n:03}.o")
    (root / "first").unlink()


def prepare_scripts(root):
    (root / "bin").mkdir()
    for n in range(80):
        path = root / f"bin/step{n:02}"
        path.write_text("#!/bin/sh\n:\n")
        path.chmod(0o755)
    (root / "all").write_text("for f in bin/*; do ./$f; done\n")


SQLITE = """
import sqlite3, sys
db = sqlite3.connect("data.db")
db.execute("create table t (a integer primary key, b text)")
db.executemany("insert into t(b) values (?)", (("x" * 100,) for _ in range(8000)))
db.commit()
for n in range(5):
    db.execute("select sum(length(b)) from t").fetchall()
    db.execute("update t set b = 'y' where a = ?", (n,))
    db.commit()
"""


def prepare_sqlite(root):
    (root / "work.py").write_text(SQLITE)


# All parts of a model, whose names it reads from the directory.
LOADER = """
import os
for name in sorted(os.listdir(".")):
    with open(name, "rb") as part:
        part.read()
"""


def prepare_model(root):
    grow_flat(root, 40, MIB)


# name: (what to make, in which directory, what to run there)
OTHERS = {
    "gcc -j2 build": (prepare_build, "build", "make -s -j2"),
    "python, imports": (
        prepare_imports, "imports", "python3 -B -c 'import package'"),
    "python, library": (
        None, "imports",
        f"PYTHONPATH=lib python3 -B -c 'import {IMPORTS}'"),
    "python, writes pyc": (
        None, "imports", "env -u PYTHONDONTWRITEBYTECODE PYTHONPATH=lib "
        f"python3 -c 'import package, {IMPORTS}'"),
    "python, with pyc": (
        None, "imports", f"PYTHONPATH=lib python3 -c 'import package, {IMPORTS}'"),
    "git status": (prepare_git, "git", "git status >/dev/null"),
    "git status again": (None, "git", "git status >/dev/null"),
    "git log": (None, "git", "git log -p >/dev/null"),
    "git grep": (None, "git", "git grep -c static >/dev/null"),
    "ld": (prepare_objects, "objects", "ld -r -o out *.o"),
    "gcc, links": (
        None, "objects", "gcc -nostdlib -Wl,-e0 -o $1/linked *.o"),
    "shell script": (prepare_scripts, "scripts", "sh ./all"),
    "SQLite": (prepare_sqlite, "sqlite", "python3 work.py"),
    "a model's loader": (prepare_model, "model", f"python3 -c '{LOADER}'"),
    "cat * of a model": (None, "model", "cat * >/dev/null"),
}


# Those who list directories, or take files in an order, on a tmpfs, too.
LISTED = ["gcc -j2 build", "python, imports", "git status", "ld",
          "a model's loader"]


@pytest.mark.parametrize("here, name",
                         on("disk", OTHERS) + on_memory(
                             LISTED, "python, imports"),
                         indirect=["here"])
def test_no_scanner(here, figure, name):
    prepare, directory, script = OTHERS[name]
    if prepare:
        (here.source / directory).mkdir()
        prepare(here.source / directory)
    with here.watch() as told:
        here.run(script, cwd=directory)
    row(figure, here, name, told, False)
    assert not verdicts(told)


def prepare_site(here):
    site = here.source / "site"
    for n in range(SERVED):
        if n % 250 == 0:
            (site / f"d{n // 250:02}").mkdir(parents=True)
        (site / f"d{n // 250:02}/f{n:05}.html").write_text(f"{n}\n" * 50)
    (here.out / "nginx.conf").write_text(textwrap.dedent(f"""\
        daemon off; master_process on; worker_processes 2; user root;
        pid {here.out}/nginx.pid; error_log stderr;
        events {{ worker_connections 64; }}
        http {{
            access_log off; keepalive_requests 100000;
            client_body_temp_path {here.out}/t1; proxy_temp_path {here.out}/t2;
            fastcgi_temp_path {here.out}/t3; uwsgi_temp_path {here.out}/t4;
            scgi_temp_path {here.out}/t5;
            server {{
                listen unix:{here.out}/http; root {here.mnt}/site;
            }}
        }}
        """))


class Client(http.client.HTTPConnection):
    """Over a socket in the filesystem, so that no port is taken."""

    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))

    def get(self, path):
        self.request("GET", path)
        answer = self.getresponse()
        data = answer.read()
        assert answer.status == 200, (path, answer.status)
        return data


def test_web_server(here, figure):
    """Each file once, in the order in which they are listed."""
    prepare_site(here)
    client = Client(here.out / "http")
    with here.watch() as told:
        server = here.place.start(
            os.execve, UNPACKED / "sbin/nginx",
            ["nginx", "-p", str(here.out), "-e", "stderr", "-c",
             str(here.out / "nginx.conf")], ENV)
        try:
            assert eventually((here.out / "http").exists, 20)
            for directory in sorted((here.source / "site").iterdir()):
                for path in directory.iterdir():
                    client.get(f"/{directory.name}/{path.name}")
        finally:
            os.kill(server.pid, signal.SIGTERM)
            os.waitpid(server.pid, 0)
            os.close(server.pipe)
    row(figure, here, f"nginx, {SERVED} files", told, False)
    assert not verdicts(told)


# -- what is told of them


class Reader:
    """A process that does what it is told, and stays."""

    def __init__(self, here):
        self.pipe, self.orders = os.pipe()
        self.answers, done = os.pipe()
        self.child = here.place.start(self.work, here.mnt / "tree", done)

    def work(self, tree, done):
        os.setsid()
        while order := os.read(self.pipe, 1):
            for directory, _, names in os.walk(tree):
                for name in names if order == b"r" else []:
                    Path(directory, name).read_bytes()
            os.write(done, b".")

    def do(self, order):
        os.write(self.orders, order)
        assert os.read(self.answers, 1) == b"."

    def end(self):
        self.child.end()
        for fd in self.pipe, self.orders, self.answers:
            os.close(fd)


@pytest.fixture
def reader(here):
    reader = Reader(here)
    yield reader
    reader.end()


def scanners(here):
    [status] = ctl_json("status", here.mnt)
    assert schema.conforms("status", status)
    return status["scanners"]


def test_it_is_named_until_it_turns_to_reuse(here, reader):
    pid = reader.child.pid
    with here.watch_briefly() as told:
        reader.do(b"r")
    [verdict] = verdicts(told)
    assert f"(pid {pid})" in verdict["reason"]
    assert verdict["account"] == here.place.reader.path
    [scanner] = [s for s in scanners(here) if s["pid"] == pid]
    assert scanner["cgroup"] == here.place.reader.path
    assert scanner["files"] == TREE_DIRS * TREE_FILES
    assert scanner["command"].startswith("python3")
    [answer] = ctl_json("explain", pid, cwd=here.mnt)
    assert schema.conforms("explain", answer)
    assert answer["scanner"] and answer["why"] == scanner["why"]
    assert f"pid {pid}" in ctl("status", here.mnt).stdout
    assert "a scanner" in ctl("explain", pid, cwd=here.mnt).stdout
    with here.watch_briefly() as told:
        reader.do(b"r")
    assert [line["reason"] for line in told][-1].startswith("no longer")
    [answer] = ctl_json("explain", pid, cwd=here.mnt)
    assert not answer["scanner"]
    assert not [s for s in scanners(here) if s["pid"] == pid]


def read_three_and_wait(tree, names, done, end):
    """As one does of whom it isn't known yet what he is."""
    os.listdir(tree)
    for name in names:
        Path(tree, name).read_bytes()
    os.write(done[1], b".")
    os.read(end[0], 1)


def link_of(fd):
    """What it is of; it may be closed meanwhile."""
    try:
        return os.readlink(fd)
    except FileNotFoundError:
        return ""


def test_nothing_is_kept_of_removed_files(here):
    """Or their space would be, until more is known of who has read them."""
    gone = here.source / "gone"
    gone.mkdir()
    names = ["a", "b", "c"]
    for name in names:
        (gone / name).write_text("content\n")
    done, end = os.pipe(), os.pipe()
    child = here.place.start(read_three_and_wait, here.mnt / "gone", names,
                             done, end)
    os.read(done[0], 1)
    for name in names[:2]:
        (here.mnt / "gone" / name).unlink()

    def held():
        where = Path(f"/proc/{here.place.mount.daemon.pid}/fd")
        links = map(link_of, where.iterdir())
        return [link for link in links if link.endswith("(deleted)")
                and "/gone/" in link]
    assert eventually(lambda: not held(), 5), held()
    os.write(end[1], b".")
    child.end()
    for fd in *done, *end:
        os.close(fd)


def test_who_is_not_known(here):
    said = ctl_fails("explain", "1", cwd=here.mnt)
    assert "has opened nothing here" in said


def test_who_is_named_by_a_rule(here):
    named = here.source / "named"
    named.mkdir()
    (named / ".memcgfs").write_text("* scanners=head:cut\n")
    (named / "file").write_text("1\n")
    here.run("cut -c1 file; cat file", cwd="named")
    assert [(s["command"], s["why"]) for s in scanners(here)
            if s["command"] in ("cut", "cat", "head")] == [
                ("cut", "scanners= names it")]


def test_off(place):
    """Nobody is a scanner, unless he is named."""
    grow_tree(place.source)
    place.cover("scan=off", "scanners=cut")
    here = Here(place, "off")
    with here.watch() as told:
        here.run("grep -r needle . ; cut -c1 a/*.c >/dev/null")
    assert not told
    assert [s["command"] for s in scanners(here)] == ["cut"]


def test_where_opens_are_no_messages(place, figure):
    """fanotify tells of them, a moment later."""
    grow_tree(place.source)
    (place.source / "imports").mkdir()
    prepare_imports(place.source / "imports")
    place.cover("io=cached")
    here = Here(place, "cached")
    with here.watch() as told:
        here.run(SCANNERS["tar"])
    row(figure, here, "tar", told, True)
    assert verdicts(told) and files_of(verdicts(told)[0]) <= FILES_MAX
    # The kernel has kept what directories list: nobody is asked for it.
    with here.watch() as told:
        here.run("grep -r needle . || true")
    row(figure, here, "grep, after tar", told, True)
    assert verdicts(told) and files_of(verdicts(told)[0]) <= FILES_MAX
    with here.watch() as told:
        here.run(OTHERS["python, library"][2], cwd="imports")
    row(figure, here, "python, library", told, False)
    assert not verdicts(told)
