# SPDX-License-Identifier: GPL-2.0-or-later
"""Shell completion knows the commands and options that memcgfsctl has."""

import os
import re

import pytest

from lib import act, settings
from lib.control import ctl
from lib.fake import fake_mount
from lib.terminal import Terminal

DIRECTORY = settings.TESTS.parent / "completion"
BASH = DIRECTORY / "memcgfsctl.bash"
ZSH = DIRECTORY / "_memcgfsctl"

pytestmark = [pytest.mark.needs_daemon, pytest.mark.not_sanitized]

COMPLETE = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_memcgfsctl memcgfsctl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(*words):
    """What bash offers for the last word."""
    done = act.command(["bash", "--norc", "-c", COMPLETE, "bash", BASH,
                        "memcgfsctl", *words])
    assert not done.stderr, done.stderr
    return sorted(done.stdout.split("\n")[:-1]) if done.stdout.strip() else []


def commands():
    text = ctl("--help").stdout.partition("\ncommands:\n")[2]
    return re.findall(r"^    (\w+)", text, re.M)


def options(*command):
    """The long ones, with "=" where they take a value."""
    text = ctl(*command, "--help").stdout.partition("\noptions:\n")[2]
    text = text.partition("\n\n")[0]
    return sorted(re.findall(r"^    (?:-\w, )?(--\w+=?)", text, re.M))


def test_bash_knows_the_commands():
    assert len(commands()) == 11
    assert complete("") == sorted(commands())
    assert complete("--json", "") == sorted(commands())
    assert complete("st") == ["status"]


def test_bash_knows_the_options():
    assert complete("--") == options()
    for command in commands():
        assert sorted([*complete(command, "--"), "--version"]) \
            == options(command), command
    assert complete("files", "--so") == ["--sort="]


def test_bash_knows_values():
    help_text = ctl("files", "--help").stdout
    for words in (["--sort", ""], ["--sort", "=", ""], ["-s", ""], ["--sort", "="]):
        keys = complete("files", *words)
        assert keys == ["foreign", "name", "shared", "size"]
        assert all(key in help_text for key in keys)
    assert complete("files", "--sort", "=", "sh") == ["shared"]
    assert complete("files", "--limit", "") == []


def test_bash_knows_mounts(new_scratch):
    """Odd ones, too, and it does nothing that their names say."""
    path = new_scratch("fake") / "a 1\\x$(touch told)`touch told`"
    path.mkdir()
    with fake_mount(path, {}):
        assert str(path) in complete("tree", "")
        assert complete("status", str(path)[:-1]) == [str(path)]
        assert complete("status", f"{path}/") == []
    assert str(path) not in complete("tree", "")
    assert not list(path.parent.glob("told")) and not os.path.exists("told")


def test_bash_knows_files(new_scratch):
    other = new_scratch("other")
    (other / "some file").write_text("")
    assert complete("drop", f"{other}/so") == [f"{other}/some file"]
    assert complete("tree", f"{other}/so") == []


def test_zsh():
    act.command(["zsh", "-n", ZSH])
    text = ZSH.read_text()
    listed = re.search(r"commands=\(\n(.*?)\n\t\)", text, re.S)[1]
    assert re.findall(r"'(\w+):", listed) == commands()
    known = {option for command in commands() for option in options(command)}
    told = set(re.findall(r"--\w+=?", text))
    assert told == known
    for command in commands():
        own = re.search(rf"^\t{command}\)(.*?);;", text, re.S | re.M)
        told = set(re.findall(r"--\w+=?", own[1] if own else ""))
        assert told == set(options(command)) - set(options()), command



@pytest.fixture
def zsh():
    """One that a person types at, with nothing of his own in it."""
    with Terminal(["zsh", "-f", "-i"], environment={"PS1": "first> "}) as terminal:
        terminal.shows("first>")
        terminal.press(f"PS1='ready> '; fpath=({DIRECTORY} $fpath); "
                       "autoload -U compinit; compinit -u -D; clear\n")
        terminal.shows("ready>")
        yield terminal


def typed(zsh, text, *seen):
    """What a line and a tab show; then the line is thrown away."""
    zsh.press(text + "\t")
    assert zsh.shows(*seen)
    zsh.press("\x03\x0c")


def test_zsh_completes(zsh, new_scratch):
    typed(zsh, "memcgfsctl ver", "memcgfsctl verify")
    typed(zsh, "memcgfsctl ", *(f"{command} " for command in commands()),
          "the mount, its hosts, what is degraded")
    typed(zsh, "memcgfsctl files --so", "memcgfsctl files --sort=")
    typed(zsh, "memcgfsctl files --sort=", "size", "shared", "foreign", "name")
    typed(zsh, "memcgfsctl files --sort=sh", "--sort=shared")
    path = new_scratch("zsh") / "a mount"
    path.mkdir()
    with fake_mount(path, {}):
        typed(zsh, f"memcgfsctl tree {path.parent}/",
              f"memcgfsctl tree {path.parent}/a\\ mount")
    (path.parent / "some file").write_text("")
    typed(zsh, f"memcgfsctl claim {path.parent}/so",
          f"memcgfsctl claim {path.parent}/some\\ file")
