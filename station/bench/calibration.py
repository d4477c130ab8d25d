"""What calibration costs the line: flooded with and without a flat field, a geometry and the watch over the optics."""

import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from calibration import Binding, CalibrationStore
from calibration.geometry import CELL_PX, Geometry
from calibration.health_baseline import take_baseline
from station.bench.line import measure_flood
from station.bench.regions import draw_strip

__all__ = ["measure_calibration"]

_REGIONS, _ROUNDS = 3, 6
_FRAMES = 24
_MM_PER_PX = 0.5


def measure_calibration() -> dict[str, Any]:
    """Return frames a second `with` and `without` calibration, in turns, and the ratio of their medians."""
    rates: dict[str, list[float]] = {"without": [], "with": []}
    with tempfile.TemporaryDirectory() as folder:
        _calibrate(Path(folder, "calibrations"))
        for _ in range(_ROUNDS):
            rates["without"].append(measure_flood(_REGIONS)["fps"])
            rates["with"].append(measure_flood(_REGIONS, f'[calibration]\nfolder = "{folder}/calibrations"\n')["fps"])
    return rates | {"ratio": round(float(np.median(rates["with"]) / np.median(rates["without"])), 3)}


def _calibrate(folder: Path) -> None:
    """Write the calibrations of the bench's camera."""
    store = CalibrationStore(folder)
    frames = [draw_strip(_REGIONS, seed) for seed in range(_FRAMES)]
    height, width = frames[0].shape
    binding = Binding(camera="", width_px=width, height_px=height)
    mean = cv2.GaussianBlur(np.mean(frames, axis=0, dtype=np.float32), (0, 0), 20)
    gain = np.asarray(mean / mean.mean(), np.float32)
    store.save(
        "flat-field",
        "top",
        binding,
        {"level": float(mean.mean())},
        {"gain": gain, "dark": np.zeros_like(gain)},
        {},
    )
    y, x = np.mgrid[: -(-height // CELL_PX) + 1, : -(-width // CELL_PX) + 1] * (CELL_PX * _MM_PER_PX)
    store.save("geometry", "top", binding, {}, Geometry(np.stack([x, y], -1), width, height).arrays(), {})
    baseline = take_baseline(frames)
    store.save("health", "top", binding, baseline.figures, baseline.arrays, {"target": "strip"})
