"""What Prometheus sees: few series, counters and histograms, children kept. The server's thread reads, the publish
thread writes; what the ledger already counts is read from it at the scrape and costs a frame nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from shadowline import __version__
from shadowline.errors import ConfigError
from station.capture import Capture
from station.config import MetricsConfig
from station.event import EngineRecord, InspectionEvent, Message, ModelEvent, StateEvent
from station.ledger import Ledger
from station.optics import Optics
from station.positions import Positions

__all__ = ["Metrics", "MetricsServer"]

_SECONDS = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)
_STAGES = ("wait", "regions", "crops", "classify", "verdict")
_STATES = ("online", "degraded", "offline", "ended")


class Metrics:
    """A sink that counts and times messages into a registry of its own."""

    name = "metrics"

    def __init__(self, ledger: Ledger, queue_depth: Callable[[str], int], station: str) -> None:
        self.dropped: dict[str, int] = {}
        self.registry = CollectorRegistry()
        self.registry.register(_LedgerCollector(ledger, queue_depth))
        self._build = Info("station_build", "The software.", registry=self.registry)
        self._build.info({"version": __version__, "station": station})
        self._engine = Info("station_engine", "The network in use.", registry=self.registry)
        stages = Histogram(
            "station_stage_seconds", "Time of each step.", ["stage"], registry=self.registry, buckets=_SECONDS
        )
        self._stages = [stages.labels(stage) for stage in _STAGES]
        self._end_to_end = Histogram(
            "station_end_to_end_seconds", "From capture to decision.", registry=self.registry, buckets=_SECONDS
        )
        self._regions = Counter("station_regions", "Regions that were named.", ["camera"], registry=self.registry)
        self._defects = Counter("station_defects", "Regions by label.", ["label"], registry=self.registry)
        self._state = Gauge(
            "station_camera_state", "1 for the state it is in.", ["camera", "state"], registry=self.registry
        )
        self._last_frame = Gauge(
            "station_camera_last_frame_timestamp_seconds",
            "UTC of its last picture.",
            ["camera"],
            registry=self.registry,
        )
        self._clock_steps = Counter("station_clock_steps", "Steps of the host's UTC clock.", registry=self.registry)
        self._of_camera = {
            camera: (self._regions.labels(camera), self._last_frame.labels(camera)) for camera in ledger.accounts
        }
        self._of_label: dict[str, Counter] = {}
        self._model_changes = Counter(
            "station_model_changes", "What happened to models.", ["action"], registry=self.registry
        )

    def set_engine(self, engine: EngineRecord) -> None:
        """Name the network, and give each of its labels a series from the start. Inspect thread, between frames."""
        self._engine.info({"name": engine.name, "sha256": engine.sha256, "why": engine.why})
        self._of_label |= {
            label: self._defects.labels(label) for label in (*engine.labels, "unknown") if label not in self._of_label
        }

    def watch_shadow(self, shadowed: Mapping[str, int], disagreed: Mapping[str, int]) -> None:
        """Show these counts by label, which the swap thread keeps. Main thread, once."""
        self.registry.register(_ShadowCollector(shadowed, disagreed))

    def watch_cameras(self, captures: Sequence[Capture]) -> None:
        """Show what the capture threads know of their cameras. Main thread, once."""
        self.registry.register(_CameraCollector(captures))

    def watch_optics(self, optics: Optics) -> None:
        """Show what the optics thread measured last. Main thread, once."""
        self.registry.register(_OpticsCollector(optics))

    def watch_positions(self, positions: Positions) -> None:
        """Show whether the line's counter is heard and believed. Main thread, once."""
        self.registry.register(_PositionCollector(positions))

    def count_clock_step(self) -> None:
        """Count a step of the UTC clock. Capture thread."""
        self._clock_steps.inc()

    def put(self, message: Message, payload: bytes) -> None:
        """Count `message`. Publish thread."""
        match message:
            case InspectionEvent():
                self._count_inspection(message)
            case StateEvent():
                for state in _STATES:
                    self._state.labels(message.camera, state).set(state == message.state)
            case ModelEvent():
                self._model_changes.labels(message.action).inc()

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


class _LedgerCollector(Collector):
    """Reads the ledger and the queue at each scrape."""

    def __init__(self, ledger: Ledger, queue_depth: Callable[[str], int]) -> None:
        self._ledger = ledger
        self._queue_depth = queue_depth

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        announced = CounterMetricFamily("station_frames_announced", "Frames the camera made.", labels=["camera"])
        frames = CounterMetricFamily(
            "station_frames", "Frames by what became of them.", labels=["camera", "outcome", "reason"]
        )
        late = CounterMetricFamily("station_deadline_misses", "Decisions after the budget.", labels=["camera"])
        depth = GaugeMetricFamily("station_queue_frames", "Frames that wait for inspection.", labels=["camera"])
        for camera, account in self._ledger.accounts.items():
            announced.add_metric([camera], account.announced)
            frames.add_metric([camera, "accept", ""], account.accepted)
            frames.add_metric([camera, "reject", ""], account.rejected)
            for reason, count in account.invalid.copy().items():
                frames.add_metric([camera, "invalid", reason], count)
            late.add_metric([camera], account.late)
            depth.add_metric([camera], self._queue_depth(camera))
        yield from (announced, frames, late, depth)


class _CameraCollector(Collector):
    """Reads the capture threads' own figures at each scrape."""

    def __init__(self, captures: Sequence[Capture]) -> None:
        self._captures = captures

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        age = GaugeMetricFamily("station_camera_frame_age_seconds", "Since its last picture.", labels=["camera"])
        outages = CounterMetricFamily("station_camera_outages", "Times it was away and came back.", labels=["camera"])
        unseen = CounterMetricFamily("station_camera_outage_seconds", "Time that it was away.", labels=["camera"])
        stream = CounterMetricFamily(
            "station_camera_stream", "The driver's own counts since opening.", labels=["camera", "count"]
        )
        for capture in self._captures:
            age.add_metric([capture.name], capture.age_s)
            outages.add_metric([capture.name], capture.outages)
            unseen.add_metric([capture.name], capture.outage_s)
            for name, count in capture.counters.items():
                stream.add_metric([capture.name, name], count)
        yield from (age, outages, unseen, stream)


class _OpticsCollector(Collector):
    """Reads the figures of lamp, lens and sensor at each scrape."""

    def __init__(self, optics: Optics) -> None:
        self._optics = optics

    def collect(self) -> Iterator[GaugeMetricFamily]:
        value = GaugeMetricFamily("station_optics", "Lamp, lens and sensor as measured.", labels=["camera", "figure"])
        well = GaugeMetricFamily("station_optics_ok", "1 while no limit is crossed.", labels=["camera"])
        for camera, figures in self._optics.figures().items():
            well.add_metric([camera], not self._optics.complaint(camera))
            for name, figure in figures.items():
                value.add_metric([camera, name], figure.value)
        yield from (value, well)


class _PositionCollector(Collector):
    """Reads the state of the line's counter at each scrape."""

    def __init__(self, positions: Positions) -> None:
        self._positions = positions

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        yield CounterMetricFamily(
            "station_encoder_jumps", "Leaps of a counter that were not believed.", self._positions.jumps
        )
        if (feed := self._positions.feed) is not None:
            yield GaugeMetricFamily("station_encoder_online", "1 while it is heard.", feed.state.name == "online")
            yield CounterMetricFamily("station_encoder_faults", "Readings that failed or made no sense.", feed.faults)


class _ShadowCollector(Collector):
    """Reads the swap thread's counts at each scrape."""

    def __init__(self, shadowed: Mapping[str, int], disagreed: Mapping[str, int]) -> None:
        self._shadowed = shadowed
        self._disagreed = disagreed

    def collect(self) -> Iterator[CounterMetricFamily]:
        for name, words, counts in (
            ("station_shadow_crops", "Crops that a candidate model named too.", self._shadowed),
            ("station_shadow_disagreements", "Of these, named otherwise.", self._disagreed),
        ):
            family = CounterMetricFamily(name, words, labels=["label"])
            for label, count in dict(counts).items():
                family.add_metric([label], count)
            yield family


class MetricsServer:
    """Serves a registry over HTTP for the length of a `with` block, in a thread of the Prometheus client."""

    def __init__(self, config: MetricsConfig, registry: CollectorRegistry) -> None:
        self._config = config
        self._registry = registry
        self.port = config.port

    def __enter__(self) -> "MetricsServer":
        try:
            self._server, self._thread = start_http_server(self._config.port, self._config.host, self._registry)
        except OSError as error:
            place = f"{self._config.host}:{self._config.port}"
            raise ConfigError(f"[metrics] port {place}: {(error.strerror or str(error)).lower()}") from None
        self.port = self._server.server_port
        return self

    def __exit__(self, *failure: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
