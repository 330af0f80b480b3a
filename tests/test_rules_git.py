# SPDX-License-Identifier: GPL-2.0-or-later
"""Rule files mean what gitattributes(5) mean: thousands of random trees of
rules are asked about random paths, and git is asked the same.

Two things are other than there, and are put into git's words before it is
asked. "tmp/" is the directory and all below it, where git means the directory
alone. And what git ignores refuses a file: such a file counts as none."""

import os
import random
import re
import subprocess

import pytest

from lib import settings

ATTRIBUTES = ["memcg", "io", "ahead", "pin", "on_error", "scan", "scanners"]
NAMES = ["a", "b", "ab", "abc", "a.so", "b.so.1", "lib", "tmp", "x y", "\u00e4",
         "A", "a-b", "[", "a]", "*", "!x", "#h", '"q"', "a\\b", "a^", "0", "_"]
CLASSES = ["alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower",
           "print", "punct", "space", "upper", "xdigit"]
SPECIAL = set("*?[\\")

# git takes "**" behind a literal beginning for any number of directories:
# "lib**/x" matches "lib/a/x" there (a bug, mended in git 2.52).
GIT_BUG = re.compile(r"/?[^*?\[\\]*[^*?\[\\/]\*\*.*/|.*/.*[^*?\[\\/]\*\*")


def rounds(n):
    return n * 8 if settings.LONG else settings.scaled(n)


# -- paths, and patterns that are likely to match them


def random_path(choose):
    return "/".join(choose.choices(NAMES, k=choose.choice([1, 1, 2, 2, 3, 4])))


def bracket(choose, char):
    other = choose.choice("abAB09.-_!")
    kind = choose.randrange(6)
    if kind == 0 and char not in "]\\^!-":
        return f"[{char}]"
    if kind == 1 and "a" <= char <= "y":
        return f"[{chr(ord(char) - 1)}-{chr(ord(char) + 1)}]"
    if kind == 2:
        return f"[{choose.choice('!^')}{other}]"
    if kind == 3:
        return f"[{other}[:{choose.choice(CLASSES)}:]]"
    if kind == 4:
        return f"[]{other}\\{char}]"
    return f"[{other}-{choose.choice('abz9]')}]"


def blur_char(choose, char):
    kind = choose.random()
    if kind < 0.06:
        return "?"
    if kind < 0.12:
        return "*"
    if kind < 0.18 and char not in "\u00e4":
        return bracket(choose, char)
    if char in SPECIAL or kind < 0.22:
        return f"\\{char}"
    return char


def blur_name(choose, name):
    kind = choose.random()
    if kind < 0.08:
        return "*"
    if kind < 0.20:
        return "**"
    if kind < 0.26:
        return "*" + name.replace("\\", "")[-1:].replace("[", "?")
    return "".join(blur_char(choose, c) for c in name)


def random_pattern(choose):
    names = random_path(choose).split("/")
    names = names[choose.randrange(len(names)):]
    pattern = "/".join(blur_name(choose, name) for name in names)
    pattern = choose.choice(["", "", "", "", "", "/", "**/"]) + pattern
    if choose.random() < 0.1:
        pattern += "/**"
    if choose.random() < 0.1 and not pattern.endswith("**"):
        pattern += "/"
    return pattern


def garbage(choose):
    return "".join(choose.choices("aab*?[]\\/!^-:.", k=choose.randint(1, 9)))


# -- lines of rules, ours and git's


def for_git(pattern):
    """A slash at the end: all below, in git's words."""
    rest = pattern[:-1]
    if not pattern.endswith("/") or not rest or rest[-1] == "\\" or \
            rest[0] == "!":
        return pattern
    return f"{rest}/**" if "/" in rest else f"**/{rest}/**"


def quoted(pattern):
    escapes = {'"': '\\"', "\\": "\\\\", "\t": "\\t", "x": "\\170"}
    return '"' + "".join(escapes.get(c, c) for c in pattern) + '"'


def write_pattern(pattern, likes_quotes):
    if " " in pattern or pattern[0] in '#"' or likes_quotes:
        return quoted(pattern)
    return pattern


def random_words(choose):
    values = {
        "memcg": [f"/cg{choose.randrange(4)}", "@opener"],
        "io": ["auto", "strict"],
        "ahead": [str(choose.randrange(1000))],
        "on_error": ["deny", "opener"],
        "scanners": ["tar", "grep:cgroup:/a:uid:7"],
    }
    words = []
    for name in choose.sample(ATTRIBUTES, choose.choice([1, 1, 2, 3])):
        if choose.random() < 0.1:
            words.append(f"!{name}")
        elif name in ("pin", "scan"):
            words.append(choose.choice([name, f"-{name}"]))
        else:
            words.append(f"{name}={choose.choice(values[name])}")
    return choose.choice([" ", "\t", "  "]).join(words)


def random_line(choose, pattern):
    """The same line for us and for git."""
    kind = choose.random()
    if kind < 0.05:
        return ["# pin"] * 2
    if kind < 0.08:
        return ["  \t"] * 2
    if pattern[0] == "!":
        pattern = "\\" + pattern
    likes_quotes = choose.random() < 0.15
    start = choose.choice(["", "", " ", "\t"])
    rest = f" {random_words(choose)}" + choose.choice(["", "", " ", "\t \t"])
    return [start + write_pattern(form, likes_quotes) + rest
            for form in [pattern, for_git(pattern)]]


class Tree:
    """Directories with rules, and what is asked about them."""

    def __init__(self, root):
        self.root = root
        self.paths, self.files = [], {}

    def rules(self, directory, pairs, start=b"", end=b"\n"):
        where = self.root / directory
        where.mkdir(parents=True, exist_ok=True)
        for name, texts in zip([".memcgfs", ".gitattributes"], zip(*pairs)):
            text = start + b"".join(t.encode() + end for t in texts)
            (where / name).write_bytes(text)
            self.files[f"{directory}/{name}"] = text


def fill(choose, tree, top):
    """One tree below @top: files of rules in some directories on the ways to
    what is asked."""
    paths = [f"{top}/{random_path(choose)}" for _ in range(25)]
    inner = sorted({p.rpartition("/")[0] for p in paths} - {top})
    for directory in [top, *choose.sample(inner, min(3, len(inner)))]:
        patterns = [random_pattern(choose)
                    for _ in range(choose.randint(1, 8))]
        pairs = [random_line(choose, p) for p in patterns
                 if not GIT_BUG.match(p)]
        if pairs:
            tree.rules(directory, pairs, choose.choice([b"", b"\xef\xbb\xbf"]),
                       choose.choice([b"\n", b"\r\n"]))
    tree.paths += paths


# -- asking


def ask(argv, cwd, paths):
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd), "LC_ALL": "C.UTF-8",
           "GIT_ATTR_NOSYSTEM": "1", "GIT_CONFIG_NOSYSTEM": "1",
           "GIT_CEILING_DIRECTORIES": str(cwd.parent)}
    done = subprocess.run(argv, cwd=cwd, env=env, check=True,
                          timeout=settings.seconds(300), capture_output=True,
                          input=b"".join(p.encode() + b"\0" for p in paths))
    words = done.stdout.split(b"\0")[:-1]
    answers = dict(zip(zip(words[::3], words[1::3]), words[2::3]))
    return answers, done.stderr.decode()


def compare(tree, is_valid=False):
    """How many values there were, and how many were said by a rule; and what
    was refused."""
    subprocess.run(["git", "init", "-q", "."], cwd=tree.root, check=True,
                   timeout=60)
    git, _ = ask(["git", "check-attr", "-z", "--stdin", *ATTRIBUTES],
                 tree.root, tree.paths)
    ours, refused = ask([settings.BINARY.parent / "rulematch", "."],
                        tree.root, tree.paths)
    assert not (refused and is_valid), refused
    assert len(git) == len(ours) == len(ATTRIBUTES) * len(set(tree.paths))
    for (path, attribute), value in git.items():
        mine = ours[path, attribute]
        top = path.decode().partition("/")[0] + "/"
        assert mine == value, (
            f"{path} {attribute}: {mine} here, {value} to git\n" + "\n".join(
                f"{name}: {text}" for name, text in tree.files.items()
                if name.startswith(top)))
    said = sum(value != b"unspecified" for value in git.values())
    return len(git), said, refused


# -- the tests

pytestmark = [pytest.mark.time_limit(900), pytest.mark.sequential]


@pytest.mark.long_form
@pytest.mark.parametrize("seed", range(4))
def test_random_trees(new_scratch, figure, seed):
    """1,000 trees, some 16,000 lines, each tree asked about 25 paths."""
    choose = random.Random(seed)
    tree = Tree(new_scratch("trees"))
    for n in range(rounds(250)):
        fill(choose, tree, f"t{n}")
    asked, said, _ = compare(tree, is_valid=True)
    # Most is decided by a rule somewhere: there is something to compare.
    assert asked // 8 < said < asked * 9 // 10
    figure(f"{len(tree.files) // 2} rule files, {asked} values, {said} said")


@pytest.mark.long_form
def test_garbage(new_scratch, figure):
    """2,000 times any characters, as a pattern: what we refuse would match
    nothing in git, and what we don't, the same as there."""
    choose = random.Random(7)
    tree = Tree(new_scratch("garbage"))
    names = ["a", "b", "aa", "ab", "-", ":", "]", "[", "a]", "!", "^a", ".a"]
    for n in range(rounds(2000)):
        pattern = garbage(choose)
        if GIT_BUG.match(pattern) or pattern == "/" or \
                pattern.startswith("[attr]"):
            continue
        tree.rules(f"t{n}", [[f"{pattern} pin", f"{for_git(pattern)} pin"]])
        tree.paths += [f"t{n}/" + "/".join(choose.choices(names, k=k))
                       for k in [1, 1, 1, 1, 2, 2, 2, 3]]
    _, said, refused = compare(tree)
    count = len(set(refused.splitlines()))
    assert min(said, count) > rounds(100)
    figure(f"{len(tree.files) // 2} patterns, {count} refused, {said} matches")


# What each case means is written out, too, lest both be asked nothing.
CASES = [
    ("*.so*", "lib.so.1", True), ("*.so*", "sub/deep/lib.so", True),
    ("*.so*", "lib.s", False), ("/a", "a", True), ("/a", "b/a", False),
    ("a/b", "a/b", True), ("a/b", "c/a/b", False), ("**/a/b", "c/a/b", True),
    ("/w/**", "w/x", True), ("/w/**", "w/x/y", True), ("/w/**", "v/w/x", False),
    ("a/**/b", "a/b", True), ("a/**/b", "a/x/y/b", True),
    ("a/*/b", "a/x/y/b", False), ("a*b", "a/b", False), ("a?b", "a/b", False),
    ("[a-c]", "b", True), ("[!a-c]", "b", False), ("[^a-c]", "d", True),
    ("[[:digit:]x]", "7", True), ("[]a]", "]", True), ("\\*", "*", True),
    ("\\*", "a", False), ('"x y"', "x y", True), ('"\\141"', "a", True),
    ("\\!a", "!a", True), ("\\#a", "#a", True), ("A", "a", False),
    (".a", ".a", True), ("*", ".a", True),
]


@pytest.mark.parametrize("pattern, path, matches", CASES)
def test_what_it_means(new_scratch, pattern, path, matches):
    tree = Tree(new_scratch("case"))
    tree.rules(".", [[f"{pattern} pin"] * 2])
    tree.paths = [path]
    assert compare(tree) == (len(ATTRIBUTES), int(matches), "")


@pytest.mark.parametrize("path, matches", [
    ("tmp/a", True), ("tmp/a/b", True), ("x/tmp/a", True), ("tmp", False)])
def test_a_slash_at_the_end(new_scratch, path, matches):
    """Here it is the directory with all that is in it; to git it says
    nothing of files."""
    tree = Tree(new_scratch("slash"))
    tree.rules(".", [["tmp/ pin", "**/tmp/** pin"]])
    tree.paths = [path]
    assert compare(tree) == (len(ATTRIBUTES), int(matches), "")
    (tree.root / ".gitattributes").write_text("tmp/ pin\n")
    git, _ = ask(["git", "check-attr", "-z", "--stdin", *ATTRIBUTES],
                 tree.root, [path])
    assert b"set" not in git.values()
