"""Measure what a finder file costs beside the shadows, alone and combined with them, in one run. Pure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from pydantic import TypeAdapter

from engines import read_finder_card
from station.bench.regions import Times, draw_strip, time_steps
from station.config import FinderConfig
from station.regions import FrameEngines, open_finder

__all__ = ["measure_finders"]

_DEFECTS: Final = 3
_ROUNDS: Final = 15
_REPEATS: Final = 4
_CONFIG: TypeAdapter[FinderConfig] = TypeAdapter(FinderConfig)


def measure_finders(model: Path) -> dict[str, Any]:
    """Return the region step on frames of 2048×1000 by finder: `us`, and how many `shadows` it costs; medians.

    Each is measured in turn in each round. What is found is not looked at: strips that are drawn are not what a
    network was trained on. Raises `EngineError` for what is no finder file.
    """
    file = {"type": read_finder_card(model).kind, "model": str(model)}
    tables: dict[str, Mapping[str, object]] = {
        "shadow": {},
        str(file["type"]): file,
        "combine": {"type": "combine", "finders": [{}, file]},
    }
    image, times = draw_strip(_DEFECTS), Times()
    opencv_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with FrameEngines() as engines:
            finders = {
                name: open_finder(_CONFIG.validate_python(table), None, engines) for name, table in tables.items()
            }
            for _ in range(_ROUNDS):
                for name, finder in finders.items():
                    time_steps(times, name, lambda found=finder: found.find(image), _REPEATS)  # type: ignore[misc]
    finally:
        cv2.setNumThreads(opencv_threads)
    medians = {name: float(np.median(rounds)) for name, rounds in times.items()}
    return {
        name: {"us": round(spent_us, 1), "shadows": round(spent_us / medians["shadow"], 1)}
        for name, spent_us in medians.items()
    }
