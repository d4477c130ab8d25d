"""Time single steps of the line in this process: a crop's network, an event's encoding, the station's own share."""

import time
from collections.abc import Callable
from contextlib import closing
from functools import partial

import numpy as np

from engines import Engine, FakeEngine, OnnxRuntimeEngine
from station.bench.regions import draw_strip
from station.clock import HostClock
from station.config import PublishConfig, SecurityConfig, VerdictConfig
from station.event import EngineRecord, Origin, encode
from station.frame import Frame, Image
from station.frame_queue import FrameQueue
from station.inspection import Inspection, Stages
from station.inspection_event import make_inspection_event
from station.inspector import Inspector
from station.ledger import Ledger
from station.metrics import Metrics
from station.model import Model
from station.outbox import Outbox
from station.regions import Regions
from station.security.gate import Gate
from station.sinks.zeromq import ZeroMqSink
from station.verdict import Defect, Judge, Verdict
from station.worker import Worker

__all__ = ["median_us", "time_classify", "time_event", "time_overhead"]

_ORIGIN = Origin("bench", "0" * 12, "model 0123456789ab", "0" * 12)


def median_us(step: Callable[[], object], repeats: int) -> float:
    """Return the median time of `step` in microseconds, after a warm-up of a tenth of `repeats`."""
    times_ns = []
    for index in range(repeats + repeats // 10):
        start_ns = time.perf_counter_ns()
        step()
        if index >= repeats // 10:
            times_ns.append(time.perf_counter_ns() - start_ns)
    return float(np.median(times_ns)) / 1e3


def time_classify() -> dict[str, float]:
    """Return microseconds a crop of the shipped model at batch 1, 8 and 32, one thread."""
    with OnnxRuntimeEngine() as engine:
        side, random = engine.card.crop.size_px, np.random.default_rng(0)
        batches = {n: random.integers(0, 256, (n, 1, side, side), np.uint8) for n in (1, 8, 32)}
        times = {n: median_us(partial(engine.classify, crops), 2000 // n) / n for n, crops in batches.items()}
    return {str(n): round(time_us, 1) for n, time_us in times.items()}


def time_event() -> float:
    """Return microseconds to make and encode the event of a frame with ten regions."""
    defects = tuple(Defect("scratches", 0.98, (10 * i, 20, 30, 40), 500, 31.5) for i in range(10))
    frame = Frame("top", 1, np.zeros((1000, 2048), np.uint8), 1, 1, frame_id=1)
    inspection = Inspection(frame, 1, Verdict.REJECT, "scratches", 500_000, False, defects, Stages(1, 2, 3, 4, 5))
    return round(median_us(lambda: encode(make_inspection_event(inspection, _ORIGIN, 20.0)), 20_000), 2)


class _ThreeRegions:
    """Stands in for the region step, which is not part of the overhead."""

    def __init__(self) -> None:
        boxes = np.array([[100, 100, 60, 60], [900, 500, 90, 40], [1700, 800, 50, 50]], np.int32)
        columns = np.full(3, 900, np.int32), np.full(3, -30, np.float32), np.zeros((3, 2), np.float32)
        self._regions = Regions(boxes, *columns)

    def find(self, image: Image) -> Regions:
        return self._regions

    def learn(self, image: Image) -> None:
        pass


def time_overhead() -> float:
    """Return microseconds a frame of everything but camera, region step and network, at three regions.

    One thread does in turn what the three threads do: copy into the queue, take, cut crops, judge, enter in the
    ledger, make the event, encode, count in the metrics, send.
    """
    clock, queue, ledger, outbox = HostClock(), FrameQueue(["top"], 8), Ledger(["top"]), Outbox(4096)
    metrics = Metrics(ledger, queue.depth, "bench")
    image, gate = draw_strip(3, seed=0), Gate(SecurityConfig())
    with (
        Worker("gate", gate.run, gate.stop),
        closing(ZeroMqSink(PublishConfig(endpoint="tcp://127.0.0.1:*"), gate)) as sink,
        FakeEngine(("defect",)) as engine,
    ):
        metrics.set_engine(EngineRecord(engine.name, engine.card.labels, engine.sha256))
        metrics.set_finders(["shadow"])
        step = _one_frame(clock, queue, ledger, outbox, metrics, sink, image, engine)
        return round(median_us(step, 5000), 1)


def _one_frame(
    clock: HostClock,
    queue: FrameQueue,
    ledger: Ledger,
    outbox: Outbox,
    metrics: Metrics,
    sink: ZeroMqSink,
    image: Image,
    engine: Engine,
) -> Callable[[], None]:
    model = Model(engine, Judge(VerdictConfig(), engine.card))
    inspector = Inspector({"top": _ThreeRegions()}, model, 20.0, clock)

    def step() -> None:
        sequence = ledger.announce("top").start
        queue.put(Frame("top", sequence, image, clock.utc_ns(), clock.tick_ns(), frame_id=sequence))
        frame = queue.get()
        assert isinstance(frame, Frame)
        (inspection,) = inspector.inspect([frame])
        ledger.settle("top", sequence, inspection.verdict, inspection.reason, inspection.late)
        outbox.put(make_inspection_event(inspection, _ORIGIN, 20.0))
        queue.give_back(frame)
        for message in outbox.take(0):
            message.published_ns = clock.utc_ns()
            payload = encode(message)
            sink.put(message, payload)
            metrics.put(message, payload)

    return step
