"""From a fitted network to what an engineer can use: a measured model file and its report. Needs torch."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.model import Precision
from training.export import Exported, export
from training.networks import Ensemble, Network
from training.recipe import Recipe
from training.report import write_report
from training.report.gradcam import gradcam
from training.runs import Run

__all__ = ["finish", "saliency"]


def finish(run: Run, data: Path, precision: Precision = "int8") -> Exported:
    """Write model.onnx, model-fp32.onnx and report/ into a run's folder and return what was measured.

    Raises `StationError` when the pictures below `data` are not the run's.
    """
    paths = run.paths
    exported = export(run, data, paths.model, precision, paths.model_fp32)
    curves = [json.loads(line) for line in paths.metrics.read_text().splitlines()] if paths.metrics.exists() else []
    write_report(
        paths.report,
        run.recipe.name,
        run.manifest.labels,
        exported.evaluations,
        curves,
        {**_facts(run.recipe, exported), "pictures left out": str(len(run.manifest.skipped))},
        saliency=lambda crops: saliency(run, crops),
        multi_label=run.recipe.head == "multi_label",
        us_per_crop=exported.us_per_crop,
    )
    return exported


def saliency(run: Run, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return where the answer to each crop comes from [n,S,S], 0..1: Grad-CAM, for an ensemble the members' mean."""
    members = list(run.network.members) if isinstance(run.network, Ensemble) else [run.network]
    maps = [gradcam(member, crops) for member in members if isinstance(member, Network)]
    return np.asarray(np.mean(maps, axis=0), np.float32)


def _facts(recipe: Recipe, exported: Exported) -> dict[str, str]:
    card = exported.card
    return {
        "network": recipe.network + (f", weights {Path(recipe.weights).name}" if recipe.weights else ""),
        "crops": f"{card.crop.size_px} px",
        "precision": card.precision,
        "temperature": f"{card.temperature:.3f}",
        "confidence floor": f"{card.confidence_floor:.2f}",
        "settings": card.config_sha256[:12],
        "pictures and split": card.data_sha256[:12],
    }
