"""What Prometheus sees: few series, counters and histograms, children kept. The metrics thread reads, the publish
thread writes; what somebody else counts already is read there at the scrape and costs a frame nothing.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from engines.gpu import Gpu
from shadowline import __version__
from shadowline.errors import EngineError
from station.archive.archive import Archive
from station.capture import Capture
from station.config import StationConfig
from station.event import EngineRecord, Heartbeat, InspectionEvent, Message, ModelAction, ModelEvent
from station.journal.server import Replay
from station.journal.writer import Journal
from station.ledger import Ledger
from station.metrics.line_collectors import (
    CameraCollector,
    GpuCollector,
    LedgerCollector,
    OpticsCollector,
    PositionCollector,
    ShadowCollector,
)
from station.metrics.record_collectors import (
    ArchiveCollector,
    BeatCollector,
    DiskCollector,
    GateCollector,
    JournalCollector,
)
from station.optics import Optics
from station.positions import Positions
from station.reload import ReloadOutcome
from station.security.gate import Gate

__all__ = ["Metrics"]

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more a counter, which nobody reads

_SECONDS = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)
_STAGES = ("wait", "regions", "crops", "classify", "verdict")


class Metrics:
    """A sink that counts and times messages into a registry of its own."""

    name = "metrics"

    def __init__(self, ledger: Ledger, queue_depth: Callable[[str], int], station: str) -> None:
        self.dropped: dict[str, int] = {}
        self.beat: Heartbeat | None = None
        """The last heartbeat."""
        self.registry = registry = CollectorRegistry()
        registry.register(LedgerCollector(ledger, queue_depth))
        registry.register(BeatCollector(lambda: self.beat))
        ProcessCollector(registry=registry)
        Info("station_build", "The software.", registry=registry).info({"version": __version__, "station": station})
        self._engine = Info("station_engine", "The network in use.", registry=registry)
        self._recipe = Info("station_recipe", "The recipe in force.", registry=registry)
        self._stand_in = Gauge(
            "station_engine_stand_in",
            "1 while another than the configured engine is used.",
            registry=registry,
        )
        self._budget = Gauge("station_budget_seconds", "Time from capture to decision.", registry=registry)
        self._queue_limit = Gauge(
            "station_queue_limit_frames", "Frames of a camera that may wait for inspection.", registry=registry
        )
        stages = Histogram(
            "station_stage_seconds", "Time of each step.", ["stage"], registry=registry, buckets=_SECONDS
        )
        self._stages = [stages.labels(stage) for stage in _STAGES]
        self._end_to_end = Histogram(
            "station_end_to_end_seconds", "From capture to decision.", registry=registry, buckets=_SECONDS
        )
        self._regions = Counter("station_regions", "Regions that were named.", ["camera"], registry=registry)
        self._found = Counter(
            "station_finder_regions",
            "Regions by who found them; what two found counts for both.",
            ["finder"],
            registry=registry,
        )
        self._defects = Counter("station_defects", "Regions by label.", ["label"], registry=registry)
        self._last_frame = Gauge(
            "station_camera_last_frame_timestamp_seconds", "UTC of its last picture.", ["camera"], registry=registry
        )
        self._clock_steps = Counter("station_clock_steps", "Steps of the host's UTC clock.", registry=registry)
        reloads = Counter("station_config_reloads", "Configurations read again.", ["outcome"], registry=registry)
        self._reloads = {outcome: reloads.labels(outcome) for outcome in get_args(ReloadOutcome)}
        changes = Counter("station_model_changes", "What happened to models.", ["action"], registry=registry)
        self._model_changes = {action: changes.labels(action) for action in get_args(ModelAction)}
        self._of_camera = {
            camera: (self._regions.labels(camera), self._last_frame.labels(camera)) for camera in ledger.accounts
        }
        self._of_label: dict[str, Counter] = {}
        self._of_finder: dict[str, Counter] = {}

    def set_recipe(self, name: str, station: StationConfig) -> None:
        """Name the recipe that holds, and show what figures are to be held against. Main and inspect thread."""
        self._recipe.info({"recipe": name})
        self._budget.set(station.budget_ms / 1e3)
        self._queue_limit.set(station.queue_frames)

    def set_engine(self, engine: EngineRecord, stands_in: bool = False) -> None:
        """Name the network, and give each of its labels a series from the start. Inspect thread, between frames.

        `stands_in` says that it is not the one that is configured, but the one that is there while that is not.
        """
        self._engine.info({"name": engine.name, "sha256": engine.sha256, "why": engine.why})
        self._stand_in.set(stands_in)
        self._of_label |= {
            label: self._defects.labels(label) for label in (*engine.labels, "unknown") if label not in self._of_label
        }

    def set_finders(self, names: Iterable[str]) -> None:
        """Give each finder a series from the start. Inspect thread, between frames."""
        self._of_finder |= {name: self._found.labels(name) for name in names if name not in self._of_finder}

    def watch_disk(self, folders: Mapping[str, Path | None]) -> None:
        """Show the room in these folders, by what they hold. Main thread, once."""
        self.registry.register(DiskCollector(folders))

    def watch_gpus(self, find: Callable[[], Collection[Gpu]]) -> None:
        """Show how the GPUs do that `find` finds; nothing where there are none by now. Main thread, once."""
        with suppress(EngineError):
            if find():
                self.registry.register(GpuCollector(find))

    def watch_journal(self, journal: Journal, replay: Replay) -> None:
        """Show what the journal keeps and gives again. Main thread, once."""
        self.registry.register(JournalCollector(journal, replay))

    def watch_archive(self, archive: Archive) -> None:
        """Show what the archive keeps. Main thread, once."""
        self.registry.register(ArchiveCollector(archive))

    def watch_gate(self, gate: Gate) -> None:
        """Show who came to the sockets, and who was not let in. Main thread, once."""
        self.registry.register(GateCollector(gate))

    def watch_shadow(self, shadowed: Mapping[str, int], disagreed: Mapping[str, int]) -> None:
        """Show these counts by label, which the swap thread keeps. Main thread, once."""
        self.registry.register(ShadowCollector(shadowed, disagreed))

    def watch_cameras(self, captures: Sequence[Capture]) -> None:
        """Show what the capture threads know of their cameras. Main thread, once."""
        self.registry.register(CameraCollector(captures))

    def watch_optics(self, optics: Optics) -> None:
        """Show what the optics thread measured last. Main thread, once."""
        self.registry.register(OpticsCollector(optics))

    def watch_positions(self, positions: Positions) -> None:
        """Show whether the line's counter is heard and believed. Main thread, once."""
        self.registry.register(PositionCollector(positions))

    def count_reload(self, outcome: ReloadOutcome) -> None:
        """Count a configuration that was read again. Main thread."""
        self._reloads[outcome].inc()

    def count_clock_step(self) -> None:
        """Count a step of the UTC clock. Capture thread."""
        self._clock_steps.inc()

    def put(self, message: Message, payload: bytes) -> None:
        """Count `message`. Publish thread."""
        match message:
            case InspectionEvent():
                self._count_inspection(message)
            case ModelEvent():
                self._model_changes[message.action].inc()
            case Heartbeat():
                self.beat = message

    def close(self) -> None:
        """Nothing is held."""

    def _count_inspection(self, event: InspectionEvent) -> None:
        regions, last_frame = self._of_camera[event.camera]
        self._end_to_end.observe(event.latency_ms / 1e3)
        if event.size_px is None:
            return
        last_frame.set(event.captured_ns / 1e9)
        times = event.stages_us
        for child, spent_us in zip(
            self._stages, (times.wait, times.regions, times.crops, times.classify, times.verdict), strict=True
        ):
            child.observe(spent_us / 1e6)
        if event.defects:
            regions.inc(len(event.defects))
            for defect in event.defects:
                self._of_label[defect.label].inc()
                for finder in defect.found_by.split("+"):
                    self._of_finder[finder].inc()
