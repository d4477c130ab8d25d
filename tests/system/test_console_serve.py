"""The console as a process: how it starts, refuses to, answers slow and encrypted connections, and ends."""

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from station.console.database import Database
from station.console.people import Role
from tests.console_browser import Site, station_and_console
from tests.journals import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with station_and_console(tmp_path_factory.mktemp("console"), with_station=False) as site:
        yield site


def refusal(folder: Path, text: str) -> str:
    """Return the line that `station console` ends with on this configuration."""
    config = folder / "config.toml"
    config.write_text('[[camera]]\nname = "top"\ntype = "simulated"\n[journal]\nfolder = "journal"\n[console]\n' + text)
    done = subprocess.run(
        [sys.executable, "-m", "station", "console", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    return done.stderr


def test_what_must_not_start_says_why_in_a_line(tmp_path: Path) -> None:
    assert "[console] folder is missing" in refusal(tmp_path, "port = 0")
    assert "is open to the network: give certificate and key" in refusal(tmp_path, 'folder = "c"\nhost = "0.0.0.0"')
    alone = refusal(tmp_path, 'folder = "c"\nhost = "0.0.0.0"\nplain_network = true')
    assert "nobody can log in yet: station console user add NAME --role engineer" in alone
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"[console] port 127.0.0.1:{port}: address already in use" in refusal(
            tmp_path, f'folder = "c"\nport = {port}'
        )
    (tmp_path / "key.pem").write_text("no key")
    (tmp_path / "key.pem").chmod(0o600)
    assert "[console] certificate" in refusal(tmp_path, 'folder = "c"\ncertificate = "key.pem"\nkey = "key.pem"')


def test_a_head_that_does_not_come_ends_its_connection(site: Site) -> None:
    place = urlsplit(site.url)
    with socket.create_connection((place.hostname, place.port), timeout=30) as slow:
        slow.sendall(b"GET /login HTTP/1.1\r\nHost: ")
        assert slow.recv(100) == b""


def test_nonsense_is_answered_and_logged_nowhere(site: Site) -> None:
    place = urlsplit(site.url)
    for words in (
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
        b"GET " + b"x" * 70_000,
        b"A" * 40_000 + b"\r\n\r\n",
    ):
        with socket.create_connection((place.hostname, place.port), timeout=30) as connection:
            connection.sendall(words)
            assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert "WARNING" not in site.console.log


def test_many_slow_connections_do_not_keep_others_out(site: Site) -> None:
    place = urlsplit(site.url)
    crowd = [socket.create_connection((place.hostname, place.port), timeout=30) for _ in range(100)]
    try:
        with site.client(Role.VIEWER) as client:
            assert client.get("/people/me").status_code == 200
    finally:
        for one in crowd:
            one.close()


@contextmanager
def followed(folder: Path) -> Iterator[tuple[Site, Iterator[str]]]:
    """Yield a console, and the lines of a stream of events that has begun."""
    with (
        station_and_console(folder, with_station=False) as site,
        site.client(Role.VIEWER) as client,
        client.stream("GET", "/events") as stream,
    ):
        lines = stream.iter_lines()
        assert next(lines) == "event: station"
        yield site, lines


def test_it_ends_at_once_although_somebody_follows(tmp_path: Path) -> None:
    with followed(tmp_path) as (site, lines):
        assert site.console.stop() == 0
        assert list(lines)[-1] == ""


def test_a_login_that_ends_ends_its_streams(tmp_path: Path) -> None:
    with followed(tmp_path) as (site, lines), site.client(Role.ENGINEER) as engineer:
        engineer.post("/people/remove", data={"name": "viewer"})
        assert "event: ended" in list(lines)


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with station_and_console(tmp_path, with_station=False):
            while not any("station not heard" in line for line in told):
                told.append(channel.recv(4096).decode())
        while not told[-1].startswith("STOPPING=1"):
            told.append(channel.recv(4096).decode())
    assert told[0] == "READY=1"
    assert any(line.startswith("WATCHDOG=1\nSTATUS=http://127.0.0.1:") for line in told)


def test_a_part_that_dies_ends_the_console_with_why(tmp_path: Path) -> None:
    """The strip map's reader looks where it was, finds what somebody spoilt, and can't go on."""
    with station_and_console(tmp_path, with_station=False) as site:
        with Database(tmp_path / "console" / "console.db") as database, database.write() as db:
            db.execute("INSERT OR REPLACE INTO strip_progress (id, state) VALUES (1, 'spoilt')")
        assert site.console.wait() == 2
        assert "station: thread strip failed: DecodeError(" in site.console.log


def test_with_a_certificate_it_speaks_tls_alone(tmp_path: Path) -> None:
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    (tmp_path / "key.pem").chmod(0o600)
    tls = f'port = 0\ncertificate = "{tmp_path}/cert.pem"\nkey = "{tmp_path}/key.pem"'
    with station_and_console(tmp_path, with_station=False, replace=('console"\nport = 0', f'console"\n{tls}')) as site:
        assert site.url.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        with httpx2.Client(base_url=site.url, verify=context) as client:
            cookie = client.get("/login").headers["set-cookie"]
        assert "Secure" in cookie
        with pytest.raises(httpx2.TransportError):
            httpx2.get(site.url.replace("https", "http") + "login")


def test_a_station_that_is_killed_and_comes_back_is_shown(tmp_path: Path) -> None:
    with station_and_console(tmp_path) as site, site.client(Role.VIEWER) as client:
        seen: list[str] = []

        def follow() -> None:
            with client.stream("GET", "/events") as stream:
                seen.extend(line for line in stream.iter_lines() if line.startswith("data: "))

        following = threading.Thread(target=follow)
        following.start()
        wait_until(lambda: 'data: {"online": true}' in seen)
        site.station.kill()
        wait_until(lambda: seen[-1] == 'data: {"online": false}')
        site.station.start()
        wait_until(lambda: seen[-1] == 'data: {"online": true}')
        site.console.stop()
        following.join()
