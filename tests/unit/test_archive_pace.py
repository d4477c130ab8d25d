import pytest

from station.archive.pace import Pace


@pytest.mark.parametrize(("rate_hz", "shown"), [(0, 0), (0.5, 1), (4, 4), (20, 20)])
def test_each_camera_is_shown_so_often_at_most(rate_hz: float, shown: int) -> None:
    pace, count = Pace(rate_hz), 0
    for now_ns in range(0, 10**9, 10**6):
        if pace.is_due("top", now_ns):
            pace.note("top", now_ns)
            count += 1
    assert count == shown
    assert pace.is_due("side", 10**9) == (rate_hz > 0)


def test_a_frame_for_which_there_was_no_room_leaves_the_next_one_due() -> None:
    pace = Pace(1)
    assert [pace.is_due("top", now_ns) for now_ns in (1, 2)] == [True, True]
