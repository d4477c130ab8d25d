from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from station.camera.strip import LABELS, Defect, Strip


@pytest.fixture(scope="module")
def strip() -> Strip:
    return Strip(800, 600, seed=4, defects_per_frame=2.0)


def _background(strip: Strip) -> np.ndarray:
    """Return the median of many frames: the surface without its defects."""
    return np.median(np.stack([strip.frame(index)[0] for index in range(100, 125)]), axis=0)


def test_labels_are_those_of_neu() -> None:
    assert LABELS == ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches")


def test_a_frame_depends_on_seed_and_index_alone(strip: Strip) -> None:
    other = Strip(800, 600, seed=4, defects_per_frame=2.0)
    forward = [strip.frame(index) for index in range(4)]
    backward = [other.frame(index) for index in reversed(range(4))][::-1]
    for (image, defects), (again, defects_again) in zip(forward, backward, strict=True):
        assert np.array_equal(image, again)
        assert defects == defects_again


def test_another_index_or_seed_is_another_frame(strip: Strip) -> None:
    image, _ = strip.frame(0)
    assert not np.array_equal(image, strip.frame(1)[0])
    assert not np.array_equal(image, Strip(800, 600, seed=5, defects_per_frame=2.0).frame(0)[0])


def test_truth_is_what_is_drawn(strip: Strip) -> None:
    out = np.empty(strip.shape, np.uint8)
    assert any(strip.truth(index) for index in range(5))
    for index in range(5):
        assert strip.truth(index) == strip.render(index, out) == strip.frame(index)[1]


def test_the_number_of_defects_is_as_asked_and_every_kind_comes(strip: Strip) -> None:
    truths = [strip.truth(index) for index in range(600)]
    assert 1.8 < np.mean([len(truth) for truth in truths]) < 2.2
    kinds = Counter(defect.label for truth in truths for defect in truth)
    assert set(kinds) == set(LABELS)
    assert min(kinds.values()) > 100


@settings(deadline=None, max_examples=25)
@given(
    width=st.integers(32, 900),
    height=st.integers(32, 900),
    seed=st.integers(0, 2**40),
    mean=st.floats(0, 12),
    index=st.integers(0, 2**40),
)
def test_every_defect_lies_within_the_frame(width: int, height: int, seed: int, mean: float, index: int) -> None:
    image, defects = Strip(width, height, seed, mean).frame(index)
    assert image.shape == (height, width)
    for x, y, w, h in (defect.box for defect in defects):
        assert 0 <= x < x + w <= width
        assert 0 <= y < y + h <= height
        assert min(w, h) > 0


def test_defects_keep_apart_while_there_is_room() -> None:
    roomy = Strip(4000, 3000, seed=1, defects_per_frame=4.0)
    for index in range(40):
        boxes = [defect.box for defect in roomy.truth(index)]
        for number, (x, y, w, h) in enumerate(boxes):
            for x2, y2, w2, h2 in boxes[:number]:
                assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y


def test_a_crowded_frame_still_has_all_its_defects() -> None:
    crowded = Strip(64, 64, seed=1, defects_per_frame=40.0)
    assert np.mean([len(crowded.truth(index)) for index in range(100)]) > 35


def _signed_area(image: np.ndarray, background: np.ndarray, defect: Defect, limit: float) -> tuple[int, int]:
    """Return how many pixels of the box are darker and brighter than the background by `limit`."""
    x, y, w, h = defect.box
    change = image[y : y + h, x : x + w] - background[y : y + h, x : x + w]
    return int((change < -limit).sum()), int((change > limit).sum())


def test_defects_stand_out_scratches_bright_and_the_others_dark(strip: Strip) -> None:
    background = _background(strip)
    clean = Strip(800, 600, seed=4, defects_per_frame=0.0).frame(9)[0]
    limit = 5 * float((clean - background).std())
    for index in range(60):
        image, defects = strip.frame(index)
        for defect in defects:
            dark, bright = _signed_area(image, background, defect, limit)
            most, least = (bright, dark) if defect.label == "scratches" else (dark, bright)
            assert most >= 30, defect
            assert most > 2 * least, defect


def test_a_clean_strip_has_nothing_beyond_the_limit() -> None:
    clean = Strip(800, 600, seed=4, defects_per_frame=0.0)
    background = _background(clean)
    change = clean.frame(3)[0] - background
    assert clean.truth(3) == ()
    assert float((np.abs(change) > 5 * change.std()).mean()) < 1e-4


def test_the_lamp_falls_off_to_the_sides_and_the_grain_runs_along(strip: Strip) -> None:
    background = _background(strip)
    columns = background.mean(axis=0)
    assert columns[:20].mean() < 0.85 * columns[300:500].mean()
    assert columns[-20:].mean() < 0.85 * columns[300:500].mean()
    middle = background[:, 300:500]
    assert np.abs(np.diff(middle, axis=1)).mean() > 1.2 * np.abs(np.diff(middle, axis=0)).mean()
