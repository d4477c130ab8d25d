"""The `opencv` driver on real V4L2 devices, in a guest that is booted once: see tests/v4l2."""

from typing import Any

import pytest

from tests.v4l2 import guest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Facts = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """What the guest found out, by what it tried."""
    if reason := guest.why_missing():
        pytest.skip(f"no V4L2 guest: {reason}")
    lines = guest.run(tmp_path_factory.mktemp("guest"), timeout_s=600)
    return {line.pop("name"): line for line in lines}


def test_devices_that_take_pictures_are_found(facts: Facts) -> None:
    found = {item["model"]: item for item in facts["find"]["found"]}
    assert set(found) == {"vivid", "loop"}  # and not vivid's output
    assert found["vivid"]["table"]["device"].startswith("/dev/v4l/by-id/")
    assert found["loop"]["table"]["device"] == 7


def test_a_device_opens_by_its_lasting_name(facts: Facts) -> None:
    assert facts["find"]["identity"] == "vivid platform:vivid-000"
    assert len(facts["find"]["shape"]) == 2


@pytest.mark.parametrize("fourcc", ["GREY", "YUYV", "UYVY", "Y16 ", "none"])
def test_every_format_becomes_grey(facts: Facts, fourcc: str) -> None:
    picture = facts["read_formats"][fourcc]
    assert picture["shape"] == [180, 320]
    assert picture["dtype"] == ("uint16" if fourcc == "Y16 " else "uint8")
    assert picture["contiguous"]
    assert not picture["writeable"]
    assert picture["one_buffer"]
    assert picture["levels"] > 4
    assert picture["counters"] == {"completed": 3, "failures": 0}


def test_the_rate_is_set_and_stamps_are_the_kernels(facts: Facts) -> None:
    rate = facts["read_rate"]
    assert rate["stamps_hz"] == pytest.approx(15, rel=0.02)
    assert rate["rising"]
    assert abs(rate["age_s"]) < 2
    assert rate["frame_ids"] == [None] * 3


def test_controls_are_set(facts: Facts) -> None:
    assert facts["set_controls"] == {"brightness": 60, "contrast": 100}


@pytest.mark.parametrize(
    ("case", "kind", "message"),
    [
        ("missing", "CameraError", "controls.focus = 1: this device has no such control"),
        ("range", "CameraError", "controls.brightness = 999: the device takes 0 to 255 in steps of 1"),
        ("part", "CameraError", "controls.brightness = 10.5: the device takes 0 to 255 in steps of 1"),
        ("fourcc", "CameraError", "fourcc = MJPG: /dev/video0 (vivid) offers YUYV, "),
        ("size", "CameraError", "width_px = 5000: /dev/video0 (vivid) made it 3840"),
        ("rate", "CameraError", "rate_hz = 1000: /dev/video0 (vivid) made it "),
        ("output", "CameraError", "/dev/video1 (vivid) takes no pictures"),
        ("absent", "CameraLost", "/dev/video99 is not there"),
        ("no_video", "CameraError", "/dev/null is no video device"),
    ],
)
def test_what_a_device_does_not_take_is_refused_by_name(facts: Facts, case: str, kind: str, message: str) -> None:
    refusal = facts["be_refused"][case]
    assert refusal["kind"] == kind
    assert refusal["text"].startswith(f"camera one: {message}")


def test_a_device_in_use_is_waited_for(facts: Facts) -> None:
    assert facts["be_second"]["kind"] == "CameraLost"
    assert "does another program use it" in facts["be_second"]["text"]
    assert facts["be_second"]["then"] == ""


def test_an_unplugged_device_is_lost_and_found_again(facts: Facts) -> None:
    unplug = facts["unplug"]
    assert unplug["lost"]["kind"] == "CameraLost"
    assert "was it unplugged" in unplug["lost"]["text"]
    assert unplug["lost"]["after_s"] < 3
    assert unplug["absent"]["kind"] == "CameraLost"
    assert "is not there" in unplug["absent"]["text"]
    assert unplug["closed_s"] < 3
    assert unplug["again"] == 3


def test_every_pixel_and_every_picture_comes(facts: Facts) -> None:
    loop = facts["read_loop"]
    first = loop["numbers"][0]
    assert loop["numbers"] == list(range(first, first + 20))
    assert loop["same"]


def test_a_silent_device_is_told_in_time_and_goes_on(facts: Facts) -> None:
    loop = facts["read_loop"]
    assert all(0.29 < wait_s < 0.8 for wait_s in loop["waits_s"])
    assert loop["after"] == list(range(loop["after"][0], loop["after"][0] + 5))
    assert loop["after"][0] > loop["numbers"][-1]


def test_a_device_without_a_picture_does_not_hold_up_the_opening(facts: Facts) -> None:
    assert facts["be_left_alone"]["kind"] == "CameraLost"
    assert facts["be_given_nothing"]["kind"] == "CameraLost"
    assert "gives no pictures" in facts["be_given_nothing"]["text"]
    assert facts["be_given_nothing"]["after_s"] < 6


def test_a_damaged_jpeg_is_a_fault(facts: Facts) -> None:
    results = facts["read_jpegs"]["results"]
    first = next(number for number, _ in results if number is not None)
    before = next(place for place, (number, _) in enumerate(results) if number is not None)
    for number, (seen, fault) in enumerate(results, start=first - before):
        expected = "unreadable" if number % 5 == 4 else "incomplete" if number % 3 == 2 else ""
        assert (seen, fault) == (None if expected else number, expected)
