"""The report folder of an evaluation: figures, one table over all configurations, curves, the worst pictures, a page.
Pure but for files.
"""

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from training.assess.curve import curve_chart, curve_of
from training.assess.drawing import false_alarm_sheet, miss_sheet
from training.assess.measure import Chosen, Measured
from training.assess.table import LABEL_HEADS, label_rows, markdown, rows
from training.report.folder import fresh_folder
from training.report.theme import DARK, LIGHT

__all__ = ["write_assessments"]


def write_assessments(folder: Path, chosen: Chosen, measured: Sequence[Measured]) -> None:
    """Write the report into `folder`, in place of one that is there. Raises `StationError` when it can't be written."""
    curves = [curve_of(one.assessment.name, chosen.pictures, one.seen) for one in measured]
    charts = {name: curve_chart(curves, theme) for name, theme in (("curve", LIGHT), ("curve-dark", DARK))}
    sheets = _sheets(chosen, measured)
    assessments = [one.assessment for one in measured]
    figures = json.dumps([one.model_dump(mode="json") for one in assessments], indent=1)
    with fresh_folder(folder) as fresh:
        for name, png in (charts | sheets).items():
            (fresh / f"{name}.png").write_bytes(png)
        (fresh / "figures.json").write_text(figures)
        (fresh / "table.md").write_text(_markdown(measured))
        (fresh / "index.html").write_text(_page(chosen, measured, charts, sheets))


def _sheets(chosen: Chosen, measured: Sequence[Measured]) -> dict[str, bytes]:
    """Return the sheets of each configuration that has misses or false alarms, by number."""
    found: dict[str, NDArray[np.uint8] | None] = {}
    for number, one in enumerate(measured, start=1):
        found[f"misses-{number}"] = miss_sheet(chosen.pictures, one.seen)
        found[f"false-alarms-{number}"] = false_alarm_sheet(chosen.pictures, one.seen)
    return {name: cv2.imencode(".png", sheet)[1].tobytes() for name, sheet in found.items() if sheet is not None}


def _markdown(measured: Sequence[Measured]) -> str:
    assessments = [one.assessment for one in measured]
    parts = [markdown(("", *(one.name for one in assessments)), rows(assessments))]
    parts += [f"{one.name}\n\n{markdown(LABEL_HEADS, label_rows(one))}" for one in assessments]
    return "\n\n".join(parts) + "\n"


def _page(chosen: Chosen, measured: Sequence[Measured], charts: dict[str, bytes], sheets: dict[str, bytes]) -> str:
    loader = ChoiceLoader([PackageLoader("training", "assess"), PackageLoader("training", "report")])
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    assessments = [one.assessment for one in measured]
    return environment.get_template("assessment.html").render(
        first=assessments[0],
        assessments=assessments,
        notes=dict.fromkeys((*chosen.notes, *(note for one in assessments for note in one.notes))),
        rows=rows(assessments),
        label_heads=LABEL_HEADS,
        label_rows=label_rows,
        images={
            name: f"data:image/png;base64,{base64.b64encode(png).decode()}" for name, png in (charts | sheets).items()
        },
    )
