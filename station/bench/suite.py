"""Everything `station bench` measures, in order, with progress on stderr. Main thread."""

import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from station.bench.calibration import measure_calibration
from station.bench.cameras import measure_cameras
from station.bench.delivery import measure_delivery
from station.bench.finders import measure_finders
from station.bench.line import measure_flood, measure_paced, run_user_script
from station.bench.regions import measure_regions
from station.bench.steps import time_classify, time_event, time_overhead
from station.bench.swap import measure_swaps

__all__ = ["measure", "show"]

_REGIONS = (0, 3, 30, 300)
_SCRIPT_REGIONS = (3, 30)
_SCRIPT = Path(__file__).parents[2] / "tests" / "benchmarks" / "user_script.py"


def measure(finder: Path | None = None) -> dict[str, Any]:
    """Return every figure; microseconds, milliseconds and frames a second as the keys say.

    `finders` is there when a finder file is given. `user_script` is empty where its script or torch is missing: it
    needs a checkout and the extra `bench`.
    """
    progress = Console(stderr=True)
    progress.print("regions …")
    figures = measure_regions()
    if finder is not None:
        progress.print("the finder file, alone and beside the shadows …")
        figures["finders"] = measure_finders(finder)
    progress.print("network, events, overhead …")
    figures |= {"classify": time_classify(), "event_us": time_event(), "overhead_us": time_overhead()}
    figures |= {"pipeline": {}, "user_script": {}}
    for regions in _REGIONS:
        progress.print(f"the line at {regions} regions a frame, flooded and at 60 Hz …")
        flood = measure_flood(regions)
        if regions == 3:
            figures["rss_mib"] = flood["rss_mib"]
        figures["pipeline"][str(regions)] = {"fps": flood["fps"]} | measure_paced(regions)
    progress.print("one camera and four …")
    figures["cameras"] = measure_cameras()
    progress.print("with and without calibration …")
    figures["calibration"] = measure_calibration()
    progress.print("with and without journal and archive …")
    figures["delivery"] = measure_delivery()
    progress.print("models swapped under way …")
    figures["swap"] = measure_swaps()
    for regions in _SCRIPT_REGIONS:
        progress.print(f"the script a user would write, at {regions} regions a frame …")
        try:
            figures["user_script"][str(regions)] = run_user_script(_SCRIPT, regions)
        except RuntimeError as error:
            progress.print(f"not measured: {error} (pip install 'shadowline[bench]' in a checkout)")
    return figures | {"machine": _machine()}


def _machine() -> dict[str, Any]:
    models = {
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    }
    cores = sum(line.startswith("processor") for line in Path("/proc/cpuinfo").read_text().splitlines())
    packages = ("shadowline", "numpy", "numba", "opencv-python-headless", "onnxruntime", "pyzmq")
    return {
        "processor": ", ".join(sorted(models)) or platform.processor(),
        "cores": cores,
        "python": sys.version.split()[0],
        **{name: version(name) for name in packages},
    }


def show(figures: dict[str, Any]) -> None:
    """Print `figures` as tables."""
    console = Console()
    steps = Table(
        "regions a frame", "region step µs", "× memcpy", "× faster than OpenCV", title="Region step, 2048×1000"
    )
    line = Table("regions a frame", "flooded fps", "p50 ms", "p99 ms", "invalid", "late", title="Whole line, 60 Hz")
    for regions, step in figures["regions"].items():
        steps.add_row(regions, *(str(step[key]) for key in ("us", "memcpys", "opencv_speedup")))
    for regions, one in figures["pipeline"].items():
        line.add_row(regions, *(str(one[key]) for key in ("fps", "p50_ms", "p99_ms", "invalid", "late")))
    console.print(steps, line)
    for key in (
        *(["finders"] if "finders" in figures else []),
        "memcpy_us",
        "worst_mask_ms",
        "classify",
        "event_us",
        "overhead_us",
        "cameras",
        "calibration",
        "delivery",
        "swap",
        "user_script",
        "rss_mib",
        "machine",
    ):
        console.print(f"{key}: {json.dumps(figures[key])}", highlight=False)
