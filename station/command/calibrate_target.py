"""`station calibrate target`: write a sheet to print and calibrate with. Main thread."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from calibration.targets import Dictionary, Drawing, Paper, Ruling, Sheet, save_drawing

__all__ = ["Columns", "DictionaryName", "Kind", "MarkerMm", "PitchMm", "Rows", "SquareMm", "target"]

Kind: TypeAlias = Annotated[
    Literal["charuco", "checkerboard", "ruled"],
    typer.Option("--kind", help="A charuco sheet may be seen in part, a checkerboard not; ruled is for line-scan."),
]
Columns: TypeAlias = Annotated[int, typer.Option(min=4, max=200, help="Squares across.")]
Rows: TypeAlias = Annotated[int, typer.Option(min=4, max=200, help="Squares down.")]
SquareMm: TypeAlias = Annotated[float, typer.Option(help="Side of a square.")]
MarkerMm: TypeAlias = Annotated[float, typer.Option(help="Side of a marker; 0 is three quarters of a square.")]
DictionaryName: TypeAlias = Annotated[
    Dictionary, typer.Option("--dictionary", help="ArUco dictionary of the markers, for sheets that were bought.")
]
PitchMm: TypeAlias = Annotated[float, typer.Option(help="From bar to bar of a ruled target.")]


def target(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to write, .pdf or .png.")],
    kind: Kind = "charuco",
    columns: Columns = 10,
    rows: Rows = 7,
    square_mm: SquareMm = 25.0,
    marker_mm: MarkerMm = 0.0,
    dictionary: DictionaryName = "4x4_250",
    bars: Annotated[int, typer.Option(min=2, max=10_000, help="Bars of a ruled target.")] = 50,
    pitch_mm: PitchMm = 5.0,
    length_mm: Annotated[float, typer.Option(help="Length of a ruled target's bars.")] = 150.0,
    paper: Annotated[Paper | None, typer.Option(help="Paper to centre it on; without it a page of its size.")] = None,
) -> None:
    """Write a sheet to calibrate geometry with, at true scale.

    Print it without scaling, glue it on a flat plate, and measure what its line of text says.
    """
    drawing: Drawing
    if kind == "ruled":
        drawing = Ruling(bars, pitch_mm, length_mm).draw()
    else:
        drawing = Sheet(kind, columns, rows, square_mm, marker_mm, dictionary).draw()
    save_drawing(drawing, file, paper)
    typer.echo(f"{file}: {drawing.caption}; it must measure {drawing.size_mm[0]:g} mm across")
