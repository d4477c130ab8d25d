"""What a network says of noise is refused where no right one could say it."""

import numpy as np
import pytest

from engines.frame_warm_up import check_found, noise_frames
from shadowline.errors import EngineMismatch
from tests.finder_files import finder_card

HEATMAP, ANOMALY, DETECTOR = finder_card(), finder_card("anomaly"), finder_card("detector")
BY_LABEL = finder_card(labels=("hole", "stain"))


def heat(shape, value=0.5):
    return {"heat": np.full(shape, value, np.float32)}


def boxes(count=2, length=3, **others):
    found = {
        "boxes": np.zeros((count, length, 4), np.float32),
        "scores": np.tile(np.linspace(0.9, 0.1, length, dtype=np.float32), (count, 1)),
        "labels": np.zeros((count, length), np.int64),
    }
    return found | others


RIGHT = {
    "heat": (HEATMAP, heat((2, 8, 8))),
    "heat by label": (BY_LABEL, heat((2, 2, 8, 8))),
    "distances": (ANOMALY, heat((2, 8, 8), 400.0)),
    "boxes": (DETECTOR, boxes()),
    "no boxes": (DETECTOR, boxes(length=0)),
    "as many boxes as may be": (DETECTOR, boxes(length=300)),
}
WRONG = {
    "not a number": (ANOMALY, heat((2, 8, 8), np.nan), "not finite"),
    "cells of another stride": (HEATMAP, heat((2, 4, 4)), r"heat of frames \[2, 1, 64, 64\] is \[2, 4, 4\], must be"),
    "one map for two labels": (BY_LABEL, heat((2, 1, 8, 8)), r"must be \[2, 2, 8, 8\]"),
    "logits": (HEATMAP, heat((2, 8, 8), -3.0), "sigmoid missing"),
    "scores over 1": (DETECTOR, boxes(scores=np.full((2, 3), 1.5, np.float32)), "sigmoid missing"),
    "scores that rise": (DETECTOR, boxes(scores=np.float32([[0.1, 0.2, 0.3]] * 2)), "TopK missing"),
    "ten thousand boxes": (DETECTOR, boxes(length=10_000), "10000 boxes a frame, at most 300: TopK missing"),
    "boxes of corners and a score": (DETECTOR, boxes(boxes=np.zeros((2, 3, 5), np.float32)), "must be .N,K,4."),
    "labels of one frame": (DETECTOR, boxes(labels=np.zeros((1, 3), np.int64)), "must be .N,K,4."),
    "a label too many": (DETECTOR, boxes(labels=np.full((2, 3), 2)), "labels count from 2 to 2, its card has 2"),
    "a label below 0": (DETECTOR, boxes(labels=np.full((2, 3), -1)), "labels count from -1 to -1"),
}


@pytest.mark.parametrize("case", RIGHT)
def test_what_can_be_right_passes(case):
    card, found = RIGHT[case]
    check_found(found, noise_frames(card, 2), card, "a.onnx")


@pytest.mark.parametrize("case", WRONG)
def test_what_can_not_be_right_is_a_mismatch_that_names_the_file(case):
    card, found, words = WRONG[case]
    with pytest.raises(EngineMismatch, match=f"^a.onnx: .*{words}"):
        check_found(found, noise_frames(card, 2), card, "a.onnx")


@pytest.mark.parametrize(
    ("card", "shape"),
    [
        (HEATMAP, (3, 1, 64, 64)),
        (finder_card(input_px=(8, 24)), (3, 1, 8, 24)),
        (finder_card(stride=48), (3, 1, 96, 96)),
    ],
)
def test_noise_is_of_a_size_that_the_card_takes(card, shape):
    assert noise_frames(card, 3).shape == shape
