"""Regions from a map of heat: where, how sure, of which label; and maps that can't be judged."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines import Found
from shadowline.errors import ConfigError, EngineError
from station.regions import Named
from tests.finder_files import finder_card
from tests.finders import boxes_of, darkness, opened

HEAT = finder_card("heatmap", threshold=0.5)


def surface(*dark: tuple[int, int, int, int], height: int = 240, width: int = 320) -> NDArray[np.uint8]:
    """Return a white picture with black boxes x, y, w, h."""
    image = np.full((height, width), 255, np.uint8)
    for x, y, w, h in dark:
        image[y : y + h, x : x + w] = 0
    return image


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_dark_spot_is_a_region_in_frame_pixels(dtype: type[Any]) -> None:
    image = surface((40, 80, 64, 32), (200, 160, 16, 24)).astype(dtype)
    if dtype == np.uint16:
        image <<= 8
    with opened(HEAT, darkness(8)) as finder:
        found = finder.find(image)
    assert boxes_of(found) == [[40, 80, 64, 32], [200, 160, 16, 24]]
    assert found.area.tolist() == [64 * 32, 16 * 24]
    assert found.centroid.tolist() == [[71.5, 95.5], [207.5, 171.5]]
    assert found.found_by == ("heatmap", "heatmap")
    assert found.score.tolist() == pytest.approx([1, 1], abs=0.01)
    assert found.depth.tolist() == pytest.approx([127.5, 127.5], abs=1)
    assert found.named == (None, None)


@pytest.mark.parametrize("scale", [2.0, 1.28, 0.78, (2.0, 1.0)])
def test_the_scale_is_the_configurations(scale: float | tuple[float, float]) -> None:
    image = surface((80, 80, 96, 64))
    with opened(HEAT, darkness(8), scale=scale) as finder:
        ((x, y, w, h),) = boxes_of(finder.find(image))
    assert np.allclose([x, y, x + w, y + h], [80, 80, 176, 144], atol=20)


TILED: dict[str, dict[str, Any]] = {
    "a fixed input": {"facts": {"input_px": (96, 96), "overlap_px": 24}},
    "a fixed input without overlap": {"facts": {"input_px": (96, 96)}},
    "a limit": {"facts": {"overlap_px": 24}, "table": {"tile_px": 100}},
}


@pytest.mark.parametrize("case", TILED)
def test_tiles_leave_no_seam_and_find_nothing_twice(case: str) -> None:
    facts, table = TILED[case].get("facts", {}), TILED[case].get("table", {})
    image = surface((16, 16, 280, 200), (304, 0, 8, 8))
    with opened(finder_card("heatmap", **facts), darkness(8), **table) as finder:
        found = finder.find(image)
    assert boxes_of(found) == [[16, 16, 280, 200], [304, 0, 8, 8]]
    assert found.area[0] == 280 * 200


@pytest.mark.parametrize("place", [(312, 232, 8, 8), (0, 232, 8, 8)])
@pytest.mark.parametrize("size", [(240, 320), (237, 317)])
def test_at_the_frames_border(place: tuple[int, int, int, int], size: tuple[int, int]) -> None:
    with opened(HEAT, darkness(8)) as finder:
        ((x, y, w, h),) = boxes_of(finder.find(surface(place, height=size[0], width=size[1])))
    assert (x, y) == place[:2]
    assert x + w == min(place[0] + 8, size[1])
    assert y + h == size[0]


def test_a_frame_smaller_than_the_networks_input_is_padded() -> None:
    with opened(finder_card("heatmap", input_px=(256, 256)), darkness(8)) as finder:
        found = finder.find(surface((16, 8, 16, 16), height=40, width=60))
    assert boxes_of(found) == [[16, 8, 16, 16]]


ANOMALY = finder_card("anomaly", low=0.0, high=10.0)
LIMITS: dict[str, tuple[dict[str, Any], int]] = {
    "the file's own": ({}, 1),
    "a threshold above": ({"threshold": 0.7}, 0),
    "a threshold below": ({"threshold": 0.3}, 2),
    "a higher zero": ({"low": 5.0}, 0),
    "a lower one": ({"high": 5.0}, 2),
}


@pytest.mark.parametrize("case", LIMITS)
def test_normalisation_and_threshold_are_the_configurations(case: str) -> None:
    table, count = LIMITS[case]
    image = surface((40, 80, 32, 32), (200, 80, 32, 32))
    image[80:112, 40:72] = 100
    image[80:112, 200:232] = 150
    with opened(ANOMALY, darkness(8, factor=10), **table) as finder:
        assert len(finder.find(image)) == count


def test_low_above_the_files_high_is_refused() -> None:
    with (
        pytest.raises(ConfigError, match=r"drawn.onnx: low 20 is not below high 10"),
        opened(ANOMALY, darkness(8), low=20),
    ):
        pass


LABELLED = finder_card("heatmap", labels=("hole", "stain"))
NAMINGS = {
    "keep": Named("hole", 1.0),
    "confirm": Named("hole", 1.0, confirm=True),
    "replace": None,
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_a_map_a_label_names(naming: str) -> None:
    with opened(LABELLED, darkness(8, maps=2), naming=naming) as finder:
        found = finder.find(surface((40, 80, 64, 32)))
    assert found.named == (NAMINGS[naming],)
    assert found.score[0] == pytest.approx(1, abs=0.01)


def test_each_region_is_of_the_map_that_is_hottest_there() -> None:
    def answer(frames: NDArray[np.uint8]) -> Found:
        heat = np.zeros((1, 2, 30, 40), np.float32)
        heat[0, 0, 2:6, 2:6], heat[0, 1, 2:6, 2:6] = 0.6, 0.9
        heat[0, 0, 20:22, 20:30] = 0.8
        return {"heat": heat}

    with opened(LABELLED, answer, naming="keep") as finder:
        found = finder.find(surface())
    assert [named.label for named in found.named if named] == ["hole", "stain"]
    assert [named.confidence for named in found.named if named] == pytest.approx([0.8, 0.9], abs=0.01)


def test_what_an_anomaly_finder_found_may_be_unknown_whatever_the_classifier_says() -> None:
    with opened(ANOMALY, darkness(8, factor=7), naming="unknown", name="strange") as finder:
        found = finder.find(surface((40, 80, 64, 32)))
    assert [(named.label, named.confirm) for named in found.named if named] == [("unknown", False)]
    assert found.named[0] == Named("unknown", pytest.approx(0.7))
    assert found.found_by == ("strange",)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_map_that_is_not_finite_makes_the_frame_invalid(value: float) -> None:
    def answer(frames: NDArray[np.uint8]) -> Found:
        heat = np.zeros((1, 30, 40), np.float32)
        heat[0, 7, 9] = value
        return {"heat": heat}

    with opened(HEAT, answer) as finder:
        found = finder.find(surface())
    assert (len(found), found.invalid) == (0, "not_finite")


@pytest.mark.parametrize(
    ("image", "table", "reason"),
    [
        (np.zeros((240, 320), np.uint8), {}, "dark"),
        (np.full((240, 320), 9, np.uint16), {}, "dark"),
        (surface((0, 0, 320, 200)), {"max_part": 0.5}, "overfull"),
        (surface(*((x, 8, 8, 8) for x in range(0, 320, 16))), {"max_regions": 19}, "overfull"),
    ],
    ids=["lamp off", "lamp off, 16 bit", "too much", "too many"],
)
def test_what_can_not_be_judged_is_said(image: NDArray[np.uint8], table: dict[str, Any], reason: str) -> None:
    with opened(HEAT, darkness(8), **table) as finder:
        assert finder.find(image).invalid == reason


def test_fragments_are_joined_and_small_ones_dropped() -> None:
    image = surface((40, 80, 16, 16), (64, 80, 16, 16), (200, 80, 8, 8))
    with opened(HEAT, darkness(8), merge_gap_px=16, min_area_px=100) as finder:
        assert boxes_of(finder.find(image)) == [[40, 80, 40, 16]]


def test_a_network_that_fails_raises() -> None:
    def answer(frames: NDArray[np.uint8]) -> Found:
        raise EngineError("out of memory")

    with opened(HEAT, answer) as finder, pytest.raises(EngineError, match="out of memory"):
        finder.find(surface())


def test_no_allocation_of_frame_size_after_warm_up() -> None:
    image = np.full((1000, 2048), 255 << 8, np.uint16)
    image[200:300, 500:600] = 0
    heat = darkness(8)(np.zeros((1, 1, 256, 512), np.uint8))["heat"].copy()
    with opened(finder_card("heatmap", scale=(4.0, 4.0)), lambda frames: {"heat": heat}, dark_level=0) as finder:
        for _ in range(2):
            finder.find(image)
        tracemalloc.start()
        try:
            for _ in range(3):
                finder.find(image)
            assert tracemalloc.get_traced_memory()[1] < image.size // 8
        finally:
            tracemalloc.stop()


def test_cameras_with_other_sizes_take_turns() -> None:
    small, large = surface((16, 16, 16, 16), height=64, width=64), surface((40, 80, 64, 32))
    with opened(HEAT, darkness(8)) as finder:
        for _ in range(2):
            assert boxes_of(finder.find(small)) == [[16, 16, 16, 16]]
            assert boxes_of(finder.find(large)) == [[40, 80, 64, 32]]
        finder.learn(large)
