"""What the finder finds, what it leaves alone, and what it says of frames that can't be judged."""

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration import FlatField
from shadowline.errors import CalibrationError
from station.bench.regions import draw_strip
from station.config import RegionsConfig
from station.regions import RegionFinder, Regions, ShadowFinder, open_finder


def finder(flat_field: FlatField | None = None, **settings: object) -> RegionFinder:
    return open_finder(RegionsConfig.model_validate(settings), flat_field)


def seen(finder: ShadowFinder, image: NDArray[np.uint8]) -> Regions:
    """Do all that the line does with a frame: find, then learn."""
    found = finder.find(image)
    finder.learn(image)
    return found


def surface(level: float = 128, seed: int = 1, height: int = 300, width: int = 500) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(0, 3, (height, width))
    return np.clip(level + noise, 0, 255).astype(np.uint8)


def boxes(regions: Regions) -> list[list[int]]:
    return regions.box.tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_finds_a_dark_and_a_bright_patch_exactly(dtype: type[np.uint8] | type[np.uint16]) -> None:
    image = np.full((300, 500), 128, dtype)
    image[50:70, 100:140] = 40
    image[200:210, 300:310] = 220
    if dtype == np.uint16:
        image <<= 8
    found = finder(offset_levels=8, contrast=0).find(image)
    assert found.invalid is None
    assert boxes(found) == [[100, 50, 40, 20], [300, 200, 10, 10]]
    assert found.area.tolist() == [800, 100]
    assert found.depth.tolist() == pytest.approx([-80, 84], abs=2)
    assert found.centroid.tolist() == [[119.5, 59.5], [304.5, 204.5]]


@pytest.mark.parametrize("count", [0, 3, 30, 300])
def test_finds_as_many_defects_as_were_drawn_in_every_frame(count: int) -> None:
    strip = finder(update_every_frames=2)
    for seed in range(6):
        assert len(strip.find(draw_strip(count, seed))) == count


def test_a_quiet_strip_is_quiet() -> None:
    strip = finder()
    assert sum(len(strip.find(draw_strip(0, seed))) for seed in range(20)) == 0


@pytest.mark.parametrize(("polarity", "left"), [("dark", 100), ("bright", 300)])
def test_polarity_leaves_the_other_side_alone(polarity: str, left: int) -> None:
    image = surface()
    image[50:70, 100:140] = 40
    image[200:220, 300:340] = 220
    found = finder(polarity=polarity).find(image)
    assert [box[0] for box in boxes(found)] == [left]


def test_a_defect_that_stays_is_found_for_ever() -> None:
    image = surface()
    image[50:80, 100:140] = 40
    stuck = finder(update_every_frames=1, time_constant_frames=2)
    assert [len(seen(stuck, image)) for _ in range(60)] == [1] * 60


def test_slow_drift_of_the_lamp_is_followed() -> None:
    drifting = finder(update_every_frames=1, time_constant_frames=5)
    found = [len(seen(drifting, surface(100 + frame / 2, seed=frame))) for frame in range(120)]
    assert found == [0] * 120


def test_after_a_lasting_jump_of_light_the_background_starts_anew() -> None:
    jumping = finder(time_constant_frames=5)
    jumping.find(surface(100))
    outcome = [seen(jumping, surface(200, seed=frame)).invalid for frame in range(8)]
    assert outcome == ["overfull"] * 5 + [None] * 3


def test_frame_background_knows_nothing_of_the_picture_before() -> None:
    single = finder(background="frame")
    assert len(single.find(surface(60))) == 0
    assert len(single.find(surface(200))) == 0


def test_fragments_merge_when_nearer_than_the_gap() -> None:
    image = np.full((300, 500), 128, np.uint8)
    image[50:60, 100:110] = 40
    image[50:60, 114:124] = 220  # 4 px free, of the other polarity
    assert len(finder(merge_gap_px=4).find(image)) == 2
    merged = finder(merge_gap_px=5).find(image)
    assert boxes(merged) == [[100, 50, 24, 10]]
    assert merged.area.tolist() == [200]


def test_merging_is_a_chain() -> None:
    image = np.full((300, 500), 128, np.uint8)
    for step in range(8):
        image[200 - 14 * step : 210 - 14 * step, 50 + 14 * step : 60 + 14 * step] = 40
    assert boxes(finder(merge_gap_px=5).find(image)) == [[50, 102, 108, 108]]


def test_specks_and_small_regions_are_dropped() -> None:
    image = np.full((300, 500), 128, np.uint8)
    image[50, 100:103] = 40
    image[150:154, 200:204] = 40
    image[250:260, 300:310] = 40
    assert len(finder(speck_px=1, min_area_px=1, min_length_px=1).find(image)) == 3
    assert len(finder(speck_px=4, min_area_px=4).find(image)) == 2
    assert len(finder(min_area_px=17).find(image)) == 1
    assert len(finder(min_length_px=11).find(image)) == 0


def test_regions_come_by_falling_area() -> None:
    areas = finder().find(draw_strip(30)).area
    assert (np.diff(areas) <= 0).all()


def test_too_many_regions_are_overfull() -> None:
    image = draw_strip(30)
    assert finder(max_regions=30).find(image).invalid is None
    assert finder(max_regions=29).find(image).invalid == "overfull"


@pytest.mark.parametrize("level", [0, 3])
@pytest.mark.parametrize("background", ["running", "frame"])
@pytest.mark.parametrize("polarity", ["bright", "both"])
def test_a_frame_without_light_is_dark(level: int, background: str, polarity: str) -> None:
    found = finder(background=background, polarity=polarity).find(np.full((300, 500), level, np.uint8))
    assert (found.invalid, len(found)) == ("dark", 0)


def test_random_noise_is_overfull() -> None:
    image = np.where(np.random.default_rng(1).random((1000, 2048)) < 0.5, 0, 255).astype(np.uint8)
    assert finder(noise_sigmas=0).find(image).invalid == "overfull"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("settings", [{}, {"scale": 2}, {"scale": 8, "smooth_px": 5}, {"background": "frame"}])
def test_any_size_works_and_may_change(dtype: type[np.uint8], settings: dict[str, object]) -> None:
    mixed = finder(**settings)
    for height, width in ((1, 1), (1, 700), (700, 1), (7, 9), (65, 257), (200, 200), (1, 1)):
        image = np.full((height, width), 128, np.uint8).astype(dtype) << (0 if dtype == np.uint8 else 8)
        found = mixed.find(image)
        assert (found.invalid, len(found)) == (None, 0)


def test_takes_read_only_and_strided_images_alike() -> None:
    image = draw_strip(30)
    wide = np.zeros((1000, 3000), np.uint8)
    wide[:, 400:2448] = image
    image.flags.writeable = False
    assert boxes(finder().find(wide[:, 400:2448])) == boxes(finder().find(image))


def test_scaled_regions_stand_where_they_are_in_the_frame() -> None:
    image = np.full((300, 500), 128, np.uint8)
    image[80:120, 160:240] = 40
    found = finder(scale=4).find(image)
    assert boxes(found) == [[160, 80, 80, 40]]
    assert found.area.tolist() == [3200]
    assert found.centroid.tolist() == [[199.5, 99.5]]


def test_a_flat_field_takes_away_what_the_camera_adds() -> None:
    gain = np.ones((300, 500), np.float32)
    gain[100:110, 200:210] = 0.6  # dust on the sensor
    clean = np.clip(surface().astype(np.float32) * gain, 0, 255).astype(np.uint8)
    assert len(finder().find(clean)) == 1
    flat = finder(FlatField(gain))
    assert len(flat.find(clean)) == 0
    clean[200:220, 300:320] = 60
    assert boxes(flat.find(clean)) == [[300, 200, 20, 20]]


def test_a_flat_field_of_another_size_is_refused_with_both_sizes() -> None:
    with pytest.raises(CalibrationError, match=r"40×30.*500×300"):
        finder(FlatField(np.ones((30, 40), np.float32))).find(surface())


def test_no_allocation_of_frame_size_after_warm_up() -> None:
    import tracemalloc

    warm = ShadowFinder(RegionsConfig(update_every_frames=1))
    image = draw_strip(3)
    seen(warm, image)
    seen(warm, image)
    tracemalloc.start()
    try:
        for _ in range(3):
            seen(warm, image)
        assert tracemalloc.get_traced_memory()[1] < image.nbytes // 4
    finally:
        tracemalloc.stop()


def marred(seed: int = 1) -> NDArray[np.uint8]:
    """Return a surface with a dark patch of 800 px, a faint one of 400 px and a bright one of 100 px."""
    image = surface(seed=seed)
    image[50:70, 100:140] = 40
    image[120:140, 100:120] -= 30
    image[200:210, 300:310] = 220
    return image


OTHER_LIMITS: dict[str, tuple[dict[str, object], list[int]]] = {
    "the same": ({}, [800, 400, 100]),
    "one side": ({"polarity": "bright"}, [100]),
    "contrast": ({"contrast": 0.4}, [800, 100]),
    "levels": ({"offset_levels": 60}, [800, 100]),
    "sigmas": ({"noise_sigmas": 15}, [800, 100]),
    "sigmas a zone": ({"noise_sigmas": [20, 20, 5, 5]}, [800, 100]),
    "area": ({"min_area_px": 500}, [800]),
    "length": ({"min_length_px": 15}, [800, 400]),
    "specks": ({"speck_px": 101}, [800, 400]),
    "gap": ({"merge_gap_px": 60}, [1200, 100]),
}


@pytest.mark.parametrize(("limits", "areas"), OTHER_LIMITS.values(), ids=OTHER_LIMITS)
def test_limits_change_between_two_frames_and_back(limits: dict[str, object], areas: list[int]) -> None:
    first = ShadowFinder(RegionsConfig(update_every_frames=1))
    other = first.by(RegionsConfig.model_validate({"update_every_frames": 1} | limits))
    for number in range(6):
        finder, wanted = (other, areas) if number % 2 else (first, [800, 400, 100])
        assert seen(finder, marred(number)).area.tolist() == pytest.approx(wanted, rel=0.05)


@pytest.mark.parametrize("limit", [{"dark_level": 200.0}, {"max_part": 1e-4}, {"max_regions": 2}])
def test_what_can_not_be_judged_changes_between_two_frames(limit: dict[str, object]) -> None:
    first = ShadowFinder(RegionsConfig())
    other = first.by(RegionsConfig.model_validate(limit))
    assert [finder.find(marred()).invalid is None for finder in (first, other, first)] == [True, False, True]


def test_the_background_is_kept_when_limits_change() -> None:
    running = RegionsConfig(update_every_frames=1, time_constant_frames=4)
    first = ShadowFinder(running)
    for level in range(100, 160):
        seen(first, surface(level, seed=level))
    other = first.by(running.model_copy(update={"offset_levels": 9.0}))
    jump = surface(100)
    assert other.find(jump).invalid == "overfull"  # by the background that was learnt, not by a new one
    assert len(other.find(surface(159))) == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_change_is_the_same_as_a_finder_of_its_own(dtype: type[np.uint8] | type[np.uint16]) -> None:
    limits = RegionsConfig(background="frame", offset_levels=20, noise_sigmas=6, speck_px=2, min_area_px=50)
    changed = ShadowFinder(RegionsConfig(background="frame"))
    changed.find(marred().astype(dtype) << (8 if dtype == np.uint16 else 0))
    own, changed = ShadowFinder(limits), changed.by(limits)
    for seed in range(4):
        image = marred(seed).astype(dtype) << (8 if dtype == np.uint16 else 0)
        assert boxes(changed.find(image)) == boxes(own.find(image))
