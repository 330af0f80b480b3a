# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures for Prometheus: what its own tools say of them."""

import contextlib
import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib import act, actions, kernel, settings
from lib.control import addresses, ask, device_of
from lib.settings import KIB
from lib.wait import eventually

pytestmark = pytest.mark.needs_daemon

PROMETHEUS = settings.BUILD / "prometheus/usr/bin/prometheus"
PROMTOOL = settings.BUILD / "prometheus/usr/bin/promtool"
SIZE = 256 * KIB


def address_of(mount):
    [found] = addresses(device_of(mount.path) + "/")
    return found


def check(text):
    """By promtool, who complains of bad form and of bad names."""
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=settings.seconds(30))
    assert done.returncode == 0 and not done.stdout, done.stdout


def value(text, name, **labels):
    """The value of the only sample with that name and those labels."""
    found = []
    for match in re.finditer(rf"^memcgfs_{name}\{{(.*)\}} (\S+)$", text, re.M):
        if all(f'{k}="{v}"' in match[1] for k, v in labels.items()):
            found.append(float(match[2]))
    assert len(found) == 1, (name, labels, found)
    return found[0]


def test_promtool_finds_nothing(place):
    mount = place.cover()
    place.put(place.source, "a", SIZE)
    place.run(actions.read_whole, mount / "a")
    text = ask(address_of(mount), "metrics")["text"]
    check(text)
    with pytest.raises(AssertionError, match="no help text"):
        check(text + "memcgfs_frob 1\n")


def test_figures(place):
    mount = place.cover()
    path = place.put(place.source, "a", SIZE)
    place.run(actions.read_whole, mount / "a")
    place.judge.owned_by(place.target, path, at_least=SIZE // settings.PAGE)
    status = ask(address_of(mount), "status")
    here = {"mountpoint": mount.path}
    host = here | {"host": place.target.path, "target": place.target.path}
    target = {"cgroup": place.target.path}

    def bytes_are_told():
        """The machine may take some pages at any time."""
        place.run(actions.read_whole, mount / "a")
        text = ask(address_of(mount), "metrics")["text"]
        told = [value(text, "host_usage_bytes", **host),
                value(text, "cgroup_usage_bytes", **target),
                value(text, "cgroup_hosted_bytes", **target),
                value(text, "cgroup_shared_bytes", cgroup=place.reader.path)]
        return all(0.75 * SIZE <= bytes <= SIZE for bytes in told) and text

    text = eventually(bytes_are_told)
    assert text
    assert value(text, "inodes", **here) == status["inodes"]
    assert value(text, "degraded", **here) == 0
    assert SIZE <= value(text, "ahead_bytes_total", **here) < 2 * SIZE
    assert value(text, "info", memcg=place.target.path, io="auto") == 1
    assert value(text, "host_charger_up", **host) == 1
    for name in status["counters"]:
        if name.startswith("pinned") or name == "reader_pages":  # levels
            value(text, name)
        else:
            value(text, f"{name.replace('look_ns', 'look_seconds')}_total")


def test_an_odd_mount_point(place):
    """Its name is escaped."""
    path = place.root / 'quo"te\\back\nline'
    path.mkdir()
    mount = place.cover(path=path)
    text = act.run(ask, address_of(mount), "metrics", user=act.STRANGER)["text"]
    check(text)
    assert 'quo\\"te\\\\back\\nline"' in text


# Over HTTP


def free_port(family=socket.AF_INET, host="127.0.0.1"):
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


@pytest.fixture
def port(place):
    """Where a mount's metrics are served."""
    number = free_port()
    place.cover(f"metrics={number}")
    return number


def get(port, path="/metrics", method="GET", host="127.0.0.1"):
    """(status, headers, text) of an answer."""
    question = urllib.request.Request(f"http://{host}:{port}{path}",
                                      method=method)
    try:
        answer = urllib.request.urlopen(question,
                                        timeout=settings.seconds(10))
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.headers, answer.read().decode()


def without_times(text):
    return re.sub(r"^memcgfs_look_seconds_total.*", "", text, flags=re.M)


def test_scraping(place, port):
    status, headers, text = get(port)
    assert status == 200
    assert headers["Content-Type"] == \
        "text/plain; version=0.0.4; charset=utf-8"
    check(text)

    def pair():
        return (without_times(get(port)[2]),
                without_times(ask(address_of(place.mount), "metrics")["text"]))

    # Two snapshots, between which something may happen.
    assert eventually(lambda: len(set(pair())) == 1), pair()
    status, headers, text = get(port, method="HEAD")
    assert status == 200 and text == ""

    def lengths():
        return (int(get(port, method="HEAD")[1]["Content-Length"]),
                len(get(port)[2].encode()))

    assert eventually(lambda: len(set(lengths())) == 1), lengths()


def test_there_is_nothing_else(place, port):
    for path in ("/", "/metrics/", "/metrics2", "/../etc/passwd", "//metrics"):
        assert get(port, path)[0] == 404, path
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "FROB"):
        status, headers, _ = get(port, method=method)
        assert status == 405 and headers["Allow"] == "GET, HEAD", method
    assert get(port, "/metrics?x=1")[0] == 200


def test_it_listens_where_it_is_told(place):
    """On this machine alone, unless an address is given; on IPv6, too."""
    number = free_port(socket.AF_INET6, "::1")
    mount = place.cover(f"metrics=[::1]:{number}")
    check(get(number, host="[::1]")[2])
    with pytest.raises(urllib.error.URLError):
        get(number)
    mount.stop()
    with pytest.raises(urllib.error.URLError):
        get(number, host="[::1]")


def test_a_port_alone_is_the_loopbacks(place, port):
    listeners = act.command(["cat", "/proc/net/tcp", "/proc/net/tcp6"]).stdout
    found = [line.split()[1] for line in listeners.splitlines()
             if f":{port:04X} 00000000:0000 0A" in line]
    assert found == [f"0100007F:{port:04X}"]


@pytest.mark.parametrize("what", ["taken", "no address of ours"])
def test_where_it_cannot_listen_nothing_is_mounted(place, what):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        where = {"taken": f"127.0.0.1:{other.getsockname()[1]}",
                 "no address of ours": "192.0.2.1:9469"}[what]
        done = act.command([settings.BINARY, "-o",
                            f"memcg={place.target.path},metrics={where}",
                            place.source, place.mountpoint], check=False)
    assert done.returncode != 0
    why = {"taken": "Address already in use",
           "no address of ours": "Cannot assign requested address"}[what]
    assert done.stderr == \
        f"memcgfs: metrics={where}: cannot listen there: {why}\n"
    assert not kernel.is_fuse(place.mountpoint)


def has_library(pid):
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        return "/libmicrohttpd.so" in maps.read()


def test_who_serves_nothing_loads_no_library(place):
    """Nor do chargers where the daemon serves."""
    mount = place.cover()
    assert not has_library(mount.daemon.pid)
    mount.stop()
    mount = place.cover(f"metrics={free_port()}")
    place.put(place.source, "a", SIZE)
    place.run(actions.read_whole, mount / "a")
    assert has_library(mount.daemon.pid)
    assert mount.chargers()
    assert not any(has_library(pid) for pid in mount.chargers())


def test_without_the_library_nothing_is_mounted(place):
    script = ("library=$(ldconfig -p | awk '/libmicrohttpd.so/ { print $NF; "
              "exit }'); mount --bind /dev/null \"$library\" && exec \"$@\"")
    done = act.command(["unshare", "-m", "--propagation", "private", "bash",
                        "-c", script, "bash", settings.BINARY, "-f", "-o",
                        f"memcg={place.target.path},metrics=127.0.0.1:9469",
                        place.source, place.mountpoint], check=False)
    assert done.returncode != 0 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("memcgfs: metrics=127.0.0.1:9469: "
                                  "cannot serve them: /"), done.stderr
    assert "libmicrohttpd.so" in done.stderr
    assert not kernel.is_fuse(place.mountpoint)


def test_a_bad_value_is_quoted(place):
    done = act.command([settings.BINARY, "-o", "memcg=/a,metrics=x:9100", "/",
                        "/"], check=False)
    assert done.returncode != 0 and len(done.stderr.splitlines()) == 1
    assert 'option "metrics=x:9100": a port is needed' in done.stderr


def test_bad_clients_disturb_nobody(place, port):
    """Many who say nothing, or half of it, or read nothing: the mount works,
    and who scrapes is served when they were let go of."""
    path = place.put(place.source, "a", SIZE)
    with contextlib.ExitStack() as stack:
        for i in range(20):
            bad = stack.enter_context(socket.socket())
            bad.settimeout(settings.seconds(5))
            bad.connect(("127.0.0.1", port))
            with contextlib.suppress(OSError):
                bad.sendall([b"", b"GET /met", b"GET /metrics HTTP/1.1\r\n",
                             b"\0\xff\r\n\r\n"][i % 4])
        begin = time.monotonic()
        place.run(actions.read_whole, place.mount / "a")
        place.judge.owned_by(place.target, path,
                             at_least=SIZE // settings.PAGE)
        assert time.monotonic() - begin < settings.seconds(2)

        def is_served():
            with contextlib.suppress(OSError):
                return get(port)[0] == 200

        assert eventually(is_served, 20, every=0.2)
        place.mount.stop()


def test_threads_and_fds_are_bounded(place, port):
    daemon = place.mount.daemon

    def threads():
        return len(os.listdir(f"/proc/{daemon.pid}/task"))

    get(port)
    before = threads(), daemon.open_fds()
    with ThreadPoolExecutor(8) as scrapers:
        scrapes = [scrapers.submit(get, port) for _ in range(200)]
        while not all(scrape.done() for scrape in scrapes):
            assert threads() <= before[0]
            time.sleep(0.01)
    assert {scrape.result()[0] for scrape in scrapes} == {200}
    assert eventually(lambda: daemon.open_fds() <= before[1])


# Prometheus itself


@pytest.fixture
def prometheus(place, port, new_scratch):
    """It, scraping the mount each second: a function that asks it."""
    directory = new_scratch("prometheus")
    own = free_port()
    (directory / "config.yml").write_text(json.dumps({
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{
            "job_name": "memcgfs",
            "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}]}))
    with open(directory / "log", "wb") as log:
        process = subprocess.Popen(
            [PROMETHEUS, f"--config.file={directory}/config.yml",
             f"--storage.tsdb.path={directory}/data",
             f"--web.listen-address=127.0.0.1:{own}"],
            stdout=log, stderr=log, preexec_fn=act.prepare)

    def query(what):
        with contextlib.suppress(OSError, ValueError):  # it isn't ready yet
            url = f"/api/v1/query?query={what}"
            return json.loads(get(own, url)[2])["data"]["result"]

    yield query
    process.kill()
    process.wait()


def test_prometheus_scrapes_it(place, prometheus):
    found = eventually(lambda: prometheus("memcgfs_inodes"), 30, every=0.1)
    assert len(found) == 1
    assert found[0]["metric"]["mountpoint"] == str(place.mountpoint)
    assert int(found[0]["value"][1]) == \
        ask(address_of(place.mount), "status")["inodes"]
    for name in ("up", "memcgfs_host_charger_up"):
        # A scrape may take longer than its time, and the next one doesn't.
        [one] = eventually(lambda: [found for found in prometheus(name) or []
                                    if found["value"][1] == "1"], 30, every=0.1)
    assert one["metric"]["host"] == place.target.path
