"""Settings by the names of the standard, on a camera that is a table of features."""

from dataclasses import dataclass, field

import pytest

from shadowline.errors import CameraError, CameraLost
from station.camera import sfnc
from station.camera.sfnc import Value
from station.config import SfncConfig, TriggerConfig


@dataclass
class Table:
    """A camera with just these features; a number may be held by `limits`, a choice by `choices`."""

    values: dict[str, Value]
    limits: dict[str, tuple[float, float]] = field(default_factory=dict)
    choices: dict[str, tuple[str, ...]] = field(default_factory=dict)
    round_to: dict[str, float] = field(default_factory=dict)
    was_set: list[tuple[str, Value]] = field(default_factory=list)
    gone: bool = False

    def has(self, name: str) -> bool:
        return name in self.values

    def get(self, name: str) -> Value:
        return self.values[name]

    def set(self, name: str, value: Value) -> None:
        if self.gone:
            raise CameraLost("camera top: gone")
        low, high = self.limits.get(name, (float("-inf"), float("inf")))
        if isinstance(value, int | float) and not low <= value <= high:
            raise CameraError(sfnc.allowed_range(low, high))
        if name in self.choices and value not in self.choices[name]:
            raise CameraError(sfnc.allowed_names(self.choices[name]))
        if name in self.round_to and isinstance(value, int | float):
            value = self.round_to[name] * round(value / self.round_to[name])
        self.values[name] = value
        self.was_set.append((name, value))


def _apply(camera: Table, **settings: object) -> list[tuple[str, Value]]:
    sfnc.apply(SfncConfig.model_validate(settings), camera, "camera top")
    return camera.was_set


def _refused(camera: Table, **settings: object) -> str:
    with pytest.raises(CameraError) as caught:
        _apply(camera, **settings)
    assert not isinstance(caught.value, CameraLost)
    return str(caught.value)


def _plain(**more: Value) -> Table:
    return Table({"PixelFormat": "Mono8", **more})


def test_only_what_is_configured_is_set() -> None:
    camera = _plain(Width=640, Height=480, ExposureTime=100.0, Gain=0.0)
    assert _apply(camera, height_px=200) == [("PixelFormat", "Mono8"), ("Height", 200)]


def test_an_old_offset_leaves_room_for_the_window() -> None:
    names = [name for name, _ in _apply(_plain(Width=1, OffsetX=99), width_px=640, offset_x_px=8)]
    assert names[-3:] == ["OffsetX", "Width", "OffsetX"]


def test_automatics_are_switched_off_where_there_are_any() -> None:
    camera = _plain(ExposureTime=1.0, ExposureAuto="Continuous", Gain=1.0)
    assert _apply(camera, exposure_us=50.0, gain=2.0)[1:] == [
        ("ExposureAuto", "Off"),
        ("ExposureTime", 50.0),
        ("Gain", 2.0),
    ]


@pytest.mark.parametrize("older", ["ExposureTimeAbs", "ExposureTimeRaw"])
def test_older_names_are_known(older: str) -> None:
    camera = _plain(**{older: 1.0})
    _apply(camera, exposure_us=50.0)
    assert camera.values[older] == 50.0
    assert "ExposureTime" in sfnc.features(camera)


def test_frames_come_for_ever_and_no_trigger_holds_them_back() -> None:
    camera = _plain(AcquisitionMode="SingleFrame", TriggerSelector="FrameStart", TriggerMode="On")
    camera.choices["TriggerSelector"] = ("FrameStart", "AcquisitionStart")
    was_set = _apply(camera)
    assert camera.values["AcquisitionMode"] == "Continuous"
    for selector in camera.choices["TriggerSelector"]:
        assert was_set[was_set.index(("TriggerSelector", selector)) + 1] == ("TriggerMode", "Off")


def test_a_trigger_is_set_up_before_it_is_switched_on() -> None:
    camera = _plain(TriggerSelector="", TriggerSource="", TriggerActivation="", TriggerDelay=0.0, TriggerMode="Off")
    trigger = TriggerConfig(source="Line0", activation="RisingEdge", delay_us=5)
    assert _apply(camera, trigger=trigger)[-5:] == [
        ("TriggerSelector", "FrameStart"),
        ("TriggerSource", "Line0"),
        ("TriggerActivation", "RisingEdge"),
        ("TriggerDelay", 5.0),
        ("TriggerMode", "On"),
    ]


def test_chunks_are_switched_on_one_by_one() -> None:
    camera = _plain(ChunkModeActive=False, ChunkSelector="", ChunkEnable=False)
    assert _apply(camera, chunks=("FrameID", "EncoderValue"))[1:] == [
        ("ChunkModeActive", True),
        ("ChunkSelector", "FrameID"),
        ("ChunkEnable", True),
        ("ChunkSelector", "EncoderValue"),
        ("ChunkEnable", True),
    ]


def test_extras_come_last_and_in_their_order() -> None:
    camera = _plain(Width=1, LineSelector="", LineInverter=False, UserSetLoad=True)
    extra = {"LineSelector": "Line1", "LineInverter": True, "UserSetLoad": True}
    assert _apply(camera, width_px=64, extra=extra)[-3:] == list(extra.items())


def test_a_missing_feature_is_told_by_its_name_of_today() -> None:
    message = "camera top: ExposureTime = 50.0: this camera has no such feature"
    assert _refused(_plain(), exposure_us=50.0) == message


def test_a_value_out_of_range_is_told_with_the_range() -> None:
    camera = _plain(Width=640)
    camera.limits["Width"] = (16, 2048)
    assert _refused(camera, width_px=5000) == "camera top: Width = 5000: allowed are 16 to 2048"


def test_a_choice_that_is_none_is_told_with_those_there_are() -> None:
    camera = _plain()
    camera.choices["PixelFormat"] = ("Mono8", "Mono16")
    message = "camera top: PixelFormat = Mono12: allowed are Mono8, Mono16"
    assert _refused(camera, pixel_format="Mono12") == message


def test_small_roundings_of_the_camera_are_taken_and_large_ones_are_not() -> None:
    camera = _plain(ExposureTime=1.0, Width=8)
    camera.round_to = {"ExposureTime": 0.5, "Width": 4}
    _apply(camera, exposure_us=100.3)
    assert _refused(camera, width_px=99) == "camera top: Width = 99: the camera made it 100"


def test_a_camera_that_goes_away_meanwhile_is_lost() -> None:
    camera = _plain()
    camera.gone = True
    with pytest.raises(CameraLost, match="camera top: gone"):
        _apply(camera)


def test_compare_tells_all_that_differs_and_sets_nothing() -> None:
    camera = _plain(Width=640, ExposureTime=99.5, TriggerMode="On", OffsetX=4)
    wanted = SfncConfig(width_px=100, exposure_us=100.0, rate_hz=10.0)
    with pytest.raises(CameraError) as caught:
        sfnc.compare(wanted, camera, "camera top")
    assert str(caught.value).endswith("Width is 640, not 100; AcquisitionFrameRate is missing")
    assert not camera.was_set


def test_compare_selects_what_it_looks_at() -> None:
    camera = _plain(TriggerSelector="LineStart", TriggerSource="Line0", TriggerMode="On", ChunkSelector="")
    camera.values |= {"ChunkModeActive": True, "ChunkEnable": True}
    trigger = TriggerConfig(source="Line0")
    sfnc.compare(SfncConfig(trigger=trigger, chunks=("FrameID", "Timestamp")), camera, "camera top")
    assert {name for name, _ in camera.was_set} == {"TriggerSelector", "ChunkSelector"}


def test_ranges_are_told_in_steps_where_there_are_steps() -> None:
    assert sfnc.allowed_range(16, 2048, 4) == "allowed are 16 to 2048 in steps of 4"
    assert sfnc.allowed_range(0.5, 1e7) == "allowed are 0.5 to 10000000"


def test_a_trigger_that_is_refused_loses_the_camera() -> None:
    camera = _plain(TriggerSoftware=True)
    sfnc.fire(camera, "camera top")
    camera.choices["TriggerSoftware"] = ()
    with pytest.raises(CameraLost, match="camera top: TriggerSoftware: "):
        sfnc.fire(camera, "camera top")
