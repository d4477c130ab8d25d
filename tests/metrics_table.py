"""The table of metrics in docs/monitoring.md, from what a station with all its parts really shows.

    python -m tests.metrics_table

writes it anew; `tests/system/test_metrics_table.py` compares.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import Metric

from engines.gpu import Gpu
from station.app import Station
from station.config import Config
from station.config_file import parse

__all__ = ["PAGE", "insert", "make_table", "whole_station"]

PAGE = Path(__file__).parents[1] / "docs" / "monitoring.md"
_HEAD = "| metric | type | labels | tells |\n|---|---|---|---|\n"
_GPU = Gpu(
    index=0,
    name="any",
    capability="8.9",
    driver="1",
    pci_bus_id="",
    memory_mib=1,
    free_mib=1,
    persistence=True,
    sm_clock_mhz=1,
    max_sm_clock_mhz=1,
    temperature_c=1,
    throttled="",
)


def make_table() -> str:
    """Return the table as Markdown. The process' own figures are the Prometheus client's and have their words there."""
    with whole_station() as station:
        families = [f for f in station._metrics.registry.collect() if not f.name.startswith("process_")]
    return _HEAD + "".join(sorted(_row(family) for family in families))


@contextmanager
def whole_station() -> Iterator[Station]:
    """Run a station with every part that has metrics, up to a GPU that is none."""
    with tempfile.TemporaryDirectory() as folder, Station(_config(Path(folder))) as station:
        station._metrics.watch_gpus(lambda: (_GPU,))
        assert station.first_verdict.wait(30)  # by then there was a heartbeat too
        yield station


def insert(page: str, table: str) -> str:
    """Return `page` with its table of metrics replaced."""
    before, _, rest = page.partition(_HEAD)
    after = rest.partition("\n\n")[2]
    return f"{before}{table}\n{after}"


def _row(family: Metric) -> str:
    suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
    kind = "gauge" if family.type == "info" else family.type
    labels = ", ".join(f"`{label}`" for label in _labels(family)) or "–"
    return f"| `{family.name}{suffix}` | {kind} | {labels} | {family.documentation.rstrip('.')} |\n"


def _labels(family: Metric) -> list[str]:
    known = getattr(family, "_labelnames", ()) or {label for sample in family.samples for label in sample.labels}
    return [label for label in known if label != "le"] if isinstance(known, tuple) else sorted(known - {"le"})


def _config(folder: Path) -> Config:
    return parse(
        {
            "camera": [{"name": "top", "type": "simulated", "width_px": 256, "height_px": 128}],
            "line": {"encoder": {"type": "zeromq", "endpoint": f"ipc://{folder}/encoder", "mm_per_count": 1.0}},
            "engine": {"backend": "fake"},
            "publish": {"endpoint": f"ipc://{folder}/events", "heartbeat_s": 0.05},
            "journal": {"folder": f"{folder}/journal", "endpoint": f"ipc://{folder}/replay"},
            "archive": {"folder": f"{folder}/archive"},
            "control": {"enabled": False},
            "metrics": {"port": 0},
        },
        folder / "config.toml",
    )


if __name__ == "__main__":
    PAGE.write_text(insert(PAGE.read_text(), make_table()))
