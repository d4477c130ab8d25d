"""Turn a heat map's run into finder files: converted, the threshold chosen, measured. Needs torch."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.finder_card import FinderCard
from engines.frame_onnx import FrameOnnxEngine
from engines.model import Precision
from training.data import Split
from training.data.marked import Marked
from training.finders.anomaly_measure import input_of
from training.finders.export import change_card, check_parity, publish, time_us, write_graph
from training.finders.heat import load_heat, start_heat_card
from training.finders.heat_measure import THRESHOLDS, Sweep, choose_threshold, sweep
from training.finders.heat_network import ServedHeat
from training.finders.heat_recipe import HeatRecipe
from training.finders.runs import Opened

__all__ = ["Exported", "export_heat"]

_PARITY_FRAMES = 24
_CALIBRATION_FRAMES = 96
_MEASURED: tuple[Split, ...] = ("val", "test")


@dataclass(frozen=True, slots=True)
class Exported:
    """A written finder file: where, its card, what it finds on each measured side, and its microseconds a frame."""

    file: Path
    card: FinderCard
    found: Mapping[Split, Sweep]
    us_per_frame: float
    """One thread, the network alone, median, a picture of the validation side."""


def export_heat(run: Opened[HeatRecipe], targets: Mapping[Precision, Path]) -> dict[Precision, Exported]:
    """Write the heat map of a run in each precision to its target.

    The threshold is chosen on the validation side for each file, INT8 ranges are measured on the training side, the
    test side is only measured. Raises `StationError` when the graph does not answer like the network.
    """
    sides = run.pictures.sides
    network = load_heat(run)
    serving, card = ServedHeat(network).eval(), start_heat_card(run, network)
    with tempfile.TemporaryDirectory() as temporary:
        plain = Path(temporary) / "plain.onnx"
        write_graph(serving, card, ["heat"], plain, max(run.recipe.input_px))
        check_parity(serving, ["heat"], _frames(sides["val"], card, _PARITY_FRAMES), plain)
        publish(plain, targets, _frames(sides["train"], card, _CALIBRATION_FRAMES))
    return {precision: _complete(target, run) for precision, target in targets.items()}


def _frames(pictures: Sequence[Marked], card: FinderCard, count: int) -> list[NDArray[np.uint8]]:
    """Return up to `count` pictures, spread evenly, as the station feeds them to the network: [1,1,H,W] each."""
    chosen = pictures[:: max(1, len(pictures) // count)][:count]
    return [input_of(picture.image(), card)[None, None] for picture in chosen]


def _complete(target: Path, run: Opened[HeatRecipe]) -> Exported:
    """Choose the threshold of a finder file on the validation side, measure it, and write both into its card."""
    sides = run.pictures.sides
    with FrameOnnxEngine(target) as engine:
        found = {side: sweep(engine, sides[side]) for side in _MEASURED if sides[side]}
    threshold = choose_threshold(found["val"], run.recipe)
    metrics = {side: _figures(one, THRESHOLDS.index(threshold)) for side, one in found.items()}
    card = change_card(target, threshold=threshold, metrics=metrics)
    return Exported(target, card, found, time_us(target, _frames(sides["val"], card, 1)[0]))


def _figures(found: Sweep, place: int) -> dict[str, float]:
    """Return the figures of one side at the threshold of number `place`."""
    figures = {
        "n": float(len(found.defects)),
        "n_good": float(found.good.sum()),
        "defects": float(found.defects.sum()),
        "recall": float(found.recall[place]),
        "regions": float(found.regions_a_picture[place]),
    }
    if found.good.any():
        figures["false_on_good"] = float(found.false_a_good_picture[place])
    return figures
