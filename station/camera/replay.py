"""Pictures of a directory, a recording or the frames of a video file, as a camera.

Lives in the capture thread, which decodes.
"""

import contextlib
from collections.abc import Generator, Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import cv2
import numpy as np

from shadowline.errors import CameraError, CameraLost
from station.camera.base import CAN_WAIT
from station.camera.opencv.common import read_only, silence_opencv
from station.camera.pace import Pace
from station.camera.pictures import is_picture_name, list_pictures, read_picture
from station.camera.recorded import Schedule, play
from station.clock import Clock
from station.config import ReplayConfig
from station.frame import Exposure, Image, InvalidReason
from station.recording import LINES, Shot, is_recording, read_shots

__all__ = ["ReplayCamera"]

_USUAL_HZ = 10.0
_MAX_HZ = 10_000.0
_RECORDED = {"frame_id": "FrameID", "device_ns": "Timestamp", "encoder": "EncoderValue", "line_status": "LineStatusAll"}
"""What a recording may have of each picture, and the feature that it is."""


class _Picture(NamedTuple):
    """One picture of the source, or why there is none; `shot` is what a recording has of it."""

    image: Image | None
    source: str
    fault: InvalidReason | None = None
    shot: Shot | None = None


class ReplayCamera:
    """Plays a directory, searched with its sub-directories, or a video file. The frame id is a running index.

    Files that come while a directory plays are taken at the end of the round. A picture that can't be used is an
    exposure with a fault, and the run goes on. A directory with a recording plays what that lists, with the spacing,
    the counters and the faults of then; `captured_ns` is now.
    """

    def __init__(self, config: ReplayConfig, clock: Clock) -> None:
        pace = {"AcquisitionFrameRate", CAN_WAIT} if config.rate_hz == 0 else {"AcquisitionFrameRate"}
        self.features = frozenset(pace | {"FrameID"})
        self.identity = ""
        self.counters: Mapping[str, int] = {}
        self._config = config
        self._clock = clock
        self._max_pixels = config.max_megapixels * 1e6
        self._stack = contextlib.ExitStack()
        self._pictures: Iterator[_Picture] | None = None

    def __enter__(self) -> Self:
        silence_opencv()
        path, rate_hz = self._config.path, self._config.rate_hz
        recorded: Pace | Schedule = Pace(_USUAL_HZ, self._clock)
        if is_recording(path):
            recorded = self._open_recording()
        elif path.is_dir():
            self._pictures = self._play_directory(self._list_some(CameraError))
        elif path.is_file() and not is_picture_name(path):
            video = self._open_video(CameraError)
            filmed_hz = video.get(cv2.CAP_PROP_FPS)
            recorded = Pace(filmed_hz if 0 < filmed_hz <= _MAX_HZ else _USUAL_HZ, self._clock)
            self._pictures = self._play_video(video)
        else:
            raise self._error(CameraError, "is no directory and no video file")
        self._pace = recorded if rate_hz is None else Pace(rate_hz, self._clock)
        self._delivered = 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pictures = None
        self._stack.close()

    def exposures(self, timeout_s: float) -> Iterator[Exposure | None]:
        """Yield pictures at the configured or recorded pace up to the end, None after `timeout_s` without one.

        Asked again, it goes on where it was left. The wait is bounded by the time-out, the decoding is not.
        """
        deadline_ns = self._clock.tick_ns() + round(timeout_s * 1e9)
        while True:
            if self._pictures is None:
                raise self._error(CameraError, "is not open")
            if not self._pace.wait(deadline_ns):
                yield None
            else:
                captured_ns = self._clock.utc_ns()
                picture = next(self._pictures, None)
                if picture is None:
                    return
                shot = picture.shot or Shot(captured_ns, frame_id=self._delivered)
                self._delivered += 1
                yield Exposure(
                    picture.image,
                    shot.frame_id,
                    captured_ns,
                    valid_rows=shot.valid_rows,
                    encoder=shot.encoder,
                    source=picture.source,
                    fault=picture.fault,
                    device_ns=shot.device_ns,
                    line_status=shot.line_status,
                )
            deadline_ns = self._clock.tick_ns() + round(timeout_s * 1e9)

    def _error(self, kind: type[CameraError], what: str) -> CameraError:
        return kind(f"camera {self._config.name}: {self._config.path} {what}")

    def _list(self, kind: type[CameraError]) -> list[Path]:
        """Return the pictures that the directory holds now; raise `kind` when it is gone."""
        try:
            return list_pictures(self._config.path)
        except OSError as error:
            raise self._error(kind, f"can't be listed: {error.strerror}") from error

    def _list_some(self, kind: type[CameraError]) -> list[Path]:
        """Return the pictures that the directory holds now; raise `kind` when there are none."""
        listed = self._list(kind)
        if not listed:
            raise self._error(kind, "holds no pictures")
        return listed

    def _play_directory(self, due: list[Path]) -> Iterator[_Picture]:
        """Play `due`, then what came meanwhile, or everything again when looping."""
        played: set[Path] = set()
        while due:
            for path in due:
                yield self._read(path)
            if self._config.loop:
                due = self._list_some(CameraLost)
            else:
                listed = self._list(CameraLost)
                played = (played | set(due)) & set(listed)
                due = [path for path in listed if path not in played]

    def _open_recording(self) -> Schedule:
        """Read the recording's first line, play from it, and return when it was taken."""
        try:
            with contextlib.closing(read_shots(self._config.path)) as shots:
                first = list(islice(shots, 1))
        except OSError as error:
            raise self._error(CameraError, f"can't be read: {error.strerror}") from error
        if not first:
            raise self._error(CameraError, "is a recording without a picture")
        if first[0] is not None:
            has = {feature for field, feature in _RECORDED.items() if getattr(first[0], field) is not None}
            self.features = self.features - {"FrameID"} | has
        schedule = Schedule(self._clock)
        self._pictures = self._stack.enter_context(contextlib.closing(self._play_recording(schedule)))
        return schedule

    def _play_recording(self, schedule: Schedule) -> Generator[_Picture, None, None]:
        """Play the recording's lines, and put off on `schedule` what comes next."""
        folder = self._config.path
        try:
            for shot, gap_ns in play(folder, self._config.loop):
                schedule.put_off(gap_ns)
                if shot.file is None:
                    yield _Picture(None, str(folder / LINES), shot.fault or InvalidReason.UNREADABLE, shot)
                else:
                    picture = self._read(folder / shot.file)
                    yield picture._replace(fault=picture.fault or shot.fault, shot=shot)
        except OSError as error:
            raise self._error(CameraLost, f"can't be read: {error.strerror}") from error
        if self._config.loop:
            raise self._error(CameraLost, "is a recording without a picture")

    def _read(self, path: Path) -> _Picture:
        got = read_picture(path, self._max_pixels)
        if not isinstance(got, InvalidReason):
            return _Picture(read_only(got), str(path))
        if not self._config.path.is_dir():
            raise self._error(CameraLost, "is gone")
        return _Picture(None, str(path), got)

    def _open_video(self, kind: type[CameraError]) -> cv2.VideoCapture:
        """Open the video at its start, with one decoding thread; closed when the camera is."""
        video = cv2.VideoCapture(str(self._config.path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        self._stack.callback(video.release)
        if not video.isOpened():
            raise self._error(kind, "can't be played as a video")
        width, height = video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if width * height > self._max_pixels:
            raise self._error(kind, f"has frames of {width:.0f}×{height:.0f}, more than max_megapixels")
        return video

    def _play_video(self, video: cv2.VideoCapture) -> Iterator[_Picture]:
        """Play the video once or again and again; a stream shorter than its header says ends in a fault."""
        source = str(self._config.path)
        while True:
            announced = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
            read = 0
            for image in _frames(video):
                read += 1
                yield _Picture(read_only(image), source)
            if read < announced:
                shortfall = f"{source}: {read} of {announced} frames"
                yield _Picture(None, shortfall, InvalidReason.UNREADABLE)
            if not self._config.loop:
                return
            if not read:
                raise self._error(CameraLost, "has no frame that can be read")
            self._stack.close()
            video = self._open_video(CameraLost)


def _frames(video: cv2.VideoCapture) -> Iterator[Image]:
    """Yield the frames up to the end as grey, each in the buffer of the last."""
    grey: Image | None = None
    colour = None
    while True:
        read, colour = video.read(colour)
        if not read:
            return
        grey = np.asarray(colour if colour.ndim == 2 else cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY, grey), np.uint8)
        yield grey
