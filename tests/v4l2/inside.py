"""What runs inside the guest: the `opencv` driver on `vivid`, a device of the kernel, and on a loop that we fill.

Prints one JSON line for each thing tried; `tests/system/test_v4l2.py` judges them.
"""

import fcntl
import json
import os
import struct
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from shadowline.errors import CameraError
from station.camera.opencv import OpenCvCamera, discover
from station.clock import HostClock
from station.config import OpenCvConfig
from station.frame import Exposure
from tests.numbered import draw, number_of

_VIVID, _OUTPUT, _LOOP = 0, 1, 7
_LINK = Path("/dev/v4l/by-id/usb-Vivid_Camera_0001-video-index0")
_TIMEOUT_S = 0.3
_WIDTH, _HEIGHT = 320, 180

_G_CTRL, _S_CTRL = 0xC008561B, 0xC008561C
_CONTROLS = {"brightness": 0x00980900, "contrast": 0x00980901}
_UNPLUG = 0x00F0F041  # a button of vivid's own
_S_FMT = 0xC0D05605
_OUTPUT_BUFFER = 2


def main() -> None:
    """Try everything."""
    for experiment in (
        _find,
        _read_formats,
        _read_rate,
        _set_controls,
        _be_refused,
        _be_second,
        _unplug,
        _read_loop,
        _be_left_alone,
        _be_given_nothing,
        _read_jpegs,
    ):
        try:
            facts: dict[str, Any] = experiment()
        except Exception:  # noqa: BLE001 - whatever it was, the test is to see it
            facts = {"failed": traceback.format_exc()}
        print(json.dumps({"name": experiment.__name__.strip("_"), **facts}), flush=True)


def _camera(device: int | Path = _VIVID, **settings: Any) -> OpenCvCamera:
    table = {"type": "opencv", "name": "one", "timeout_s": _TIMEOUT_S, "device": device, **settings}
    return OpenCvCamera(OpenCvConfig.model_validate(table), HostClock())


def _taken(camera: OpenCvCamera, number: int) -> Iterator[Exposure]:
    return islice((exposure for exposure in camera.exposures(_TIMEOUT_S) if exposure is not None), number)


def _error_of(act: Callable[[], Any]) -> dict[str, Any]:
    """Return the error of `act` and how long it took."""
    began_s = time.monotonic()
    try:
        act()
    except CameraError as error:
        return {"kind": type(error).__name__, "text": str(error), "after_s": time.monotonic() - began_s}
    return {"kind": "", "text": "", "after_s": time.monotonic() - began_s}


def _open(camera: OpenCvCamera) -> None:
    with camera:
        pass


def _find() -> dict[str, Any]:
    _LINK.parent.mkdir(parents=True)
    _LINK.symlink_to("../../video0")
    found = [{"model": item.model, "address": item.address, "table": dict(item.table)} for item in discover()]
    with _camera(_LINK) as camera:
        shape = next(_taken(camera, 1)).image.shape  # type: ignore[union-attr]
        return {"found": found, "identity": camera.identity, "shape": shape}


def _read_formats() -> dict[str, Any]:
    return {fourcc or "none": _read_format(fourcc) for fourcc in ("GREY", "YUYV", "UYVY", "Y16 ", None)}


def _read_format(fourcc: str | None) -> dict[str, Any]:
    with _camera(fourcc=fourcc, width_px=_WIDTH, height_px=_HEIGHT) as camera:
        images = [exposure.image for exposure in _taken(camera, 3)]
        image = images[-1]
        assert image is not None
        return {
            "shape": image.shape,
            "dtype": str(image.dtype),
            "contiguous": image.flags.c_contiguous,
            "writeable": image.flags.writeable,
            "one_buffer": all(np.shares_memory(image, other) for other in images),
            "levels": len(np.unique(image)),
            "counters": dict(camera.counters),
        }


def _read_rate() -> dict[str, Any]:
    with _camera(fourcc="GREY", width_px=640, height_px=360, rate_hz=15) as camera:
        exposures = list(_taken(camera, 31))
        now_ns = time.monotonic_ns()
    stamps = [exposure.device_ns or 0 for exposure in exposures]
    times = [exposure.captured_ns for exposure in exposures]
    return {
        "stamps_hz": 30e9 / (stamps[-1] - stamps[0]),
        "times_hz": 30e9 / (times[-1] - times[0]),
        "rising": stamps == sorted(set(stamps)),
        "age_s": (now_ns - stamps[-1]) / 1e9,
        "frame_ids": [exposure.frame_id for exposure in exposures[:3]],
    }


def _set_controls() -> dict[str, Any]:
    _open(_camera(controls={"brightness": 60, "contrast": 100}))
    with open(f"/dev/video{_VIVID}", "rb") as device:
        return {name: _read_control(device.fileno(), number) for name, number in _CONTROLS.items()}


def _read_control(handle: int, number: int) -> int:
    return int(struct.unpack("Ii", fcntl.ioctl(handle, _G_CTRL, struct.pack("Ii", number, 0)))[1])


def _be_refused() -> dict[str, Any]:
    tries: dict[str, dict[str, Any]] = {
        "missing": {"controls": {"focus": 1}},
        "range": {"controls": {"brightness": 999}},
        "part": {"controls": {"brightness": 10.5}},
        "fourcc": {"fourcc": "MJPG"},
        "size": {"width_px": 5000, "height_px": 360},
        "rate": {"fourcc": "GREY", "width_px": 640, "height_px": 360, "rate_hz": 1000},
        "output": {"device": _OUTPUT},
        "absent": {"device": 99},
        "no_video": {"device": Path("/dev/null")},
    }
    return {name: _error_of(lambda settings=settings: _open(_camera(**settings))) for name, settings in tries.items()}


def _be_second() -> dict[str, Any]:
    with _camera():
        second = _error_of(lambda: _open(_camera()))
    return {**second, "then": _error_of(lambda: _open(_camera()))["text"]}


def _unplug() -> dict[str, Any]:
    with _camera(fourcc="GREY") as camera:
        exposures = camera.exposures(_TIMEOUT_S)
        next(exposures)
        handle = os.open(f"/dev/video{_VIVID}", os.O_RDWR)
        fcntl.ioctl(handle, _S_CTRL, struct.pack("Ii", _UNPLUG, 1))
        os.close(handle)
        lost = _error_of(lambda: [None for _ in exposures])
        absent = _error_of(lambda: _open(_camera()))
        began_s = time.monotonic()
    closed_s = time.monotonic() - began_s
    with _camera(fourcc="GREY") as camera:
        again = len(list(_taken(camera, 3)))
    return {"lost": lost, "absent": absent, "closed_s": closed_s, "again": again}


class _Writer:
    """Fills the loop with pictures, 20 a second, from a thread."""

    def __init__(self, fourcc: str, pictures: Iterator[bytes]) -> None:
        self.silent = threading.Event()
        self._over = threading.Event()
        self._fourcc = fourcc
        self._pictures = pictures
        self._thread = threading.Thread(target=self._write)
        self._handle = os.open(f"/dev/video{_LOOP}", os.O_RDWR)

    def start(self) -> None:
        pixel_format = struct.unpack("I", self._fourcc.encode())[0]
        size = (_WIDTH, _HEIGHT, pixel_format, 1, _WIDTH, _WIDTH * _HEIGHT)
        fcntl.ioctl(self._handle, _S_FMT, struct.pack("I4x6I176x", _OUTPUT_BUFFER, *size))
        os.write(self._handle, next(self._pictures))
        self._thread.start()

    def _write(self) -> None:
        while not self._over.wait(0.05):
            if not self.silent.is_set():
                os.write(self._handle, next(self._pictures))

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        os.close(self._handle)


@contextmanager
def _filled(fourcc: str, pictures: Iterator[bytes], silent: bool = False) -> Iterator[_Writer]:
    writer = _Writer(fourcc, pictures)
    if silent:
        writer.silent.set()
    writer.start()
    try:
        yield writer
    finally:
        writer.stop()


def _read_loop() -> dict[str, Any]:
    """Read pictures whose every pixel is known, then wait in vain, then read on."""
    with (
        _filled("GREY", (draw(number, _WIDTH, _HEIGHT) for number in count())) as writer,
        _camera(_LOOP, fourcc="GREY") as camera,
    ):
        numbers, same = [], True
        for exposure in _taken(camera, 20):
            assert exposure.image is not None
            numbers.append(number_of(exposure.image))
            same = same and exposure.image.tobytes() == draw(numbers[-1], _WIDTH, _HEIGHT)
        writer.silent.set()
        waits = _wait_in_vain(camera)
        writer.silent.clear()
        after = [number_of(exposure.image) for exposure in _taken(camera, 5)]
    return {"numbers": numbers, "same": same, "waits_s": waits, "after": after}


def _wait_in_vain(camera: OpenCvCamera) -> list[float]:
    """Return how long each of five waits lasted that brought nothing."""
    waits: list[float] = []
    began_s = time.monotonic()
    for exposure in camera.exposures(_TIMEOUT_S):
        now_s = time.monotonic()
        if exposure is None:
            waits.append(now_s - began_s)
        if len(waits) == 5:
            break
        began_s = now_s
    return waits


def _be_left_alone() -> dict[str, Any]:
    return _error_of(lambda: _open(_camera(_LOOP)))


def _be_given_nothing() -> dict[str, Any]:
    """Open the loop while its writer is there and silent."""
    with _filled("GREY", (draw(number, _WIDTH, _HEIGHT) for number in count()), silent=True):
        return _error_of(lambda: _open(_camera(_LOOP, fourcc="GREY")))


def _read_jpegs() -> dict[str, Any]:
    """Read JPEGs of which every third is cut short and every fifth is none."""
    with _filled("MJPG", map(_jpeg, count())), _camera(_LOOP, fourcc="MJPG") as camera:
        results = []
        for exposure in _taken(camera, 30):
            number = None if exposure.image is None else number_of(exposure.image)
            results.append([number, str(exposure.fault or "")])
        return {"results": results, "counters": dict(camera.counters)}


def _jpeg(number: int) -> bytes:
    picture = np.frombuffer(draw(number, _WIDTH, _HEIGHT), np.uint8).reshape(_HEIGHT, _WIDTH)
    data = cv2.imencode(".jpg", picture)[1].tobytes()
    if number % 5 == 4:
        return b"no JPEG" + data[7:]
    return data[: len(data) // 2] if number % 3 == 2 else data


if __name__ == "__main__":
    main()
