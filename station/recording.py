"""A recording: a folder of lossless pictures, and `recording.jsonl` with a line for each exposure. Pure but for files.

A line is written after its picture and in one piece, so a recording that was killed is whole up to its last line.
"""

import contextlib
import errno
import os
from collections.abc import Generator
from pathlib import Path
from types import TracebackType
from typing import Annotated, Literal, Self, TypeAlias

import cv2
import msgspec
import numpy as np

from shadowline.errors import StationError
from station.frame import ClockName, Exposure, Image, InvalidReason

__all__ = ["LINES", "PictureFormat", "RecordingWriter", "Shot", "is_recording", "read_shots"]

LINES = "recording.jsonl"
"""The file that makes a folder a recording."""

PictureFormat: TypeAlias = Literal["pgm", "png"]

_Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_FileName: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^\w[\w .-]{0,250}\Z")]

_MAX_LINE_BYTES = 65_536
_NO_SHOT = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]


class Shot(msgspec.Struct, frozen=True, omit_defaults=True):
    """One exposure of a recording: all that `Exposure` says, with a file of the folder for its picture.

    `file` is None where there is no picture: `fault` says why.
    """

    captured_ns: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    file: _FileName | None = None
    frame_id: _Int64 | None = None
    clock: ClockName = "host"
    valid_rows: _Int64 | None = None
    encoder: _Int64 | None = None
    device_ns: _Int64 | None = None
    line_status: _Int64 | None = None
    fault: InvalidReason | None = None

    @classmethod
    def of(cls, exposure: Exposure, fault: InvalidReason | None = None) -> Self:
        """Return what is to be written of `exposure`, with its own fault or this one; it has no file yet."""
        return cls(
            captured_ns=exposure.captured_ns,
            frame_id=exposure.frame_id,
            clock=exposure.clock,
            valid_rows=exposure.valid_rows,
            encoder=exposure.encoder,
            device_ns=exposure.device_ns,
            line_status=exposure.line_status,
            fault=exposure.fault or fault,
        )


_decoder = msgspec.json.Decoder(Shot)


def is_recording(folder: Path) -> bool:
    """Whether `folder` has a recording's lines."""
    return (folder / LINES).is_file()


def read_shots(folder: Path) -> Generator[Shot | None, None, None]:
    """Yield the recording's shots as they were written, None for a damaged line. Raises OSError.

    A last line without its end was being written when the recording was killed, and is not there.
    """
    with (folder / LINES).open("rb") as lines:
        while line := lines.readline(_MAX_LINE_BYTES):
            if not line.endswith(b"\n") and len(line) < _MAX_LINE_BYTES:
                return
            try:
                yield _decoder.decode(line)
            except _NO_SHOT:
                yield None


class RecordingWriter:
    """Writes a recording into a folder that has none; entered and used by one thread.

    Every fault of the disk is a `StationError` that says how much of the recording is there.
    """

    def __init__(self, folder: Path, picture_format: PictureFormat) -> None:
        self.pictures = 0
        self.bytes = 0
        self._folder = folder
        self._format = picture_format
        self._lines = -1
        self._whole_bytes = 0

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lines = os.open(self._folder / LINES, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except FileExistsError:
            raise StationError(f"{self._folder} holds a recording already: name another folder") from None
        except OSError as error:
            raise StationError(f"{self._folder}: can't be written: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lines)

    def write(self, shot: Shot, image: Image | None) -> Shot:
        """Write a picture, then its line; return the shot with its file."""
        path = self._folder / f"{self.pictures:06d}.{self._format}"
        try:
            if image is not None:
                self.bytes += _write_picture(path, image)
                shot = msgspec.structs.replace(shot, file=path.name)
            self._write_line(msgspec.json.encode(shot) + b"\n")
        except OSError as error:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=image is None)
            what = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else f"{error.strerror}"
            raise StationError(f"{self._folder}: {what} after {self.pictures} pictures; they can be played") from error
        self.pictures += image is not None
        return shot

    def _write_line(self, line: bytes) -> None:
        """Append a whole line, or leave none of it."""
        try:
            left = memoryview(line)
            while left:
                left = left[os.write(self._lines, left) :]
        except OSError:
            os.ftruncate(self._lines, self._whole_bytes)
            raise
        self._whole_bytes += len(line)


def _write_picture(path: Path, image: Image) -> int:
    """Write a new file without loss, and return its bytes."""
    if path.suffix == ".png":
        encoded = cv2.imencode(".png", image, _FAST)[1]
        parts = [encoded.data]
    else:
        height, width = image.shape
        head = b"P5\n%d %d\n%d\n" % (width, height, np.iinfo(image.dtype).max)
        parts = [memoryview(head), image.data if image.itemsize == 1 else image.byteswap().data]
    with path.open("xb") as file:
        return sum(file.write(part) for part in parts)
