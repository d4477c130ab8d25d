import numpy as np

from station.camera_health import CameraHealth
from station.frame import Frame, InvalidReason, Missing

GOOD = Frame("top", 1, np.zeros((2, 2), np.uint8), 0, 0)
SECOND = 1_000_000_000


def spoilt(reason: InvalidReason, count: int = 1) -> Missing:
    return Missing("top", 1, reason, 0, 0, count)


def test_one_in_a_hundred_is_let_pass_and_more_are_told_with_figures() -> None:
    health = CameraHealth(0.01)
    for number in range(99):
        health.count(GOOD, number * SECOND // 100)
    health.count(spoilt(InvalidReason.LOST), SECOND)
    assert health.complaint == ""
    health.count(spoilt(InvalidReason.INCOMPLETE, 2), SECOND)
    assert health.complaint == "of the last 102 frames 2 incomplete, 1 lost"


def test_it_is_well_again_when_the_bad_frames_are_five_seconds_old() -> None:
    health = CameraHealth(0.01)
    health.count(spoilt(InvalidReason.REPEATED), 0)
    complaints = []
    for tenth in range(1, 70):
        health.count(GOOD, tenth * SECOND // 10)
        complaints.append(bool(health.complaint))
    assert complaints == sorted(complaints, reverse=True)
    assert 48 <= sum(complaints) <= 56


def test_a_camera_at_the_limit_does_not_change_with_each_frame() -> None:
    health = CameraHealth(0.1)
    for _ in range(10):
        health.count(GOOD, 0)
    health.count(spoilt(InvalidReason.LOST, 2), 0)
    for _ in range(15):
        health.count(GOOD, SECOND)
    health.count(GOOD, 2 * SECOND)
    assert health.complaint  # 2 of 28 are below the limit, and above half of it
    for _ in range(20):
        health.count(GOOD, 2 * SECOND)
    health.count(GOOD, 3 * SECOND)
    assert health.complaint == ""


def test_what_the_line_did_is_no_fault_of_the_camera() -> None:
    health = CameraHealth(0.0)
    health.count(spoilt(InvalidReason.OVERRUN), 0)
    assert health.complaint == ""


def test_a_reopened_camera_starts_well() -> None:
    health = CameraHealth(0.0)
    health.count(spoilt(InvalidReason.LOST), 0)
    assert health.complaint
    health.restart()
    health.count(GOOD, SECOND)
    assert health.complaint == ""
