"""The report of an anomaly map's run: how defects stand out, worst misses and false alarms under their heat. Pure."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from engines.finder_card import FinderCard
from training.data import Split
from training.data.marked import Marked
from training.finders.anomaly import good_of
from training.finders.anomaly_export import Exported
from training.finders.anomaly_measure import grown, input_of, peaks_of, pixels_of
from training.finders.anomaly_paint import paint
from training.finders.anomaly_recipe import AnomalyRecipe
from training.finders.export import start_card
from training.finders.report import Picture, Report, Tile, learning_chart, write_report
from training.finders.runs import Opened
from training.novelty import auroc
from training.report.examples import overlay
from training.report.theme import Theme, add_legend, new_axes, new_figure, to_png
from training.sheets import picture_sheet

__all__ = ["painted_sheet", "write_anomaly_report"]

_MARKED = (120, 190, 60)
"""BGR: what is marked or painted is outlined in green."""
_MOST, _COLUMNS, _TILE_PX, _SIDE_PX = 18, 6, 220, 440
_PAINTED = 24
_BINS = 30
_ROC_POINTS = 1000


def write_anomaly_report(run: Opened[AnomalyRecipe], exported: Exported) -> None:
    """Write the report of what a finder file says into the run's folder."""
    side: Split = "test" if "test" in exported.heats else "val"
    pictures, heats, card = run.pictures.sides[side], exported.heats[side], exported.card
    rows = [json.loads(line) for line in run.paths.metrics.read_text().splitlines()]
    marked = any(not picture.is_good for picture in pictures)
    report = Report(
        title=card.name,
        subtitle=f"learnt from defect-free pictures alone, measured on {len(pictures)} pictures ({side})",
        tiles=_tiles(card.metrics[side], exported.us_per_frame),
        heads=("pictures", "n", "beyond the threshold", "image AUROC"),
        rows=_rows(pictures, heats, card),
        pictures=(
            *([Picture("roc", "Found against raised", _ROC, partial(_roc, pictures, heats, card))] if marked else []),
            Picture("peaks", "The highest heat of each picture", _PEAKS, partial(_peaks, pictures, heats, card)),
            *_sheets(pictures, heats, card),
            Picture("curves", "How it learnt", _LEARNT, partial(learning_chart, rows, ["val_painted"])),
        ),
        facts={
            "network": f"{run.recipe.network}, learnt at {run.recipe.input_px[0]}×{run.recipe.input_px[1]} px",
            "painted": ", ".join(run.recipe.painted),
            "precision": card.precision,
            "raw heat shown as 0, as 1": f"{card.low:.2f}, {card.high:.2f}",
            "threshold": f"{card.threshold:.2f}: {run.recipe.false_alarms:.0%} of defect-free pictures may pass it",
            "settings": card.config_sha256[:12],
            "pictures and split": card.data_sha256[:12],
            "notes on the marks": "; ".join(run.pictures.manifest.notes) or "none",
        },
        figures=card.model_dump_json(indent=1),
    )
    write_report(run.paths.report, report)


_ROC = "Share of the marked found, over the share of the defect-free raised, as the threshold falls."
_PEAKS = "A picture is judged by its highest heat; the dashed line is the threshold."
_OVERLAY = "The warmer the higher the heat; what is marked is outlined in green."
_LEARNT = "The weights that told pictures with painted defects best from those without were kept."


def painted_sheet(run: Opened[AnomalyRecipe]) -> NDArray[np.uint8]:
    """Return a sheet of training pictures with painted defects, for an eye on what is learnt."""
    good, rng = good_of(run, "train"), np.random.default_rng(run.recipe.seed)
    card = start_card("anomaly", run.recipe, run.pictures.manifest, threshold=0.5)
    images = [input_of(one.image(), card) for one in good[:: max(1, len(good) // _PAINTED)][:_PAINTED]]
    drawn = []
    for number, image in enumerate(images):
        painted, defect = paint(image, images[number - 1], rng, run.recipe.painted, run.recipe.painted_px)
        drawn += [image, _outlined(np.asarray(cv2.cvtColor(painted, cv2.COLOR_GRAY2BGR), np.uint8), defect)]
    return picture_sheet(drawn, [""] * len(drawn), _COLUMNS, _TILE_PX)


def _tiles(figures: Mapping[str, float], us_per_frame: float) -> list[Tile]:
    """Return the figures at the top; those that need marked pictures only where there are some."""
    ends = {name: f"{figures.get(name + '_low', 0):.2f} to {figures.get(name + '_high', 0):.2f}" for name in figures}
    named = (
        ("auroc_image", "image AUROC", f"marked pictures against defect-free ones, {ends.get('auroc_image')}"),
        ("auroc_pixel", "pixel AUROC", f"pixels of defects against all others, {ends.get('auroc_pixel')}"),
        ("recall", "of the defects met", f"{figures.get('false_a_good_picture', 0):.2f} regions a defect-free picture"),
    )
    return [
        *(Tile(f"{figures[name]:.3f}", what, note) for name, what, note in named if name in figures),
        Tile(f"{figures.get('false_alarms', 0):.1%}", "false alarms", "defect-free pictures beyond the threshold"),
        Tile(f"{us_per_frame / 1000:.1f} ms", "a picture", "the network, one thread, this machine"),
    ]


def _rows(pictures: Sequence[Marked], heats: Sequence[NDArray[np.float32]], card: FinderCard) -> list[tuple[str, ...]]:
    """Return a row a folder: how many of its pictures are beyond the threshold, and how they stand out."""
    peaks, good = _shown(peaks_of(heats), card), np.array([picture.is_good for picture in pictures])
    labels = np.array([picture.label for picture in pictures])
    rows: list[tuple[str, ...]] = []
    for label in dict.fromkeys(labels[np.argsort(~good, kind="stable")].tolist()):
        chosen = labels == label
        stands_out = good.any() and not good[chosen].any()
        area = f"{auroc(peaks[good], peaks[chosen]):.3f}" if stands_out else "–"
        share = f"{(peaks[chosen] > card.threshold).mean():.1%}"
        rows.append((label or "pictures", str(int(chosen.sum())), share, area))
    return rows


def _roc(pictures: Sequence[Marked], heats: Sequence[NDArray[np.float32]], card: FinderCard, theme: Theme) -> bytes:
    """Draw the curves of pictures and of pixels."""
    peaks, good = peaks_of(heats), np.array([picture.is_good for picture in pictures])
    figure = new_figure(6.4, 5.0, theme)
    axes = new_axes(figure, theme)
    clean, defect = (np.concatenate(part) for part in zip(*pixels_of(pictures, heats, card), strict=True))
    sides = {"pictures": (peaks[good], peaks[~good]), "pixels": (clean, defect)}
    for number, (name, both) in enumerate(sides.items()):
        raised, found, _ = roc_curve(np.repeat([0, 1], [len(part) for part in both]), np.concatenate(both))
        few = np.unique(np.linspace(0, len(raised) - 1, _ROC_POINTS).astype(int))
        label = f"{auroc(*both):.3f}  {name}"
        axes.plot(raised[few], found[few], color=theme.series[number], label=label)
    axes.set(xlim=(-0.01, 1), ylim=(0, 1.01), xlabel="share of the defect-free", ylabel="share of the marked")
    add_legend(axes, theme, "AUROC")
    return to_png(figure)


def _peaks(pictures: Sequence[Marked], heats: Sequence[NDArray[np.float32]], card: FinderCard, theme: Theme) -> bytes:
    """Draw how many pictures have which highest heat, defect-free ones and marked ones."""
    peaks, good = _shown(peaks_of(heats), card), np.array([picture.is_good for picture in pictures])
    figure = new_figure(9.2, 3.6, theme)
    axes = new_axes(figure, theme)
    edges = np.linspace(0, max(1.0, float(peaks.max())), _BINS)
    for name, chosen, colour in (("defect-free", good, theme.accent), ("marked", ~good, theme.alarm)):
        if chosen.any():
            axes.hist(peaks[chosen], edges.tolist(), color=colour, alpha=0.6, label=name)
    axes.axvline(card.threshold, color=theme.ink, linestyle="dashed", linewidth=1)
    axes.set(xlabel="highest heat, 0 to 1 as it is shown", ylabel="pictures")
    add_legend(axes, theme)
    return to_png(figure)


def _sheets(pictures: Sequence[Marked], heats: Sequence[NDArray[np.float32]], card: FinderCard) -> list[Picture]:
    """Return the sheets of worst misses and worst false alarms, as far as there are such pictures."""
    kinds = (("misses", "The coolest pictures with a defect", False), ("false_alarms", "The hottest without one", True))
    there = {picture.is_good for picture in pictures}
    return [
        Picture(name, head, _OVERLAY, _sheet(pictures, heats, card, good))
        for name, head, good in kinds
        if good in there
    ]


def _sheet(
    pictures: Sequence[Marked], heats: Sequence[NDArray[np.float32]], card: FinderCard, good: bool
) -> NDArray[np.uint8]:
    """Return the hottest of the defect-free pictures, or the coolest of the marked ones, under their heat."""
    peaks = _shown(peaks_of(heats), card)
    rows = [row for row in np.argsort(-peaks if good else peaks).tolist() if pictures[row].is_good == good][:_MOST]
    drawn = [_overlay(pictures[row], heats[row], card) for row in rows]
    captions = [f"{Path(pictures[row].path).stem}\n{pictures[row].label} {peaks[row]:.2f}" for row in rows]
    return picture_sheet(drawn, captions, _COLUMNS, _TILE_PX)


def _overlay(picture: Marked, heat: NDArray[np.float32], card: FinderCard) -> NDArray[np.uint8]:
    """Return a picture in colour under its heat, what is marked outlined."""
    width, height = picture.size_px
    warm = overlay(picture.image(), np.clip(_shown(grown(heat, (height, width), card), card), 0, 1))
    return _outlined(warm, picture.defect())


def _outlined(colour: NDArray[np.uint8], defect: NDArray[np.bool_]) -> NDArray[np.uint8]:
    factor = _SIDE_PX / max(colour.shape)
    large = np.asarray(cv2.resize(colour, None, fx=factor, fy=factor), np.uint8)
    outlines, _ = cv2.findContours(defect.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.polylines(large, [np.rint(line * factor).astype(np.int32) for line in outlines], True, _MARKED, 2)
    return large


def _shown(heat: NDArray[np.float32], card: FinderCard) -> NDArray[np.float32]:
    """Return raw heat as it is shown, 0 to 1 and beyond."""
    return np.asarray((heat - card.low) / (card.high - card.low), np.float32)
