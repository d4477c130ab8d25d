"""What `station evaluate` leaves on the screen and, picture by picture, on disk."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import typer

from shadowline.errors import StationError
from training.assess.drawing import draw_seen
from training.assess.figures import Assessment
from training.assess.measure import Measured
from training.assess.table import LABEL_HEADS, grid, label_rows, rows
from training.command.common import console, slug
from training.data import Marked

__all__ = ["draw_all", "print_figures"]

_QUALITY = 60


def print_figures(assessments: Sequence[Assessment], as_json: bool) -> None:
    """Print the configurations side by side and each label of each, or all of it as JSON."""
    if as_json:
        typer.echo(json.dumps([one.model_dump(mode="json") for one in assessments]))
        return
    first = assessments[0]
    title = f"{first.pictures} pictures, {first.good} of them good, {first.defects} defects marked"
    console.print(grid(("", *(one.name for one in assessments)), rows(assessments), title))
    for one in assessments:
        console.print(grid(LABEL_HEADS, label_rows(one), one.name))
    for note in dict.fromkeys(note for one in assessments for note in one.notes):
        console.print(note, highlight=False, soft_wrap=True, markup=False)


def draw_all(folder: Path, pictures: Sequence[Marked], measured: Sequence[Measured]) -> None:
    """Write every picture as a JPEG with marks and regions, a folder a configuration.

    Raises `StationError` when one can't be written.
    """
    for one in measured:
        for picture, seen in zip(pictures, one.seen, strict=True):
            file = folder / slug(one.assessment.name) / Path(picture.path).with_suffix(".jpg")
            data = cv2.imencode(".jpg", draw_seen(picture, seen), (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))[1]
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data.tobytes())
            except OSError as fault:
                raise StationError(f"{file}: can't write the picture: {fault.strerror}") from fault
