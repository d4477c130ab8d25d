"""What a heat map finds at each threshold, and which threshold is suggested."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines import FakeFrameEngine, FinderCard, Found
from training.data.marked import Marked
from training.finders.heat_measure import THRESHOLDS, Sweep, choose_threshold, find_at, sweep
from training.finders.heat_recipe import HeatRecipe

CARD = FinderCard(kind="heatmap", name="white", stride=4, scale=(2.0, 2.0), threshold=0.5)


def whiteness(frames: NDArray[np.uint8]) -> Found:
    """Return how white each cell is."""
    cells = frames.reshape(len(frames), frames.shape[2] // 4, 4, frames.shape[3] // 4, 4)
    return {"heat": (cells.mean((2, 4)) / 255).astype(np.float32)}


def write(folder: Path, name: str, blobs: list[tuple[int, int, int, int, int]], marked: list[list[int]]) -> Marked:
    """Return a picture of 160×96, level 26 with blobs x, y, w, h, level in it."""
    image = np.full((96, 160), 26, np.uint8)
    for x, y, w, h, level in blobs:
        image[y : y + h, x : x + w] = level
    cv2.imwrite(str(folder / name), image)
    boxes = np.array(marked, np.int32).reshape(-1, 4)
    return Marked(name, folder / name, (160, 96), boxes, ("spot",) * len(marked), None, name, "", "")


def test_a_sweep_counts_what_the_stations_finder_finds(tmp_path: Path) -> None:
    pictures = [
        write(tmp_path, "a.png", [(16, 16, 32, 32, 200), (96, 48, 32, 32, 120)], [[16, 16, 32, 32], [96, 48, 32, 32]]),
        write(tmp_path, "b.png", [(48, 48, 16, 16, 160)], []),
    ]
    with FakeFrameEngine(CARD, whiteness) as engine:
        found = sweep(engine, pictures)
        assert find_at(engine, 0.5, pictures[0].image()).box.tolist() == [[16, 16, 32, 32]]
    at = {threshold: place for place, threshold in enumerate(THRESHOLDS)}
    assert found.defects.tolist() == [2, 0]
    assert found.recall[[at[0.3], at[0.6], at[0.9]]].tolist() == [1, 0.5, 0]
    assert found.false_a_good_picture[[at[0.3], at[0.6], at[0.9]]].tolist() == [1, 1, 0]
    assert found.regions_a_picture[[at[0.3], at[0.9]]].tolist() == [1.5, 0]
    assert found.regions[at[0.05]].tolist() == [1, 1]
    assert found.false[at[0.05]].tolist() == [1, 1]


def test_a_mask_is_met_where_a_fifth_of_its_component_is_covered(tmp_path: Path) -> None:
    picture = write(tmp_path, "a.png", [(16, 16, 32, 32, 255)], [[16, 16, 96, 32]])
    mask = np.zeros((96, 160), np.uint8)
    mask[16:48, 16:112] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    masked = Marked("a", picture.file, picture.size_px, picture.boxes, ("spot",), tmp_path / "mask.png", "a", "", "")
    with FakeFrameEngine(CARD, whiteness) as engine:
        assert sweep(engine, [masked]).recall[9] == 1
        assert sweep(engine, [picture]).recall[9] == 1
        tall = write(tmp_path, "c.png", [(16, 16, 16, 32, 255)], [[16, 16, 96, 32]])
        assert sweep(engine, [tall]).recall[9] == 0


def test_the_network_is_asked_but_once_for_a_picture(tmp_path: Path) -> None:
    asked: list[int] = []

    def answer(frames: NDArray[np.uint8]) -> Found:
        asked.append(len(frames))
        return whiteness(frames)

    with FakeFrameEngine(CARD, answer) as engine:
        sweep(engine, [write(tmp_path, "a.png", [], []), write(tmp_path, "b.png", [(0, 0, 9, 9, 99)], [])])
    assert asked == [1, 1]


def swept(met: list[int], good: list[int]) -> Sweep:
    """Return a sweep of a picture with ten defects and a defect-free one; the last values hold for the rest."""
    rows = [values + values[-1:] * (len(THRESHOLDS) - len(values)) for values in (met, good)]
    both = np.array([rows[0], rows[1]], np.int64).T
    return Sweep(np.array([10, 0]), np.array([rows[0], [0] * len(THRESHOLDS)], np.int64).T, both, np.zeros_like(both))


@pytest.mark.parametrize(
    ("met", "good", "wanted"),
    [
        ([10, 9, 9, 9, 4], [3, 0], 0.15),
        ([10, 9], [0], 0.05),
        ([10], [4, 4, 2, 3], 0.15),
    ],
    ids=["the middle of the best allowed", "the best", "all too dear: the cheapest"],
)
def test_the_suggested_threshold_meets_most_for_what_is_allowed(met: list[int], good: list[int], wanted: float) -> None:
    assert choose_threshold(swept(met, good), HeatRecipe(allowed_false=0.5)) == wanted


def test_without_defect_free_pictures_all_regions_count() -> None:
    found = swept([10, 4, 2], [0])
    marked = Sweep(found.defects[:1], found.met[:, :1], found.regions[:, :1], found.false[:, :1])
    assert choose_threshold(marked, HeatRecipe(allowed_regions=4.0)) == 0.1
