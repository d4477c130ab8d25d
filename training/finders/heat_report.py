"""The report of a heat map's run: defects met against false regions, the worst misses and false alarms. Pure."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import FrameEngine
from engines.frame_onnx import FrameOnnxEngine
from training.data import Split
from training.data.marked import Marked
from training.finders.anomaly_measure import heat_of, input_of
from training.finders.heat_export import Exported
from training.finders.heat_measure import THRESHOLDS, Sweep, find_at
from training.finders.heat_recipe import HeatRecipe
from training.finders.report import Picture, Report, Tile, learning_chart, write_report
from training.finders.runs import Opened
from training.report.examples import overlay
from training.report.theme import Theme, add_legend, new_axes, new_figure, to_png
from training.sheets import picture_sheet

__all__ = ["write_heat_report"]

_MARKED, _FOUND = (120, 190, 60), (60, 165, 255)
"""BGR: what is marked is green, a region orange."""
_MOST, _COLUMNS, _TILE_PX, _SIDE_PX = 24, 6, 220, 440


def write_heat_report(run: Opened[HeatRecipe], exported: Exported) -> None:
    """Write the report of what a finder file finds into the run's folder."""
    side: Split = "test" if "test" in exported.found else "val"
    pictures, card, found = run.pictures.sides[side], exported.card, exported.found[side]
    figures, place = card.metrics[side], THRESHOLDS.index(card.threshold)
    rows = [json.loads(line) for line in run.paths.metrics.read_text().splitlines()]
    false = (
        Tile(f"{figures['false_on_good']:.2f}", "false regions", "a defect-free picture")
        if "false_on_good" in figures
        else Tile(f"{figures['regions']:.1f}", "regions a picture", "right ones among them")
    )
    report = Report(
        title=card.name,
        subtitle=f"measured on {len(pictures)} pictures ({side}) with {found.defects.sum()} defects",
        tiles=(
            Tile(f"{figures['recall']:.1%}", "of the defects met", f"threshold {card.threshold:.2f}"),
            false,
            Tile(f"{exported.us_per_frame / 1000:.1f} ms", "a picture", "the network, one thread, this machine"),
            Tile(f"{exported.file.stat().st_size / 1e6:.2f} MB", card.precision, ""),
        ),
        heads=("pictures of", "pictures", "defects", "met", "regions a picture"),
        rows=_rows(pictures, found, place),
        pictures=(
            Picture(
                "thresholds",
                "Defects met against false regions",
                "A line is the validation or the test side at every threshold; the dot is the suggested one, chosen on "
                "the validation side. A station may set another.",
                partial(_curves, exported),
            ),
            *_sheets(exported, pictures, place),
            Picture(
                "curves",
                "How it learnt",
                "The weights with the best score on the validation side were kept: the share of defects met, less a "
                "tenth of what false regions cost.",
                partial(learning_chart, rows, ["val_score", "val_recall"]),
            ),
        ),
        facts={
            "network": f"{run.recipe.network}, scale {card.scale[0]:g}×{card.scale[1]:g}, cells of {card.stride} px",
            "precision": card.precision,
            "settings": card.config_sha256[:12],
            "pictures and split": card.data_sha256[:12],
            "notes on the marks": "; ".join(run.pictures.manifest.notes) or "none",
        },
        figures=card.model_dump_json(indent=1),
    )
    write_report(run.paths.report, report)


def _rows(pictures: Sequence[Marked], found: Sweep, place: int) -> list[tuple[str, ...]]:
    """Return a row a label of pictures: how many, their defects, the share of them that is met, their regions."""
    names = np.array([", ".join(sorted(set(one.labels))) or "defect-free" for one in pictures])
    rows: list[tuple[str, ...]] = []
    for name in sorted(set(names.tolist())):
        chosen = names == name
        defects, met = int(found.defects[chosen].sum()), int(found.met[place, chosen].sum())
        share = f"{met / defects:.1%}" if defects else "–"
        rows.append((name, str(chosen.sum()), str(defects), share, f"{found.regions[place, chosen].mean():.2f}"))
    return rows


def _curves(exported: Exported, theme: Theme) -> bytes:
    """Draw the share of defects met over the false regions, of defect-free pictures or, without any, of all."""
    figure = new_figure(6.4, 4.6, theme)
    axes = new_axes(figure, theme)
    place = THRESHOLDS.index(exported.card.threshold)
    for number, (side, found) in enumerate(exported.found.items()):
        good = bool(found.good.any())
        across = found.false_a_good_picture if good else found.regions_a_picture
        colour = theme.series[number % len(theme.series)]
        axes.plot(across, found.recall, color=colour, marker=".", markersize=4, label=side)
        axes.plot(across[place], found.recall[place], "o", color=colour, markersize=8)
        axes.set_xlabel("false regions a defect-free picture" if good else "regions a picture")
    axes.set(ylim=(0, 1.02), ylabel="share of the defects that are met")
    add_legend(axes, theme)
    return to_png(figure)


def _sheets(exported: Exported, pictures: Sequence[Marked], place: int) -> list[Picture]:
    found = exported.found["test" if "test" in exported.found else "val"]
    missed, false = found.defects - found.met[place], found.false[place]
    texts = (
        f"{missed.sum()} defects (green) are not met, in {np.count_nonzero(missed)} pictures.",
        f"{false.sum()} regions (orange) meet nothing that is marked, in {np.count_nonzero(false)} pictures.",
    )
    with FrameOnnxEngine(exported.file) as engine:
        sheets = [_sheet(engine, exported.card.threshold, pictures, badness) for badness in (missed, false)]
    return [
        Picture("misses", "The worst misses", texts[0], sheets[0]),
        Picture("false_alarms", "The most false alarms", texts[1], sheets[1]),
    ]


def _sheet(
    engine: FrameEngine, threshold: float, pictures: Sequence[Marked], badness: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Return the pictures of most badness, each beside its heat with the regions."""
    worst = [row for row in np.argsort(-badness, kind="stable").tolist() if badness[row] > 0][: _MOST // 2]
    shown, captions = [], []
    for row in worst:
        shown += _drawn(engine, threshold, pictures[row])
        captions += [Path(pictures[row].path).stem, f"{badness[row]}"]
    return picture_sheet(shown, captions, _COLUMNS, _TILE_PX)


def _drawn(engine: FrameEngine, threshold: float, picture: Marked) -> list[NDArray[np.uint8]]:
    """Return a picture with its marks, and its heat with the regions, in colour."""
    image = picture.image()
    frame = input_of(image, engine.card)
    heat = heat_of(engine, frame)
    heat = heat.max(0) if heat.ndim == 3 else heat
    plain, warm = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), overlay(image, _over(heat, frame, image, engine.card.scale))
    lines, _ = cv2.findContours(picture.defect().astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    factor = _SIDE_PX / max(image.shape)
    sides = [np.asarray(cv2.resize(one, None, fx=factor, fy=factor), np.uint8) for one in (plain, warm)]
    cv2.polylines(sides[0], [np.rint(line * factor).astype(np.int32) for line in lines], True, _MARKED, 2)
    for x, y, w, h in np.rint(find_at(engine, threshold, image).box * factor).astype(int).tolist():
        cv2.rectangle(sides[1], (x, y), (x + w - 1, y + h - 1), _FOUND, 2)
    return sides


def _over(
    heat: NDArray[np.float32], frame: NDArray[np.uint8], image: NDArray[np.uint8], scale: tuple[float, float]
) -> NDArray[np.float32]:
    """Return the heat [h,w] of a network's input [H,W] at each pixel of the image that it was made of."""
    across, down = frame.shape[1] * scale[0], frame.shape[0] * scale[1]
    height, width = image.shape
    whole = cv2.resize(heat, (max(round(across), width), max(round(down), height)))
    return np.clip(whole[:height, :width], 0, 1)
