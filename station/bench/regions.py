"""Measure the region step against copying the frame and against the usual OpenCV chain, in one run. Pure."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from shadowline.errors import StationError
from station.config import RegionsConfig
from station.regions import Regions, ShadowFinder

__all__ = ["Times", "draw_strip", "measure_regions", "time_steps"]

_HEIGHT: Final = 1000
_WIDTH: Final = 2048
_COUNTS: Final = (0, 3, 30, 300)
_COLUMNS, _ROWS = 25, 12  # places for defects, far enough apart not to merge
_ROUNDS: Final = 15

Times: TypeAlias = dict[str, list[NDArray[np.float64]]]
"""Microseconds of each step, a round an array."""


def draw_strip(count: int, seed: int = 1) -> NDArray[np.uint8]:
    """Return a strip of 2048×1000 with texture, uneven light, noise and `count` dark defects of 8 to 28 px."""
    random = np.random.default_rng(seed)
    texture = cv2.resize(random.normal(0, 2, (_HEIGHT // 40, _WIDTH // 40)).astype(np.float32), (_WIDTH, _HEIGHT))
    light = np.linspace(-15, 15, _WIDTH, dtype=np.float32)
    image = 128 + light + texture + random.normal(0, 3, (_HEIGHT, _WIDTH)).astype(np.float32)
    pitch_x, pitch_y = _WIDTH // _COLUMNS, _HEIGHT // _ROWS
    for place in random.permutation(_COLUMNS * _ROWS)[:count].tolist():
        row, column = divmod(place, _COLUMNS)
        axes = (int(random.integers(4, 15)), int(random.integers(4, 15)))
        x, y = column * pitch_x + random.integers(20, pitch_x - 20), row * pitch_y + random.integers(20, pitch_y - 20)
        mask = np.zeros(image.shape, np.uint8)
        cv2.ellipse(mask, (int(x), int(y)), axes, float(random.integers(180)), 0, 360, 1, -1)
        image[mask > 0] -= 60
    strip: NDArray[np.uint8] = np.clip(image, 0, 255).astype(np.uint8)
    return strip


def measure_regions(rounds: int = _ROUNDS) -> dict[str, Any]:
    """Return `memcpy_us`, `regions` (a count → `us`, `memcpys`, `opencv_speedup`) and `worst_mask_ms`; medians.

    Everything is measured in turn in each round. A frame's time is the mean over the frames from one update of the
    background to the next, each of them the median over the rounds, so the upkeep is in it. The OpenCV chain is
    compare, opening by 3×3 and `connectedComponentsWithStats` as they are by default, on one thread and with its limit
    image for free. Raises `StationError` when a finder does not find exactly the defects that were drawn.
    """
    config = RegionsConfig()
    images = {count: draw_strip(count) for count in _COUNTS}
    finders = {count: ShadowFinder(config) for count in _COUNTS}
    for count, finder in finders.items():
        _check(finder.find(images[count]), count)
    worst_image = np.where(np.random.default_rng(1).random((_HEIGHT, _WIDTH)) < 0.5, 0, 255).astype(np.uint8)
    worst_finder = ShadowFinder(config.model_copy(update={"contrast": 0.0, "noise_sigmas": 0.0, "max_part": 1.0}))
    target = np.empty_like(images[0])
    limit = np.full_like(target, 90)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    times: Times = {}
    try:
        for _ in range(rounds):
            time_steps(times, "memcpy", lambda: np.copyto(target, images[0]), 32)
            for count in _COUNTS:
                image, finder = images[count], finders[count]
                time_steps(times, f"find {count}", partial(_step, finder, image), config.update_every_frames)
                time_steps(times, f"opencv {count}", lambda i=image: _opencv_chain(i, limit), 1)  # type: ignore[misc]
            time_steps(times, "worst", lambda: worst_finder.find(worst_image), 1)
    finally:
        cv2.setNumThreads(threads)
    for count, finder in finders.items():
        _check(finder.find(images[count]), count)
    return _summary(times)


def _step(finder: ShadowFinder, image: NDArray[np.uint8]) -> None:
    """The whole region step of one frame: what is done before its verdict and what after."""
    finder.find(image)
    finder.learn(image)


def _check(regions: Regions, count: int) -> None:
    if len(regions) != count or regions.invalid:
        raise StationError(f"drawn {count} defects, found {len(regions)} ({regions.invalid}): the finder is wrong")


def _opencv_chain(image: NDArray[np.uint8], limit: NDArray[np.uint8]) -> int:
    mask = cv2.compare(image, limit, cv2.CMP_LT)
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return int(cv2.connectedComponentsWithStats(opened)[0])


def time_steps(times: Times, name: str, step: Callable[[], object], repeats: int) -> None:
    """Append the microseconds of `repeats` steps, one by one, as a round of `name`."""
    ticks_ns = [time.perf_counter_ns()]
    for _ in range(repeats):
        step()
        ticks_ns.append(time.perf_counter_ns())
    times.setdefault(name, []).append(np.diff(ticks_ns) / 1e3)


def _summary(times: Times) -> dict[str, Any]:
    medians = {name: float(np.median(rounds, axis=0).mean()) for name, rounds in times.items()}
    memcpy_us = medians["memcpy"]
    return {
        "memcpy_us": round(memcpy_us, 1),
        "regions": {
            str(count): {
                "us": round(medians[f"find {count}"], 1),
                "memcpys": round(medians[f"find {count}"] / memcpy_us, 2),
                "opencv_speedup": round(medians[f"opencv {count}"] / medians[f"find {count}"], 1),
            }
            for count in _COUNTS
        },
        "worst_mask_ms": round(medians["worst"] / 1e3, 2),
    }
