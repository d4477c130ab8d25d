"""Measure a model file on labelled pictures, by the engine and the crop function of serving. Needs no torch."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

import numpy as np
from numpy.typing import NDArray

from engines import OnnxRuntimeEngine
from engines.model import CropCut
from shadowline.errors import StationError
from station.crops import cut_crops, whole_image
from training.data import Split, Tree, read_manifest, read_tree
from training.evaluation import Evaluation
from training.scores import Scores, score

__all__ = ["evaluate", "evaluate_crops", "evaluate_tree", "parse_split", "report_on", "whole_crops"]


def evaluate(model: Path, data: Path, split: tuple[Path, Split] | None = None) -> tuple[Scores, dict[str, str]]:
    """Return the scores of `model` on the pictures of `data`/<class>/, and which pictures were skipped and why.

    Each picture is one crop of all of it. `split` keeps only the pictures that a manifest puts on one side. Raises
    `StationError` when a folder is no label of the model, is empty, or no picture is left.
    """
    tree = read_tree(data)
    with OnnxRuntimeEngine(model) as engine:
        labels = engine.card.labels
        found = evaluate_tree(engine, tree, None if split is None else _rows_of(tree, *split))
    return score(found.probabilities, found.classes, labels), tree.skipped


def report_on(model: Path, data: Path, split: tuple[Path, Split], folder: Path) -> None:
    """Write into `folder` what `compare` reads of a run: how `model` names one side of another run's split.

    It is asked for that split's labels alone: what it would give to others goes to none, and those that it does not
    know it never gives. Raises `StationError` when no picture is on that side, or `folder` can't be written.
    """
    from training.report import write_report  # loads matplotlib: only when called

    path, side = split
    manifest, tree = read_manifest(path), read_tree(data)
    rows = _rows_of(tree, path, side)
    crops = [tree.images[row] for row in rows]
    with OnnxRuntimeEngine(model) as engine:
        found = _answers_by(engine, whole_crops(crops, engine.card.crop), tree, rows, manifest.labels)
        facts = {"model": str(model)}
        write_report(folder / "report", engine.card.name, manifest.labels, {side: found}, (), facts, None)
    try:
        shutil.copyfile(path, folder / "manifest.json")
        shutil.copyfile(model, folder / "model.onnx")
    except OSError as fault:
        raise StationError(f"{folder}: can't write: {fault.strerror}") from fault


def _answers_by(
    engine: OnnxRuntimeEngine, crops: NDArray[np.uint8], tree: Tree, rows: list[int], labels: Sequence[str]
) -> Evaluation:
    """Return what an entered engine gives to each of `labels`, 0 to those that it does not know."""
    answers = engine.classify(crops)
    chances = np.zeros((len(rows), len(labels)), np.float32)
    for place, label in enumerate(engine.card.labels):
        if label in labels:
            chances[:, labels.index(label)] = answers.probabilities[:, place]
    targets = np.array([[tree.labels[row] == label for label in labels] for row in rows], np.float32)
    novelty = None if answers.novelty is None else answers.novelty.copy()
    return Evaluation(tuple(tree.paths[row] for row in rows), crops, targets, chances, novelty)


def evaluate_tree(engine: OnnxRuntimeEngine, tree: Tree, rows: list[int] | None = None) -> Evaluation:
    """Return what an entered engine answers to the whole pictures of a tree, or to some of its rows."""
    labels = engine.card.labels
    unknown = sorted(set(tree.labels) - set(labels))
    if unknown:
        raise StationError(
            f"{tree.root}: class folder {', '.join(unknown)} is no label of {engine.card.name}: {', '.join(labels)}"
        )
    rows = list(range(len(tree.paths))) if rows is None else rows
    targets = np.zeros((len(rows), len(labels)), np.float32)
    targets[np.arange(len(rows)), [labels.index(tree.labels[row]) for row in rows]] = 1
    crops = whole_crops([tree.images[row] for row in rows], engine.card.crop)
    return evaluate_crops(engine, tuple(tree.paths[row] for row in rows), crops, targets)


def evaluate_crops(
    engine: OnnxRuntimeEngine, names: tuple[str, ...], crops: NDArray[np.uint8], targets: NDArray[np.float32]
) -> Evaluation:
    """Return what an entered engine answers to crops [n,1,S,S] with targets [n,C]."""
    answers = engine.classify(crops)
    novelty = None if answers.novelty is None else answers.novelty.copy()
    return Evaluation(names, crops, targets, answers.probabilities.copy(), novelty)


def whole_crops(images: Sequence[NDArray[np.uint8]], cut: CropCut) -> NDArray[np.uint8]:
    """Return one crop [n,1,S,S] of all of each picture."""
    crops = np.empty((len(images), 1, cut.size_px, cut.size_px), np.uint8)
    for place, image in enumerate(images):
        cut_crops(image, whole_image(image), cut, crops[place : place + 1])
    return crops


def parse_split(text: str) -> tuple[Path, Split]:
    """Return manifest path and side of `manifest.json:test`. Raises `StationError` for anything else."""
    path, _, side = text.rpartition(":")
    if not path or side not in get_args(Split):
        raise StationError(f"--split {text}: expected MANIFEST:train, MANIFEST:val or MANIFEST:test")
    return Path(path), cast(Split, side)


def _rows_of(tree: Tree, path: Path, side: Split) -> list[int]:
    """Return the rows of the pictures on one side; a picture is known by its hash, wherever it lies now."""
    wanted = {picture.sha256 for picture in read_manifest(path).of(side)}
    rows = [row for row, sha256 in enumerate(tree.sha256) if sha256 in wanted]
    if not rows:
        raise StationError(f"{tree.root}: no picture here is on the {side} side of {path}")
    return rows
