"""Cameras and helpers for tests of the whole line: what `type = "python"` cameras deliver, and who listens."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import zmq

from shadowline.errors import CameraLost
from station.app import Station
from station.camera.base import CAN_WAIT
from station.clock import Clock
from station.config import Config, PythonCameraConfig
from station.config_file import parse
from station.event import Heartbeat, InspectionEvent, Message, StateEvent, decode
from station.frame import Exposure

__all__ = ["Listener", "ScriptCamera", "listening", "make_config", "running"]


class ScriptCamera:
    """Delivers `settings.frames` pictures; one in ten carries a dark square when `settings.marks` is set.

    `lose_every`, `cut_every`, `repeat_every`, `unplug_every` count delivered pictures; `patient` says whether it can
    wait for the line; `pace_s` is the time between two pictures.
    """

    delivered: ClassVar[Counter[str]] = Counter()
    """Pictures delivered so far by camera name; it goes on over a reopening, and tests clear it."""
    gate = threading.Event()
    """Nothing is delivered before it is set."""

    def __init__(self, config: PythonCameraConfig, clock: Clock) -> None:
        self._name = config.name
        self._clock = clock
        self._of = {"frames": 0, "size_px": 32, "patient": True, "pace_s": 0.0} | config.settings
        self.identity = ""
        self.counters: Mapping[str, int] = {"underruns": 3}
        self.features = frozenset({CAN_WAIT} if self._of["patient"] else ())
        side = self._of["size_px"]
        self._plain = np.full((side, side), 120, np.uint8)
        self._plain += np.random.default_rng(0).integers(0, 4, self._plain.shape, np.uint8)
        self._marked = self._plain.copy()
        self._marked[8:18, 8:18] = 20

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        pass

    def _every(self, fault: str, number: int) -> bool:
        period = int(self._of.get(fault, 0))
        return period > 0 and number % period == 0

    def exposures(self, timeout_s: float) -> Iterator[Exposure | None]:
        frame_id = 0
        self.gate.wait()
        while self.delivered[self._name] < self._of["frames"]:
            self.delivered[self._name] += 1
            number = self.delivered[self._name]
            frame_id += 2 if self._every("lose_every", number) else 1
            marked = self._of.get("marks") and number % 10 == 0
            rows = 3 if self._every("cut_every", number) else None
            if self._of["pace_s"]:
                threading.Event().wait(self._of["pace_s"])
            exposure = Exposure(
                self._marked if marked else self._plain, frame_id, self._clock.utc_ns(), valid_rows=rows
            )
            yield exposure
            if self._every("repeat_every", number):
                yield exposure
            if self._every("unplug_every", number):
                raise CameraLost("unplugged")


def make_config(folder: Path, cameras: dict[str, dict[str, Any]], **tables: Any) -> Config:
    """Return a configuration with a `ScriptCamera` for each of `cameras` and the fake engine."""
    return parse(
        {
            "camera": [
                {
                    "name": name,
                    "type": "python",
                    "factory": "tests.system.lines:ScriptCamera",
                    "reconnect_s": 0.001,
                    "settings": settings,
                }
                for name, settings in cameras.items()
            ],
            "engine": {"backend": "fake"},
            "publish": {"endpoint": f"ipc://{folder}/events", "high_water_mark": 1_000_000, "heartbeat_s": 0.05},
            "metrics": {"port": 0},
            **tables,
        },
        folder / "config.toml",
    )


class Listener:
    """A subscriber that keeps everything it hears."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self.payloads: list[bytes] = []

    def hear_first(self) -> None:
        """Wait until the station is heard, then let the cameras deliver."""
        self.hear()
        ScriptCamera.gate.set()

    def hear_rest(self) -> None:
        """Take what a station that has drained still left on the way."""
        while self._socket.poll(1000):
            self.hear()

    def hear(self) -> Message:
        """Wait for one message."""
        assert self._socket.poll(20_000), "the station is silent"
        self.payloads.append(self._socket.recv_multipart()[-1])
        return decode(self.payloads[-1])

    @property
    def messages(self) -> list[Message]:
        return [decode(payload) for payload in self.payloads]

    def hear_heartbeats(self) -> Iterator[Heartbeat]:
        """Yield each heartbeat as it comes, up to one in which every camera has ended and every frame is settled."""
        while True:
            beat = self.hear()
            if isinstance(beat, Heartbeat):
                yield beat
                accounts = beat.ledger.values()
                settled = all(one.announced == one.inspected + sum(one.invalid.values()) for one in accounts)
                if settled and all(one.state == "ended" for one in accounts):
                    return

    @property
    def inspections(self) -> list[InspectionEvent]:
        return [message for message in self.messages if isinstance(message, InspectionEvent)]

    @property
    def states(self) -> list[StateEvent]:
        return [message for message in self.messages if isinstance(message, StateEvent)]

    @property
    def heartbeats(self) -> list[Heartbeat]:
        return [message for message in self.messages if isinstance(message, Heartbeat)]


@contextmanager
def listening(endpoint: str, topic: bytes = b"") -> Iterator[Listener]:
    """Subscribe to `topic` at `endpoint`, before or after the station is there."""
    context = zmq.Context(io_threads=1)
    socket = context.socket(zmq.SUB)
    socket.linger = 0
    socket.rcvhwm = 0
    socket.reconnect_ivl = 5
    socket.subscribe(topic)
    socket.connect(endpoint)
    try:
        yield Listener(socket)
    finally:
        socket.close()
        context.term()


@contextmanager
def running(config: Config) -> Iterator[tuple[Station, Listener]]:
    """Run a station under load, and hear everything that it says, also what it says at the end."""
    with listening(config.publish.endpoint) as listener:
        ears = threading.Event()
        with Station(config) as station:
            listener.hear_first()
            hearing = threading.Thread(target=_hear_until, args=(listener, ears))
            hearing.start()
            try:
                yield station, listener
            finally:
                ears.set()
                hearing.join()
        listener.hear_rest()


def _hear_until(listener: Listener, end: threading.Event) -> None:
    while not end.is_set():
        listener.hear()
