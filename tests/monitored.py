"""A real station and a real Prometheus that scrapes it by the shipped files, over TLS and with the password."""

import json
import shutil
import socket
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
import yaml
import zmq

from station.metrics.secret import draw
from station.worker import Ready, Worker

__all__ = ["MONITORING", "Monitored", "find_program", "monitored"]

MONITORING = Path(__file__).parents[1] / "monitoring"

_STATION = """
[station]
budget_ms = 10000.0
[[camera]]
name = "top"
type = "simulated"
width_px = 512
height_px = 256
rate_hz = 50.0
defects_per_frame = 2.0
drop = "wait"
[line.encoder]
type = "zeromq"
endpoint = "ipc://encoder"
mm_per_count = 1.0
[calibration]
folder = "calibrations"
health_every_frames = 10
[engine]
backend = "fake"
[publish]
endpoint = "ipc://events"
heartbeat_s = 0.2
[journal]
folder = "journal"
endpoint = "ipc://replay"
[archive]
folder = "archive"
[control]
endpoint = "ipc://control"
[gateway.plc]
type = "modbus"
role = "server"
host = "127.0.0.1"
port = 0
metrics_port = 0
[metrics]
host = "localhost"
port = 0
certificate = "certificate.pem"
key = "key.pem"
password_file = "password"
"""
_REQUEST = (
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    " -addext subjectAltName=DNS:localhost -out certificate.pem -keyout key.pem"
)
_INTERVAL = "1s"


def find_program(name: str) -> str:
    """Return the path of `prometheus` or `promtool`; without it the test is skipped."""
    path = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed: sh tests/monitoring-install.sh")
    return path


@dataclass(frozen=True, slots=True)
class Monitored:
    """Where Prometheus answers, and what it needs to see the station."""

    url: str
    metrics_url: str
    config: Path

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the `data` of Prometheus' answer. Raises `HTTPError` for a query that it does not understand."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expr: str) -> list[Any]:
        """Return the series of `expr` at this moment."""
        result: list[Any] = self.ask("query", query=expr)["result"]
        return result


@contextmanager
def monitored(folder: Path) -> Iterator[Monitored]:
    """Run the station and, beside it, Prometheus on the shipped configuration with its part for another computer."""
    prometheus = find_program("prometheus")
    subprocess.run(["openssl", *_REQUEST.split()], cwd=folder, check=True, capture_output=True)
    (folder / "key.pem").chmod(0o600)
    password, kept = draw()
    (folder / "password").write_text(kept)
    (folder / "prometheus-password").write_text(password)
    (folder / "config.toml").write_text(_STATION)
    with _counting(folder), _station(folder) as metrics_url, _gateway(folder) as gateway_url:
        config = _configure(folder, metrics_url, gateway_url)
        with _prometheus(prometheus, folder, config) as url:
            yield Monitored(url, metrics_url, config)


@contextmanager
def _counting(folder: Path) -> Iterator[None]:
    """Publish the count of a strip that runs."""
    stop = threading.Event()

    def run(ready: Ready) -> None:
        with zmq.Context(io_threads=1) as context, context.socket(zmq.PUB) as publisher:
            publisher.linger = 0
            publisher.bind(f"ipc://{folder}/encoder")
            ready()
            count = 0
            while not stop.wait(0.05):
                publisher.send(b'{"count": %d}' % (count := count + 10))

    with Worker("counter of the line", run, stop.set):
        yield


@contextmanager
def _station(folder: Path) -> Iterator[str]:
    station = [sys.executable, "-m", "station"]
    baseline = [*station, "calibrate", "check", "top", "--baseline", "--frames", "32"]
    subprocess.run(baseline, cwd=folder, check=True, capture_output=True, timeout=60)
    process = subprocess.Popen([*station, "run"], cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield _read_url(process)
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0


@contextmanager
def _gateway(folder: Path) -> Iterator[str]:
    """Run a gateway and a PLC that connects to it."""
    command = [sys.executable, "-m", "station", "gateway", "plc"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        url = _after(process.stderr, "metrics on ")
        host, _, port = _after(process.stderr, "listens at ").rpartition(":")
        program = [sys.executable, str(MONITORING.parent / "docs" / "examples" / "plc.py"), host, port]
        plc = subprocess.Popen(program, stdout=subprocess.DEVNULL)
        try:
            yield url
        finally:
            plc.kill()
            plc.wait()
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0


def _after(log: IO[str], words: str) -> str:
    """Return what stands behind `words` in the next line that has them."""
    return next(line.split(words)[1].strip() for line in log if words in line)


def _read_url(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    url, log = "", []
    for line in process.stderr:
        log.append(line)
        if "metrics on " in line:
            url = line.split("metrics on ")[1].strip()
        if "READY" in line:
            return url
    raise AssertionError("the station did not start:\n" + "".join(log))


def _configure(folder: Path, metrics_url: str, gateway_url: str) -> Path:
    """Write the shipped configuration with its commented part in force, and with this station's address and files."""
    text = (MONITORING / "prometheus.yml").read_text()
    config = yaml.safe_load(text)
    job = config["scrape_configs"][0]
    job.update(yaml.safe_load(_commented(text)))
    job["tls_config"]["ca_file"] = str(folder / "certificate.pem")
    job["basic_auth"]["password_file"] = str(folder / "prometheus-password")
    job["static_configs"] = [{"targets": [urllib.parse.urlsplit(metrics_url).netloc]}]
    gateways = {"targets": [urllib.parse.urlsplit(gateway_url).netloc]}
    config["scrape_configs"].append({"job_name": "shadowline-gateways", "static_configs": [gateways]})
    config["global"] = {"scrape_interval": _INTERVAL, "evaluation_interval": _INTERVAL}
    config["rule_files"] = [str(MONITORING / file) for file in config["rule_files"]]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    return path


def _commented(text: str) -> str:
    """Return the settings that stand in comments for a station on another computer."""
    block = text[text.index("    # scheme: https") :].split("\n\n")[0]
    return "\n".join(line.removeprefix("    # ") for line in block.splitlines())


@contextmanager
def _prometheus(program: str, folder: Path, config: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [program, f"--config.file={config}", f"--web.listen-address={address}"]
    with open(folder / "prometheus.log", "w") as log:
        process = subprocess.Popen([*command, f"--storage.tsdb.path={folder}/data"], stderr=log, stdout=log)
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(30)
