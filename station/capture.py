"""The capture thread of one camera: open, read, announce, and open again after any loss. Never waits for the line."""

import logging
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from shadowline.errors import CameraLost
from station.camera.base import CAN_WAIT, Camera
from station.camera_health import CameraHealth
from station.clock import Clock
from station.config import CameraBase, DropPolicy
from station.event import CameraState, Outage
from station.frame import Exposure, Frame, Piece, Position
from station.frame_queue import FrameQueue
from station.ledger import Ledger
from station.overlap import Tail
from station.sequencer import Locate, PieceAt, Sequencer

__all__ = ["Capture", "Report"]

logger = logging.getLogger(__name__)

Report: TypeAlias = Callable[[str, CameraState, str, Outage | None], None]
"""Called with camera, state, its reason and, when it is back, what it did not see, whenever one of them changes."""

_CLOCK_STEP_NS = 500_000_000
_MAX_BACKOFF = 16
_COUNT_EVERY_NS = 1_000_000_000
_STUCK_NS = 500_000_000
_FIRST_PICTURE_S = 3.0  # a camera that was just opened may take so long for its first picture
_SILENT_FRAMES = 5
_SMOOTHING = 0.1  # of the interval between pictures


class Capture:
    """Runs in a `Worker`, one a camera. `state` is `starting`, `online`, `degraded`, `offline` or `ended`."""

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
        locate: Locate = lambda count, tick_ns: None,
        check_identity: Callable[[str], None] = lambda identity: None,
        complaint: Callable[[], str] = str,
        piece_at: PieceAt = lambda tick_ns: Piece(),
    ) -> None:
        """`locate` gives the position of a picture, `piece_at` what it is of.

        `check_identity` raises where a device is not the right one. `complaint` tells what others find wrong with the
        camera's pictures; then it is `degraded`.
        """
        self.name = config.name
        self.state: CameraState = "starting"
        self.counters: Mapping[str, int] = {}
        """The driver's own counts since it was opened, at most a second old."""
        self.outages = 0
        self.outage_s = 0.0
        self._config = config
        self._open_camera = open_camera
        self._queue = queue
        self._ledger = ledger
        self._clock = clock
        self._report = report
        self._on_clock_step = on_clock_step
        self._stop = stop
        self._check_identity = check_identity
        self._complaint = complaint
        self._complained = ""
        self._sequencer = Sequencer(config, ledger, clock, locate, piece_at)
        self._health = CameraHealth(config.degraded_share)
        self._tail = Tail(config.overlap_rows)
        self._changing = threading.Lock()
        self._offset_ns = clock.utc_ns() - clock.tick_ns()
        self._identity = ""
        self._reason = ""
        self._attempts = 0
        self._interval_s: float | None = None
        self._seen_tick_ns = clock.tick_ns()
        self._seen_position: Position | None = None
        self._asked_tick_ns: int | None = None
        self._counted_tick_ns = 0

    def run(self, ready: Callable[[], None]) -> None:
        """Capture until told to stop, the source ends or the ledger is full.

        Only a camera that can't be used as configured fails the start; one that is away is waited for.
        """
        opened = False
        while not self._done():
            try:
                with self._open_camera() as camera:
                    self._check_identity(camera.identity)
                    ready()
                    opened = True
                    self._use(camera)
                    return
            except Exception as error:  # a driver may raise anything; the line goes on without it
                if not opened and not isinstance(error, CameraLost):
                    raise
                ready()
                self._lose(error)
                self._back_off()

    @property
    def age_s(self) -> float:
        """Seconds since the last picture, or since the start. Any thread."""
        return (self._clock.tick_ns() - self._seen_tick_ns) / 1e9

    @property
    def stuck(self) -> bool:
        """Whether the driver has not come back from a call in the time it was given. Any thread."""
        asked_tick_ns = self._asked_tick_ns
        allowed_ns = round(self._config.timeout_s * 1e9) + _STUCK_NS
        return asked_tick_ns is not None and self._clock.tick_ns() - asked_tick_ns > allowed_ns

    def watch(self) -> None:
        """Report a driver that is stuck; its own thread can't. Any thread, often."""
        if self.state in ("online", "degraded") and self.stuck:
            self._change("offline", f"camera {self.name}: its driver does not answer")

    def _use(self, camera: Camera) -> None:
        """Read `camera`; its loss is told before it is closed, which may take its time."""
        try:
            self._recognise(camera)
            self._read(camera)
        except Exception as error:
            self._lose(error)
            raise

    def _lose(self, error: Exception) -> None:
        self._change("offline", str(error) or type(error).__name__)

    def _recognise(self, camera: Camera) -> None:
        """Raise `CameraLost` when another device answers than before."""
        if self._identity and camera.identity != self._identity:
            raise CameraLost(f"camera {self.name}: {camera.identity} answers in the place of {self._identity}")
        self._identity = camera.identity

    def _back_off(self) -> None:
        longest_s = self._config.reconnect_s * min(2**self._attempts, _MAX_BACKOFF)
        self._attempts += 1
        self._stop.wait(longest_s * random.uniform(0.8, 1.0))

    def _read(self, camera: Camera) -> None:
        self._sequencer.reopened()
        self._health.restart()
        self._tail.forget()
        self._interval_s = None
        drop: DropPolicy = self._config.drop or ("wait" if CAN_WAIT in camera.features else "drop_oldest")
        opened_tick_ns = self._asked_tick_ns = self._clock.tick_ns()
        try:
            for exposure in camera.exposures(self._config.timeout_s):
                self._asked_tick_ns = None
                if self._done():
                    break
                self._watch_clock()
                self._count(camera)
                if exposure is None:
                    self._watch_silence(opened_tick_ns)
                else:
                    self._take(exposure, drop)
                if self._ledger.full:
                    break
                self._asked_tick_ns = self._clock.tick_ns()
        finally:
            self._asked_tick_ns = None
        if not self._stop.is_set():
            self._change("ended", "as many frames as asked for" if self._ledger.full else "the source is at its end")

    def _done(self) -> bool:
        return self._stop.is_set() or self._ledger.full

    def _take(self, exposure: Exposure, drop: DropPolicy) -> None:
        """Announce what came, tell the camera's state by it, and hand it to the line."""
        position = None
        items = list(self._sequencer.announce(exposure))
        for item in items:
            self._health.count(item, self._clock.tick_ns())
            if isinstance(item, Frame):
                position = item.position
        self._see(position)
        for item in items:
            if isinstance(item, Frame):
                self._deliver(item, drop)
            else:
                self._tail.forget()
                self._queue.put(item)

    def _deliver(self, frame: Frame, drop: DropPolicy) -> None:
        """Hand on `frame`, with the last rows of the one before on top where the camera's blocks overlap."""
        head = self._tail.exchange(frame.image)
        if head is not None and frame.position is not None:
            back_mm = len(head) * (self._config.pitch_mm or 0.0)
            frame = replace(frame, position=replace(frame.position, mm=frame.position.mm - back_mm))
        self._queue.put(frame, drop, head)

    def _see(self, position: Position | None) -> None:
        """Note that something came, and what state the camera is in by that."""
        tick_ns = self._clock.tick_ns()
        dark_s = (tick_ns - self._seen_tick_ns) / 1e9
        if self.state in ("online", "degraded"):
            last_s = self._interval_s
            self._interval_s = dark_s if last_s is None else last_s + _SMOOTHING * (dark_s - last_s)
        self._attempts = 0
        outage = self._outage(dark_s, position) if self.state == "offline" else None
        self._seen_tick_ns = tick_ns
        self._seen_position = position or self._seen_position
        found = self._complaint()
        reason = "; ".join(filter(None, (self._health.complaint, found)))
        state: CameraState = "degraded" if reason else "online"
        if self.state != state or found != self._complained:
            self._change(state, reason, outage)
        self._complained = found

    def _outage(self, dark_s: float, position: Position | None) -> Outage:
        self.outages += 1
        self.outage_s += dark_s
        before, dark_mm = self._seen_position, None
        if before is not None and position is not None and before.coil == position.coil:
            dark_mm = round(position.mm - before.mm, 1)
        return Outage(round(dark_s, 3), dark_mm)

    def _count(self, camera: Camera) -> None:
        if self._clock.tick_ns() - self._counted_tick_ns >= _COUNT_EVERY_NS:
            self._counted_tick_ns = self._clock.tick_ns()
            self.counters = dict(camera.counters)

    def _watch_silence(self, opened_tick_ns: int) -> None:
        """Raise `CameraLost` after too long a silence; the camera is then opened anew."""
        silent_s = (self._clock.tick_ns() - max(self._seen_tick_ns, opened_tick_ns)) / 1e9
        if silent_s >= self._patience_s:
            raise CameraLost(f"camera {self.name}: no picture for {silent_s:.1f} s")

    @property
    def _patience_s(self) -> float:
        """How long a silence may last: as configured, else longer for a camera that is slow or was just opened."""
        usual_s = self._config.silence_s
        if self._config.offline_after_s is not None:
            return usual_s
        return max(usual_s, _FIRST_PICTURE_S if self._interval_s is None else _SILENT_FRAMES * self._interval_s)

    def _watch_clock(self) -> None:
        """Report a step of the UTC clock; slow correction by a time server stays below the limit and is followed."""
        offset_ns = self._clock.utc_ns() - self._clock.tick_ns()
        moved_ns = offset_ns - self._offset_ns
        self._offset_ns = offset_ns
        if abs(moved_ns) > _CLOCK_STEP_NS:
            logger.warning("the host's UTC clock stepped by %+.3f s", moved_ns / 1e9)
            self._on_clock_step()

    def _change(self, state: CameraState, reason: str, outage: Outage | None = None) -> None:
        """Enter `state` and tell of it; again only when it or its reason changes."""
        with self._changing:
            if (state, reason) == (self.state, self._reason):
                return
            self.state, self._reason = state, reason
        if outage is not None:
            mm = "" if outage.mm is None else f" and {outage.mm:.0f} mm"
            reason = f"back after {outage.seconds:.1f} s{mm} unseen{': ' if reason else ''}{reason}"
        level = logging.INFO if state in ("online", "ended") else logging.WARNING
        logger.log(level, "camera %s is %s%s", self.name, state, f": {reason}" if reason else "")
        self._report(self.name, state, reason, outage)
