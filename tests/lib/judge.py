# SPDX-License-Identifier: GPL-2.0-or-later
"""The judge of ownership: the kernel, asked by the pageowner tool."""

import json
import os
from collections import Counter

from . import act, kernel, settings

UNCHARGED = "uncharged"


class Report:
    """The resident pages of some files, by the cgroup that pays for them."""

    def __init__(self, files):
        self.files = files
        self.pages = sum(f["pages"] for f in files)
        self.resident = sum(f["resident"] for f in files)
        self.owners = Counter()
        for f in files:
            self.owners.update(f["owners"])

    def of(self, cgroup):
        return self.owners[cgroup.path]

    def foreign_to(self, cgroup):
        return self.resident - self.of(cgroup)

    def forget(self, cgroup):
        """Take a cgroup's pages out of the report; how many there were. The
        machine may reclaim a page in the moment between seeing that it is
        resident and looking at it, which brings it back: it wasn't there."""
        pages = self.owners.pop(cgroup.path, 0)
        self.resident -= pages
        return pages

    def describe(self, cgroup):
        """The files that are not wholly the cgroup's, the first few of them."""
        bad = [f"  {f['path']}: {f['resident']}/{f['pages']} resident, "
               f"{dict(f['owners'])}" for f in self.files
               if set(f["owners"]) - {cgroup.path}]
        more = [f"  and {len(bad) - 12} more files"] if len(bad) > 12 else []
        return "\n".join([f"owners of {self.resident} resident pages of "
                          f"{self.pages}: {dict(self.owners)}"]
                         + bad[:12] + more)


class Judge:
    """Looks at backing files from a cgroup of its own, and so sees any page
    that looking itself brought in."""

    def __init__(self, tool, observer):
        self.tool = tool
        self.observer = observer

    def look(self, *paths, through=False):
        """At files; `through` a mount, its own pages of them are looked at."""
        options = ["--json", *(["--through-mount"] if through else [])]
        done = act.command([self.tool, *options, *paths],
                           cgroup=self.observer, limit=120)
        report = Report(json.loads(done.stdout))
        brought_in = report.forget(self.observer)
        assert brought_in <= max(64, report.resident // 100), \
            f"the judge brought in {brought_in} pages"
        return report

    def owned_by(self, cgroup, *paths, at_least=1, through=False):
        """Every resident page is the cgroup's, and enough are resident for
        this to mean something (clean pages may be reclaimed at any time, so
        that some of at_least may be missing)."""
        report = self.look(*paths, through=through)
        assert report.foreign_to(cgroup) == 0, (
            f"not all pages belong to {cgroup.path}\n{report.describe(cgroup)}")
        assert report.resident >= at_least * 0.75, (
            f"expected {at_least} resident pages or more\n"
            f"{report.describe(cgroup)}")
        return report

    def none_resident(self, *paths):
        report = self.look(*paths)
        assert report.resident == 0, report.describe(self.observer)

    @staticmethod
    def pages(size):
        return -(-size // settings.PAGE)


def evict(*paths):
    """Drop the pages of files that nobody maps. Only theirs are written out
    before: a machine may have much else to write."""
    for write in kernel.start_writing, kernel.write_out:
        for path in paths:
            fd = os.open(path, os.O_RDONLY | os.O_NOATIME)
            write(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)
