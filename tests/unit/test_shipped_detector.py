"""The detector that comes with the package: what it says of itself, and that it runs without being named."""

import numpy as np

from engines import read_finder_card, shipped_detector
from station.config import DetectorConfig
from station.regions import FrameEngines, open_finder


def test_its_card_says_what_it_is_worth_and_to_whom_the_pictures_belong() -> None:
    card = read_finder_card(shipped_detector())
    assert card.kind == "detector"
    assert card.labels == ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches")
    assert card.metrics["test"]["n"] == 252
    assert "cite the authors" in card.licence


def test_a_detector_without_a_model_is_the_shipped_one() -> None:
    config = DetectorConfig(type="detector")
    with FrameEngines(None) as engines:
        (opened,) = engines.all_of(config)
        assert opened.engine.card == read_finder_card(shipped_detector())
        finder = open_finder(config, None, engines)
        marked = np.random.default_rng(0).integers(110, 146, (200, 200), np.uint8)
        marked[90:96, 20:180] = 235
        found = finder.find(marked)
    assert any(named is not None and named.label in opened.labels for named in found.named)
