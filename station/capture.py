"""The capture thread of one camera: open, read, announce, and open again after any loss. Never waits for the line."""

import logging
import random
import threading
from collections.abc import Callable

from shadowline.errors import CameraLost
from station.camera.base import CAN_WAIT, Camera
from station.clock import Clock
from station.config import CameraBase
from station.event import CameraState
from station.frame_queue import FrameQueue
from station.ledger import Ledger
from station.sequencer import Sequencer

__all__ = ["Capture", "Report"]

logger = logging.getLogger(__name__)

Report = Callable[[str, CameraState, str], None]
"""Called with camera, state and detail whenever the state changes."""

_CLOCK_STEP_NS = 500_000_000
_MAX_BACKOFF = 16


class Capture:
    """Runs in a `Worker`, one a camera. `state` is `starting`, `online`, `offline` or `ended`."""

    def __init__(
        self,
        config: CameraBase,
        open_camera: Callable[[], Camera],
        queue: FrameQueue,
        ledger: Ledger,
        clock: Clock,
        report: Report,
        on_clock_step: Callable[[], None],
        stop: threading.Event,
    ) -> None:
        self.name = config.name
        self.state: CameraState = "starting"
        self._config = config
        self._open_camera = open_camera
        self._queue = queue
        self._ledger = ledger
        self._clock = clock
        self._report = report
        self._on_clock_step = on_clock_step
        self._stop = stop
        self._sequencer = Sequencer(config.name, ledger, clock)
        self._offset_ns = clock.utc_ns() - clock.tick_ns()
        self._last_tick_ns = clock.tick_ns()

    def run(self, ready: Callable[[], None]) -> None:
        """Capture until told to stop, the source ends or the ledger is full.

        Only a camera that can't be used as configured fails the start; one that is away is waited for.
        """
        opened, attempts = False, 0
        while not self._done():
            try:
                with self._open_camera() as camera:
                    ready()
                    opened, attempts = True, 0
                    self._sequencer.reopened()
                    self._read(camera)
                    return
            except Exception as error:  # a driver may raise anything; the line goes on without it
                if not opened and not isinstance(error, CameraLost):
                    raise
                ready()
                self._change("offline", str(error) or type(error).__name__)
                self._stop.wait(self._config.reconnect_s * min(2**attempts, _MAX_BACKOFF) * random.uniform(0.8, 1.2))
                attempts += 1

    def _read(self, camera: Camera) -> None:
        self._last_tick_ns = self._clock.tick_ns()
        can_wait = CAN_WAIT in camera.features
        for exposure in camera.exposures(self._config.timeout_s):
            if self._done():
                break
            self._watch_clock()
            if exposure is None:
                self._watch_silence()
                continue
            self._last_tick_ns = self._clock.tick_ns()
            if self.state != "online":
                self._change("online", "")
            for item in self._sequencer.announce(exposure):
                self._queue.put(item, can_wait)
            if self._ledger.full:
                break
        if not self._stop.is_set():
            self._change("ended", "as many frames as asked for" if self._ledger.full else "the source is at its end")

    def _done(self) -> bool:
        return self._stop.is_set() or self._ledger.full

    def _watch_silence(self) -> None:
        silent_s = (self._clock.tick_ns() - self._last_tick_ns) / 1e9
        if silent_s >= self._config.offline_after_s and self.state != "offline":
            self._change("offline", f"no picture for {silent_s:.1f} s")

    def _watch_clock(self) -> None:
        """Report a step of the UTC clock; slow correction by a time server stays below the limit and is followed."""
        offset_ns = self._clock.utc_ns() - self._clock.tick_ns()
        moved_ns = offset_ns - self._offset_ns
        self._offset_ns = offset_ns
        if abs(moved_ns) > _CLOCK_STEP_NS:
            logger.warning("the host's UTC clock stepped by %+.3f s", moved_ns / 1e9)
            self._on_clock_step()

    def _change(self, state: CameraState, detail: str) -> None:
        self.state = state
        level = logging.WARNING if state == "offline" else logging.INFO
        logger.log(level, "camera %s is %s%s", self.name, state, f": {detail}" if detail else "")
        self._report(self.name, state, detail)
