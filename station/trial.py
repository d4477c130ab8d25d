"""What a model is put through before it may name regions for the line. Swap and inspect thread; pure but for files.

Nothing here exchanges a model: it is made ready, and it is asked what it makes of crops.
"""

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines import Engine
from shadowline.errors import EngineError
from station.config import Config
from station.model import Model
from station.models import Sample
from station.regions import FinderLabels
from station.sample_crops import read_crops
from station.verdict import Judge

__all__ = ["disagreements", "draw_crops_apart", "make_model"]

_BATCH: Final = 32
_NO_LABELS: Final = FinderLabels()


def make_model(engine: Engine, config: Config, why: str, finders: FinderLabels = _NO_LABELS) -> Model:
    """Return an entered engine with its judge, and how well it names the golden set where there is one.

    `finders` are the labels that the line's finders give by themselves. Raises `ConfigError` when a rule or floor of
    the configuration names a label that nobody gives, for a novelty limit where the model has none, and when a finder
    gives a label that nobody judges.
    """
    judge = Judge(config.verdict, engine.card, finders)
    return Model(engine, judge, why, _golden_share(engine, config.swap.golden))


def disagreements(candidate: Model, sample: Sample) -> Counter[str]:
    """Return by the live model's label how many crops the candidate names otherwise."""
    found: Counter[str] = Counter()
    for start in range(0, len(sample.labels), _BATCH):
        named = candidate.judge.name(candidate.engine.classify(sample.crops[start : start + _BATCH]))
        labels = sample.labels[start : start + _BATCH]
        found.update(label for label, (other, _) in zip(labels, named, strict=True) if label != other)
    return found


def _golden_share(engine: Engine, golden: Path | None) -> float | None:
    """Return the part of the golden set that the engine names rightly; None without one."""
    if golden is None:
        return None
    pictures = read_crops(golden, engine.card.crop, engine.card.labels)
    if pictures.truth is None:
        raise EngineError(f"{golden}: its folders are no labels of the model ({', '.join(engine.card.labels)})")
    best = engine.classify(pictures.crops).probabilities.argmax(1).tolist()
    return float(np.mean([engine.card.labels[row] == label for row, label in zip(best, pictures.truth, strict=True)]))


def draw_crops_apart(count: int) -> NDArray[np.uint8]:
    """Return `count` crops uint8 [n,1,S,S], drawn by a process of their own. Raises `EngineError` when that fails."""
    with tempfile.TemporaryDirectory() as folder:
        crops = Path(folder) / "crops.npy"
        command = [sys.executable, "-m", "station.sample_crops", str(crops), str(count)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EngineError(f"no crops could be drawn to prove the build on: {done.stderr.strip()[-200:]}")
        drawn: NDArray[np.uint8] = np.load(crops)
        return drawn
