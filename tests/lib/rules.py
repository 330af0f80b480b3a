# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests of rules say and ask: rule files, and whose pages a file's are."""

import contextlib
import os

from . import act, actions, settings
from .settings import KIB
from .wait import eventually

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


def is_owned(place, cgroup, *names):
    report = place.judge.look(*(place.source / name for name in names))
    return report.foreign_to(cgroup) == 0 and all(
        file["resident"] > PAGES // 2 for file in report.files)


def log_says(place, *words):
    return eventually(lambda: all(w in place.log.read_text() for w in words))


def may_enter(cgroup, user):
    """Gives a user the rights that moving a process there takes: on v2 the
    one to what is above, too. A context; the directory above is shared."""
    @contextlib.contextmanager
    def granted():
        above = cgroup.dir.parent / "cgroup.procs"
        own = cgroup.dir / "cgroup.procs"
        os.chown(own, user.uid, -1)
        if cgroup.hierarchy.version == 2:
            os.chown(above, user.uid, -1)
        try:
            yield
        finally:
            os.chown(above, 0, -1)
            if own.exists():
                os.chown(own, 0, -1)
    return granted()


def reload_rules(place):
    """Has the mount look at everything again."""
    act.command([settings.BINARY.parent / "memcgfsctl", "reload",
                 place.mount.path], limit=20)
