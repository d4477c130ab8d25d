"""Gateways and PLCs of their own processes: killed, frozen, away, and back."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event

import pytest

from station.config import Config
from station.config.gateways import ModbusConfig, S7Config
from station.gateways.plc.outlet import PlcOutlet
from tests.gateway_peers import carrying, fresh
from tests.journal_double import JournalDouble, StationDouble, standing
from tests.journals import wait_until
from tests.system.plc_program import CONTROL_BLOCK, STATUS_BLOCK

CONFIG = Config.model_validate({"camera": [{"name": "top", "type": "simulated"}]})
QUICK = {"host": "127.0.0.1", "cycle_ms": 1, "connect_s": 0.5, "backoff_s": 0.02, "backoff_max_s": 0.2}
KINDS = ("modbus", "s7")


class Plc:
    """A PLC process that can be killed and started again with its retentive memory; `took` are the numbers it took."""

    def __init__(self, kind: str, folder: Path, scan_ms: float = 1.0) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._words = [sys.executable, "-m", "tests.system.plc_program", kind, str(self.port), str(folder / "retain")]
        self._words.append(str(scan_ms))
        self._log = folder / "taken"
        self._starts = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._words, stdout=log, cwd=Path(__file__).parents[2])
        self._starts += 1
        while self._log.read_text().count("listening") < self._starts:  # importing takes long on a full machine
            assert self.process.poll() is None
            Event().wait(0.05)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def signal(self, number: int) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    @property
    def took(self) -> list[int]:
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [int(line.split()[0]) for line in lines if line != "listening"]


@pytest.fixture(params=KINDS)
def plc(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Plc]:
    plc = Plc(request.param, tmp_path)
    plc.start()
    yield plc
    plc.kill()


@pytest.fixture
def journal() -> JournalDouble:
    return JournalDouble(fresh(1, 50))


@pytest.fixture
def double(tmp_path: Path, journal: JournalDouble) -> Iterator[StationDouble]:
    with standing(tmp_path, journal) as double:
        yield double


def wait(double: StationDouble, condition: Callable[[], object]) -> None:
    """Wait, with heartbeats, until it is true."""

    def met() -> object:
        double.beat()
        return condition()

    wait_until(met)


@contextmanager
def gateway(plc: Plc, double: StationDouble, **changes: object) -> Iterator[Callable[[Callable[[], object]], None]]:
    """Run a gateway to the PLC; yields what waits, with heartbeats, until something is true."""
    kind = plc._words[3]
    table = QUICK | {"port": plc.port} | changes
    if kind == "modbus":
        settings: ModbusConfig | S7Config = ModbusConfig.model_validate({"type": kind, "role": "client"} | table)
    else:
        blocks = {"control_block": CONTROL_BLOCK, "status_block": STATUS_BLOCK}
        settings = S7Config.model_validate({"type": kind} | blocks | table)

    with carrying(double, PlcOutlet("plc", settings, CONFIG), settings):  # type: ignore[arg-type]
        yield partial(wait, double)


def test_every_result_reaches_the_plc_once_and_in_order(
    plc: Plc, double: StationDouble, journal: JournalDouble
) -> None:
    with gateway(plc, double) as until:
        until(lambda: len(plc.took) == 50)
        journal.keep(*fresh(51, 60))
        double.say(*fresh(51, 60))
        until(lambda: journal.cursors.get("gateway-plc") == 60)
    assert plc.took == [*range(1, 61)]


def test_a_gateway_that_starts_again_repeats_nothing(plc: Plc, double: StationDouble, journal: JournalDouble) -> None:
    with gateway(plc, double) as until:
        until(lambda: len(plc.took) >= 20)
    journal.cursors["gateway-plc"] = 5  # as if the last acknowledgements had not reached the disk
    with gateway(plc, double) as until:
        until(lambda: len(plc.took) >= 50)
    assert plc.took == [*range(1, 51)]


def test_a_plc_that_is_killed_goes_on_where_it_was(plc: Plc, double: StationDouble, journal: JournalDouble) -> None:
    with gateway(plc, double) as until:
        for least in (10, 30):
            until(lambda least=least: len(plc.took) >= least)
            plc.kill()
            plc.start()
        until(lambda: len(plc.took) >= 50)
    assert plc.took == [*range(1, 51)]


def test_a_plc_that_is_frozen_loses_nothing(plc: Plc, double: StationDouble, journal: JournalDouble) -> None:
    with gateway(plc, double) as until:
        until(lambda: len(plc.took) >= 10)
        plc.signal(signal.SIGSTOP)
        journal.keep(*fresh(51, 60))
        double.say(*fresh(51, 60))
        plc.signal(signal.SIGCONT)
        until(lambda: len(plc.took) >= 60)
    assert plc.took == [*range(1, 61)]


@pytest.mark.slow
def test_a_plc_that_was_dead_for_ten_thousand_results_gets_those_that_still_matter(
    plc: Plc, double: StationDouble, journal: JournalDouble
) -> None:
    plc.kill()
    journal.keep(*fresh(51, 9_900, age_s=100.0), *fresh(9_901, 10_000))
    journal.page_messages = 1000
    with gateway(plc, double, max_age_s=50.0) as until:
        plc.start()
        until(lambda: plc.took[-1:] == [10_000])
    assert plc.took == [*range(1, 51), *range(9_901, 10_001)]


@contextmanager
def example(port: int, log: Path) -> Iterator[None]:
    """Run the PLC of the document."""
    program = Path(__file__).parents[2] / "docs" / "examples" / "plc.py"
    with log.open("ab") as file:
        process = subprocess.Popen([sys.executable, "-u", str(program), "127.0.0.1", str(port)], stdout=file)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def printed(log: Path) -> list[int]:
    """Return the numbers of the results that the example has printed."""
    lines = [line.split() for line in log.read_text().splitlines()]
    return [int(words[0]) for words in lines if words[0] != "output:"]


def test_the_plc_of_the_document_takes_each_result_of_a_server_once(
    double: StationDouble, journal: JournalDouble, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    log = tmp_path / "printed"
    settings = ModbusConfig.model_validate({"type": "modbus", "role": "server"} | QUICK | {"port": 0})
    with carrying(double, PlcOutlet("plc", settings, CONFIG), settings):  # type: ignore[arg-type]
        wait_until(lambda: "listens at" in caplog.text)
        port = int(re.findall(r"listens at [\d.]+:(\d+)", caplog.text)[-1])
        with example(port, log):
            wait(double, lambda: printed(log)[-1:] == [50])
            journal.keep(*fresh(51, 60))
            double.say(*fresh(51, 60))
            wait(double, lambda: journal.cursors.get("gateway-plc") == 60)
    assert printed(log) == [*range(1, 61)]
    assert "reject defects 0" not in log.read_text()
    assert "output: reject" in log.read_text()
