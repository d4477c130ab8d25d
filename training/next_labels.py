"""Which unlabelled pictures a run should be given labels of next. Needs torch."""

from pathlib import Path

import numpy as np
import torch

from training.embedding import condense
from training.evaluate import whole_crops
from training.networks import Ensemble, Network, features_of, logits_of, probabilities_of
from training.pool import Pool
from training.rank import rank
from training.runs import Run
from training.samples import exact_crops, pictures_of, whole_samples
from training.sheets import picture_sheet, write_sheet

__all__ = ["next_labels"]


def next_labels(run: Run, data: Path, pool: Pool, count: int, sheet: Path | None) -> list[tuple[Path, str]]:
    """Return path and likeliest label of the `count` pictures of `pool` to label next, the most telling first.

    `data` is the folder that the run was fitted on. `sheet` is where they are drawn. Raises `StationError` when the
    pictures can't be read or the sheet not written.
    """
    network = run.network
    assert isinstance(network, Network | Ensemble)
    known = whole_samples(pictures_of(run.recipe, data), run.manifest, "train")
    crops = torch.from_numpy(whole_crops(pool.images, run.recipe.crop))
    labelled = features_of(network, torch.from_numpy(exact_crops(known, run.recipe.crop)))
    condensed = condense(torch.cat([features_of(network, crops), labelled]).numpy())
    chances = probabilities_of(logits_of(network, crops), run.recipe.head).numpy()
    order = rank(chances, condensed[: len(crops)], condensed[len(crops) :], None, count).tolist()
    found = [(pool.paths[row], run.manifest.labels[int(np.argmax(chances[row]))]) for row in order]
    if sheet is not None:
        captions = [
            f"{label}? {chances[row].max():.0%}\n{path.name}" for row, (path, label) in zip(order, found, strict=True)
        ]
        write_sheet(sheet, picture_sheet([pool.images[row] for row in order], captions, title="Label these next"))
    return found
