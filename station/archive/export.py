"""From evidence to a training set: a folder of crops a label, as `station train` takes it. Pure but for files.

Pictures are named CAMERA-EVENT-RUN-X-Y-W-H.png after the region's box in its frame; `pictures.jsonl` says the rest of
each. The label is what the model called it: somebody has to look through the folders before anything learns from them.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

import cv2
import msgspec
import numpy as np

from engines.model import UNKNOWN
from shadowline.errors import StationError
from station.archive.evidence import Evidence, Picture
from station.archive.shelf import Entry, read_evidence

__all__ = ["MANIFEST", "NOT_A_DEFECT", "Exported", "Sample", "as_8_bits", "export", "read_picture"]

MANIFEST: Final = "pictures.jsonl"
NOT_A_DEFECT: Final = "not-a-defect"
"""The folder of false alarms, once somebody has looked through a set."""


class Sample(msgspec.Struct, frozen=True):
    """A line of `pictures.jsonl`: where the picture came from, and what was thought of it."""

    path: str
    label: str
    confidence: float
    novelty: float | None
    camera: str
    event: int
    run: str
    captured_ns: int
    coil: str
    verdict: str
    model: str
    box_px: tuple[int, int, int, int]
    """The region's."""
    shown_px: tuple[int, int, int, int]
    """What the picture shows of the frame."""
    scale: int


@dataclass(slots=True)
class Exported:
    """How far it came: evidence read, pictures written by label, and why others were not."""

    read: int = 0
    written: Counter[str] = field(default_factory=Counter)
    skipped: list[str] = field(default_factory=list)


def export(
    folder: Path, entries: Iterable[Entry], target: Path, labels: frozenset[str], most: int | None = None
) -> Iterator[Exported]:
    """Write the crops of `entries` into the new folder `target`, and yield after each entry what was done so far.

    Only those called one of `labels`, or all but `unknown` where none is named; of each label the first `most`. Raises
    `StationError` where `target` is not empty or can't be written.
    """
    done = Exported()
    try:
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise StationError(f"{target}: is not empty: name a new folder")
        with (target / MANIFEST).open("wb") as manifest:
            for entry in entries:
                _export_one(folder / entry.place, target, labels, most, manifest, done)
                done.read += 1
                yield done
    except OSError as error:
        raise StationError(f"{target}: can't be written: {error.strerror}") from None


def read_picture(place: Path, picture: Picture) -> bytes:
    """Return the file of `picture` in `place`. Raises `StationError` where it is gone or not as it was written."""
    path = place / picture.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StationError(f"{path}: can't be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != picture.sha256:
        raise StationError(f"{path}: was changed since it was written")
    return content


def _export_one(
    place: Path, target: Path, labels: frozenset[str], most: int | None, manifest: IO[bytes], done: Exported
) -> None:
    try:
        evidence = read_evidence(place)
        for picture in evidence.pictures:
            if picture.defect is None:
                continue
            label = evidence.event.defects[picture.defect].label
            wanted = label in labels if labels else label != UNKNOWN
            if not wanted or (most is not None and done.written[label] >= most):
                continue
            content = as_8_bits(read_picture(place, picture))
            sample = _describe(evidence, picture, picture.defect)
            (target / sample.path).parent.mkdir(exist_ok=True)
            (target / sample.path).write_bytes(content)
            manifest.write(msgspec.json.encode(sample) + b"\n")
            done.written[label] += 1
    except StationError as error:
        done.skipped.append(str(error))


def _describe(evidence: Evidence, picture: Picture, number: int) -> Sample:
    event, defect = evidence.event, evidence.event.defects[number]
    box = "-".join(map(str, defect.box_px))
    return Sample(
        f"{_folder_of(defect.label)}/{event.camera}-{event.event:012d}-{event.origin.run}-{box}.png",
        defect.label,
        defect.confidence,
        defect.novelty,
        event.camera,
        event.event,
        event.origin.run,
        event.captured_ns,
        event.position.coil if event.position else "",
        event.verdict,
        event.origin.model,
        defect.box_px,
        picture.box_px,
        picture.scale,
    )


def _folder_of(label: str) -> str:
    """Return a folder name for `label`, whatever is in it."""
    name = quote(label, safe=" ")
    return f"%2E{name[1:]}" if name.startswith(".") else name


def as_8_bits(content: bytes) -> bytes:
    """Return a PNG of 16 bits with its upper 8, as the model sees it; one of 8 bits as it is."""
    image = np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED))
    if image.dtype != np.uint16:
        return content
    return cv2.imencode(".png", (image // 256).astype(np.uint8))[1].tobytes()
