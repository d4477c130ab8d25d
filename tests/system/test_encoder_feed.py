"""The feed against real peers: a Modbus server that is frozen, killed and restarted, and a ZeroMQ publisher."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Self

import msgspec
import pytest
import zmq
from pymodbus.client import ModbusTcpClient

from shadowline.errors import ConfigError, MissingExtra
from station.clock import HostClock
from station.config import LineConfig, ModbusEncoder, ZeroMqEncoder
from station.encoder_feed import EncoderFeed
from station.frame import Position
from station.odometer import Odometer
from station.worker import Worker
from tests.system.plc import INPUTS

CLOCK = HostClock()
PATIENCE_S = 30.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition; fails after half a minute."""
    pause, late_ns = threading.Event(), CLOCK.tick_ns() + PATIENCE_S * 1e9
    while not condition():
        assert CLOCK.tick_ns() < late_ns, "waited in vain"
        pause.wait(0.005)


class Plc:
    """The server process, and a client of the test's own that sets its registers."""

    def __init__(self, port: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.system.plc", str(port)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "listening\n"
        self._client = ModbusTcpClient("127.0.0.1", port=port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self.process.kill()
        self.process.communicate()

    def show(self, count: int, bits: int = 32) -> None:
        """Put a count into the first registers, high word first."""
        words = [count >> shift & 0xFFFF for shift in range(bits - 16, -1, -16)]
        assert not self._client.write_registers(0, words).isError()


class Line:
    """A feed in its thread, and the odometer that it feeds."""

    def __init__(self, config: ModbusEncoder | ZeroMqEncoder, stale_after_s: float = 0.5) -> None:
        self.odometer = Odometer(LineConfig(encoder=config, stale_after_s=stale_after_s), CLOCK)
        self.feed = EncoderFeed(config, stale_after_s, self.odometer, CLOCK)

    def now(self) -> Position | None:
        return self.odometer.at(CLOCK.tick_ns())

    def until_mm(self, mm: float) -> Position:
        """Wait until the strip has come to rest at a position, and return it."""
        until(lambda: (now := self.now()) is not None and now.mm == mm)
        now = self.now()
        assert now is not None
        return now

    def until_state(self, name: str) -> str:
        until(lambda: self.feed.state.name == name)
        return self.feed.state.detail


@contextmanager
def feeding(config: ModbusEncoder | ZeroMqEncoder, stale_after_s: float = 0.5) -> Iterator[Line]:
    line = Line(config, stale_after_s)
    with Worker("encoder", line.feed.run, line.feed.stop) as worker:
        yield line
        assert worker.failure is None
        assert worker.alive


def modbus(port: int, **changes: object) -> ModbusEncoder:
    return ModbusEncoder.model_validate(
        {"type": "modbus", "host": "127.0.0.1", "port": port, "first_register": 0, "mm_per_count": 0.5} | changes
    )


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def plc(port: int) -> Iterator[Plc]:
    with Plc(port) as plc:
        yield plc


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_a_plcs_registers_become_millimetres(plc: Plc, port: int, bits: int) -> None:
    plc.show(2**bits - 100, bits)
    with feeding(modbus(port, bits=bits)) as line:
        line.until_state("online")
        plc.show(40, bits)
        assert line.until_mm(70.0) == Position(70.0, 40, "", False)
        plc.show(20, bits)
        assert line.until_mm(60.0) == Position(60.0, 20, "", True)
        assert (line.feed.faults, line.odometer.jumps) == (0, 0)


@pytest.mark.parametrize(("low_first", "count"), [(False, 0x0001_0002), (True, 0x0002_0001)])
def test_input_registers_in_either_order(plc: Plc, port: int, low_first: bool, count: int) -> None:
    assert INPUTS[:2] == (1, 2)
    with feeding(modbus(port, table="input", low_word_first=low_first)) as line:
        line.until_state("online")
        assert line.until_mm(0.0).count == count


REFUSALS = {"no such register": {"first_register": 99}, "no such unit": {"unit": 7}}


@pytest.mark.parametrize("changes", REFUSALS.values(), ids=REFUSALS)
def test_a_plc_that_refuses_is_offline_and_says_why(plc: Plc, port: int, changes: dict[str, object]) -> None:
    with feeding(modbus(port, **changes)) as line:
        assert f"127.0.0.1:{port}" in line.until_state("offline")
        assert line.now() is None
        assert line.feed.faults > 0


def test_a_plc_that_is_not_there_is_waited_for(port: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), feeding(modbus(port)) as line:
        assert line.until_state("offline") == f"127.0.0.1:{port} can't be reached"
        with Plc(port):
            line.until_state("online")
            line.until_mm(0.0)
        line.until_state("offline")
    assert [record.message.partition(":")[0] for record in caplog.records if record.name.startswith("station")] == [
        "encoder is offline",
        "encoder is online",
        "encoder is offline",
    ]
    assert not [record for record in caplog.records if record.name.startswith("pymodbus")]


def test_a_killed_plc_gives_no_positions_and_a_count_from_0_goes_on_where_it_was(port: int) -> None:
    with ExitStack() as running:
        with Plc(port) as plc:
            plc.show(10_000_000)
            line = running.enter_context(feeding(modbus(port)))
            line.until_mm(0.0)
            plc.show(10_000_010)
            line.until_mm(5.0)
        assert line.until_state("offline")
        assert line.now() is None
        with Plc(port):
            line.until_state("online")
            until(lambda: (now := line.now()) is not None and now.count == 0 and now.mm >= 5.0)
        assert line.odometer.jumps == 1


def test_a_frozen_plc_is_noticed_and_followed_when_it_thaws(plc: Plc, port: int) -> None:
    with feeding(modbus(port)) as line:
        line.until_mm(0.0)
        plc.process.send_signal(signal.SIGSTOP)
        assert "does not answer" in line.until_state("offline")
        assert line.now() is None
        plc.process.send_signal(signal.SIGCONT)
        line.until_state("online")
        plc.show(10)
        line.until_mm(5.0)
        assert line.odometer.jumps == 0


def test_a_feed_stops_while_its_plc_is_frozen(plc: Plc, port: int) -> None:
    with feeding(modbus(port), stale_after_s=2.0) as line:
        line.until_state("online")
        plc.process.send_signal(signal.SIGSTOP)
        begun_ns = CLOCK.tick_ns()
    assert CLOCK.tick_ns() - begun_ns < 5e9
    plc.process.send_signal(signal.SIGCONT)


@contextmanager
def answering(replies: bytes | None) -> Iterator[int]:
    """Serve what is no PLC: every connection gets these bytes at once and again for whatever it sends."""
    stopping = threading.Event()

    def serve(server: socket.socket) -> None:
        while not stopping.is_set():
            with suppress(OSError):
                made, _ = server.accept()
                made.settimeout(0.05)
                with closing(made), suppress(OSError):
                    while not stopping.is_set() and made.recv(4096):
                        made.sendall(replies or os.urandom(64))

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stopping.set()
            thread.join()


NO_PLC = {
    "text": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "zeros": bytes(300),
    "random": None,
    "a short answer": bytes.fromhex("000100000005010302ffff"),
    "an answer without registers": bytes.fromhex("0001000000030103ff"),
    "of another unit": bytes.fromhex("000100000007090304ffffffff"),
    "an unknown exception": bytes.fromhex("00010000000301 83ff"),
    "a length of nothing": bytes.fromhex("000100000000"),
    "a length of too much": bytes.fromhex("0001 0000 ffff 01 03 04 00000000"),
}


@pytest.mark.parametrize("replies", NO_PLC.values(), ids=NO_PLC)
def test_what_is_no_plc_is_offline(replies: bytes | None) -> None:
    with answering(replies) as port, feeding(modbus(port), stale_after_s=0.2) as line:
        until(lambda: line.feed.faults > 3)
        assert line.until_state("offline").startswith(f"127.0.0.1:{port}")
        assert line.now() is None


def test_without_pymodbus_the_start_fails(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymodbus", None)
    line = Line(modbus(port))
    with pytest.raises(MissingExtra, match=r"shadowline\[modbus\]"):
        Worker("encoder", line.feed.run, line.feed.stop).__enter__()


class Publisher:
    """A program that publishes a counter; `close` and `open` make it a new one at the same place."""

    def __init__(self) -> None:
        self.endpoint = "tcp://127.0.0.1:*"
        self.open()

    def open(self) -> None:
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.linger = 0
        self._socket.bind(self.endpoint)
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")

    def wait(self) -> None:
        """Wait until the feed has subscribed."""
        assert self._socket.poll(PATIENCE_S * 1e3)
        self._socket.recv()

    def close(self) -> None:
        self._socket.close()
        self._context.term()

    def send(self, *parts: bytes) -> None:
        self._socket.send_multipart(parts)

    def show(self, count: int, coil: str | None = None) -> None:
        self.send(msgspec.json.encode({"count": count} | ({"coil": coil} if coil else {})))


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with closing(Publisher()) as publisher:
        yield publisher


def subscribing(publisher: Publisher, **changes: object) -> ZeroMqEncoder:
    return ZeroMqEncoder.model_validate(
        {"type": "zeromq", "endpoint": publisher.endpoint, "mm_per_count": 0.5} | changes
    )


@contextmanager
def hearing(publisher: Publisher, **changes: object) -> Iterator[Line]:
    """Feed from a publisher, subscribed and with the count 100 heard."""
    with feeding(subscribing(publisher, **changes), stale_after_s=60.0) as line:
        publisher.wait()
        publisher.show(100)
        line.until_state("online")
        yield line


def test_published_counts_become_millimetres(publisher: Publisher) -> None:
    with hearing(publisher) as line:
        publisher.show(140)
        until(lambda: (now := line.now()) is not None and now.count is not None and now.count >= 140)
        assert line.odometer.jumps == 0


def test_each_coil_begins_once_and_none_is_lost_among_many_counts(publisher: Publisher) -> None:
    with hearing(publisher) as line:
        for number in range(500):
            publisher.show(100 + number, "A" if number < 300 else "B")
        publisher.show(600, "C")
        publisher.show(604)
        publisher.show(602, "C")
        until(lambda: (now := line.now()) is not None and now.coil == "C" and now.mm == 1.0)
        assert line.feed.faults == 0


def test_a_topic_is_taken_and_another_left(publisher: Publisher) -> None:
    with feeding(subscribing(publisher, topic="way."), stale_after_s=60.0) as line:
        publisher.wait()
        publisher.send(b"other", b'{"count": 5}')
        publisher.send(b"way.1", b"between", b'{"count": 7}')
        line.until_state("online")
        assert line.until_mm(0.0).count == 7


HOSTILE = {
    "empty": b"",
    "no JSON": b"7",
    "text": b"count",
    "a list": b"[]",
    "null": b"null",
    "no count": b'{"coil": "A"}',
    "a count of text": b'{"count": "7"}',
    "a count of null": b'{"count": null}',
    "a broken count": b'{"count": 7.5}',
    "NaN": b'{"count": NaN}',
    "infinity": b'{"count": Infinity}',
    "true": b'{"count": true}',
    "negative": b'{"count": -1}',
    "one too high": b'{"count": 4294967296}',
    "huge": b'{"count": 1e400}',
    "very long": b'{"count": ' + b"9" * 15_000 + b"}",
    "very deep": b'{"x": ' + b"[" * 8000 + b"]" * 8000 + b"}",
    "not UTF-8": b'{"count": 7, "coil": "\xff"}',
    "half a character": b'{"count": 7, "coil": "\\ud800"}',
    "a coil of numbers": b'{"count": 7, "coil": 5}',
    "a coil without a name": b'{"count": 7, "coil": ""}',
    "a coil with a path": b'{"count": 7, "coil": "../../etc"}',
    "a coil of two lines": b'{"count": 7, "coil": "A\\n"}',
    "a coil of length": b'{"count": 7, "coil": "' + b"A" * 65 + b'"}',
}


@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_message_is_counted_and_ignored(publisher: Publisher, payload: bytes) -> None:
    with hearing(publisher) as line:
        publisher.send(payload)
        until(lambda: line.feed.faults == 1)
        assert line.until_mm(0.0) == Position(0.0, 100, "", False)
        publisher.show(100, "A")
        until(lambda: (now := line.now()) is not None and now.coil == "A")
        assert (line.feed.faults, line.odometer.jumps) == (1, 0)


def test_unknown_keys_are_nobodys_concern(publisher: Publisher) -> None:
    with hearing(publisher) as line:
        publisher.send(b'{"speed": 3.5, "count": 100, "coil": "A-17 b", "x": null}')
        until(lambda: (now := line.now()) is not None and now.coil == "A-17 b")
        assert line.feed.faults == 0


def test_a_message_of_a_megabyte_is_cut_off_and_the_next_heard(publisher: Publisher) -> None:
    with hearing(publisher) as line:
        publisher.send(b'{"count": 1}' + b" " * 1_000_000)
        publisher.wait()  # the feed is gone
        publisher.wait()  # and here again
        publisher.show(100, "A")
        until(lambda: (now := line.now()) is not None and now.coil == "A")


def test_a_silent_publisher_is_offline_until_it_speaks(publisher: Publisher) -> None:
    with feeding(subscribing(publisher), stale_after_s=0.2) as line:
        assert line.until_state("offline") == "no count for 0.2 s"
        publisher.wait()
        publisher.show(5)
        line.until_state("online")
        line.until_state("offline")
        assert line.now() is None
        publisher.send(b"nonsense")
        until(lambda: "what is no count" in line.feed.state.detail)
        publisher.show(5)
        line.until_state("online")


def test_a_publisher_that_starts_anew_is_heard_again(publisher: Publisher) -> None:
    with hearing(publisher) as line:
        publisher.close()
        publisher.open()
        until(lambda: publisher.show(104, "A") or ((now := line.now()) is not None and now.coil == "A"))
        assert line.odometer.jumps == 0


def test_a_publisher_that_floods_does_not_hold_up_the_end(publisher: Publisher) -> None:
    stopping, flowing = threading.Event(), threading.Event()

    def flood() -> None:
        while not stopping.is_set():
            for _ in range(1000):
                publisher.show(100)
            flowing.set()

    thread = threading.Thread(target=flood)
    try:
        with hearing(publisher):
            thread.start()
            assert flowing.wait(PATIENCE_S)
    finally:
        stopping.set()
        thread.join()


class CountingProgram:
    """A publisher in a process of its own, which counts on at 100 messages a second."""

    def __init__(self, port: int) -> None:
        self.process = subprocess.Popen([sys.executable, "-m", "tests.system.counting", str(port)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def test_a_publishers_process_is_frozen_thawed_killed_and_started_anew(port: int) -> None:
    config = ZeroMqEncoder(type="zeromq", endpoint=f"tcp://127.0.0.1:{port}", mm_per_count=1)
    with feeding(config) as line:
        with CountingProgram(port) as program:
            line.until_state("online")
            program.process.send_signal(signal.SIGSTOP)
            line.until_state("offline")
            assert line.now() is None
            until(lambda: line.feed.state.detail == f"tcp://127.0.0.1:{port} is lost")
            program.process.send_signal(signal.SIGCONT)
            line.until_state("online")
        line.until_state("offline")
        with CountingProgram(port):
            line.until_state("online")


def test_what_is_no_publisher_is_offline() -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        config = ZeroMqEncoder(type="zeromq", endpoint=f"tcp://127.0.0.1:{port}", mm_per_count=1)
        with feeding(config, stale_after_s=0.2) as line:
            line.until_state("offline")
            assert line.now() is None


@pytest.mark.parametrize("endpoint", ["tcp://nowhere", "tcp://127.0.0.1:*"])
def test_what_is_no_endpoint_fails_the_start(endpoint: str) -> None:
    line = Line(ZeroMqEncoder(type="zeromq", endpoint=endpoint, mm_per_count=1, plain_network=True))
    with pytest.raises(ConfigError, match=rf"\[line.encoder\] endpoint {endpoint.replace('*', '.')}: Invalid"):
        Worker("encoder", line.feed.run, line.feed.stop).__enter__()


def test_ten_lives_leave_nothing(plc: Plc, port: int) -> None:
    with ExitStack() as running:
        for _ in range(10):
            running.enter_context(feeding(modbus(port))).until_state("online")
