"""`station train data`: look at labelled pictures before anything is trained on them. Loads no torch."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shadowline.errors import ConfigError
from training.data.boxes import boxes_of
from training.data.check import DataReport, check_files
from training.data.tree import Tree, read_files, tree_of
from training.sheets import picture_sheet, write_sheet

__all__ = ["data_app"]

data_app = typer.Typer(no_args_is_help=True, help="Look at labelled pictures before training.")

_SHEET_PICTURES = 64
_SHOWN_SIZES = 4
_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


@data_app.callback()
def _group() -> None:
    """Keep `check` a sub-command while it is the only one."""


@data_app.command("check")
def _check(
    pictures: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with one folder a class.")],
    boxes: Annotated[Path | None, typer.Option(help="Folder of Pascal VOC files with the pictures' names.")] = None,
    box_size: Annotated[str | None, typer.Option(help="Size that the boxes are given in, WxH.")] = None,
    group_pattern: Annotated[
        str | None, typer.Option(help="Regular expression on file names; its first group names the strip or part.")
    ] = None,
    alias: Annotated[
        list[str] | None, typer.Option(help="Another spelling of a class, FOUND=MEANT. Repeatable.")
    ] = None,
    sheets: Annotated[Path | None, typer.Option(help="Folder for a picture sheet a class.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Report faults of labels, files, boxes and copies, and draw a picture sheet a class; exit code 1 on errors."""
    aliases, full = _aliases(alias or []), None if box_size is None else _size(box_size)
    raw = read_files(pictures, aliases)
    report = check_files(raw, boxes, aliases, group_pattern, full)
    folder = sheets or Path("runs") / "data-check" / pictures.resolve().name
    _write_sheets(tree_of(raw, "also"), boxes, aliases, full, folder)
    if as_json:
        typer.echo(report.model_dump_json())
    else:
        _print(report, folder)
    if report.failed():
        raise typer.Exit(1)


def _aliases(texts: list[str]) -> dict[str, str]:
    pairs = dict(text.partition("=")[::2] for text in texts)
    if not all(found and meant for found, meant in pairs.items()):
        raise ConfigError(f"--alias {' '.join(texts)}: expected FOUND=MEANT each")
    return pairs


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if match is None:
        raise ConfigError(f"--box-size {text}: expected WIDTHxHEIGHT, as 2048x1000")
    return int(match[1]), int(match[2])


def _write_sheets(
    tree: Tree, boxes: Path | None, aliases: Mapping[str, str], full: tuple[int, int] | None, folder: Path
) -> None:
    drawn = {} if boxes is None else {path: one.boxes for path, one in boxes_of(tree, boxes, aliases, full).items()}
    for label in dict.fromkeys(tree.labels):
        rows = [row for row, name in enumerate(tree.labels) if name == label]
        write_sheet(folder / f"{label}.png", _class_sheet(tree, label, rows, drawn))


def _class_sheet(
    tree: Tree, label: str, rows: list[int], drawn: Mapping[str, tuple[tuple[str, tuple[int, int, int, int]], ...]]
) -> NDArray[np.uint8]:
    """Return the sheet of one class: pictures from all over its folder, with every box that lies in them."""
    shown = [
        rows[place] for place in np.linspace(0, len(rows) - 1, min(len(rows), _SHEET_PICTURES)).round().astype(int)
    ]
    return picture_sheet(
        [tree.images[row] for row in shown],
        [Path(tree.paths[row]).stem for row in shown],
        title=f"{label}: {len(shown)} of {len(rows)} pictures",
        boxes=[[box for _, box in drawn.get(tree.paths[row], ())] for row in shown],
    )


def _print(report: DataReport, folder: Path) -> None:
    console = Console()
    table = Table("class", "pictures", "groups")
    for label, count in report.classes.items():
        table.add_row(label, str(count), str(report.groups[label]))
    console.print(Text(report.root), table)
    sizes = list(report.sizes.items())
    rest = f", {len(sizes) - _SHOWN_SIZES} more" if len(sizes) > _SHOWN_SIZES else ""
    console.print(
        "sizes:", ", ".join(f"{size} ({count})" for size, count in sizes[:_SHOWN_SIZES]) + rest, highlight=False
    )
    console.print("bits:", ", ".join(f"{bits} ({count})" for bits, count in report.bit_depths.items()), highlight=False)
    if report.imbalance is not None:
        console.print(f"largest to smallest class: {report.imbalance:.1f}", highlight=False)
    for finding in report.findings:
        console.print(
            Text(finding.severity, _STYLES[finding.severity]).append(f"  {finding.text}", "default"), soft_wrap=True
        )
        for example in finding.examples:
            console.print(Text(f"    {example}", "dim"), soft_wrap=True)
    console.print(Text(f"a picture sheet a class: {folder}"), soft_wrap=True)
