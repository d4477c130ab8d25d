"""The folder of calibrations: each a record and its arrays, whole or not at all, with history and one in use. Pure.

CAMERA/KIND/0001/record.json, arrays.npz     a calibration; numbers count up and are not used again
CAMERA/KIND/current                          the number of the one in use
"""

import fcntl
import hashlib
import io
import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from calibration.record import CAMERA_NAME, Binding, Kind, Record
from shadowline.errors import CalibrationError

__all__ = ["CalibrationStore"]

_RECORD, _ARRAYS, _CURRENT, _LOCK, _MAKING = "record.json", "arrays.npz", "current", ".lock", ".making"
_NUMBER: Final = re.compile(r"[0-9]{4,9}")
_MOST_RECORD_BYTES, _MOST_ARRAY_BYTES = 2**20, 2**30


class CalibrationStore:
    """The calibrations below `folder`, which need not be there yet. Several processes may use it at once.

    Every method raises `CalibrationError` for a folder or file that can't be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(
        self,
        kind: Kind,
        camera: str,
        binding: Binding,
        figures: Mapping[str, float],
        arrays: Mapping[str, NDArray[Any]],
        settings: Mapping[str, Any],
        in_use: bool = True,
    ) -> Record:
        """Write a calibration and, unless told otherwise, take it into use.

        Refuses figures that are not finite and arrays of objects.
        """
        packed = _pack(arrays)
        with self._writing(kind, camera) as place:
            try:
                record = Record(
                    kind=kind,
                    camera=camera,
                    number=max(_numbers(place), default=0) + 1,
                    made=datetime.now(UTC).isoformat(timespec="seconds"),
                    binding=binding,
                    figures=dict(figures),
                    settings=dict(settings),
                    sha256=hashlib.sha256(packed).hexdigest(),
                )
            except ValidationError as error:
                raise CalibrationError(f"this calibration can't be kept: {_first_fault(error)}") from None
            making = place / _MAKING
            shutil.rmtree(making, ignore_errors=True)  # the lock is ours: whoever made it is dead
            making.mkdir()
            _write(making / _ARRAYS, packed)
            _write(making / _RECORD, record.model_dump_json(indent=2).encode())
            making.rename(self._place_of(record))
            if in_use:
                _take_into_use(place, record)
        return record

    def current(self, kind: Kind, camera: str) -> Record | None:
        """Return the calibration in use, None where there is none."""
        path = self._place(kind, camera) / _CURRENT
        try:
            number = path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise CalibrationError(f"{path}: can't be read: {error}") from None
        if not _NUMBER.fullmatch(number):
            raise CalibrationError(f"{path}: is not the number of a calibration: choose one with station calibrate use")
        return self._read(path.parent / number)

    def numbered(self, kind: Kind, camera: str, number: int) -> Record:
        """Return the calibration of that number."""
        place = self._place(kind, camera)
        if number not in (known := _numbers(place)):
            there = ", ".join(map(str, known)) or "none"
            raise CalibrationError(f"{self.folder}: no {kind} {number} of camera {camera}; there are: {there}")
        return self._read(place / f"{number:04}")

    def history(self, camera: str | None = None, kind: Kind | None = None) -> list[Record]:
        """Return all readable records, by camera, kind and number; `damaged` tells of the others."""
        records = []
        for place in self._places(camera, kind):
            try:
                records.append(self._read(place))
            except CalibrationError:
                continue
        return records

    def damaged(self) -> list[str]:
        """Return a line for each calibration that can't be read or was changed since it was made."""
        lines = []
        for place in self._places(None, None):
            try:
                self._packed(self._read(place))
            except CalibrationError as error:
                lines.append(str(error))
        return lines

    def arrays(self, record: Record) -> dict[str, NDArray[Any]]:
        """Return the arrays of `record`; never a pickle, and refused when the file is not the one it was saved with."""
        try:
            with np.load(io.BytesIO(self._packed(record)), allow_pickle=False) as content:
                return {name: content[name] for name in content.files}
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise CalibrationError(f"{self._place_of(record) / _ARRAYS}: no arrays in it: {error}") from None

    def use(self, record: Record) -> None:
        """Take `record`, one of this folder, into use."""
        self._packed(record)
        with self._writing(record.kind, record.camera) as place:
            _take_into_use(place, record)

    def export(self, path: Path) -> None:
        """Write every calibration, and which ones are in use, as one zip file; unpacked it is such a folder again."""
        beside = path.with_name(f".{path.name}.part")
        try:
            with zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED) as archive:
                for file in self._files():
                    archive.write(file, file.relative_to(self.folder))
            beside.replace(path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise CalibrationError(f"{path}: can't be written: {error.strerror}") from None

    def _read(self, place: Path) -> Record:
        path = place / _RECORD
        try:
            if path.stat().st_size > _MOST_RECORD_BYTES:
                raise CalibrationError(f"{path}: too large for a calibration's record")
            record = Record.model_validate_json(path.read_bytes())
        except OSError as error:
            raise CalibrationError(f"{path}: can't be read: {error.strerror}") from None
        except ValidationError as error:
            raise CalibrationError(f"{path}: not a calibration's record: {_first_fault(error)}") from None
        if self._place_of(record) != place:
            raise CalibrationError(f"{path}: is the record of {record.title}, put into another's folder")
        return record

    def _packed(self, record: Record) -> bytes:
        path = self._place_of(record) / _ARRAYS
        try:
            if path.stat().st_size > _MOST_ARRAY_BYTES:
                raise CalibrationError(f"{path}: too large for a calibration")
            packed = path.read_bytes()
        except OSError as error:
            raise CalibrationError(f"{path}: can't be read: {error.strerror}") from None
        if hashlib.sha256(packed).hexdigest() != record.sha256:
            raise CalibrationError(f"{path}: was changed or cut off since it was made: calibrate again")
        return packed

    def _place(self, kind: Kind, camera: str) -> Path:
        if not re.fullmatch(CAMERA_NAME, camera) or kind not in get_args(Kind):
            raise CalibrationError(
                f"{camera!r} {kind!r} is not a camera's name and a kind: {', '.join(get_args(Kind))}"
            )
        return self.folder / camera / kind

    def _place_of(self, record: Record) -> Path:
        return self._place(record.kind, record.camera) / f"{record.number:04}"

    def _places(self, camera: str | None, kind: Kind | None) -> list[Path]:
        kinds = get_args(Kind) if kind is None else (kind,)
        cameras = [path.name for path in _listing(self.folder)] if camera is None else [camera]
        return [
            self._place(each_kind, each) / f"{number:04}"
            for each in cameras
            if re.fullmatch(CAMERA_NAME, each)
            for each_kind in kinds
            for number in _numbers(self._place(each_kind, each))
        ]

    def _files(self) -> list[Path]:
        places = self._places(None, None)
        uses = {place.parent / _CURRENT for place in places}
        files = [place / name for place in places for name in (_RECORD, _ARRAYS)]
        return [path for path in sorted([*files, *uses]) if path.is_file()]

    @contextmanager
    def _writing(self, kind: Kind, camera: str) -> Iterator[Path]:
        """Yield the folder of this camera and kind while no other process writes there."""
        place = self._place(kind, camera)
        try:
            place.mkdir(parents=True, exist_ok=True)
            with (place / _LOCK).open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield place
        except OSError as error:
            raise CalibrationError(f"{place}: can't write to the calibration folder: {error.strerror}") from None


def _listing(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CalibrationError(f"{folder}: can't read the calibration folder: {error.strerror}") from None


def _numbers(place: Path) -> list[int]:
    return sorted(int(path.name) for path in _listing(place) if _NUMBER.fullmatch(path.name))


def _pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            if array.dtype.hasobject:
                raise CalibrationError(f"array {name} holds Python objects, which a calibration can't keep")
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return packed.getvalue()


def _take_into_use(place: Path, record: Record) -> None:
    beside = place / f".{_CURRENT}"
    _write(beside, f"{record.number:04}\n".encode())
    beside.replace(place / _CURRENT)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    return f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
