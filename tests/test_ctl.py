# SPDX-License-Identifier: GPL-2.0-or-later
"""memcgfsctl's commands: what they ask, how they show the answer, how they
end. The daemon is a fake one that says what each test wants."""

import json
import os
import signal
import subprocess

import pytest

from lib import act, schema, settings
from lib.control import CTL, ctl, ctl_fails
from lib.fake import fake_mount
from lib.settings import KIB, MIB
from lib.terminal import Terminal
from lib.wait import eventually

pytestmark = [pytest.mark.needs_daemon, pytest.mark.sequential]

ACCOUNTS = [
    {"path": "/", "depth": 0, "usage_bytes": 48 * MIB, "own_bytes": 0,
     "hosted_bytes": 0, "shared_bytes": 0, "foreign_bytes": 0, "contributors": []},
    {"path": "/A", "depth": 1, "usage_bytes": 48 * MIB, "own_bytes": 0,
     "hosted_bytes": 8 * MIB, "shared_bytes": 0, "foreign_bytes": 0,
     "contributors": [{"path": "/A/C", "bytes": 40 * MIB}]},
    {"path": "/A/B", "depth": 2, "usage_bytes": 8 * MIB, "own_bytes": 8 * MIB,
     "hosted_bytes": 0, "shared_bytes": 8 * MIB, "foreign_bytes": 0,
     "contributors": []},
    {"path": "/A/C\x1b[2J", "depth": 2, "usage_bytes": 32 * MIB,
     "own_bytes": 32 * MIB, "hosted_bytes": 0, "shared_bytes": 8 * MIB,
     "foreign_bytes": 0, "contributors": []}]

FILES = [{"path": f"/lib/lib{n}.so", "resident_bytes": (9 - n) * MIB,
          "foreign_bytes": 12 * KIB, "host": "/A", "sharers": ["/A/B", "/A/C"],
          "has_more_sharers": n == 1, "residue": []} for n in range(3)]

HOST = {"target": "/A", "host": "/A", "charger": "running", "restarts": 0,
        "usage_bytes": 48 * MIB, "pinned_bytes": 0, "hosted_bytes": 8 * MIB,
        "foreign_bytes": 0}

STATUS = {"source": "/src", "mountpoint": "/mnt", "memcg": "/A", "pid": 1,
          "io": "auto", "passthrough": True, "why_strict": None, "degraded": [],
          "inodes": 3, "hosts": [HOST], "scanners": [], "rules_refused": 0,
          "refused_rules": [],
          "counters": {"opens_passthrough": 7}}

RESIDUE = {"path": "/a", "owner": "/B", "bytes": 4096, "reason": "mapped",
           "pids": [7, 8]}
DISAGREEMENT = {"path": "/a", "account": "/A", "books_bytes": 8192,
                "kernel_bytes": 4096}


def progress(done, total):
    return {"progress": {"done": done, "total": total, "unit": "files"}}


@pytest.fixture
def fake(new_scratch):
    path = new_scratch("fake")
    with fake_mount(path, {
            "status": [STATUS],
            "tree": [{"accounts": ACCOUNTS}],
            "files": [{"files": FILES, "count": 30}],
            "metrics": [{"text": "# TYPE a counter\na 1\n"}]}) as fake:
        yield fake


def test_the_fakes_say_what_could_be(fake):
    verified(fake, DISAGREEMENT)
    fake.answers["drop"] = dropped({"force": False})
    fake.answers["events"] = [EVENT]
    for verb, lines in fake.answers.items():
        assert schema.conforms(verb, {"version": 1} | lines[-1])


def asked(fake):
    """The one request that was made."""
    [request] = fake.requests
    return request


# Tables


def test_tree(fake):
    assert ctl("tree", fake.path).stdout == (
        "/A (usage=48M, hosted= 8M)\n"
        "+-B (usage= 8M, shared= 8M)\n"
        "\\-C?[2J (usage=32M, shared= 8M)\n")
    assert asked(fake) == {"verb": "tree"}
    everything = ctl("tree", "--all", fake.path).stdout.splitlines()
    assert everything[0].startswith("/ (usage=48M, own=  0, hosted=  0,")
    assert everything[1].endswith("foreign=  0) by /A/C 40M")


def test_json_is_as_it_came(fake):
    for arguments in (["--json", "tree"], ["tree", "--json"]):
        answer = json.loads(ctl(*arguments, fake.path).stdout)
        assert answer == {"version": 1, "accounts": ACCOUNTS}


def test_files(fake):
    lines = ctl("files", "--sort=shared", "-n", "3", fake.path).stdout.splitlines()
    assert asked(fake) == {"verb": "files", "sort": "shared", "limit": 3,
                           "path": "", "stream": True}
    assert lines == [" RESIDENT   FOREIGN SHARERS  HOST  PATH",
                     "       9M       12K       2  /A  /lib/lib0.so",
                     "       8M       12K      2+  /A  /lib/lib1.so",
                     "       7M       12K       2  /A  /lib/lib2.so",
                     "3 of 30 files"]


def test_files_fit_the_terminal(fake):
    FILES[0]["path"] = "/a" * 60 + "/end"
    try:
        with Terminal([CTL, "files", fake.path], columns=60) as terminal:
            assert terminal.wait() == 0
            shown = terminal.lines()
    finally:
        FILES[0]["path"] = "/lib/lib0.so"
    assert shown[1].endswith("/a/a/end") and " ~/a/a" in shown[1]
    assert shown[2].endswith("/lib/lib1.so")


def test_metrics_are_as_they_came(fake):
    assert ctl("metrics", fake.path).stdout == "# TYPE a counter\na 1\n"


# Long work


def verified(fake, *disagreements):
    fake.answers["verify"] = [progress(0, 2), progress(1, 2), {
        "files": 2, "resident_bytes": 8 * MIB, "foreign_bytes": 4096,
        "residue": [RESIDUE], "residue_count": 3, "skipped_files": 0,
        "disagreements": list(disagreements), "moved_files": 1,
        "unseen_files": 0}]


def test_verify(fake):
    verified(fake)
    assert ctl("verify", fake.path).stdout == (
        "files 2, resident 8M, foreign 4K\n"
        "residue /a: 4K of /B, mapped by 7, 8\n"
        "residue: 2 more\n"
        "moved meanwhile: 1 files\n"
        "the books agree with the kernel\n")
    assert asked(fake) == {"verb": "verify", "path": "", "stream": True}


@pytest.mark.parametrize("option", [[], ["--json"]], ids=["text", "json"])
def test_verify_tells_of_disagreement_by_its_status(fake, option):
    verified(fake, DISAGREEMENT)
    done = ctl("verify", *option, fake.path, check=False)
    assert done.returncode == 1 and not done.stderr
    if option:
        assert json.loads(done.stdout)["disagreements"] == [DISAGREEMENT]
    else:
        assert ("disagreement /a: of /A the books have 8192 bytes, the kernel "
                "4096") in done.stdout
        assert "agree with" not in done.stdout


@pytest.mark.parametrize("key, line", [
    ("skipped_files", "skipped: 2 files\n"),
    ("unseen_files", "unseen: 2 files, which no charger could look at\n")])
def test_verify_vouches_for_what_it_saw_alone(fake, key, line):
    verified(fake)
    fake.answers["verify"][-1][key] = 2
    done = ctl("verify", fake.path, check=False)
    assert done.returncode == 1 and line in done.stdout
    assert "agree with" not in done.stdout


def test_progress_is_for_terminals(fake):
    """One line, which is gone in the end."""
    verified(fake)
    with Terminal([CTL, "verify", fake.path]) as terminal:
        assert terminal.wait() == 0
        shown = terminal.lines()
    assert b"verify: 1 of 2 files, 50%" in terminal.raw
    assert shown[0] == "files 2, resident 8M, foreign 4K"
    assert not any("of 2 files" in line for line in shown)
    done = ctl("verify", fake.path)
    assert not done.stderr and "%" not in done.stdout


def test_claim(fake):
    fake.answers["claim"] = [progress(1, 2), {
        "files": 2, "claimed_bytes": 8 * MIB, "residue": [RESIDUE],
        "residue_count": 1, "skipped_files": 4}]
    assert ctl("claim", fake.path).stdout == (
        "files 2, claimed 8M\nresidue /a: 4K of /B, mapped by 7, 8\n"
        "skipped: 4 files\n")


def test_an_error_of_the_daemon(fake):
    fake.answers["claim"] = [progress(1, 2), {
        "error": "only root and the mount's owner may claim", "errno": 1}]
    assert ctl_fails("claim", fake.path).endswith(
        "only root and the mount's owner may claim")


def test_a_daemon_that_dies_meanwhile(fake):
    fake.answers["claim"] = [progress(1, 2)]
    assert "gave no answer" in ctl_fails("claim", fake.path)


# Dropping


def left_over(path, **what):
    return {"path": path, "resident_bytes": 8192, "dirty_bytes": 0,
            "mapped_bytes": 0, "pinned": False, "open": False,
            "unseen": False} | what


LEFT = [left_over("/a", dirty_bytes=4096), left_over("/b", mapped_bytes=8192)]
PINNED = left_over("/c", pinned=True, dirty_bytes=4096)


def dropped(request):
    force = request["force"]
    return [{"files": 3, "dropped_bytes": (3 if force else 1) * MIB,
             "skipped_files": 0, "left": [] if force else LEFT}]


@pytest.fixture
def dropping(fake):
    fake.answers["drop"] = dropped
    return fake


def forces(fake):
    return [request["force"] for request in fake.requests]


def test_drop_refuses_where_nobody_is_asked(dropping):
    done = ctl("drop", dropping.path, check=False)
    assert done.returncode == 1
    assert done.stdout == "files 3, dropped 1M\n"
    assert "/a: resident 8K, dirty 4K, mapped 0\n" in done.stderr
    assert done.stderr.endswith("2 files are dirty or mapped, and nobody is "
                                "there to ask: --yes drops these, too\n")
    assert forces(dropping) == [False]


def test_drop_yes(dropping):
    assert ctl("drop", "--yes", dropping.path).stdout == "files 3, dropped 3M\n"
    assert forces(dropping) == [True]


@pytest.mark.parametrize("key, code, asked_for", [
    ("y\n", 0, [False, True]), ("n\n", 1, [False]), ("\n", 1, [False])])
def test_drop_asks(dropping, key, code, asked_for):
    with Terminal([CTL, "drop", dropping.path]) as terminal:
        terminal.shows("/b: resident 8K, dirty 0, mapped 8K", "[y/N]")
        terminal.press(key)
        assert terminal.wait() == code
        assert ("files 3, dropped 3M" in terminal.lines()) == (code == 0)
    assert forces(dropping) == asked_for


@pytest.mark.parametrize("options", [[], ["--yes"]])
def test_drop_asks_for_nothing_that_cannot_be(dropping, options):
    """What is pinned stays, whatever is answered."""
    dropping.answers["drop"] = [{"files": 3, "dropped_bytes": MIB,
                                 "skipped_files": 0, "left": [PINNED]}]
    with Terminal([CTL, "drop", *options, dropping.path]) as terminal:
        assert terminal.wait() == 1
        terminal.shows("/c: resident 8K, dirty 4K, mapped 0, pinned")
        assert "[y/N]" not in "\n".join(terminal.lines())
    assert forces(dropping) == [bool(options)]


def test_drop_needs_a_path():
    assert '"drop" needs a path' in ctl_fails("drop", code=2)


# Events


EVENT = {"time": 1700000000.25, "event": "residue", "path": "/a\x1b", "host": "/A",
         "bytes": 4096, "account": "/B", "reason": "mapped"}


def follow(path, *options, **how):
    return subprocess.Popen(
        [CTL, "events", *options, path], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, preexec_fn=act.prepare,
        env=os.environ | {"TZ": "UTC"}, **how)


@pytest.fixture
def following(fake):
    fake.answers["events"] = [EVENT, EVENT | {"event": "move"}, None]
    return fake


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_events(following, number):
    process = follow(following.path)
    assert process.stdout.readline() == (
        "2023-11-14 22:13:20.250 residue /a? host=/A bytes=4K account=/B: "
        "mapped\n")
    assert " move " in process.stdout.readline()
    process.send_signal(number)
    assert process.communicate(timeout=settings.seconds(10)) == ("", "")
    assert process.returncode == 0
    assert eventually(lambda: following.left == 1)


def test_events_as_json(following):
    process = follow(following.path, "--json")
    assert json.loads(process.stdout.readline()) == {"version": 1} | EVENT
    process.terminate()
    process.communicate(timeout=settings.seconds(10))


def test_events_end_with_their_reader(following):
    """Even if there are no more events that could not be written."""
    process = follow(following.path)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(settings.seconds(10)) == 0
    assert process.stderr.read() == ""
    process.stderr.close()
    assert eventually(lambda: following.left == 1)


def test_events_end_with_the_mount(fake):
    fake.answers["events"] = [EVENT]
    process = follow(fake.path)
    out, err = process.communicate(timeout=settings.seconds(10))
    assert process.returncode == 1 and len(out.splitlines()) == 1
    assert err == "memcgfsctl: the mount has ended\n"


# On the terminal


def test_top(fake):
    with Terminal([CTL, "top", fake.path]) as terminal:
        terminal.shows("memcgfs /mnt  memcg=/A", "USAGE      OWN", "48M",
                       "+-C?[2J", "\\-B", "q quit")
        terminal.press("f")
        terminal.shows("files by size", "/lib/lib2.so")
        terminal.press("n")
        terminal.shows("files by name")
        assert eventually(lambda: fake.requests[-1].get("sort") == "name"
                          or fake.requests[-2].get("sort") == "name")
        terminal.press("h")
        terminal.shows("A SECOND", "opens_passthrough")
        terminal.press("q")
        assert terminal.wait() == 0
        assert terminal.is_as_before()
    assert terminal.raw.rstrip().endswith(b"\x1b[?1l\x1b>")  # the last: rmkx


def test_top_resizes(fake):
    with Terminal([CTL, "top", fake.path]) as terminal:
        terminal.shows("q quit", "48M")
        for rows, columns in (10, 40), (40, 120), (24, 80):
            terminal.resize(rows, columns)
            assert eventually(
                lambda: terminal.lines()[-1].startswith("t tree")), \
                terminal.lines()
            terminal.shows("48M")
        terminal.press("q")
        assert terminal.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT,
                                    signal.SIGHUP])
def test_top_restores_the_terminal(fake, number):
    with Terminal([CTL, "top", fake.path]) as terminal:
        terminal.shows("q quit")
        assert not terminal.is_as_before()
        terminal.process.send_signal(number)
        assert terminal.wait() == 0
        assert terminal.is_as_before()


def test_top_without_a_mount_that_answers(fake):
    fake.answers["tree"] = [{"error": "no luck", "errno": 5}]
    with Terminal([CTL, "top", fake.path]) as terminal:
        terminal.shows("no luck")
        fake.answers["tree"] = [{"accounts": ACCOUNTS}]
        terminal.shows("tree by size")
        terminal.press("q")
        assert terminal.wait() == 0


def test_top_does_not_wait_for_the_daemon(fake):
    fake.answers["status"] = [None]
    with Terminal([CTL, "top", fake.path]) as terminal:
        terminal.shows("asking...")
        terminal.press("q")
        assert terminal.wait() == 0


def test_top_needs_a_terminal(fake):
    assert '"top" needs a terminal' in ctl_fails("top", fake.path)
    with Terminal([CTL, "top", fake.path],
                  environment={"TERM": "frob"}) as terminal:
        assert terminal.wait() == 1
        terminal.shows("doesn't know this terminal")


# The command line


WRONG = [
    ["--frob", "tree"], ["tree", "--frob"], ["tree", "--sort=size"],
    ["files", "--sort=frob"], ["files", "--limit=0"], ["files", "-n", "x"],
    ["files", "--limit"], ["tree", "a", "b"], ["frob"], [], ["drop"],
    ["drop", "a", "b"],
]


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_wrong_command_lines(arguments):
    assert ctl_fails(*arguments, code=2)


def test_help_of_a_command():
    text = ctl("files", "--help").stdout
    assert text.startswith("usage: memcgfsctl files [--sort=KEY] [--limit=N] "
                           "[PATH]\n")
    assert "--sort=KEY" in text and "--yes" not in text
