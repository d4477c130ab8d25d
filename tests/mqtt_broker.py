"""A real broker of its own process, to be frozen, killed and set up in any way, and who listens to it."""

import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

__all__ = ["Broker", "Certificates", "Listener", "broker", "free_port", "listening", "make_certificates", "until"]

_PATIENCE_S = 60.0


def until(done: Callable[[], object], what: str, turn: Callable[[], object] = lambda: None) -> None:
    """Take turns until it is done, a thousand a second at most."""
    end_s = time.monotonic() + _PATIENCE_S
    while not done():
        assert time.monotonic() < end_s, f"{what} did not happen"
        turn()
        time.sleep(0.001)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Broker:
    """Mosquitto with the lines of a configuration."""

    def __init__(self, folder: Path, *lines: str) -> None:
        if shutil.which("mosquitto") is None:
            pytest.skip("mosquitto is missing: sh tests/gateways-install.sh")
        self.folder, self.port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.configure(*lines)

    def configure(self, *lines: str) -> None:
        """Take other lines from the next start on; `{port}` and `{folder}` are filled in."""
        wanted = lines or ("listener {port} 127.0.0.1", "allow_anonymous true")
        text = "\n".join([*wanted, "set_tcp_nodelay true", "user root", ""])
        self._file.write_text(text.replace("{port}", str(self.port)).replace("{folder}", str(self.folder)))

    @property
    def _file(self) -> Path:
        return self.folder / "mosquitto.conf"

    def start(self) -> None:
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(["mosquitto", "-c", self._file], stdout=log, stderr=log)
        until(self._listens, "mosquitto's start")

    def kill(self) -> None:
        """End it like a power cut."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def connections(self) -> int:
        """How many there are now."""
        assert self._process is not None
        found = psutil.Process(self._process.pid).net_connections("tcp")
        return sum(one.status == psutil.CONN_ESTABLISHED for one in found)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "mosquitto.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def broker(folder: Path, *lines: str) -> Iterator[Broker]:
    """Yield a broker that listens."""
    one = Broker(folder, *lines)
    one.start()
    try:
        yield one
    finally:
        one.kill()


@dataclass(slots=True)
class Heard:
    """A message, as a subscriber gets it."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    at_ns: int


@dataclass(slots=True)
class Listener:
    """A subscriber in a thread of its own."""

    client: Any
    heard: list[Heard] = field(default_factory=list)
    subscribed: threading.Event = field(default_factory=threading.Event)

    def on(self, part: str) -> list[Heard]:
        """Return what came so far on topics with `part` in them."""
        return [one for one in list(self.heard) if part in one.topic]

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        self.client.publish(topic, payload, 1, retain).wait_for_publish(_PATIENCE_S)


@contextmanager
def listening(
    port: int,
    topic: str = "#",
    *,
    client_id: str = "",
    session_s: int = 0,
    prepare: Callable[[Any], None] = lambda client: None,
) -> Iterator[Listener]:
    """Yield a subscriber that comes back by itself; with `session_s` the broker keeps messages for it meanwhile."""
    from paho.mqtt import client as mqtt
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id, protocol=mqtt.MQTTv5)
    listener = Listener(client)

    def hear(client: Any, own: Any, message: mqtt.MQTTMessage) -> None:
        at = time.monotonic_ns()
        listener.heard.append(Heard(message.topic, message.payload, message.qos, message.retain, at))

    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = session_s
    client.on_message = hear
    client.on_connect = lambda client, *rest: client.subscribe(topic, 1)
    client.on_subscribe = lambda *rest: listener.subscribed.set()
    client.reconnect_delay_set(0.05, 0.1)
    prepare(client)
    client.connect("127.0.0.1", port, clean_start=not session_s, properties=properties)
    client.loop_start()
    try:
        assert listener.subscribed.wait(_PATIENCE_S)
        yield listener
    finally:
        client.disconnect()
        client.loop_stop()
        listener.client = None  # with it go the sockets that paho's thread was woken by


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files of an authority, a broker at 127.0.0.1 and a gateway; and what is wrong."""

    ca: Path
    broker: Path
    gateway: Path
    expired: Path
    other_ca: Path

    @staticmethod
    def key_of(certificate: Path) -> Path:
        return certificate.with_suffix(".key")


def make_certificates(folder: Path) -> Certificates:
    """Make them with openssl, as docs/mqtt.md does."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing: sh tests/gateways-install.sh")
    made = {name: folder / f"{name}.pem" for name in ("ca", "broker", "gateway", "expired", "other_ca")}
    for name in ("ca", "other_ca"):
        _openssl(folder, "req", "-x509", *_new(made[name]), "-days", "2", "-subj", f"/CN={name}")
    for name in ("broker", "gateway", "expired"):
        request = folder / f"{name}.csr"
        period = ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"] if name == "expired" else []
        _openssl(folder, "req", *_new(made[name], request), "-subj", f"/CN={name}", "-addext", _AT)
        _sign(folder, request, made[name], made["ca"], period)
    return Certificates(*made.values())


_AT = "subjectAltName=IP:127.0.0.1"


def _new(certificate: Path, request: Path | None = None) -> list[str]:
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    return [*key, "-keyout", str(Certificates.key_of(certificate)), "-out", str(request or certificate)]


def _sign(folder: Path, request: Path, out: Path, ca: Path, period: list[str]) -> None:
    (folder / "serial").write_text("1000")
    (folder / "index").write_text("")
    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca=d\n[d]\n"
        f"dir={folder}\nnew_certs_dir={folder}\ndatabase={folder}/index\nserial={folder}/serial\n"
        "default_md=sha256\ndefault_days=2\npolicy=p\ncopy_extensions=copy\nunique_subject=no\n[p]\ncommonName=supplied\n"
    )
    words = ["ca", "-batch", "-config", str(folder / "ca.cnf"), "-cert", str(ca), "-keyfile"]
    _openssl(folder, *words, str(Certificates.key_of(ca)), "-in", str(request), "-out", str(out), "-notext", *period)


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
