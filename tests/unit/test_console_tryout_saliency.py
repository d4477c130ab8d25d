"""Where a network looked: found by covering the crop, or told by the model itself."""

import numpy as np
from numpy.typing import NDArray

from engines import FakeEngine
from station.console.tryout.saliency import COVERED, Saliency, cover


def corner_is_bright(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    share = crops[:, 0, :8, :8].mean((1, 2)) / 255
    return np.stack([share, 1 - share], 1).astype(np.float32)


def test_every_square_is_covered_once() -> None:
    crop = np.arange(64 * 64, dtype=np.uint16).astype(np.uint8).reshape(1, 64, 64)
    copies = cover(crop, 4)
    changed = (copies != crop).any(1)
    assert copies.shape == (16, 1, 64, 64)
    assert changed.sum(0).max() == 1
    assert changed[5, 16:32, 16:32].any()
    assert not changed[5, :16].any()


def test_what_the_label_hangs_on_stands_out() -> None:
    crop = np.zeros((1, 64, 64), np.uint8)
    crop[0, :8, :8] = 255
    with FakeEngine(("bright", "dark"), corner_is_bright) as engine:
        saliency = Saliency(engine)
        told = saliency.of(crop, 0)
    assert saliency.by == COVERED
    assert told.shape == (8, 8)
    assert told[0, 0] == 1.0
    assert told.sum() == 1.0


def test_a_network_that_looks_nowhere_gives_an_empty_map() -> None:
    with FakeEngine(("any",)) as engine:
        assert not Saliency(engine).of(np.zeros((1, 64, 64), np.uint8), 0).any()


class OwnMap:
    """Stands for a model file with the output `saliency`."""

    outputs = ("probabilities", "saliency")

    def run(self, outputs: list[str], **inputs: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        return {"saliency": np.array([[[-1.0, 2.0], [np.nan, 4.0]]], np.float32)}


def test_the_models_own_map_is_taken_where_it_has_one() -> None:
    with FakeEngine(("any",)) as engine:
        saliency = Saliency(engine, OwnMap())  # type: ignore[arg-type]
        told = saliency.of(np.zeros((1, 64, 64), np.uint8), 0)
    assert saliency.by == "model"
    assert told.tolist() == [[0.0, 0.5], [0.0, 1.0]]
