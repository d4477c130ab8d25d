"""The report folder of a run: numbers, answers, pictures and a page, all of it or nothing. Pure but for files."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from shadowline.errors import StationError
from training.evaluation import Evaluation
from training.report.examples import Saliency, saliency_sheet, worst_sheet
from training.report.metrics import ReportMetrics, measure
from training.report.page import make_page
from training.report.plots import confusion_chart, learning_chart, precision_recall_chart, reliability_chart
from training.report.predictions import predictions_file, write_predictions
from training.report.theme import DARK, LIGHT, Theme

__all__ = ["fresh_folder", "write_report"]


def write_report(
    folder: Path,
    title: str,
    labels: Sequence[str],
    sides: Mapping[str, Evaluation],
    curves: Sequence[Mapping[str, float]],
    facts: Mapping[str, str],
    saliency: Saliency | None,
    multi_label: bool = False,
    us_per_crop: float | None = None,
) -> None:
    """Write the report of a run's answers into `folder`, in place of one that is there.

    The pictures are of the side `test` or the first `test/<source>`, or else of the last one. `curves` are the rows of
    `metrics.jsonl`; without any there is no `curves.png`, and without `saliency` no `gradcam.png`. Raises
    `StationError` when a side has no crop or the folder can't be written; then nothing has changed.
    """
    if empty := [name for name, answers in sides.items() if not answers.names]:
        raise StationError(f"{title}: no crop on side {', '.join(empty)}: leave the side out, or split otherwise")
    metrics = ReportMetrics(
        title=title,
        labels=tuple(labels),
        multi_label=multi_label,
        facts=dict(facts),
        us_per_crop=us_per_crop,
        sides={name: measure(answers, labels, multi_label) for name, answers in sides.items()},
    )
    answers = sides[metrics.main_side]
    sheets = {"worst": _png(worst_sheet(answers, labels, multi_label))}
    if saliency is not None:
        sheets["gradcam"] = _png(saliency_sheet(answers, labels, multi_label, saliency))
    light, dark = (_charts(metrics, answers, curves, theme) for theme in (LIGHT, DARK))
    files = {f"{name}.png": png for name, png in (light | sheets).items()}
    files["metrics.json"] = metrics.model_dump_json(indent=1).encode()
    files["index.html"] = make_page(metrics, light | sheets, dark).encode()
    with fresh_folder(folder) as fresh:
        for name, content in files.items():
            (fresh / name).write_bytes(content)
        for side, one in sides.items():
            write_predictions(fresh / predictions_file(side), one, labels, multi_label)


def _charts(
    metrics: ReportMetrics, answers: Evaluation, curves: Sequence[Mapping[str, float]], theme: Theme
) -> dict[str, bytes]:
    scores = metrics.sides[metrics.main_side].scores
    charts = {
        "confusion": confusion_chart(scores, theme),
        "precision_recall": precision_recall_chart(answers, scores, theme),
        "reliability": reliability_chart(answers, scores, metrics.multi_label, theme),
    }
    return charts | ({"curves": learning_chart(curves, theme)} if curves else {})


@contextlib.contextmanager
def fresh_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `folder` in one step, unless something is raised.

    Raises `StationError` when it can't be written; then nothing has changed.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
            fresh, old = Path(scratch, "fresh"), Path(scratch, "old")
            fresh.mkdir()
            yield fresh
            if folder.exists():
                folder.rename(old)
            fresh.rename(folder)
    except OSError as fault:
        raise StationError(f"{folder}: can't write the report: {fault.strerror or fault}") from fault


def _png(sheet: NDArray[np.uint8]) -> bytes:
    """Return a sheet as the bytes of a PNG file."""
    return cv2.imencode(".png", sheet)[1].tobytes()
