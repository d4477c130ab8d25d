"""What every finder's export shares: the graph as a file, parity with torch, precision, limits, time. Needs torch."""

import datetime
import shutil
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from engines.finder_card import FinderCard, FinderKind
from engines.frame_onnx import FrameOnnxEngine, read_finder_card
from engines.model import Precision
from engines.precision import convert_finder, save_model
from shadowline.errors import StationError
from training.data import Manifest
from training.finders.recipe import FinderRecipe
from training.graph import to_onnx
from training.runs import full_disk_told, write_whole

__all__ = ["change_card", "check_parity", "publish", "start_card", "time_us", "write_graph"]

_PARITY = 1e-3
"""Largest difference between torch and the file, as a part of the largest answer."""
_TIMED_REPEATS = 21


def start_card(kind: FinderKind, recipe: FinderRecipe, manifest: Manifest, **facts: Any) -> FinderCard:
    """Return the card of a run's finder with what recipe and manifest say; `facts` are the kind's own fields."""
    return FinderCard(
        kind=kind,
        name=recipe.name,
        scale=recipe.scale,
        data_sha256=manifest.sha256(),
        config_sha256=recipe.sha256(),
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
        licence=recipe.licence,
        not_for=recipe.not_for,
        **facts,
    )


def write_graph(
    serving: nn.Module, card: FinderCard, outputs: Sequence[str], path: Path, side_px: int | None = None
) -> None:
    """Write `serving`, uint8 frames [N,1,H,W] to `outputs`, as the fp32 finder file `path`.

    Without the card's `input_px` H and W stay free; `side_px` is then that of the frame that it is traced with.
    """
    height, width = card.input_px or (side_px, side_px)
    if height is None or width is None:
        raise StationError(f"{path}: free sides need a side to trace the network with")
    example = torch.zeros(2, 1, height, width, dtype=torch.uint8)
    free = None if card.input_px else card.stride
    save_model(to_onnx(serving, example, "frame", list(outputs), free), card, path)


def check_parity(serving: nn.Module, outputs: Sequence[str], frames: Sequence[NDArray[np.uint8]], path: Path) -> None:
    """Raise `StationError` when a file does not answer `frames`, each [N,1,H,W], as torch does.

    Boxes and labels are compared where the score tells them from their neighbours in the order.
    """
    with FrameOnnxEngine(path) as engine, torch.inference_mode():
        for frame in frames:
            answer = serving(torch.from_numpy(frame))
            wanted = [part.numpy() for part in (answer if isinstance(answer, tuple) else (answer,))]
            found = engine.run(frame)
            _check_same(dict(zip(outputs, wanted, strict=True)), found, path)


def _check_same(wanted: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]], path: Path) -> None:
    clear: Any = ...
    if "scores" in wanted:
        steps = np.abs(np.diff(wanted["scores"], axis=1, prepend=2.0, append=-1.0))
        clear = np.minimum(steps[:, 1:], steps[:, :-1]) > 10 * _PARITY
    for name, values in wanted.items():
        rows = ... if name in ("scores", "heat") else clear
        difference = np.abs(found[name][rows].astype(np.float64) - values[rows]).max(initial=0.0)
        if not difference <= _PARITY * max(1.0, float(np.abs(values).max(initial=0.0))):
            raise StationError(f"{path}: the exported graph's {name} differ from torch by {difference:.2g}")


def change_card(path: Path, **changes: Any) -> FinderCard:
    """Write what was found out about a finder file into its card, and return that."""
    card = FinderCard.model_validate(read_finder_card(path).model_dump() | changes)
    save_model(onnx.load(path), card, path)
    return card


def publish(plain: Path, targets: Mapping[Precision, Path], frames: Sequence[NDArray[np.uint8]]) -> None:
    """Write the fp32 file `plain` in each precision to its target; INT8 measures its ranges on `frames`."""
    for precision, target in targets.items():
        part = plain.with_name(f"{precision}.onnx")
        if precision == "fp32":
            shutil.copyfile(plain, part)
        else:
            convert_finder(plain, part, precision, frames)
        with full_disk_told(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, partial(shutil.copyfile, part))


def time_us(path: Path, frame: NDArray[np.uint8]) -> float:
    """Return the microseconds that one frame [1,1,H,W] takes on one thread: the median."""
    times_ns = []
    with FrameOnnxEngine(path) as engine:
        for _ in range(_TIMED_REPEATS):
            start_ns = time.perf_counter_ns()
            engine.run(frame)
            times_ns.append(time.perf_counter_ns() - start_ns)
    return float(np.median(times_ns)) / 1000
