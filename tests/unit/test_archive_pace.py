"""Live pictures: how often a camera is shown, and who comes first where there is room for few."""

from collections import Counter

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


@pytest.mark.parametrize("frame_ms", [100, 1000, 5000])
def test_cameras_that_are_triggered_together_are_shown_by_turns(frame_ms: int) -> None:
    """Frames of eight cameras come in the same order at the same moment, and there is room for two."""
    pace, shown = Pace(4), Counter[str]()
    for turn in range(80):
        now_ns, room = turn * frame_ms * 10**6, 2
        for camera in "ABCDEFGH":
            if not pace.is_due(camera, now_ns):
                continue
            if room:
                room -= 1
                pace.note(camera, now_ns)
                shown[camera] += 1
            else:
                pace.wait(camera)
    assert shown.keys() == set("ABCDEFGH")
    assert max(shown.values()) - min(shown.values()) <= 1


def test_a_camera_that_goes_away_while_it_waits_holds_up_nobody_for_long() -> None:
    pace = Pace(4)
    pace.wait("gone")
    turns = [pace.is_due("top", turn) for turn in range(30)]
    assert turns == [False] * 16 + [True] * 14
