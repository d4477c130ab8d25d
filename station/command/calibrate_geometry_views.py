"""Pictures of a calibration sheet, from the camera or a folder, and the views of it that they show. Main thread."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import typer

from calibration.geometry_views import View, find_sheet
from calibration.targets import Sheet
from shadowline.errors import CalibrationError
from station.camera.pictures import list_pictures, read_picture
from station.command.camera_feed import Feed, feed_of
from station.frame import Image, InvalidReason

__all__ = ["Shown", "held_views", "shown_by", "single_views"]

_MOST_PIXELS = 1e8
_STILL_PX = 0.5  # from picture to picture
_SAME_PART = 0.015  # of the frame's width; a sheet that is tilted anew in its place moves by more


class Shown(NamedTuple):
    """A whole picture, valid until the next one is asked for, and the count that came with it."""

    image: Image
    encoder: int | None = None
    source: str = ""


@contextmanager
def shown_by(
    config: Path, name: str, pictures: Path | None, seconds: float | None
) -> Iterator[tuple[str, Iterator[Shown]]]:
    """Open the camera `name`, or the folder `pictures` in its place; yields the camera's identity and the pictures."""
    if pictures is not None:
        yield "", _of_folder(pictures)
        return
    with feed_of(config, name) as feed:
        yield feed.camera.identity, _of_camera(feed, seconds)


def _of_camera(feed: Feed, seconds: float | None) -> Iterator[Shown]:
    for exposure in feed.exposures(seconds):
        image = None if exposure is None else exposure.image
        if exposure is None or image is None:
            continue
        if exposure.valid_rows is None or exposure.valid_rows >= len(image):
            yield Shown(image, exposure.encoder)


def _of_folder(folder: Path) -> Iterator[Shown]:
    """Yield the pictures of `folder` in natural order. Raises `CalibrationError` for none, and for a damaged one."""
    try:
        paths = list_pictures(folder)
    except OSError as error:
        raise CalibrationError(f"{folder}: can't be read: {error.strerror}") from None
    if not paths:
        raise CalibrationError(f"{folder}: no pictures in this folder")
    for path in paths:
        picture = read_picture(path, _MOST_PIXELS)
        if isinstance(picture, InvalidReason):
            raise CalibrationError(f"{path}: {picture}: remove it, or take it again")
        yield Shown(picture, source=str(path))


def single_views(sheet: Sheet, shown: Iterable[Shown]) -> list[View]:
    """Return the view of each picture; those that do not do are told on stderr.

    Raises `CalibrationError` when the last one, of the sheet on the strip, does not do.
    """
    views: list[View] = []
    fault = ""
    for one in shown:
        fault = ""
        try:
            views.append(find_sheet(sheet, one.image))
        except CalibrationError as error:
            fault = f"{one.source}: {error}"
            typer.echo(fault, err=True)
    if fault:
        raise CalibrationError(f"{fault}; the last picture has to be that of the sheet on the strip")
    return views


def held_views(sheet: Sheet, shown: Iterable[Shown]) -> list[View]:
    """Return a view of each place where the sheet was held still, the last one last; one a place."""
    views: list[View] = []
    before: View | None = None
    told = ""
    for one in shown:
        try:
            view = find_sheet(sheet, one.image)
        except CalibrationError as error:
            before = None
            if str(error) != told:
                told = str(error)
                typer.echo(told, err=True)
            continue
        if before is not None and _moved_px(before, view) < _STILL_PX:
            others = [other for other in views if _moved_px(other, view) > _SAME_PART * view.size_px[0]]
            if len(others) == len(views):
                typer.echo(f"view {len(views) + 1}: {len(view.corners_px)} corners", err=True)
            views = [*others, view]
        before = view
    return views


def _moved_px(before: View, view: View) -> float:
    """Return by how much a corner that both show has moved, at most; infinite where there is none."""
    one, other = np.nonzero((before.points_mm[:, None] == view.points_mm[None]).all(axis=2))
    if not len(one):
        return float("inf")
    return float(np.linalg.norm(before.corners_px[one] - view.corners_px[other], axis=1).max())
