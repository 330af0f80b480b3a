# SPDX-License-Identifier: GPL-2.0-or-later
"""What is asked after all workloads: of memcgfs the owner of the pages that
exec and sendfile bring in, of all what the clients and servers are charged."""

import shutil
import time

from tools import WORKER, progress, run

SENT_BYTES = 16 << 20
STAT_LAG_SECONDS = 2.5      # memory.stat is that late


def run_all(bench):
    checks = {"ownership": {}}
    if "ownership" in bench.args.only:
        for fs in bench.filesystems:
            if fs.is_memcgfs and fs.only is None:
                checks["ownership"][fs.name] = _ownership(bench, fs)
    progress("")
    time.sleep(STAT_LAG_SECONDS)
    checks["charges"] = {fs.name: _charges(bench, fs)
                         for fs in bench.filesystems}
    return checks


def _charges(bench, fs):
    """What the client's and the server's own cgroups have in the end: by the
    cgroup's counter, and of the pages of the backing files. The difference
    are second copies, and the backing filesystem's own blocks (directories,
    inode tables): the kernel charges those to who needs them first."""
    return {who: {"file_bytes": bench.cgroups.file_bytes(cgroup),
                  "backing_pages": bench.owned_pages([fs.source], cgroup)[0]}
            for who, cgroup in (("client", fs.client), ("server", fs.daemon))}


def _ownership(bench, fs):
    """Percent of a file's pages that the target owns after a cold use."""
    progress(f"ownership: {fs.name}")
    owned = {}
    try:
        shutil.copy(WORKER, f"{fs.mnt}/program")
        run(WORKER, "fill", f"{fs.mnt}/sent", str(SENT_BYTES))
    except (RuntimeError, OSError) as error:
        return {"exec and sendfile": fs.death() or str(error)}
    for use, name, verb in (
            ("exec", "program", ("once", f"{fs.mnt}/program", "nothing")),
            ("sendfile", "sent", ("sendfile", f"{fs.mnt}/sent"))):
        try:
            bench.drop(f"{fs.source}/{name}")
            bench.worker(fs, *verb)
            owned[use] = bench.owned([f"{fs.source}/{name}"])
        except (RuntimeError, OSError) as error:
            owned[use] = fs.death() or str(error)
    return owned
