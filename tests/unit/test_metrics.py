"""What the registry shows of parts that are away, and from which value on it counts."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest

from engines.gpu import Gpu
from shadowline.errors import EngineError
from station.config import StationConfig
from station.event import EngineRecord, JournalRecord
from station.frame import InvalidReason
from station.ledger import Ledger
from station.metrics import Metrics
from tests.evidence import make_event
from tests.unit.test_metrics_health import BEAT

GPU = Gpu(
    index=1,
    name="any",
    capability="8.9",
    driver="1",
    pci_bus_id="",
    memory_mib=8,
    free_mib=3,
    persistence=True,
    sm_clock_mhz=None,
    max_sm_clock_mhz=None,
    temperature_c=71,
    throttled="heat",
)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(Ledger(["top"]), lambda camera: 3, "line")


def test_every_reason_counts_from_0(metrics: Metrics) -> None:
    for reason in InvalidReason:
        labels = {"camera": "top", "outcome": "invalid", "reason": reason.value}
        assert metrics.registry.get_sample_value("station_frames_total", labels) == 0
    value = metrics.registry.get_sample_value("station_model_changes_total", {"action": "failed_over"})
    assert value == 0


def test_figures_and_what_they_are_held_against(metrics: Metrics) -> None:
    metrics.set_recipe("default", StationConfig())
    metrics.set_recipe("thick", StationConfig(budget_ms=15, queue_frames=4))
    assert metrics.registry.get_sample_value("station_recipe_info", {"recipe": "thick"}) == 1
    assert metrics.registry.get_sample_value("station_recipe_info", {"recipe": "default"}) is None
    assert metrics.registry.get_sample_value("station_budget_seconds") == pytest.approx(0.015)
    assert metrics.registry.get_sample_value("station_queue_limit_frames") == 4
    assert metrics.registry.get_sample_value("station_queue_frames", {"camera": "top"}) == 3


def test_an_engine_that_stands_in(metrics: Metrics) -> None:
    engine = EngineRecord("onnx_runtime", ("defect",), "", "until a plan is built")
    metrics.set_engine(engine, stands_in=True)
    assert metrics.registry.get_sample_value("station_engine_stand_in") == 1
    metrics.set_engine(engine)
    assert metrics.registry.get_sample_value("station_engine_stand_in") == 0


def test_regions_by_who_found_them(metrics: Metrics) -> None:
    metrics.set_engine(EngineRecord("fake", ("dent",), ""))
    metrics.set_finders(["shadow", "heatmap"])
    count = partial(metrics.registry.get_sample_value, "station_finder_regions_total")
    assert [count({"finder": name}) for name in ("shadow", "heatmap")] == [0, 0]
    event = make_event(1, ("dent", "dent"))
    both = msgspec.structs.replace(event.defects[0], found_by="shadow+heatmap")
    metrics.put(msgspec.structs.replace(event, defects=(both, event.defects[1])), b"")
    assert [count({"finder": name}) for name in ("shadow", "heatmap")] == [2, 1]


def test_the_last_heartbeat_is_shown(metrics: Metrics) -> None:
    assert metrics.registry.get_sample_value("station_last_event") is None
    journal = JournalRecord("id", first=3, last=40, waiting=2, state="degraded")
    metrics.put(msgspec.structs.replace(BEAT, last_event=42, dropped={"zeromq: full": 5}, journal=journal), b"")
    value = metrics.registry.get_sample_value
    assert value("station_last_event") == 42
    assert value("station_messages_dropped_total", {"sink": "zeromq", "reason": "full"}) == 5
    assert value("station_messages_dropped_total", {"sink": "outbox", "reason": "full"}) == 0
    assert value("station_journal_waiting_messages") == 2
    assert value("station_journal_state", {"state": "degraded"}) == 1
    assert value("station_journal_state", {"state": "online"}) == 0


def test_a_folder_that_is_away_has_no_room(metrics: Metrics, tmp_path: Path) -> None:
    metrics.watch_disk({"journal": tmp_path, "archive": tmp_path / "none", "unused": None})
    free = metrics.registry.get_sample_value("station_disk_free_bytes", {"folder": "journal"})
    size = metrics.registry.get_sample_value("station_disk_size_bytes", {"folder": "journal"})
    assert free is not None
    assert size is not None
    assert 0 <= free <= size
    for folder in ("archive", "unused"):
        assert metrics.registry.get_sample_value("station_disk_free_bytes", {"folder": folder}) is None


def test_a_gpu_and_its_loss(metrics: Metrics) -> None:
    there = [GPU]

    def find() -> list[Gpu]:
        if not there:
            raise EngineError("a GPU fell off the bus")
        return there

    metrics.watch_gpus(find)
    value = metrics.registry.get_sample_value
    assert value("station_gpu_temperature_celsius", {"gpu": "1"}) == 71
    assert value("station_gpu_memory_free_bytes", {"gpu": "1"}) == 3 << 20
    assert value("station_gpu_throttled", {"gpu": "1"}) == 1
    there.clear()
    assert value("station_gpu_temperature_celsius", {"gpu": "1"}) is None


def no_driver() -> list[Gpu]:
    raise EngineError("no NVIDIA driver")


@pytest.mark.parametrize("find", [no_driver, list], ids=["no driver", "no GPU"])
def test_without_a_gpu_nothing_is_asked_at_a_scrape(metrics: Metrics, find: Callable[[], list[Gpu]]) -> None:
    metrics.watch_gpus(find)
    assert not any(family.name.startswith("station_gpu") for family in metrics.registry.collect())
