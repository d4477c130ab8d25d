"""The station: its threads, started downstream first and stopped upstream first. Main thread.

encoder ─► Positions
              ▼
capture, one a camera ─► FrameQueue ─► inspect ─► Outbox ─► publish ─► sinks ─► journal
              ▲ watch                   ▲ Models  └─► optics                           ▲ replay
control (`station model`) ─► swap ──────┘
"""

import gc
import sys
import threading
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from engines.gpu import find_gpus
from station.archive.archive import Archive
from station.binding import refuse_strangers
from station.calibrated import open_calibration, scale_of
from station.camera import open_camera
from station.capture import Capture
from station.clock import Clock, HostClock
from station.config import CameraConfig, Config
from station.control import Control
from station.control_protocol import live_folder
from station.coverage import Coverage
from station.event import (
    CameraLedger,
    CameraState,
    Heartbeat,
    LossEvent,
    Origin,
    Outage,
    ServiceEvent,
    ServiceName,
    ServiceState,
    StateEvent,
)
from station.frame_queue import FrameQueue
from station.inspecting import Inspecting
from station.journal.server import Replay
from station.journal.store import Loss
from station.journal.writer import Journal
from station.ledger import Ledger, LedgerError
from station.metrics import Health, Metrics, MetricsServer
from station.optics import Optics, open_baselines
from station.outbox import Outbox
from station.pieces import Pieces
from station.positions import Positions
from station.publisher import Publisher
from station.recipe_book import RecipeBook
from station.recipe_check import calibrate_recipes
from station.reload import ReloadOutcome
from station.reload_desk import ReloadDesk
from station.security.gate import Gate
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
        self.reloads = ReloadDesk()
        """Who asks for the configuration to be read again, and waits for what comes of it."""
        self.metrics_url = ""
        self.endpoint = config.publish.endpoint
        self.replay_endpoint = ""
        self._queue = FrameQueue(names, config.station.queue_frames)
        self._positions = Positions(config, self.clock)
        self._pieces = Pieces(self.clock)
        self._coverages = {
            camera.name: Coverage(camera.reach_mm, self._positions.length_of(camera))
            for camera in config.camera
            if config.line.encoder is not None
        }
        self._outbox = Outbox(config.publish.queue_events)
        self._metrics = Metrics(self.ledger, self._queue.depth, config.station.name)
        self._metrics.set_recipe(config.first_recipe, config.at_start.station)
        self._metrics.watch_disk({"journal": config.journal.folder, "archive": config.archive.folder})
        self._stop = threading.Event()
        self._captures: list[Capture] = []
        self._journal: Journal | None = None
        self.workers: list[Worker] = []
        self._running = ExitStack()

    def __enter__(self) -> Self:
        sys.setswitchinterval(self.config.station.switch_interval_ms / 1e3)
        self._plain = {camera.name: open_calibration(self.config, camera) for camera in self.config.camera}
        calibrated = calibrate_recipes(self.config, self._plain)[self.config.first_recipe]
        scales = {camera.name: scale_of(camera, calibrated[camera.name]) for camera in self.config.camera}
        settings = self.config.calibration
        optics = Optics(open_baselines(self.config), settings.health, settings.health_every_frames)
        archive = self._make_archive()
        self._inspecting = Inspecting(
            self.config,
            calibrated,
            scales,
            self._make_origin(),
            self._queue,
            self.ledger,
            self._outbox,
            self._metrics,
            self.clock,
            self.first_verdict.set,
            optics,
            self._coverages,
            archive,
        )
        with ExitStack() as starting:
            self._gate = gate = Gate(self.config.security)
            self._metrics.watch_gate(gate)
            self._start(starting, "gate", gate.run, gate.stop)
            if self.config.journal.folder is not None:
                self._start_journal(starting, self.config.journal.folder, gate)
            publisher = Publisher(
                self._outbox, self._open_sinks, self._heartbeat, self.config.publish.heartbeat_s, self.clock
            )
            self._start(starting, "publish", publisher.run, self._outbox.close)
            if self.config.metrics.enabled:
                self._start_metrics(starting)
            self._metrics.watch_optics(optics)
            self._start(starting, "optics", optics.run, optics.stop)
            if archive is not None:
                self._metrics.watch_archive(archive)
                self._start(starting, "archive", archive.run, archive.stop)
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
        """A number that grows while frames are settled, or while none waits and a driver at least answers."""
        if self.ledger.balanced and not all(capture.stuck for capture in self._captures):
            return self.clock.tick_ns()
        return self.ledger.settled

    @property
    def beat(self) -> Heartbeat | None:
        """The last heartbeat; None before the first."""
        return self._metrics.beat

    def reload(self, config: Config) -> list[str]:
        """Let `config` hold from the next frame on, and return the keys that differ. Main thread.

        Raises `ConfigError` for a key that needs a restart and for rules that the model can't follow, `StationError`
        while a model is on its way in; then what held before goes on.
        """
        changed = self._recipes.reload(config)
        self.config = config
        return changed

    def count_reload(self, outcome: ReloadOutcome) -> None:
        """Count a configuration that was read again."""
        self._metrics.count_reload(outcome)

    def _raise_failure(self) -> None:
        for worker in self.workers:
            if worker.failure is not None:
                raise worker.failure

    def _start(self, running: ExitStack, name: str, target: Callable[[Ready], None], stop: Callable[[], None]) -> None:
        worker = Worker(name, target, stop)
        self.workers.append(worker)
        running.enter_context(worker)

    def _start_metrics(self, running: ExitStack) -> None:
        self._metrics.watch_gpus(find_gpus)
        health = Health(self.workers, lambda: self._metrics.beat, self.first_verdict, self.clock)
        server = MetricsServer(self.config.metrics, self._metrics.registry, health)
        self._start(running, "metrics", server.run, server.stop)
        self.metrics_url = server.url

    def _start_journal(self, running: ExitStack, folder: Path, gate: Gate) -> None:
        config, tell = self.config.journal, partial(self._report_service, "journal")
        journal = Journal(folder, config, self.clock, self._outbox.resume, tell, self._report_loss)
        self._start(running, "journal", journal.run, journal.stop)
        replay = Replay(config, journal, gate, self.clock)
        self._start(running, "replay", replay.run, replay.stop)
        self._metrics.watch_journal(journal, replay)
        self._journal, self.replay_endpoint = journal, replay.endpoint

    def _make_origin(self) -> Origin:
        """Return whose results these are, as far as it is known before a model is open."""
        settings = self.config.station
        return Origin(settings.name, uuid.uuid4().hex[:12], "", self.config.sha256[:12], recipe=settings.recipe or "")

    def _make_archive(self) -> Archive | None:
        config, tell = self.config.archive, partial(self._report_service, "archive")
        if config.folder is None:
            return None
        return Archive(config.folder, live_folder(self.config), config, self.clock, tell)

    def _start_swapping(self, running: ExitStack) -> None:
        inspecting, config = self._inspecting, self.config.at_start
        swapper = Swapper(config, inspecting.opened.settled, inspecting.models, inspecting.report, self.clock)
        models, adopt, cards = inspecting.models, inspecting.adopt, inspecting.cards
        self._recipes = RecipeBook(self.config, models, swapper, adopt, cards, self._plain, self.clock)
        self._metrics.watch_shadow(swapper.shadowed, swapper.disagreed)
        self._start(running, "swap", swapper.run, swapper.stop)
        if self.config.control.enabled:
            control = Control(
                self.config,
                inspecting.models,
                swapper,
                self._recipes,
                self._positions,
                self._pieces,
                self._gate,
                self.reloads,
            )
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
            self._pieces.at,
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

    def _report_service(self, service: ServiceName, state: ServiceState, detail: str) -> None:
        """Send the new state of journal or archive. Their threads."""
        origin = self._inspecting.origin
        self._outbox.put(ServiceEvent(0, origin, service, state, detail, self.clock.utc_ns(), 0))

    def _report_loss(self, loss: Loss) -> None:
        """Send what the journal lacks. Journal thread."""
        origin = self._inspecting.origin
        self._outbox.put(LossEvent(0, origin, loss.first, loss.last, loss.reason, self.clock.utc_ns(), 0))

    def _watch(self, ready: Ready) -> None:
        """Look again and again for a camera whose driver does not answer. Watch thread."""
        ready()
        while not self._stop.wait(_WATCH_S):
            for capture in self._captures:
                capture.watch()

    def _open_sinks(self) -> list[Sink]:
        """Make the sinks. Publish thread."""
        zeromq = ZeroMqSink(self.config.publish, self._gate)
        self.endpoint = zeromq.endpoint
        return [zeromq, self._metrics] if self._journal is None else [zeromq, self._journal, self._metrics]

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
            journal=self._journal.record if self._journal else None,
        )
