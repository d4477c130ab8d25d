"""Turn an anomaly map's run into finder files: converted, their shown range chosen, measured. Needs torch."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.finder_card import FinderCard
from engines.frame_onnx import FrameOnnxEngine
from engines.model import Precision
from training.data import Split
from training.finders.anomaly import ServedAnomaly, good_of, start_anomaly_card
from training.finders.anomaly_measure import anomaly_figures, heats_of, input_of, shown_range
from training.finders.anomaly_paint import paint
from training.finders.anomaly_recipe import AnomalyRecipe
from training.finders.export import change_card, check_parity, publish, time_us, write_graph
from training.finders.heat import load_heat
from training.finders.heat_measure import THRESHOLDS, Sweep, sweep
from training.finders.heat_recipe import HeatRecipe
from training.finders.runs import Opened

__all__ = ["Exported", "Heats", "export_anomaly"]

_PARITY_FRAMES = 16
_CALIBRATION_FRAMES = 96
_MEASURED: tuple[Split, ...] = ("val", "test")

Heats = list[NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Exported:
    """A written finder file: its card, what it says of each measured side, and its microseconds a frame."""

    card: FinderCard
    heats: Mapping[Split, Heats]
    """Raw heat of each picture."""
    found: Mapping[Split, Sweep]
    """What the station finds at each threshold."""
    us_per_frame: float
    """The first picture of the validation side, one thread, the network alone, median."""


def export_anomaly(run: Opened[AnomalyRecipe], targets: Mapping[Precision, Path]) -> dict[Precision, Exported]:
    """Write the anomaly map of a run in each precision to its target.

    The shown range is chosen for each file on defect-free pictures of the validation side, INT8 ranges are measured on
    those of the training side, every other one with painted defects; marked pictures are only measured. Raises
    `StationError` when the graph does not answer like the network.
    """
    as_heat: Opened[HeatRecipe] = Opened(run.paths, run.recipe, run.pictures)
    network = load_heat(as_heat)
    serving: ServedAnomaly = ServedAnomaly(network).eval()
    card = start_anomaly_card(run, network)
    held = [input_of(picture.image(), card)[None, None] for picture in good_of(run, "val")[:_PARITY_FRAMES]]
    with tempfile.TemporaryDirectory() as temporary:
        plain = Path(temporary) / "plain.onnx"
        write_graph(serving, card, ["heat"], plain, run.recipe.input_px[0])
        check_parity(serving, ["heat"], held, plain)
        publish(plain, targets, _calibration_frames(run, card))
    return {precision: _complete(target, run) for precision, target in targets.items()}


def _calibration_frames(run: Opened[AnomalyRecipe], card: FinderCard) -> list[NDArray[np.uint8]]:
    """Return training pictures, spread evenly over the side, as inputs [1,1,H,W]."""
    good, rng = good_of(run, "train"), np.random.default_rng(run.recipe.seed)
    frames = [input_of(one.image(), card) for one in good[:: max(1, len(good) // _CALIBRATION_FRAMES)]]
    for number in range(0, len(frames), 2):
        other = frames[number - 1]
        frames[number], _ = paint(frames[number], other, rng, run.recipe.painted, run.recipe.painted_px)
    return [frame[None, None] for frame in frames[:_CALIBRATION_FRAMES]]


def _complete(target: Path, run: Opened[AnomalyRecipe]) -> Exported:
    """Choose the shown range of a finder file on defect-free pictures, measure it, and write both into its card."""
    recipe, sides = run.recipe, run.pictures.sides
    good = good_of(run, "val")
    with FrameOnnxEngine(target) as engine:
        low, high = shown_range(heats_of(engine, good), recipe.false_alarms)
    card = change_card(target, low=low, high=high)
    with FrameOnnxEngine(target) as engine:
        heats = {side: heats_of(engine, sides[side]) for side in _MEASURED if sides[side]}
        found = {side: sweep(engine, sides[side]) for side in heats}
    metrics = {
        side: anomaly_figures(sides[side], heats[side], card) | _region_figures(found[side], card, recipe)
        for side in heats
    }
    card = change_card(target, metrics=metrics)
    return Exported(card, heats, found, time_us(target, input_of(good[0].image(), card)[None, None]))


def _region_figures(found: Sweep, card: FinderCard, recipe: AnomalyRecipe) -> dict[str, float]:
    """Return false regions and recall at the card's threshold, and the recall that `allowed_false` of them buy."""
    row = THRESHOLDS.index(card.threshold)
    figures = {"false_a_good_picture": float(found.false_a_good_picture[row])}
    if found.good.all():
        return figures
    allowed = found.false_a_good_picture <= recipe.allowed_false
    bought = {"recall_allowed": float(found.recall[allowed].max(initial=0.0))}
    return figures | {"recall": float(found.recall[row])} | bought
