"""A configured camera as the commands open it: by name, without a station, read until somebody ends it. Main thread."""

import signal
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from shadowline.errors import CameraError, ConfigError, StationError
from station.camera import Camera, open_camera
from station.clock import HostClock
from station.config import CameraConfig, Config
from station.config_file import load
from station.control_protocol import Status, ask, endpoint_of
from station.frame import Exposure

__all__ = ["CameraName", "Feed", "Tally", "feed_of"]

CameraName: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="The camera's name in the configuration.")]

_ANSWER_S = 0.5
_SILENT_S = 2.0
_WINDOW = 256


@dataclass(slots=True)
class Tally:
    """What came from a camera: pictures, those with rows missing, what could not be read, and gaps in the frame ids."""

    pictures: int = 0
    incomplete: int = 0
    unreadable: int = 0
    lost: int = 0
    _ticks: deque[int] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    _frame_id: int | None = None

    @property
    def rate_hz(self) -> float | None:
        """Pictures a second over the last ones; None before there are two."""
        if len(self._ticks) < 2:
            return None
        return (len(self._ticks) - 1) / max((self._ticks[-1] - self._ticks[0]) / 1e9, 1e-9)

    def take(self, exposure: Exposure, tick_ns: int) -> None:
        """Count an exposure that came at `tick_ns`."""
        self._ticks.append(tick_ns)
        if exposure.frame_id is not None:
            if self._frame_id is not None:
                self.lost += max(0, exposure.frame_id - self._frame_id - 1)
            self._frame_id = exposure.frame_id
        if exposure.image is None:
            self.unreadable += 1
            return
        self.pictures += 1
        self.incomplete += exposure.valid_rows is not None and exposure.valid_rows < exposure.image.shape[0]

    def as_json(self) -> dict[str, float | None]:
        """Return the counts and the rate."""
        names = ("pictures", "incomplete", "unreadable", "lost", "rate_hz")
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        rate = "–" if self.rate_hz is None else f"{self.rate_hz:.1f}"
        return f"{rate} frames/s, {self.lost} lost, {self.incomplete} incomplete, {self.unreadable} unreadable"


class Feed:
    """An open camera and what came from it so far."""

    def __init__(self, config: CameraConfig, camera: Camera, clock: HostClock) -> None:
        self.config = config
        self.camera = camera
        self.tally = Tally()
        self.stopped = False
        self._clock = clock

    def exposures(self, seconds: float | None = None) -> Iterator[Exposure | None]:
        """Yield what comes, None for a time-out, until SIGINT or SIGTERM, the source's end or `seconds` have passed.

        A second signal ends the process as it would anywhere. A long silence is told on stderr.
        """
        with self._stoppable():
            began_ns = heard_ns = self._clock.tick_ns()
            told = False
            for exposure in self.camera.exposures(self.config.timeout_s):
                now_ns = self._clock.tick_ns()
                if self.stopped or (seconds is not None and now_ns - began_ns > seconds * 1e9):
                    return
                if exposure is not None:
                    heard_ns, told = now_ns, False
                    self.tally.take(exposure, now_ns)
                elif now_ns - heard_ns > _SILENT_S * 1e9 and not told:
                    told = True
                    typer.echo(f"camera {self.config.name}: no picture for {_SILENT_S:g} s: no trigger?", err=True)
                yield exposure

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.getsignal(number) for number in numbers}

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        def stop(number: int, frame: object) -> None:
            self.stopped = True
            restore()

        try:
            for number in numbers:
                signal.signal(number, stop)
            yield
        finally:
            restore()


@contextmanager
def feed_of(file: Path, name: str) -> Iterator[Feed]:
    """Open the camera `name` of the configuration in `file`.

    Raises `ConfigError` where there is none such. An error of the camera says so when a station that runs with this
    configuration may be what holds it.
    """
    config, clock = load(file), HostClock()
    found = next((camera for camera in config.camera if camera.name == name), None)
    if found is None:
        there = ", ".join(camera.name for camera in config.camera)
        raise ConfigError(f"{file}: no camera {name}; there are: {there}")
    try:
        with open_camera(found, clock) as camera:
            yield Feed(found, camera, clock)
    except CameraError as error:
        if _station_runs(config):
            hint = "a station runs with this configuration and may hold it: stop that first"
            raise type(error)(f"{error}; {hint}") from error
        raise


def _station_runs(config: Config) -> bool:
    try:
        ask(endpoint_of(config), Status(), _ANSWER_S)
    except StationError:
        return False
    return True
