"""Run-length components equal OpenCV's to the last digit, and never stall."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shadowline.kernel_cache import load_kernels
from station.regions.components import DARK, LEVEL, NEVER_BRIGHT, NEVER_DARK, Components, Scanner

Mask = NDArray[np.uint8]
WIDTHS = (1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 513, 700)


@pytest.fixture(scope="module", autouse=True)
def _kernels() -> None:
    load_kernels()


def scanned(image: NDArray[np.uint8] | NDArray[np.uint16], low: int, high: int, cell_px: int = 8) -> Components:
    shift = 8 if image.dtype == np.uint8 else 0
    scanner = Scanner(*image.shape, cell_px, max_runs=10**7, max_labels=200_000)
    grid = np.ones(scanner.grid_shape, np.int32)
    scanner.set_limits(grid * low, grid * high, shift=shift)
    found = scanner.components(image)
    assert found is not None
    return found


def rows(box: NDArray[np.int32], area: NDArray[np.int64], centroid: NDArray[np.float64]) -> list[tuple[float, ...]]:
    return sorted(map(tuple, np.concatenate([box, area[:, None], centroid], 1).tolist()))


def opencv_rows(mask: Mask) -> list[tuple[float, ...]]:
    _, _, stats, centroids = cv2.connectedComponentsWithStats(mask, connectivity=8)
    return rows(stats[1:, :4], stats[1:, 4], centroids[1:])


def assert_same(mask: Mask, cell_px: int = 8) -> None:
    dark = scanned(np.where(mask > 0, 50, 150).astype(np.uint8), 100 * LEVEL, NEVER_BRIGHT, cell_px)
    assert rows(dark.box, dark.area, dark.centroid) == opencv_rows(mask)
    assert (dark.polarity == DARK).all()


def checkerboard(height: int, width: int) -> Mask:
    return ((np.arange(height)[:, None] + np.arange(width)) % 2).astype(np.uint8)


def comb(height: int, width: int) -> Mask:
    mask = np.zeros((height, width), np.uint8)
    mask[:, ::2] = 1
    mask[-1] = 1
    return mask


def cups(height: int, width: int) -> Mask:
    mask = comb(height, width)
    mask[0, 1::4] = 1
    mask[height // 2, 3::8] = 1
    return mask


def spiral(height: int, width: int) -> Mask:
    mask = np.zeros((height, width), np.uint8)
    for ring in range(0, min(height, width) // 2, 2):
        mask[ring : height - ring, ring : width - ring] = 1
        mask[ring + 1 : height - ring - 1, ring + 1 : width - ring - 1] = 0
        mask[min(ring + 1, height - 1), ring : ring + 1] = 0
        mask[min(ring + 2, height - 1), min(ring + 1, width - 1)] = 1
    return mask


def dotted(height: int, width: int) -> Mask:
    mask = np.zeros((height, width), np.uint8)
    mask[::2, ::2] = 1
    return mask


def full(height: int, width: int) -> Mask:
    return np.ones((height, width), np.uint8)


def empty(height: int, width: int) -> Mask:
    return np.zeros((height, width), np.uint8)


@pytest.mark.parametrize("draw", [checkerboard, comb, cups, spiral, dotted, full, empty])
@pytest.mark.parametrize("width", WIDTHS)
def test_equals_opencv_on_adversarial_masks(draw: Callable[[int, int], Mask], width: int) -> None:
    for height in (1, 2, 3, 7, 8, 9, 17, 40):
        assert_same(draw(height, width))
        assert_same(np.ascontiguousarray(draw(width, height)))


def test_equals_opencv_on_thousands_of_random_masks() -> None:
    random = np.random.default_rng(7)
    for _ in range(3000):
        shape = (int(random.integers(1, 50)), int(random.choice(WIDTHS)))
        assert_same((random.random(shape) < random.random()).astype(np.uint8), int(random.choice([8, 16, 32, 64])))


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 20), st.integers(1, 80), st.data())
def test_equals_opencv_on_drawn_masks(height: int, width: int, data: st.DataObject) -> None:
    bits = data.draw(st.binary(min_size=height * width, max_size=height * width))
    assert_same((np.frombuffer(bits, np.uint8) & 1).reshape(height, width))


def test_dark_and_bright_are_apart_and_found_in_one_pass() -> None:
    random = np.random.default_rng(3)
    for _ in range(200):
        image = random.choice([20, 128, 230], (int(random.integers(1, 40)), int(random.integers(1, 150)))).astype(
            np.uint8
        )
        found = scanned(image, 100 * LEVEL, 160 * LEVEL)
        for sign, mask in ((-1, image < 100), (1, image > 160)):
            mine = found.polarity == sign
            assert rows(found.box[mine], found.area[mine], found.centroid[mine]) == opencv_rows(mask.astype(np.uint8))
            assert np.allclose(found.depth[mine], -80 if sign < 0 else 70)


def interpolated(grid: NDArray[np.int32], shape: tuple[int, int], cell_px: int) -> NDArray[np.int64]:
    """The limit of every pixel as the docstrings define it: whole-number bilinear between cell centres."""

    def ends(length: int, cells: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        place = np.arange(length) - cell_px // 2
        before = place // cell_px
        return np.clip(before, 0, cells - 1), np.clip(before + 1, 0, cells - 1), place - before * cell_px

    top, bottom, down = ends(shape[0], grid.shape[0])
    left, right, across = ends(shape[1], grid.shape[1])
    wide = grid.astype(np.int64)
    columns = (wide[top] * (cell_px - down)[:, None] + wide[bottom] * down[:, None]) // cell_px
    return (columns[:, left] * (cell_px - across) + columns[:, right] * across) // cell_px


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("cell_px", [8, 16, 32, 64])
@pytest.mark.parametrize("with_gain", [False, True])
def test_skipping_blocks_gives_what_the_limit_of_every_pixel_gives(
    dtype: type[np.uint8] | type[np.uint16], cell_px: int, with_gain: bool
) -> None:
    random = np.random.default_rng(11)
    full_scale = np.iinfo(dtype).max
    for _ in range(40):
        shape = (int(random.integers(1, 90)), int(random.integers(1, 600)))
        image = np.clip(random.normal(0.5, 0.04, shape) * full_scale, 0, full_scale).astype(dtype)
        scanner = Scanner(*shape, cell_px)
        low = random.integers(90 * LEVEL, 115 * LEVEL, scanner.grid_shape, dtype=np.int32)
        high = random.integers(140 * LEVEL, 165 * LEVEL, scanner.grid_shape, dtype=np.int32)
        limits = [interpolated(grid, shape, cell_px) for grid in (low, high)]
        if with_gain:
            gain = random.uniform(0.9, 1.1, shape).astype(np.float32)
            scanner.set_gain(gain)
            limits = [(limit.astype(np.float32) * gain).astype(np.int64) for limit in limits]
        scanner.set_limits(low, high, shift=8 if dtype == np.uint8 else 0)
        found = scanner.components(image)
        assert found is not None
        value = image.astype(np.int64) << (8 if dtype == np.uint8 else 0)
        for sign, mask in ((-1, value < limits[0]), (1, value > limits[1])):
            mine = found.polarity == sign
            assert rows(found.box[mine], found.area[mine], found.centroid[mine]) == opencv_rows(mask.astype(np.uint8))


@pytest.mark.parametrize("polarity", [NEVER_DARK, 100 * LEVEL])
def test_worst_masks_are_given_up(polarity: int) -> None:
    random = np.random.default_rng(1)
    for mask in (random.random((1000, 2048)) < 0.5, checkerboard(1000, 2048) > 0, dotted(1000, 2048) > 0):
        image = np.where(mask, 20, 220).astype(np.uint8)
        scanner = Scanner(1000, 2048, 16)
        grid = np.ones(scanner.grid_shape, np.int32)
        scanner.set_limits(grid * polarity, grid * (200 * LEVEL), shift=8)
        assert not scanner.scan(image)


def test_a_large_part_beyond_the_limits_is_given_up_and_the_next_frame_is_good() -> None:
    scanner = Scanner(64, 300, 16, max_part=0.25)
    grid = np.ones(scanner.grid_shape, np.int32)
    scanner.set_limits(grid * 100 * LEVEL, grid * NEVER_BRIGHT, shift=8)
    image = np.full((64, 300), 128, np.uint8)
    image[:20] = 10
    assert scanner.components(image) is None
    image[10:] = 128
    found = scanner.components(image)
    assert found is not None
    assert found.area.tolist() == [3000]
