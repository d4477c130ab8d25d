"""The metrics server from outside: who gets metrics and health, and what does not stop it."""

import base64
import http.client
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter

from shadowline.errors import ConfigError
from station.clock import HostClock
from station.config import MetricsConfig
from station.metrics import Health, MetricsServer
from station.metrics.secret import draw
from station.worker import Worker


@contextmanager
def serving(**table: Any) -> Iterator[tuple[MetricsServer, CollectorRegistry]]:
    registry = CollectorRegistry()
    Counter("seen", "For the tests.", registry=registry).inc(7)
    health = Health([], lambda: None, threading.Event(), HostClock())
    server = MetricsServer(MetricsConfig(port=0, **table), registry, health)
    with Worker("metrics", server.run, server.stop):
        yield server, registry


def get(
    server: MetricsServer, path: str, password: str = "", tls: ssl.SSLContext | None = None, method: str = "GET"
) -> tuple[int, str]:
    if tls:
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            "localhost", server.port, timeout=10, context=tls
        )
    else:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    with closing(connection):
        token = base64.b64encode(f"prometheus:{password}".encode()).decode()
        connection.request(method, path, headers={"Authorization": f"Basic {token}"} if password else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def send(server: MetricsServer, data: bytes) -> bytes:
    """Return all that comes back for `data`."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(data)
        return connection.makefile("rb").read()


def refused(registry: CollectorRegistry, reason: str) -> float:
    return registry.get_sample_value("station_metrics_refused_total", {"reason": reason}) or 0.0


def wait_for(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if condition():
            return
        pause.wait(0.01)
    pytest.fail("waited ten seconds in vain")


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of localhost that vouches for itself, and its key."""
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        ["openssl", *request.split(), "-addext", "subjectAltName=DNS:localhost", "-out", files[0], "-keyout", files[1]],
        check=True,
        capture_output=True,
    )
    files[1].chmod(0o600)
    return files


def password_file(folder: Path) -> tuple[str, Path]:
    password, kept = draw()
    (folder / "password").write_text(kept)
    return password, folder / "password"


def test_metrics_come_as_prometheus_asks() -> None:
    with serving() as (server, _):
        status, text = get(server, "/metrics")
        assert (status, "seen_total 7.0" in text) == (200, True)
        wanted = b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text; version=1.0.0\r\n\r\n"
        assert send(server, wanted).endswith(b"# EOF\n")
        assert get(server, "/metrics?debug=1")[0] == 200
        assert get(server, "/metrics", method="HEAD") == (200, "")
        assert get(server, "/metrics", method="POST")[0] == 405
        assert get(server, "/")[0] == 404


def test_the_address_is_told() -> None:
    with serving() as (server, _):
        assert server.url == f"http://127.0.0.1:{server.port}/metrics"


def test_ipv6_is_an_address_too() -> None:
    with serving(host="::1") as (server, _):
        assert server.url == f"http://[::1]:{server.port}/metrics"
        with socket.create_connection(("::1", server.port), timeout=10) as connection:
            connection.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            assert connection.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"


def test_a_taken_port_ends_the_start() -> None:
    with serving() as (server, _):
        again = MetricsServer(MetricsConfig(port=server.port), CollectorRegistry(), server._health)
        with pytest.raises(ConfigError, match=r"\[metrics\] port 127.0.0.1:\d+: address already in use"):
            Worker("again", again.run, again.stop).__enter__()


def test_only_the_password_opens_the_metrics(tmp_path: Path) -> None:
    password, file = password_file(tmp_path)
    with serving(password_file=file) as (server, registry):
        assert get(server, "/metrics", password)[0] == 200
        assert get(server, "/metrics")[0] == 401
        assert get(server, "/metrics", password + "x")[0] == 401
        assert b" 401 " in send(server, b"GET /metrics HTTP/1.1\r\nAuthorization: Basic not base64\r\n\r\n")
        token = base64.b64encode(f"prometheus:{password}".encode())
        assert b" 401 " in send(server, b"GET /metrics HTTP/1.1\r\nAuthorization: Bearer " + token + b"\r\n\r\n")
        assert refused(registry, "password") == 4


def test_without_the_password_health_gives_no_reasons(tmp_path: Path) -> None:
    password, file = password_file(tmp_path)
    with serving(password_file=file) as (server, _):
        assert get(server, "/readyz") == (503, '{"ok": false}\n')
        assert "no frame has been judged yet" in get(server, "/readyz", password)[1]
        assert get(server, "/healthz") == (200, '{"ok": true}\n')


FAULTY_SECRETS = {"empty": "", "a password, not its hash": "hunter2", "cut": "sha256:0123", "not text": "sha256:ä"}


@pytest.mark.parametrize("text", FAULTY_SECRETS.values(), ids=FAULTY_SECRETS)
def test_a_faulty_password_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "password"
    file.write_text(text)
    with (
        pytest.raises(ConfigError, match=r"\[metrics\] password_file .*password") as fault,
        serving(password_file=file),
    ):
        pass
    assert "hunter2" not in str(fault.value)


def test_a_missing_password_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"password_file .*No such file"), serving(password_file=tmp_path / "none"):
        pass


def test_tls_by_the_configured_certificate(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    password, file = password_file(tmp_path)
    trusting = ssl.create_default_context(cafile=certificate[0])
    with serving(certificate=certificate[0], key=certificate[1], password_file=file, host="localhost") as (server, own):
        assert server.url == f"https://localhost:{server.port}/metrics"
        assert get(server, "/metrics", password, trusting)[0] == 200
        assert get(server, "/metrics", "", trusting)[0] == 401
        with pytest.raises(ssl.SSLCertVerificationError):
            get(server, "/metrics", password, ssl.create_default_context())
        assert send(server, b"GET /metrics HTTP/1.1\r\n\r\n")[:4] != b"HTTP"
        wait_for(lambda: refused(own, "broken") >= 2)


def spoil_mode(certificate: Path, key: Path) -> None:
    key.chmod(0o604)


def spoil_key(certificate: Path, key: Path) -> None:
    key.write_bytes(certificate.read_bytes())


def swap_key(certificate: Path, key: Path) -> None:
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key)], check=True)


def lock_key(certificate: Path, key: Path) -> None:
    locked = key.with_suffix(".locked")
    subprocess.run(
        ["openssl", "ec", "-in", str(key), "-aes256", "-passout", "pass:abcd", "-out", str(locked)],
        check=True,
        capture_output=True,
    )
    key.write_bytes(locked.read_bytes())


def lose_key(certificate: Path, key: Path) -> None:
    key.unlink()


def lose_certificate(certificate: Path, key: Path) -> None:
    certificate.unlink()


FAULTY_FILES = {
    "key that everybody reads": (spoil_mode, r"can be read by everybody: chmod o= .*key\.pem"),
    "certificate in the key's place": (spoil_key, r"\[metrics\] certificate .*, key .*"),
    "key of another certificate": (swap_key, r"\[metrics\] certificate .*, key .*mismatch"),
    "key with a passphrase": (lock_key, r"\[metrics\] certificate .*, key .*"),
    "no key": (lose_key, r"\[metrics\] key .*No such file"),
    "no certificate": (lose_certificate, r"\[metrics\] certificate .*No such file"),
}


@pytest.mark.parametrize(("spoil", "words"), FAULTY_FILES.values(), ids=FAULTY_FILES)
def test_faulty_tls_files_are_refused(
    certificate: tuple[Path, Path], spoil: Callable[[Path, Path], None], words: str
) -> None:
    spoil(*certificate)
    with pytest.raises(ConfigError, match=words), serving(certificate=certificate[0], key=certificate[1]):
        pass


BAD_REQUESTS = {
    "no HTTP": (b"\x16\x03\x01\r\n\r\n", 400),
    "a header without its name": (b"GET /metrics HTTP/1.1\r\n: x\r\n\r\n", 400),
    "no ASCII": ("GET /metrics HTTP/1.1\r\nAuthorization: Basic ä\r\n\r\n".encode(), 400),
    "too many headers": (b"GET /metrics HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", 400),
    "HTTP/2 without being asked": (b"PRI * HTTP/2.0\r\n\r\n", 400),
    "an endless header": (b"GET /metrics HTTP/1.1\r\nx: " + b"x" * 10_000, 431),
    "an endless line": (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n\r\n", 431),
    "a way out": (b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", 404),
}


@pytest.mark.parametrize(("data", "status"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_bad_requests_are_answered_and_the_next_is_served(data: bytes, status: int) -> None:
    with serving() as (server, _):
        assert send(server, data).split(b" ")[1] == str(status).encode()
        assert get(server, "/metrics")[0] == 200


def test_slow_clients_keep_nobody_out() -> None:
    with serving() as (server, registry), ExitStack() as held:
        slow = [
            held.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10)) for _ in range(100)
        ]
        for connection in slow:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nx: ")
        assert get(server, "/metrics")[0] == 200
        wait_for(lambda: refused(registry, "crowded") >= 68)


def test_a_client_that_hangs_up_disturbs_nobody() -> None:
    with serving() as (server, registry):
        for _ in range(5):
            socket.create_connection(("127.0.0.1", server.port), timeout=10).close()
        wait_for(lambda: refused(registry, "broken") == 5)
        assert get(server, "/metrics")[0] == 200


@pytest.mark.slow
def test_a_request_that_does_not_end_is_cut() -> None:
    with serving() as (server, registry):
        assert send(server, b"GET /metrics HTTP/1.1\r\n") == b""
        assert refused(registry, "slow") == 1
