"""The report of a detector's run: precision over recall, what was missed, what was seen that is not there. Pure."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.assess.cover import by_boxes
from training.assess.matching import IOUS, Boxed, Matches
from training.data import Split
from training.data.marked import Marked
from training.finders.detect import labels_of
from training.finders.detect_export import Exported
from training.finders.detect_measure import matches_of, over
from training.finders.detect_recipe import DetectRecipe
from training.finders.report import Picture, Report, Tile, learning_chart, write_report
from training.finders.runs import Opened
from training.report.theme import Theme, add_legend, new_axes, new_figure, to_png
from training.sheets import picture_sheet

__all__ = ["marks_sheet", "write_detect_report"]

_MARKED, _MISSED, _FOUND, _FALSE = (120, 190, 60), (60, 60, 235), (235, 175, 75), (60, 165, 255)
"""BGR: a marked box that was met is green, a missed one red; a found one that meets one blue, a false one orange."""
_MOST, _COLUMNS, _TILE_PX, _SIDE_PX = 24, 6, 220, 440


def write_detect_report(run: Opened[DetectRecipe], exported: Exported) -> None:
    """Write the report of what a finder file finds into the run's folder."""
    side: Split = "test" if "test" in exported.found else "val"
    pictures, labels, card = run.pictures.sides[side], labels_of(run), exported.card
    kept = over(exported.found[side], card.threshold)
    figures = card.metrics[side]
    rows = [json.loads(line) for line in run.paths.metrics.read_text().splitlines()]
    report = Report(
        title=card.name,
        subtitle=f"{len(labels)} labels, measured on {len(pictures)} pictures ({side})",
        tiles=(
            Tile(f"{figures['map50']:.3f}", "mAP50", "all candidates, overlap 0.5"),
            Tile(f"{figures['map']:.3f}", "mAP", "mean over the overlaps 0.5 to 0.95"),
            Tile(f"{figures['recall_30']:.1%}", "of the boxes met", f"{figures['regions']:.1f} regions a picture"),
            Tile(f"{exported.us_per_frame / 1000:.1f} ms", "a picture", "the network, one thread, this machine"),
        ),
        heads=("label", "marked", "found", "AP50", "recall", "precision"),
        rows=_rows(matches_of(pictures, kept, labels), figures),
        pictures=(
            Picture(
                "precision_recall",
                "Found against right",
                "A box is right where it overlaps a marked one of its label by a half.",
                partial(_curves, matches_of(pictures, exported.found[side], labels), figures),
            ),
            Picture("misses", "The worst misses", *_misses(pictures, kept)),
            Picture("false_alarms", "The surest false alarms", *_false_alarms(pictures, kept)),
            Picture(
                "curves",
                "How it learnt",
                "The weights with the best mAP50 on the validation side were kept.",
                partial(learning_chart, rows, ["val_map50", *(f"val_ap50_{label}" for label in labels)]),
            ),
        ),
        facts={
            "network": f"{run.recipe.network}, {run.recipe.input_px[0]}×{run.recipe.input_px[1]} px",
            "precision": card.precision,
            "threshold": f"{card.threshold:.2f}, the best mean F1 of the validation side",
            "overlap that makes one": f"{card.nms_iou:.2f}",
            "settings": card.config_sha256[:12],
            "pictures and split": card.data_sha256[:12],
            "notes on the marks": "; ".join(run.pictures.manifest.notes) or "none",
        },
        figures=card.model_dump_json(indent=1),
    )
    write_report(run.paths.report, report)


def marks_sheet(pictures: Sequence[Marked], count: int = 48) -> NDArray[np.uint8]:
    """Return a sheet of pictures from all over the data with their boxes, for an eye on what will be learnt."""
    shown = pictures[:: max(1, len(pictures) // count)][:count]
    captions = [f"{', '.join(dict.fromkeys(one.labels)) or 'good'}\n{Path(one.path).stem}" for one in shown]
    boxes = [[(x, y, w, h) for x, y, w, h in one.boxes.tolist()] for one in shown]
    return picture_sheet(
        [one.image() for one in shown], captions, title=f"{len(shown)} of {len(pictures)}", boxes=boxes
    )


def _rows(kept: Mapping[str, Matches], figures: Mapping[str, float]) -> list[tuple[str, ...]]:
    """Return a row a label: counts, average precision, and recall and precision at the threshold, the weakest first."""
    rows = []
    for label, one in sorted(kept.items(), key=lambda item: figures.get(f"ap50_{item[0]}", 2.0)):
        hits, marked, found = int(one.hit[IOUS.index(0.5)].sum()), int(one.marked.sum()), len(one.score)
        area = f"{figures[f'ap50_{label}']:.3f}" if f"ap50_{label}" in figures else "–"
        shares = (f"{hits / whole:.1%}" if whole else "–" for whole in (marked, found))
        rows.append((label, str(marked), str(found), area, *shares))
    return rows


def _curves(matches: Mapping[str, Matches], figures: Mapping[str, float], theme: Theme) -> bytes:
    """Draw precision over recall of each marked label."""
    figure = new_figure(6.4, 5.0, theme)
    axes = new_axes(figure, theme)
    for number, (label, one) in enumerate((k, m) for k, m in matches.items() if m.marked.sum()):
        hits = np.cumsum(one.hit[IOUS.index(0.5)])
        style = ("solid", "dashed", "dotted")[number // len(theme.series) % 3]
        axes.step(
            hits / one.marked.sum(),
            hits / np.arange(1, len(hits) + 1),
            where="post",
            color=theme.series[number % len(theme.series)],
            linestyle=style,
            label=f"{figures[f'ap50_{label}']:.3f}  {label}",
        )
    axes.set(xlim=(0, 1.01), ylim=(0, 1.01), xlabel="recall: share of the marked boxes that are found")
    axes.set_ylabel("precision: share of the found boxes that are right")
    add_legend(axes, theme, "AP50")
    return to_png(figure)


def _misses(pictures: Sequence[Marked], found: Sequence[Boxed]) -> tuple[str, NDArray[np.uint8]]:
    missed = [int((~_cover(one, boxed)[0]).sum()) for one, boxed in zip(pictures, found, strict=True)]
    text = f"{sum(missed)} marked boxes (red) are not overlapped by 0.3, in {np.count_nonzero(missed)} pictures."
    return text, _sheet(pictures, found, missed)


def _false_alarms(pictures: Sequence[Marked], found: Sequence[Boxed]) -> tuple[str, NDArray[np.uint8]]:
    false = [_cover(one, boxed)[1] for one, boxed in zip(pictures, found, strict=True)]
    surest = [float(boxed.scores[wrong].max(initial=0.0)) for boxed, wrong in zip(found, false, strict=True)]
    text = f"{sum(int(wrong.sum()) for wrong in false)} regions (orange) overlap nothing marked by 0.3."
    return text, _sheet(pictures, found, surest)


def _cover(picture: Marked, boxed: Boxed) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which marked boxes were met, and which found ones meet nothing."""
    cover = by_boxes(picture.boxes, boxed.boxes, (1, 1))
    return cover.met, cover.false


def _sheet(pictures: Sequence[Marked], found: Sequence[Boxed], badness: Sequence[float]) -> NDArray[np.uint8]:
    worst = [row for row in np.argsort(-np.array(badness), kind="stable").tolist() if badness[row] > 0][:_MOST]
    captions = [
        f"{Path(pictures[row].path).stem}\n"
        + ", ".join(f"{label} {score:.2f}" for label, score in zip(found[row].labels, found[row].scores, strict=True))
        for row in worst
    ]
    return picture_sheet([_drawn(pictures[row], found[row]) for row in worst], captions, _COLUMNS, _TILE_PX)


def _drawn(picture: Marked, boxed: Boxed) -> NDArray[np.uint8]:
    """Return a picture in colour with its marked and found boxes."""
    factor = _SIDE_PX / max(picture.size_px)
    colour = cv2.cvtColor(cv2.resize(picture.image(), None, fx=factor, fy=factor), cv2.COLOR_GRAY2BGR)
    met, false = _cover(picture, boxed)
    hues = [_MARKED if one else _MISSED for one in met] + [_FALSE if one else _FOUND for one in false]
    for box, hue in zip(np.concatenate([picture.boxes, boxed.boxes]), hues, strict=True):
        x, y, w, h = np.rint(box * factor).astype(int).tolist()
        cv2.rectangle(colour, (x, y), (x + w - 1, y + h - 1), hue, 2)
    return np.asarray(colour, np.uint8)
