"""Counters that wrap go on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.camera.wrap import Unwrap


@pytest.mark.parametrize(
    ("first", "last", "readings", "counts"),
    [
        (1, 65535, [65534, 65535, 1, 2], [65534, 65535, 65536, 65537]),
        (0, 255, [254, 255, 0, 1], [254, 255, 256, 257]),
        (0, 255, [1, 0, 255, 254, 255, 0], [1, 0, -1, -2, -1, 0]),
        (0, 255, [7, 7, 100, 200], [7, 7, 100, 200]),
        (1, 65535, [65535, 65536, 65537], [65535, 65536, 65537]),  # wider than it was said to be
    ],
)
def test_readings_become_counts(first: int, last: int, readings: list[int], counts: list[int]) -> None:
    unwrap = Unwrap(first, last)
    assert [unwrap(reading) for reading in readings] == counts


@given(st.integers(2, 40), st.integers(0, 1000), st.data())
def test_steps_of_less_than_half_a_turn_are_kept(bits: int, start: int, data: st.DataObject) -> None:
    period = 2**bits
    unwrap = Unwrap(0, period - 1)
    most = period // 2 - 1
    count = start % period
    assert unwrap(count) == count
    for step in data.draw(st.lists(st.integers(-most, most), max_size=20)):
        count += step
        assert unwrap(count % period) == count
