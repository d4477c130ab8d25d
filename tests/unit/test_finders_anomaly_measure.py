"""How anomaly maps are measured: range and threshold from defect-free pictures, AUROC of pictures and of pixels."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from engines import FakeFrameEngine
from engines.finder_card import FinderCard
from shadowline.errors import StationError
from training.data.marked import MarkSettings, read_marked
from training.finders.anomaly_measure import anomaly_figures, heats_of, input_of, shown_range, told_apart

CARD = FinderCard(kind="anomaly", name="darkness", stride=8, scale=(2.0, 2.0), threshold=0.5)


def darkness(frames):
    """Return how dark each cell of 8 px is."""
    count, _, height, width = frames.shape
    cells = frames.reshape(count, height // 8, 8, width // 8, 8).astype(np.float32)
    return {"heat": 255 - cells.mean((2, 4))}


@pytest.fixture
def pictures(tmp_path):
    """Six defect-free pictures and four with a dark square, which is masked."""
    rng = np.random.default_rng(0)
    for label, count in (("good", 6), ("hole", 4)):
        for folder in ("images", "masks"):
            (tmp_path / folder / label).mkdir(parents=True)
        for number in range(count):
            image = rng.normal(150, 6, (101, 147)).clip(0, 255).astype(np.uint8)
            mask = np.zeros_like(image)
            if label == "hole":
                image[32:64, 48:96], mask[32:64, 48:96] = 60, 255
            cv2.imwrite(str(tmp_path / "images" / label / f"{number}.png"), image)
            cv2.imwrite(str(tmp_path / "masks" / label / f"{number}.png"), mask)
    settings = MarkSettings(pictures=Path("images"), masks=Path("masks"), good=frozenset({"good"}))
    return read_marked(tmp_path, settings)[0]


def measured(pictures):
    with FakeFrameEngine(CARD, darkness) as engine:
        return heats_of(engine, pictures)


def test_an_input_is_reduced_and_its_border_goes_on_to_whole_cells():
    frame = input_of(np.tile(np.arange(147, dtype=np.uint8), (101, 1)), CARD)
    assert frame.shape == (56, 80)
    assert (frame[:, 74:] == frame[:, 73:74]).all()


def test_defects_stand_out_wholly(pictures):
    heats = measured(pictures)
    low, high = shown_range([h for h, p in zip(heats, pictures, strict=True) if p.is_good], 0.2)
    figures = anomaly_figures(pictures, heats, CARD.model_copy(update={"low": low, "high": high}))
    assert (figures["n"], figures["n_good"], figures["auroc_image"]) == (10, 6, 1.0)
    assert figures["auroc_pixel"] > 0.97
    assert (figures["auroc_image_low"], figures["auroc_image_high"]) == (1.0, 1.0)
    assert figures["auroc_pixel_low"] <= figures["auroc_pixel"] <= figures["auroc_pixel_high"]
    assert figures["false_alarms"] <= 0.2


def test_pictures_of_one_part_count_as_one():
    rng = np.random.default_rng(3)
    none = np.empty(0, np.float32)
    clean, defect = rng.normal(0, 1, (20, 1)), rng.normal(1, 1, (20, 1))
    heats = [*((one.astype(np.float32), none) for one in clean), *((none, one.astype(np.float32)) for one in defect)]
    apart = told_apart([str(row) for row in range(40)], heats)
    assert apart.low < apart.value < apart.high < 1
    fourfold = told_apart([str(row % 40) for row in range(160)], heats * 4)
    assert fourfold.value == pytest.approx(apart.value)
    assert fourfold.high - fourfold.low == pytest.approx(apart.high - apart.low, abs=0.02)
    alone = told_apart([str(row) for row in range(160)], heats * 4)
    assert alone.high - alone.low < 0.7 * (fourfold.high - fourfold.low)


def test_the_range_puts_the_limit_in_its_middle():
    heats = [np.array([[0.0, 0.0, peak]], np.float32) for peak in range(1, 20)]
    assert shown_range(heats, 0.1) == (0.0, 2 * 18)
    assert shown_range(heats, 0.5) == (0.0, 2 * 10)


def test_flat_heat_still_has_a_range():
    low, high = shown_range([np.zeros((2, 2), np.float32)], 0.5)
    assert low < high


def test_without_marked_pictures_there_is_no_auroc(pictures):
    good = [picture for picture in pictures if picture.is_good]
    figures = anomaly_figures(good, measured(good), CARD)
    assert set(figures) == {"n", "n_good", "false_alarms"}


def test_without_a_picture_no_range_can_be_told():
    with pytest.raises(StationError, match="give it a part of the pictures"):
        shown_range([], 0.05)
