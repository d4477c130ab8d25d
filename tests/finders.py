"""Finders on engines that answer from a function, for tests of what the station makes of a network's answers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from engines import FakeFrameEngine, FinderCard, Found, FrameEngineConfig
from station.config import FinderConfig
from station.regions import FrameEngines, RegionFinder, open_finder

__all__ = ["boxes_of", "darkness", "finder_config", "opened", "stepped"]

_CONFIG: TypeAdapter[FinderConfig] = TypeAdapter(FinderConfig)

Answer = Callable[[NDArray[np.uint8]], Found]


def finder_config(**table: Any) -> FinderConfig:
    """Return the table `[regions]`."""
    return _CONFIG.validate_python(table)


@contextmanager
def opened(card: FinderCard, answer: Answer, **table: Any) -> Iterator[RegionFinder]:
    """Open the finder of `table` on an engine that says what `answer` says; its type is the card's."""

    def open_engine(config: FrameEngineConfig) -> FakeFrameEngine:
        return FakeFrameEngine(card, answer)

    config = finder_config(**({"type": card.kind, "model": "drawn.onnx"} | table))
    with FrameEngines(open_engine=open_engine) as engines:
        yield open_finder(config, None, engines)


def darkness(stride: int, maps: int | None = None, factor: float = 1.0) -> Answer:
    """Return what answers with the mean darkness of each cell, 0 to 1; of `maps` each is half as warm as the last."""

    def answer(frames: NDArray[np.uint8]) -> Found:
        count, _, height, width = frames.shape
        cells = frames.reshape(count, height // stride, stride, width // stride, stride)
        heat = (1 - cells.mean((2, 4), dtype=np.float32) / 255) * np.float32(factor)
        if maps is None:
            return {"heat": heat}
        return {"heat": np.stack([heat * np.float32(0.5**index) for index in range(maps)], 1)}

    return answer


def stepped(boxes: list[list[float]], scores: list[float], labels: list[int]) -> Answer:
    """Return what answers with the same boxes for every tile."""

    def answer(frames: NDArray[np.uint8]) -> Found:
        count = len(frames)
        return {
            "boxes": np.tile(np.array(boxes, np.float32).reshape(-1, 4), (count, 1, 1)),
            "scores": np.tile(np.array(scores, np.float32), (count, 1)),
            "labels": np.tile(np.array(labels, np.int64), (count, 1)),
        }

    return answer


def boxes_of(found: Any) -> list[list[int]]:
    """Return the boxes of regions as lists."""
    boxes: list[list[int]] = found.box.tolist()
    return boxes
