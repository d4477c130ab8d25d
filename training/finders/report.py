"""The report folder of a finder's run: a page of tiles, a table, charts and sheets, whatever its kind. Pure but for
files.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from training.report.folder import fresh_folder
from training.report.theme import DARK, LIGHT, Theme, add_legend, new_axes, new_figure, to_png

__all__ = ["Picture", "Report", "Tile", "learning_chart", "write_report"]


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure at the top of the page: its value, what it is, and a quiet word below."""

    value: str
    what: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart, drawn for light and dark pages, or a sheet of pictures uint8 [H,W,3] (BGR); `name` is its file's."""

    name: str
    heading: str
    caption: str
    drawn: Callable[[Theme], bytes] | NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Report:
    """All that a page shows; `figures` is kept as `figures.json`."""

    title: str
    subtitle: str
    tiles: Sequence[Tile]
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    pictures: Sequence[Picture]
    facts: Mapping[str, str]
    figures: str


def write_report(folder: Path, report: Report) -> None:
    """Write the report into `folder`, in place of one that is there. Raises `StationError` when it can't be written."""
    files: dict[str, bytes] = {}
    for picture in report.pictures:
        if callable(picture.drawn):
            files |= {picture.name: picture.drawn(LIGHT), f"{picture.name}-dark": picture.drawn(DARK)}
        else:
            files[picture.name] = cv2.imencode(".png", picture.drawn)[1].tobytes()
    with fresh_folder(folder) as fresh:
        for name, png in files.items():
            (fresh / f"{name}.png").write_bytes(png)
        (fresh / "figures.json").write_text(report.figures)
        (fresh / "index.html").write_text(_page(report, files))


def learning_chart(rows: Sequence[Mapping[str, float]], measures: Sequence[str], theme: Theme) -> bytes:
    """Draw the training's loss over the epochs, and beside it `measures` of the validation side."""
    figure = new_figure(9.2, 3.6, theme)
    grid = figure.add_gridspec(1, 2)
    losses = [name for name in dict.fromkeys(key for row in rows for key in row) if name.startswith("train_")]
    for place, (title, names) in enumerate((("loss", losses), ("validation side", measures))):
        axes = new_axes(figure, theme, grid[place], title)
        for number, name in enumerate(names):
            points = [(row["epoch"] + 1, row[name]) for row in rows if name in row]
            marker = "o" if len(points) == 1 else None
            colour = theme.series[number % len(theme.series)]
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, label=name.partition("_")[2])
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        add_legend(axes, theme)
    return to_png(figure)


def _page(report: Report, files: Mapping[str, bytes]) -> str:
    loader = ChoiceLoader([PackageLoader("training", "finders"), PackageLoader("training", "report")])
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    images = {name: f"data:image/png;base64,{base64.b64encode(png).decode()}" for name, png in files.items()}
    return environment.get_template("report.html").render(report=report, images=images)
