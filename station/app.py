"""The station: its threads, started downstream first and stopped upstream first. Main thread.

encoder ─► Positions
              ▼
capture, one a camera ─► FrameQueue ─► inspect ─► Outbox ─► publish ─► sinks
              ▲ watch                   ▲ Models  └─► optics
control (`station model`) ─► swap ──────┘
"""

import gc
import sys
import threading
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Self

from station.binding import refuse_strangers
from station.calibrated import open_calibration, scale_of
from station.camera import open_camera
from station.capture import Capture
from station.clock import Clock, HostClock
from station.config import CameraConfig, Config
from station.control import Control
from station.coverage import Coverage
from station.event import (
    CameraLedger,
    CameraState,
    Heartbeat,
    Origin,
    Outage,
    StateEvent,
)
from station.frame_queue import FrameQueue
from station.inspecting import Inspecting
from station.ledger import Ledger, LedgerError
from station.metrics import Metrics, MetricsServer
from station.optics import Optics, open_baselines
from station.outbox import Outbox
from station.positions import Positions
from station.publisher import Publisher
from station.sinks.base import Sink
from station.sinks.zeromq import ZeroMqSink
from station.swapper import Swapper
from station.worker import Ready, Worker

__all__ = ["Station"]

_WATCH_S = 0.1


class Station:
    """A running line for the length of a `with` block. Leaving it drains: every announced frame gets its event."""

    def __init__(self, config: Config, max_frames: int | None = None, clock: Clock | None = None) -> None:
        """Take the configuration; nothing is opened before the block is entered.

        With `max_frames` the cameras stop when they have announced so many, all together.
        """
        self.config = config
        self.clock = clock or HostClock()
        names = [camera.name for camera in config.camera]
        self.ledger = Ledger(names, max_frames)
        self.first_verdict = threading.Event()
        self.metrics_port: int | None = None
        self.endpoint = config.publish.endpoint
        self._queue = FrameQueue(names, config.station.queue_frames)
        self._positions = Positions(config, self.clock)
        self._coverages = {
            camera.name: Coverage(camera.reach_mm, self._positions.length_of(camera))
            for camera in config.camera
            if config.line.encoder is not None
        }
        self._outbox = Outbox(config.publish.queue_events)
        self._metrics = Metrics(self.ledger, self._queue.depth, config.station.name)
        self._stop = threading.Event()
        self._captures: list[Capture] = []
        self.workers: list[Worker] = []
        self._running = ExitStack()

    def __enter__(self) -> Self:
        sys.setswitchinterval(self.config.station.switch_interval_ms / 1e3)
        calibrated = {camera.name: open_calibration(self.config, camera) for camera in self.config.camera}
        scales = {camera.name: scale_of(camera, calibrated[camera.name]) for camera in self.config.camera}
        settings = self.config.calibration
        optics = Optics(open_baselines(self.config), settings.health, settings.health_every_frames)
        self._inspecting = Inspecting(
            self.config,
            calibrated,
            scales,
            Origin(self.config.station.name, uuid.uuid4().hex[:12], "", self.config.sha256[:12]),
            self._queue,
            self.ledger,
            self._outbox,
            self._metrics,
            self.clock,
            self.first_verdict.set,
            optics,
            self._coverages,
        )
        with ExitStack() as starting:
            publisher = Publisher(
                self._outbox, self._open_sinks, self._heartbeat, self.config.publish.heartbeat_s, self.clock
            )
            self._start(starting, "publish", publisher.run, self._outbox.close)
            if self.config.metrics.enabled:
                self.metrics_port = starting.enter_context(
                    MetricsServer(self.config.metrics, self._metrics.registry)
                ).port
            self._metrics.watch_optics(optics)
            self._start(starting, "optics", optics.run, optics.stop)
            self._start(starting, "inspect", self._inspecting.run, self._queue.close)
            self._start_swapping(starting)
            gc.collect()
            gc.freeze()  # what is loaded by now stays: a full collection among frames would make one late
            starting.callback(gc.unfreeze)
            self._metrics.watch_positions(self._positions)
            if self._positions.feed is not None:
                self._start(starting, "encoder", self._positions.feed.run, self._positions.feed.stop)
            for camera in self.config.camera:
                self._start_capture(starting, camera, optics)
            self._metrics.watch_cameras(self._captures)
            self._start(starting, "watch", self._watch, self._stop.set)
            self._running = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.__exit__(kind, error, trace)
        if kind is not None:
            return
        self._raise_failure()
        if not self.ledger.balanced:
            raise LedgerError(f"the ledger does not balance: {self.ledger.total()}")

    @property
    def done(self) -> bool:
        """Whether every camera is at its end; raises what a thread failed with."""
        self._raise_failure()
        return not any(worker.alive for worker in self.workers if worker.name.startswith("capture"))

    @property
    def progress(self) -> int:
        """A number that grows while frames are settled, or while each camera's standstill has been announced."""
        if all(capture.state in ("offline", "ended") and not capture.stuck for capture in self._captures):
            return self.clock.tick_ns()
        return self.ledger.settled

    def _raise_failure(self) -> None:
        for worker in self.workers:
            if worker.failure is not None:
                raise worker.failure

    def _start(self, running: ExitStack, name: str, target: Callable[[Ready], None], stop: Callable[[], None]) -> None:
        worker = Worker(name, target, stop)
        self.workers.append(worker)
        running.enter_context(worker)

    def _start_swapping(self, running: ExitStack) -> None:
        inspecting = self._inspecting
        swapper = Swapper(self.config, inspecting.opened.settled, inspecting.models, inspecting.report, self.clock)
        self._metrics.watch_shadow(swapper.shadowed, swapper.disagreed)
        self._start(running, "swap", swapper.run, swapper.stop)
        if self.config.control.enabled:
            control = Control(self.config, inspecting.models, swapper, self._positions)
            self._start(running, "control", control.run, control.stop)
        if inspecting.opened.wanted:
            swapper.swap(None, None)

    def _start_capture(self, running: ExitStack, config: CameraConfig, optics: Optics) -> None:
        capture = Capture(
            config,
            partial(open_camera, config, self.clock),
            self._queue,
            self.ledger,
            self.clock,
            self._report,
            self._metrics.count_clock_step,
            self._stop,
            self._positions.locate(config),
            partial(refuse_strangers, self.config, config),
            partial(optics.complaint, config.name),
        )
        self._captures.append(capture)
        self._start(running, f"capture {config.name}", capture.run, self._stop.set)

    def _report(self, camera: str, state: CameraState, reason: str, outage: Outage | None) -> None:
        """Send a camera's new state. Capture threads and the watch thread."""
        origin = self._inspecting.origin
        event = StateEvent(0, origin, camera, state, reason, self.clock.utc_ns(), 0, outage)
        if camera in self._coverages:
            self._coverages[camera].note_state(event)
        self._outbox.put(event)

    def _watch(self, ready: Ready) -> None:
        """Look again and again for a camera whose driver does not answer. Watch thread."""
        ready()
        while not self._stop.wait(_WATCH_S):
            for capture in self._captures:
                capture.watch()

    def _open_sinks(self) -> list[Sink]:
        """Make the sinks. Publish thread."""
        zeromq = ZeroMqSink(self.config.publish)
        self.endpoint = zeromq.endpoint
        return [zeromq, self._metrics]

    def _heartbeat(self, dropped: dict[str, int]) -> Heartbeat:
        """Make a heartbeat of the moment. Publish thread."""
        states = {capture.name: capture.state for capture in self._captures}
        return Heartbeat(
            origin=self._inspecting.origin,
            published_ns=0,
            interval_s=self.config.publish.heartbeat_s,
            last_event=self._outbox.last_event,
            ledger={
                camera: CameraLedger(
                    inspected=account.inspected,
                    invalid=account.invalid.copy(),
                    late=account.late,
                    announced=account.announced,
                    state=states.get(camera, "starting"),
                )
                for camera, account in self.ledger.accounts.items()
            },
            engine=self._inspecting.engine,
            dropped=dropped,
            encoder=self._positions.feed.state.name if self._positions.feed else "",
        )
