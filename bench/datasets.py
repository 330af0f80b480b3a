# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that workloads need. What is the same for all filesystems and
takes long to make is made once, as a template, and copied."""

import compileall
import os

from tools import WORKER, run

MIB = 1 << 20
BIG_BYTES = 256 * MIB
WRITE_BYTES = 64 * MIB
MIX_BYTES = 32 * MIB
SMALL_BYTES = 16 << 10

# A compile opens many headers for each file, as a kernel's does.
HEADERS, HEADERS_A_FILE = 240, 120
PACKAGES, MODULES = 10, 30

GIT = ("env", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "git",
       "-c", "user.name=bench", "-c", "user.email=bench", "-c", "gc.auto=0")


def put(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def fill(source, names, scale, templates):
    """Writes these data sets beside the mount, before it is there. Templates
    that are files are used where they are, outside of all trees."""
    for name in names:
        if name == "small":
            run(WORKER, "fill-tree", f"{source}/small", str(scale.files),
                str(SMALL_BYTES))
        elif name == "big":
            run(WORKER, "fill", f"{source}/big", str(BIG_BYTES))
        elif name == "mix":
            for i in (0, 1):
                run(WORKER, "fill", f"{source}/mix{i}", str(MIX_BYTES))
                os.mkdir(f"{source}/meta{i}")
        elif os.path.isdir(f"{templates}/{name}"):
            run("cp", "-a", f"{templates}/{name}", source)


def make_templates(templates, names, scale):
    makers = {"code": _make_code, "modules": _make_modules,
              "repository": _make_repository, "tar": _make_tar,
              "sql": _make_sql}
    os.mkdir(templates)
    for name in names:
        if name in makers:
            makers[name](f"{templates}/{name}", scale)


def _make_tar(path, scale):
    run(WORKER, "fill-tree", f"{path}.d", str(scale.tar_files),
        str(SMALL_BYTES))
    run("tar", "cf", path, "-C", f"{path}.d", ".")
    run("rm", "-rf", f"{path}.d")


def _make_code(path, scale):
    """A small program in C, made as a kernel is: many headers, found in one of
    several directories, objects beside the sources' tree."""
    for i in range(HEADERS):
        functions = "\n".join(
            f"static inline int h{i}_{j}(int x)\n{{\n\treturn x * {j + 3} + {i};\n}}"
            for j in range(12))
        nearby = "".join(f'#include <h{i - step}.h>\n'
                         for step in (1, 7) if i % 8 >= step)
        put(f"{path}/include{i % 4}/h{i}.h",
            f"#ifndef H{i}\n#define H{i}\n{nearby}struct s{i} {{\n\tint a, b;\n"
            f"}};\n{functions}\n#endif\n")
    for i in range(scale.c_files):
        used = [(i * 5 + j) % HEADERS for j in range(HEADERS_A_FILE)]
        put(f"{path}/src/f{i}.c",
            "".join(f"#include <h{n}.h>\n" for n in used)
            + f"int f{i}(int x)\n{{\n\treturn "
            + " + ".join(f"h{n}_{n % 12}(x)" for n in used) + ";\n}\n")
    put(f"{path}/Makefile",
        "OBJECTS := $(patsubst src/%.c,$O/%.o,$(wildcard src/*.c))\n"
        "$O/all.o: $(OBJECTS)\n\tld -r -o $@ $^\n"
        "$O/%.o: src/%.c\n\tgcc -O1 -Iinclude0 -Iinclude1 -Iinclude2 "
        "-Iinclude3 -MMD -c -o $@ $<\n")
    os.mkdir(f"{path}.objects")         # it builds, and the compiler is warm
    run("make", "-s", "-j2", "-C", path, f"O={path}.objects")


def _make_modules(path, _scale):
    names = [f"p{package}.m{module}" for package in range(PACKAGES)
             for module in range(MODULES)]
    for name in names:
        put(f"{path}/{name.replace('.', '/')}.py",
            "".join(f"def f{i}(x):\n    return x + {i}\n\n\n"
                    for i in range(20)))
    put(f"{path}/start.py", "import sys\n"
        "sys.path.insert(0, __file__.rpartition('/')[0])\n"
        + "".join(f"import {name}\n" for name in names))
    compileall.compile_dir(path, quiet=1)


def _make_repository(path, scale):
    for i in range(scale.files):
        put(f"{path}/d{i // 100}/f{i}", f"this is file {i}\n")
    run(*GIT, "init", "-q", path)
    run(*GIT, "-C", path, "add", ".")
    run(*GIT, "-C", path, "commit", "-q", "-m", "all")
    run(*GIT, "-C", path, "gc", "-q")


def _make_sql(path, scale):
    """Transactions of one row each, then as many look-ups. What is not asked
    of the disk in each is only that it be written now: that would be a
    figure of the disk."""
    lines = ["PRAGMA synchronous=OFF;",
             "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, n INTEGER);",
             "CREATE INDEX by_name ON t (name);"]
    for i in range(scale.transactions):
        lines.append(f"INSERT INTO t VALUES ({i}, 'name {i * 7919 % 10007}', "
                     f"{i});")
    for i in range(scale.transactions):
        lines.append(f"SELECT n FROM t WHERE name = 'name {i * 7919 % 10007}';")
    put(path, "\n".join(lines) + "\n")
