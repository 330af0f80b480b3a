# SPDX-License-Identifier: GPL-2.0-or-later
"""A real project is built inside the mount by compilers that live elsewhere."""

import pytest

from lib import settings
from lib.act import command

pytestmark = pytest.mark.needs_daemon


def libfuse_tarball():
    return next(iter(sorted(settings.BUILD.rglob("fuse3_*.orig.tar.*"))), None)


def write_small_project(directory):
    """Stands in for a real project where no source of one is at hand."""
    directory.mkdir()
    names = [f"part{n}" for n in range(settings.scaled(40))]
    for n, name in enumerate(names):
        (directory / f"{name}.c").write_text(
            f"#include <stdio.h>\n#include \"parts.h\"\n"
            f"int {name}(void) {{ return printf(\"%d\", {n}) * 0 + {n}; }}\n")
    (directory / "parts.h").write_text(
        "".join(f"int {name}(void);\n" for name in names))
    (directory / "main.c").write_text(
        '#include "parts.h"\nint main(void) { return '
        + " + ".join(f"{name}()" for name in names) + " == 0; }\n")
    sources = ", ".join(f"'{name}.c'" for name in [*names, "main"])
    (directory / "meson.build").write_text(
        f"project('parts', 'c')\nexecutable('parts', {sources})\n"
        "test('runs', executable('again', " + sources + "))\n")


@pytest.mark.time_limit(240)
@pytest.mark.parametrize("mode", ["io=auto", "io=strict"])
def test_build_in_the_mount(place, figure, mode):
    tarball = libfuse_tarball()
    place.cover(mode)
    inside = place.mount / "project"
    if tarball and not (settings.SANITIZED and mode == "io=strict"):
        inside.mkdir()
        place.command(["tar", "xf", tarball, "-C", inside,
                       "--strip-components=1"], limit=60)
        setup = ["-Dexamples=false", "-Dtests=false", "-Duseroot=false"]
    else:
        place.run(write_small_project, inside)
        setup = []
    place.command(["meson", "setup", "out", *setup], cwd=inside, limit=120)
    place.command(["ninja", "-C", "out"], cwd=inside, limit=240)

    report = place.judge.owned_by(place.target, place.source, at_least=80)
    assert report.of(place.daemon) == 0
    figure(f"{tarball.name if tarball else 'a small project'} built; "
           f"{report.resident} pages, all the target's")
    built = [p for p in (place.source / "project/out").rglob("*.o")]
    assert built, "nothing was compiled"
    done = command(["ninja", "-C", "out", "-n"], cwd=inside)
    assert "no work to do" in done.stdout, "the times of the files are wrong"
