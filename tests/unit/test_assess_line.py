"""The station's own steps over single pictures: what it finds and decides, with every kind of finder."""

import numpy as np
import pytest

from engines.model import UNKNOWN
from station.config import OnnxRuntimeConfig, VerdictConfig
from station.config_file import load
from station.verdict import Verdict
from tests.assessed import config_text, write_marked
from training.assess.line import open_line
from training.data import MarkSettings, read_marked

SETTINGS = MarkSettings(pictures="pictures", masks="masks", good={"fine"})


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return read_marked(write_marked(tmp_path_factory.mktemp("marked"), 2), SETTINGS)[0]


def seen_of(file, pictures):
    with open_line(load(file)) as line:
        return [line.look(picture.image()) for picture in pictures], line.models


@pytest.mark.parametrize("kind", ["shadow", "heatmap", "anomaly"])
def test_a_spot_is_found_named_and_rejected(tmp_path, pictures, kind):
    seen, _ = seen_of(config_text(tmp_path, kind), pictures)
    for picture, one in zip(pictures, seen, strict=True):
        assert one.verdict is (Verdict.ACCEPT if picture.is_good else Verdict.REJECT)
        assert one.regions.labels == (() if picture.is_good else ("spot",))
        assert (one.us > 0).sum() == (2 if picture.is_good else 4)
        assert one.cpu_us > 0
    spot = next(one for picture, one in zip(pictures, seen, strict=True) if not picture.is_good)
    wanted = next(picture for picture in pictures if not picture.is_good).boxes[0]
    assert np.abs(spot.regions.boxes[0] - wanted).max() <= 16


def test_a_detector_gives_more_candidates_than_it_tells(tmp_path, pictures):
    rules = '[verdict.rules.hole]\naction = "reject"\n[verdict.rules.stain]\naction = "accept"\n'
    seen, models = seen_of(config_text(tmp_path, "detector", rules), pictures)
    spots = [one for picture, one in zip(pictures, seen, strict=True) if not picture.is_good]
    for one in spots:
        assert 0 < len(one.regions.labels) < len(one.candidates.labels)
        assert set(one.regions.labels) <= {"hole", "stain"}
        assert one.regions.scores.min() > 0.5 > one.candidates.scores.min()
    assert [model.name for model in models] == ["fake", "drawn-detector"]


def test_candidates_are_called_what_they_are_likeliest(tmp_path, pictures):
    picture = next(picture for picture in pictures if not picture.is_good)
    config = load(config_text(tmp_path))
    model = config.model_copy(update={"engine": OnnxRuntimeConfig(backend="onnx_runtime")})
    strict = model.model_copy(update={"verdict": VerdictConfig(confidence_floor=1.0)})
    with open_line(strict) as line:
        one = line.look(picture.image())
    assert one.regions.labels == (UNKNOWN,)
    assert one.candidates.labels != (UNKNOWN,)
    assert one.candidates.scores == one.regions.scores


def test_each_picture_is_its_own_background(tmp_path, pictures):
    """A running background would take the second, much brighter picture for one defect."""
    dark = next(picture for picture in pictures if picture.is_good).image()
    with open_line(load(config_text(tmp_path))) as line:
        assert line.look(dark // 2).verdict is Verdict.ACCEPT
        assert line.look(dark).verdict is Verdict.ACCEPT


def test_a_picture_that_cannot_be_judged_is_invalid(tmp_path):
    with open_line(load(config_text(tmp_path))) as line:
        one = line.look(np.zeros((128, 128), np.uint8))
    assert (one.verdict, one.reason, len(one.candidates.labels)) == (Verdict.INVALID, "dark", 0)
