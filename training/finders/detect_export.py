"""Turn a detector's run into finder files: converted, their limits chosen, measured. Needs torch."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.finder_card import FinderCard
from engines.frame_onnx import FrameOnnxEngine
from engines.model import Precision
from training.assess.matching import Boxed, Matches
from training.data import Split
from training.data.marked import Marked
from training.finders.detect import labels_of, load_detector
from training.finders.detect_answers import OUTPUTS, Serving, Views
from training.finders.detect_measure import (
    Answers,
    answers_to,
    best_threshold,
    figures_of,
    found_in,
    frames_of,
    matches_of,
    mean_precision,
    threshold_of,
)
from training.finders.detect_recipe import DetectRecipe
from training.finders.export import change_card, check_parity, publish, start_card, time_us, write_graph
from training.finders.runs import Opened

__all__ = ["Exported", "export_detector"]

_NMS_IOUS = (0.4, 0.5, 0.6, 0.7)
_PARITY_FRAMES = 24
_CALIBRATION_FRAMES = 96
_MEASURED: tuple[Split, ...] = ("val", "test")


@dataclass(frozen=True, slots=True)
class Exported:
    """A written finder file: its card, what it finds on each measured side, and its microseconds a frame."""

    card: FinderCard
    found: Mapping[Split, Sequence[Boxed]]
    us_per_frame: float
    """One thread, the network alone, median."""


def export_detector(
    run: Opened[DetectRecipe], targets: Mapping[Precision, Path], views: Views = 1
) -> dict[Precision, Exported]:
    """Write the detector of a run in each precision to its target.

    Threshold and overlap are chosen on the validation side for each file where the recipe does not set them, INT8
    ranges are measured on the training side, the test side is only measured. Raises `StationError` when the graph does
    not answer like the network.
    """
    recipe, sides = run.recipe, run.pictures.sides
    serving: Serving = Serving(load_detector(run), recipe.candidates, recipe.input_px, views).eval()
    card = start_card(
        "detector",
        recipe,
        run.pictures.manifest,
        labels=labels_of(run),
        input_px=recipe.input_px,
        stride=32,
        overlap_px=min(recipe.input_px) // 4,
        threshold=0.5,
    )
    with tempfile.TemporaryDirectory() as temporary:
        plain = Path(temporary) / "plain.onnx"
        write_graph(serving, card, OUTPUTS, plain)
        check_parity(serving, OUTPUTS, [frames_of(sides["val"][:_PARITY_FRAMES], recipe)], plain)
        publish(plain, targets, _calibration_frames(sides["train"], recipe))
    return {precision: _complete(target, run) for precision, target in targets.items()}


def _calibration_frames(pictures: Sequence[Marked], recipe: DetectRecipe) -> list[NDArray[np.uint8]]:
    """Return training pictures, spread evenly over the side, one a batch."""
    chosen = pictures[:: max(1, len(pictures) // _CALIBRATION_FRAMES)][:_CALIBRATION_FRAMES]
    return list(frames_of(chosen, recipe)[:, None])


def _suggested(matches: Mapping[str, Matches], found: Sequence[Boxed], allowed_regions: float | None) -> float:
    return best_threshold(matches) if allowed_regions is None else threshold_of(found, allowed_regions)


def _complete(target: Path, run: Opened[DetectRecipe]) -> Exported:
    """Choose the limits of a finder file on the validation side, measure it, and write both into its card."""
    recipe, sides, labels = run.recipe, run.pictures.sides, labels_of(run)
    with FrameOnnxEngine(target) as engine:

        def detect(frames: NDArray[np.uint8]) -> Answers:
            found = engine.run(frames)
            boxes, scores, numbers = (found[name].copy() for name in OUTPUTS)
            return boxes, scores, numbers

        measured = [side for side in _MEASURED if sides[side] and not (side == "val" and recipe.learn_all)]
        answers = {side: answers_to(detect, sides[side], recipe) for side in measured}

    def found(side: Split, iou: float) -> list[Boxed]:
        return found_in(answers[side], sides[side], labels, recipe, iou)

    if recipe.threshold is not None and recipe.nms_iou is not None:
        threshold, nms_iou = recipe.threshold, recipe.nms_iou
    else:
        ious = _NMS_IOUS if recipe.nms_iou is None else (recipe.nms_iou,)
        matches = {iou: matches_of(sides["val"], found("val", iou), labels) for iou in ious}
        nms_iou = max(ious, key=lambda iou: mean_precision(matches[iou])[0])
        threshold = recipe.threshold or _suggested(matches[nms_iou], found("val", nms_iou), recipe.allowed_regions)
    kept = {side: found(side, nms_iou) for side in answers}
    metrics = {side: figures_of(sides[side], boxes, labels, threshold) for side, boxes in kept.items()}
    card = change_card(target, threshold=threshold, nms_iou=nms_iou, metrics=metrics)
    return Exported(card, kept, time_us(target, frames_of(sides["val"][:1], recipe)))
