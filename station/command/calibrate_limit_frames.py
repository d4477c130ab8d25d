"""Frames for the choice of a limit: from a camera or a folder, with the boxes of their known defects. Main thread."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from shadowline.errors import CalibrationError
from station.camera.pictures import list_pictures, read_picture
from station.command.camera_feed import Feed
from station.frame import Image, InvalidReason

__all__ = ["Shown", "known_defects", "of_camera", "of_folder"]

_MOST_PIXELS = 1e8
_MASKED = 127
_MOST_UNREADABLE = 0.1


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame and its name; `begins` says that it does not follow the one before."""

    name: str
    image: Image
    begins: bool = False
    file: Path | None = None


def of_camera(feed: Feed, count: int) -> Iterator[Shown]:
    """Yield `count` whole frames of an open camera, their images valid until the next one is asked for."""
    taken = 0
    with _bar() as bar:
        task = bar.add_task("frames", total=count)
        for exposure in feed.exposures():
            if exposure is None or exposure.image is None:
                continue
            if exposure.valid_rows is None or exposure.valid_rows >= len(exposure.image):
                yield Shown(f"frame {taken if exposure.frame_id is None else exposure.frame_id}", exposure.image)
                taken += 1
                bar.advance(task)
            if taken == count:
                return


def of_folder(folder: Path) -> Iterator[Shown]:
    """Yield the pictures of `folder`, in natural order; those of each folder in it are a stream of their own.

    Pictures that can't be read are told on stderr. Raises `CalibrationError` where there are none or many such.
    """
    try:
        paths = list_pictures(folder)
    except OSError as error:
        raise CalibrationError(f"{folder}: can't be read: {error.strerror}") from None
    if not paths:
        raise CalibrationError(f"{folder}: no pictures in this folder")
    bad, stream = 0, None
    with _bar() as bar:
        for path in bar.track(paths, description="pictures"):
            image = read_picture(path, _MOST_PIXELS)
            if isinstance(image, InvalidReason):
                bad += 1
                typer.echo(f"{path}: {image}, left out", err=True)
                continue
            yield Shown(str(path.relative_to(folder)), image, path.parent != stream, path.relative_to(folder))
            stream = path.parent
    if bad > _MOST_UNREADABLE * len(paths):
        raise CalibrationError(f"{folder}: {bad} of {len(paths)} pictures can't be read: remove or replace them")


def known_defects(folder: Path, shown: Shown) -> NDArray[np.int32]:
    """Return the boxes of the defects that `folder` knows in a picture: int32 [n,4], x, y, w, h.

    They stand in a file of the picture's name, in the same folder of `folder` or in itself: .xml (Pascal VOC), or
    .png, a mask whose bright parts are defects. Without one the picture has none.
    """
    file = shown.file or Path(shown.name)
    places = [folder / file, folder / file.name]
    for path in (place.with_suffix(suffix) for place in places for suffix in (".xml", ".png")):
        if path.is_file():
            return _voc_boxes(path) if path.suffix == ".xml" else _mask_boxes(path, shown.image.shape)
    return np.empty((0, 4), np.int32)


def _voc_boxes(path: Path) -> NDArray[np.int32]:
    names = ("xmin", "ymin", "xmax", "ymax")
    try:
        corners = [[float(box.findtext(name, "")) for name in names] for box in ET.parse(path).iter("bndbox")]
    except (ET.ParseError, ValueError, OSError) as error:
        raise CalibrationError(f"{path}: not boxes in Pascal VOC form: {error}") from None
    boxes = np.array(corners).reshape(-1, 4)
    if not np.isfinite(boxes).all() or (boxes[:, 2:] <= boxes[:, :2]).any():
        raise CalibrationError(f"{path}: a box without area")
    boxes[:, 2:] -= boxes[:, :2]
    return boxes.astype(np.int32)


def _mask_boxes(path: Path, shape: tuple[int, ...]) -> NDArray[np.int32]:
    mask = read_picture(path, _MOST_PIXELS)
    if isinstance(mask, InvalidReason) or mask.shape != shape:
        raise CalibrationError(f"{path}: not a mask of the size of its picture")
    stats = cv2.connectedComponentsWithStats((mask > _MASKED).astype(np.uint8))[2]
    return np.asarray(stats[1:, :4], np.int32)


def _bar() -> Progress:
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)
