"""Finder files as the station opens them: shared, freed, and refused where they are not what the table says."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engines import FakeFrameEngine, FrameEngineConfig, shipped_model
from shadowline.errors import ConfigError, EngineError, EngineMismatch
from station.config import parts_of
from station.regions import FrameEngines, ShadowFinder, open_finder, reopen_finder
from station.regions.engines import FinderLabels
from tests.finder_files import finder_card, write_finder
from tests.finders import boxes_of, darkness, finder_config

HEAT = {"type": "heatmap", "model": "heat.onnx"}
IMAGE = np.full((64, 64), 255, np.uint8)
IMAGE[16:32, 24:40] = 0


class Counting:
    """Opens engines that answer with darkness, and keeps them."""

    def __init__(self) -> None:
        self.engines: list[FakeFrameEngine] = []

    def __call__(self, config: FrameEngineConfig) -> FakeFrameEngine:
        self.engines.append(FakeFrameEngine(finder_card(), darkness(8)))
        return self.engines[-1]


@pytest.mark.parametrize(
    ("other", "engines"),
    [({}, 1), ({"threshold": 0.3, "scale": 2.0}, 1), ({"threads": 2}, 2), ({"model": "other.onnx"}, 2)],
    ids=["the same", "thresholds apart", "another number of threads", "another file"],
)
def test_cameras_share_an_engine_where_its_settings_are_equal(other: dict[str, Any], engines: int) -> None:
    opened = Counting()
    with FrameEngines(open_engine=opened) as pool:
        finders = [open_finder(finder_config(**table), None, pool) for table in (HEAT, HEAT | other)]
        assert all(len(finder.find(IMAGE)) == 1 for finder in finders)
        assert len(opened.engines) == engines
    for engine in opened.engines:
        with pytest.raises(EngineError, match="not entered"):
            engine.run(IMAGE[None, None])


def test_every_kind_finds_by_its_file(tmp_path: Path) -> None:
    large = cv2.resize(IMAGE, None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST)
    parts = [
        {"background": "frame"},
        *(
            {"type": kind, "model": str(write_finder(tmp_path / f"{kind}.onnx", kind))}
            for kind in ("heatmap", "anomaly")
        ),
    ]
    config = finder_config(type="combine", finders=parts)
    with FrameEngines() as pool:
        found = open_finder(config, None, pool).find(large)
        assert [(one.name, len(one.engine.sha256), one.threshold) for one in pool.all_of(config)] == [
            ("heatmap", 64, 0.5),
            ("anomaly", 64, 0.5),
        ]
    assert found.found_by == ("shadow+heatmap+anomaly",)
    assert boxes_of(found) == [[96, 64, 64, 64]]


def test_labels_that_finders_give_by_themselves(tmp_path: Path) -> None:
    heat = write_finder(tmp_path / "heat.onnx", facts={"labels": ("crack", "dent")})
    boxes = write_finder(tmp_path / "boxes.onnx", "detector")
    strange = write_finder(tmp_path / "strange.onnx", "anomaly")
    parts = [
        {"type": "heatmap", "model": str(heat), "naming": "confirm"},
        {"type": "detector", "model": str(boxes)},
        {"type": "anomaly", "model": str(strange), "naming": "unknown"},
    ]
    with FrameEngines() as pool:
        labels = pool.labels(finder_config(type="combine", finders=parts))
        assert labels == FinderLabels(("hole", "stain", "unknown"), ("crack", "dent"))
        assert pool.labels(finder_config(**parts[1], naming="replace")) == FinderLabels()


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "another kind": ({}, {"type": "detector"}, r'a finder file of kind heatmap, not detector: set type = "heatmap"'),
    "tiles of a fixed input": (
        {"facts": {"input_px": (64, 128)}},
        {"tile_px": 64},
        "takes pictures of 128×64 alone, which are its tiles: remove tile_px",
    ),
    "no labels to keep": ({}, {"naming": "keep"}, 'no labels to keep: naming = "replace"'),
    "no labels to confirm": ({}, {"naming": "confirm"}, 'no labels to confirm: naming = "replace"'),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_is_not_what_the_table_says_is_refused(tmp_path: Path, case: str) -> None:
    made, table, message = REFUSED[case]
    config = finder_config(**({"type": "heatmap", "model": str(write_finder(tmp_path / "x.onnx", **made))} | table))
    with FrameEngines() as pool, pytest.raises(ConfigError, match=message) as refused:
        open_finder(config, None, pool)
    assert "x.onnx" in str(refused.value)


UNFIT: dict[str, tuple[dict[str, Any], str]] = {
    "outputs named otherwise": ({"renamed": {"heat": "scoremap"}}, "heat"),
    "input named otherwise": ({"input_name": "image"}, "frame"),
    "a map that is none": ({"gain": float("nan")}, "not finite"),
    "no metadata": ({"metadata": {}}, "metadata"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_file_that_is_no_finder_is_refused_by_name(tmp_path: Path, case: str) -> None:
    made, message = UNFIT[case]
    config = finder_config(type="heatmap", model=str(write_finder(tmp_path / "x.onnx", **made)))
    with FrameEngines() as pool, pytest.raises(EngineMismatch, match=message) as refused:
        open_finder(config, None, pool)
    assert "x.onnx" in str(refused.value)


def test_a_classifiers_file_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    with FrameEngines() as pool:
        with pytest.raises(EngineMismatch, match="it belongs in"):
            open_finder(finder_config(type="heatmap", model=str(shipped_model())), None, pool)
        with pytest.raises(EngineError, match=r"none.onnx: can't read"):
            open_finder(finder_config(type="heatmap", model=str(tmp_path / "none.onnx")), None, pool)


def test_reopened_finders_keep_engines_and_backgrounds() -> None:
    opened = Counting()
    dim = IMAGE.copy()
    dim[16:32, 24:40] = 150
    table = {"type": "combine", "finders": [{"background": "running"}, HEAT]}
    old = finder_config(**table)
    new = finder_config(**(table | {"finders": [{"background": "running"}, HEAT | {"threshold": 0.3}]}))
    with FrameEngines(open_engine=opened) as pool:
        finder = open_finder(old, None, pool)
        again = reopen_finder(finder, old, new, pool)
        assert again.finders[0] is finder.finders[0]
        assert isinstance(again.finders[0], ShadowFinder)
        assert [len(one.finders[1].find(dim)) for one in (finder, again)] == [0, 1]
        assert len(opened.engines) == 1
        assert reopen_finder(again.finders[0], parts_of(new)[0], parts_of(new)[0], pool) is again.finders[0]


def test_limits_of_shadows_among_several_change_alone() -> None:
    opened = Counting()
    table = {"type": "combine", "finders": [{}, HEAT]}
    old, new = finder_config(**table), finder_config(**(table | {"finders": [{"max_regions": 7}, HEAT]}))
    with FrameEngines(open_engine=opened) as pool:
        finder = open_finder(old, None, pool)
        assert reopen_finder(finder, old, old, pool) is finder
        again = reopen_finder(finder, old, new, pool)
        assert again.finders[0] is not finder.finders[0]
        assert again.finders[1] is finder.finders[1]
        assert len(opened.engines) == 1
