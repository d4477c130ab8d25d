"""The MQTT gateway: from the station's socket to a subscriber, and a thousand reconnects.

python -m tests.benchmarks.gateways_mqtt latency 1000     by a real `station gateway`, to a process that subscribes
python -m tests.benchmarks.gateways_mqtt outage 10000     the broker is killed for the time of so many results
python -m tests.benchmarks.gateways_mqtt reconnects 1000  of the gateway, then of the broker, with TLS
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from station.config import Config
from station.config.gateways import MqttConfig
from station.event import InspectionEvent, decode
from station.gateways.mqtt.outlet import MqttOutlet
from tests.carrying import Carrying
from tests.journal_double import JournalDouble, StationDouble, inspection, standing
from tests.mqtt_broker import Broker, Heard, broker, listening, make_certificates, until
from tests.sparkplug_schema import read

RATE_HZ = 100.0
BEAT_S = 1.0
WARM_UP = 200
PLAIN = ("listener {port} 127.0.0.1", "allow_anonymous true")
TLS = (
    *("listener {port} 127.0.0.1", "allow_anonymous true", "cafile {folder}/ca.pem"),
    *("certfile {folder}/broker.pem", "keyfile {folder}/broker.key"),
)
SAFE = ("persistence true", "persistence_location {folder}/", "autosave_on_changes true", "autosave_interval 1")
CONFIG = """
[[camera]]
name = "top"
type = "simulated"
[publish]
endpoint = "{live}"
[journal]
folder = "journal"
endpoint = "{replay}"
[control]
endpoint = "ipc://{folder}/control"
[gateway.mes]
type = "mqtt"
port = {port}
{more}
"""
_OWN_TLS = 'tls = {{ ca = "{folder}/ca.pem" }}'
CASES: dict[str, tuple[tuple[str, ...], str]] = {
    "JSON, QoS 1": (PLAIN, ""),
    "JSON, QoS 1, TLS": (TLS, _OWN_TLS),
    "JSON, QoS 1, TLS, autosave on changes": ((*TLS, *SAFE), _OWN_TLS),
    "Sparkplug B, TLS": (TLS, _OWN_TLS + '\nformat = "sparkplug"'),
}


@contextmanager
def gateway(folder: Path, station: StationDouble, port: int, more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `station gateway` between the station's sockets and the broker."""
    config = folder / "config.toml"
    config.write_text(
        CONFIG.format(
            live=station.live, replay=station.replay, folder=folder, port=port, more=more.format(folder=folder)
        )
    )
    words = [sys.executable, "-m", "station", "gateway", "mes", "--config", str(config)]
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(words, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


class Line:
    """Publishes results at a rate, stamped on the clock that the subscriber reads."""

    def __init__(self, station: StationDouble, journal: JournalDouble) -> None:
        self._station, self._journal = station, journal
        self._next_s = self._beat_s = 0.0
        self.event = 0

    def step(self) -> None:
        """Publish what is due."""
        now_s = time.monotonic()
        if now_s >= self._beat_s:
            self._beat_s = now_s + BEAT_S
            self._station.beat(self.event)
        if now_s < self._next_s:
            time.sleep(min(self._next_s - now_s, 0.002))
            return
        self._next_s = max(self._next_s + 1 / RATE_HZ, now_s)
        self.event += 1
        event = inspection(self.event)
        event.published_ns = time.time_ns()
        event.latency_ms = time.monotonic_ns() / 1e6  # the one number that every format carries whole
        self._station.say(event)
        self._journal.keep(event)


def sent_ms(heard: Heard) -> float | None:
    """Return when a result was published, in milliseconds of the clock that stands in it; None for other messages."""
    if "/inspection/" in heard.topic:
        message = decode(heard.payload)
        return message.latency_ms if isinstance(message, InspectionEvent) else None
    if "/DDATA/" in heard.topic:
        return next(metric.double_value for metric in read(heard.payload).metrics if metric.HasField("double_value"))
    return None


def lags_ms(heard: Sequence[Heard]) -> list[float]:
    return [one.at_ns / 1e6 - sent for one in heard if (sent := sent_ms(one)) is not None]


def listen(port: int, ca: str) -> None:
    """Subscribe until the end of standard input, then print the lags. A process of its own: it waits for nobody."""
    prepare = (lambda client: client.tls_set(ca)) if ca else (lambda client: None)
    with listening(port, client_id="mes", session_s=60, prepare=prepare) as listener:
        print("listening", flush=True)
        sys.stdin.read()
        print(json.dumps(lags_ms(listener.heard)))


@contextmanager
def subscriber(port: int, ca: str) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-m", "tests.benchmarks.gateways_mqtt", "listen", str(port), ca]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "listening\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def latency(results: int) -> None:
    for name, (lines, more) in CASES.items():
        with tempfile.TemporaryDirectory() as place:
            lags = np.array(_lags(Path(place), lines, more, results))
        p50, p99 = np.percentile(lags, (50, 99))
        print(f"{name:40} {len(lags)} results  p50 {p50:.2f} ms  p99 {p99:.2f} ms  max {lags.max():.1f} ms", flush=True)


def _lags(folder: Path, lines: Sequence[str], more: str, results: int) -> list[float]:
    make_certificates(folder)
    ca = str(folder / "ca.pem") if more else ""
    journal = JournalDouble()
    with (
        standing(folder, journal) as station,
        broker(folder, *lines) as one,
        subscriber(one.port, ca) as process,
        gateway(folder, station, one.port, more) as carrier,
    ):
        line = Line(station, journal)
        until(lambda: (folder / "gateway.log").read_text().count("online"), "the gateway's start", line.step)
        until_s = time.monotonic() + (WARM_UP + results) / RATE_HZ
        while time.monotonic() < until_s:
            line.step()
        assert carrier.poll() is None
        lags, _ = process.communicate()
    return list(json.loads(lags))[-results:]


def reconnects(times: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_certificates(folder)
        table = {"type": "mqtt", "connect_s": 5.0, "tls": {"ca": folder / "ca.pem"}}
        config = Config.model_validate({"camera": [{"name": "top", "type": "simulated"}]})
        for format in ("json", "sparkplug"):
            with broker(folder, *TLS) as one:
                settings = MqttConfig.model_validate(table | {"port": one.port, "format": format})
                loop = Carrying(MqttOutlet("mes", settings, config))
                _cycles(f"{format}: the gateway reconnects", loop, one, times, loop.close)
                _cycles(f"{format}: the broker is killed", loop, one, times, lambda one=one: (one.kill(), one.start()))
                loop.close()


def outage(results: int) -> None:
    """Kill the broker for the time of so many results, and print how fast they come then."""
    for format in ("json", "sparkplug"):
        with tempfile.TemporaryDirectory() as place, broker(Path(place)) as one:
            settings = MqttConfig.model_validate({"type": "mqtt", "port": one.port, "format": format})
            config = Config.model_validate({"camera": [{"name": "top", "type": "simulated"}]})
            loop = Carrying(MqttOutlet("mes", settings, config), [(1, inspection(1))])
            until(lambda loop=loop: loop.is_done, "the first result", loop.step)
            one.kill()
            loop.entries += [(number, inspection(number)) for number in range(2, results + 2)]
            until(lambda loop=loop: loop.faults, "the loss", loop.step)
            one.start()
            with listening(one.port) as listener:
                begun_s = time.monotonic()
                while not loop.is_done:
                    loop.step()
                took_s = time.monotonic() - begun_s
                until(lambda: len(lags_ms(listener.heard)) == results, "the last result")
                sent = [one for one in listener.heard if sent_ms(one) is not None]
            loop.close()
            print(f"{format}: {len(sent)} results after the outage, {results / took_s:.0f} a second", flush=True)


def _cycles(name: str, loop: Carrying, one: Broker, times: int, cut: Any) -> None:
    me, growth = psutil.Process(), []
    for number in range(times):
        cut()
        last = loop.entries[-1][0] if loop.entries else 0
        loop.entries = [(last + 1, inspection(last + 1))]
        until(lambda: loop.is_done, "the acknowledgement", loop.step)
        if number in (times // 10, times - 1):
            growth.append((me.num_fds(), me.num_threads(), me.memory_info().rss / 1e6))
    (fds, threads, before_mb), (fds_after, threads_after, after_mb) = growth
    print(
        f"{name}: {times} times; handles {fds} -> {fds_after}, threads {threads} -> {threads_after}, "
        f"memory {before_mb:.1f} -> {after_mb:.1f} MB, sessions at the broker {one.connections}",
        flush=True,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["listen"]:
        listen(int(sys.argv[2]), sys.argv[3])
        sys.exit()
    kind = sys.argv[1] if len(sys.argv) > 1 else "latency"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    {"latency": latency, "outage": outage, "reconnects": reconnects}[kind](count)
