"""A sheet of pictures with the places that speak for their answers (Grad-CAM). Needs torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.data import read_grey
from training.evaluate import whole_crops
from training.networks import logits_of, probabilities_of
from training.pipeline import saliency
from training.report.examples import overlay
from training.runs import Run
from training.sheets import picture_sheet

__all__ = ["explain_sheet"]


def explain_sheet(run: Run, pictures: Sequence[Path]) -> NDArray[np.uint8]:
    """Return a sheet [H,W,3] of each picture as the network sees it, beside it where its answer comes from.

    Raises `StationError` when a picture can't be read.
    """
    crops = whole_crops([read_grey(path) for path in pictures], run.recipe.crop)
    chances = probabilities_of(logits_of(run.network, torch.from_numpy(crops)), run.recipe.head).numpy()
    images, captions = [], []
    for path, crop, heat, row in zip(pictures, crops[:, 0], saliency(run, crops), chances, strict=True):
        best = int(row.argmax())
        images += [crop, overlay(crop, heat)]
        captions += [path.name, f"{run.manifest.labels[best]} {row[best]:.0%}"]
    return picture_sheet(images, captions, title=run.recipe.name)
