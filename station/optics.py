"""The watch over lamp, lens and sensor while the line runs: samples of the frames, judged against a baseline.

The optics thread judges. The inspect thread hands it the copy of a frame now and then and never waits for it.
"""

import logging
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from calibration import CalibrationStore, Record
from calibration.health import Figure, OpticalHealth
from calibration.health_baseline import Baseline
from calibration.health_limits import HealthLimits
from shadowline.errors import CalibrationError
from station.binding import find_calibration, open_store
from station.config import CameraConfig, Config
from station.frame import Frame, Image

__all__ = ["Optics", "Target", "find_baseline", "load_baseline", "open_baselines", "steps"]

logger = logging.getLogger(__name__)

_LEAST_NS = 250_000_000
"""Least time between samples: beyond 80 frames a second they are farther apart, so that judging costs a core little."""

Target: TypeAlias = Literal["strip", "plate"]


def find_baseline(config: Config, camera: CameraConfig, target: Target) -> Record | None:
    """Return the newest baseline of `camera` that was taken of `target`; the one in use goes before all others.

    Raises `CalibrationError` when the one in use was made with other settings than are configured.
    """
    current = find_calibration(config, camera, "health")
    if current is None:
        return None
    history = open_store(config).history(camera.name, "health")
    alike = [one for one in reversed(history) if one.binding == current.binding]
    return next((one for one in (current, *alike) if one.settings.get("target") == target), None)


def load_baseline(store: CalibrationStore, record: Record) -> Baseline:
    """Return the baseline of `record`. Raises `CalibrationError` for a damaged one."""
    size_px = (record.binding.width_px, record.binding.height_px)
    try:
        return Baseline.of(record.figures, store.arrays(record), size_px)
    except CalibrationError as error:
        raise CalibrationError(f"{record.title}: {error}") from None


def open_baselines(config: Config) -> dict[str, Baseline]:
    """Return the baseline of the running strip of each camera that has one. Main thread."""
    baselines = {}
    for camera in config.camera:
        record = find_baseline(config, camera, "strip")
        if record is not None and config.calibration.health_every_frames:
            baselines[camera.name] = load_baseline(open_store(config), record)
    return baselines


def steps(every: int) -> Iterator[int]:
    """Yield for ever how many frames to go on to the next sample: `every`, a quarter more or less.

    At even steps a roll's mark could come again at the same place in each sample and look like dirt.
    """
    choose = random.Random(every)
    while True:
        yield choose.randint(every - every // 4, every + every // 4)


@dataclass(slots=True)
class _Watched:
    """A camera: its judge, the room for a sample, how many frames there are to the next one, what is wrong."""

    name: str
    health: OpticalHealth | None
    room: Image
    steps: Iterator[int]
    to_go: int = 1
    tick_ns: int = -_LEAST_NS
    complaint: str = ""


class Optics:
    """Runs in a `Worker`. Cameras without a baseline are not watched."""

    def __init__(
        self,
        baselines: Mapping[str, Baseline],
        limits: HealthLimits,
        every_frames: int,
    ) -> None:
        self._watched = {
            name: _Watched(
                name, OpticalHealth(baseline, limits), np.zeros(baseline.size_px[::-1], np.uint8), steps(every_frames)
            )
            for name, baseline in baselines.items()
        }
        self._sample: _Watched | None = None
        self._given = threading.Event()
        self._stopping = False

    def complaint(self, camera: str) -> str:
        """Return what is wrong with the optics of `camera`, as its state event says it; empty while all is well."""
        watched = self._watched.get(camera)
        return watched.complaint if watched else ""

    def figures(self) -> dict[str, Mapping[str, Figure]]:
        """Return what was measured last, by camera and name. Any thread."""
        return {name: watched.health.figures for name, watched in self._watched.items() if watched.health is not None}

    def offer(self, frame: Frame) -> None:
        """Copy `frame` if a sample of its camera is due and the one before is done with. Inspect thread."""
        watched = self._watched.get(frame.camera)
        if watched is None or watched.health is None:
            return
        watched.to_go -= 1
        if watched.to_go > 0 or self._given.is_set() or frame.captured_tick_ns < watched.tick_ns + _LEAST_NS:
            return
        watched.to_go = next(watched.steps)
        if watched.room.shape != frame.image.shape or watched.room.dtype != frame.image.dtype:
            watched.room = np.empty_like(frame.image)
        np.copyto(watched.room, frame.image)
        watched.tick_ns = frame.captured_tick_ns
        self._sample = watched
        self._given.set()

    def run(self, ready: Callable[[], None]) -> None:
        """Judge samples until stopped."""
        ready()
        while True:
            self._given.wait()
            if self._sample is not None:
                self._judge(self._sample)
                self._sample = None
            self._given.clear()
            if self._stopping:
                return

    def stop(self) -> None:
        """Let the thread end after the sample at hand. Any thread."""
        self._stopping = True
        self._given.set()

    def _judge(self, watched: _Watched) -> None:
        health = watched.health
        if health is None:
            return
        try:
            changed = health.observe(watched.room, watched.tick_ns)
        except CalibrationError as error:
            watched.health = None
            self._tell(watched, f"optics: not watched: {error}")
            return
        if changed:  # not with each sample: values flutter, and each new text is a state event
            crossed = "; ".join(finding.text for finding in health.findings)
            watched.complaint = f"optics: {crossed}" if crossed else ""
            self._tell(watched, watched.complaint or "optics: as in the baseline again")

    def _tell(self, watched: _Watched, detail: str) -> None:
        logger.log(logging.WARNING if watched.complaint else logging.INFO, "camera %s: %s", watched.name, detail)
