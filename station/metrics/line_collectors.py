"""What is read at a scrape from those who count it already: ledger, cameras, optics, encoder, shadow runs, GPU.

The metrics thread collects; nothing here waits for another thread.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from engines.gpu import Gpu
from shadowline.errors import EngineError
from station.capture import Capture
from station.event import CameraState
from station.frame import InvalidReason
from station.ledger import Ledger
from station.optics import Optics
from station.positions import Positions

__all__ = [
    "CameraCollector",
    "GpuCollector",
    "LedgerCollector",
    "OpticsCollector",
    "PositionCollector",
    "ShadowCollector",
]


class LedgerCollector(Collector):
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
            invalid = account.invalid.copy()
            for reason in InvalidReason:  # from 0 on: a rate needs to see the first one come
                frames.add_metric([camera, "invalid", reason], invalid.get(reason, 0))
            late.add_metric([camera], account.late)
            depth.add_metric([camera], self._queue_depth(camera))
        yield from (announced, frames, late, depth)


class CameraCollector(Collector):
    """Reads the capture threads' own figures at each scrape."""

    def __init__(self, captures: Sequence[Capture]) -> None:
        self._captures = captures

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        state = GaugeMetricFamily("station_camera_state", "1 for the state it is in.", labels=["camera", "state"])
        age = GaugeMetricFamily("station_camera_frame_age_seconds", "Since its last picture.", labels=["camera"])
        outages = CounterMetricFamily("station_camera_outages", "Times it was away and came back.", labels=["camera"])
        unseen = CounterMetricFamily("station_camera_outage_seconds", "Time that it was away.", labels=["camera"])
        stream = CounterMetricFamily(
            "station_camera_stream", "The driver's own counts since opening.", labels=["camera", "count"]
        )
        for capture in self._captures:
            for name in get_args(CameraState):
                state.add_metric([capture.name, name], capture.state == name)
            age.add_metric([capture.name], capture.age_s)
            outages.add_metric([capture.name], capture.outages)
            unseen.add_metric([capture.name], capture.outage_s)
            for name, count in capture.counters.items():
                stream.add_metric([capture.name, name], count)
        yield from (state, age, outages, unseen, stream)


class OpticsCollector(Collector):
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


class PositionCollector(Collector):
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


class ShadowCollector(Collector):
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


class GpuCollector(Collector):
    """Asks the driver at each scrape how the GPUs do; it does not hold the interpreter meanwhile."""

    def __init__(self, find: Callable[[], Iterable[Gpu]]) -> None:
        """`find` raises `EngineError` where the driver does not answer."""
        self._find = find

    def collect(self) -> Iterator[GaugeMetricFamily]:
        heat = GaugeMetricFamily("station_gpu_temperature_celsius", "Of the GPU.", labels=["gpu"])
        free = GaugeMetricFamily("station_gpu_memory_free_bytes", "Memory that nobody uses.", labels=["gpu"])
        size = GaugeMetricFamily("station_gpu_memory_size_bytes", "Memory that it has.", labels=["gpu"])
        held = GaugeMetricFamily("station_gpu_throttled", "1 while something takes speed away.", labels=["gpu"])
        for gpu in self._ask():
            name = [str(gpu.index)]
            held.add_metric(name, bool(gpu.throttled))
            if gpu.temperature_c is not None:
                heat.add_metric(name, gpu.temperature_c)
            if gpu.memory_mib is not None and gpu.free_mib is not None:
                size.add_metric(name, gpu.memory_mib << 20)
                free.add_metric(name, gpu.free_mib << 20)
        yield from (heat, free, size, held)

    def _ask(self) -> Iterable[Gpu]:
        try:
            return self._find()
        except EngineError:  # a GPU that is gone has no figures; the model that takes over is told
            return ()
