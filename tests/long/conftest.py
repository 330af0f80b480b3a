# SPDX-License-Identifier: GPL-2.0-or-later
"""One mount for all the long tests of a module, for each I/O mode, and a
directory beside it on the same filesystem."""

import pytest

from lib import kernel
from lib.place import Place


@pytest.fixture(scope="module", params=["io=auto", "io=strict"])
def yard(request, new_scratch, cgroups, judge):
    here = Place(new_scratch("long"), cgroups, judge)
    here.option = request.param
    try:
        here.cover(request.param)
        yield here
    finally:
        here.leave()


@pytest.fixture(autouse=True)
def still_there(request):
    """Whatever a test did: the daemon lives, and serves. One that doesn't is
    replaced for the next test."""
    yield
    if "yard" not in request.fixturenames:
        return
    yard = request.getfixturevalue("yard")
    died = yard.mount.died()
    if died:
        yard.mount.kill()
        yard.cover(yard.option)
    assert not died, died
    assert (yard.mount / ".").stat()


@pytest.fixture
def sides(request, yard):
    """A fresh directory beside the mount, and one in it."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)[:60]
    for directory in (yard.beside / name, yard.source / name):
        directory.mkdir()
        directory.chmod(0o777)
        kernel.spread(directory)
    return yard.beside / name, yard.mount / name
