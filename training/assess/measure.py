"""From what was asked to figures: gather the pictures, show them to each configuration, assess what it saw. One
thread.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from training.assess.choice import Side, choose, read_run_manifests, refuse_learnt
from training.assess.figures import Assessment, assess
from training.assess.line import Line, Seen, open_line
from training.assess.sought import Sought
from training.assess.subjects import Subject
from training.data import Manifest, Marked, Split, manifest_of, read_marked, split_marked

__all__ = ["Chosen", "Measured", "gather", "measure"]

_WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Chosen:
    """The pictures to be measured on, the splits by which models may have learnt, and what was handled how."""

    pictures: tuple[Marked, ...]
    splits: dict[str, Manifest]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one configuration made of each picture, and what that is worth."""

    assessment: Assessment
    seen: tuple[Seen, ...]


def gather(data: Path, asked: Sought, side: Side, runs: Sequence[Path]) -> Chosen:
    """Return the pictures on one side of the splits of `runs`, or without one of the split that is asked for.

    Raises `StationError` when there is none.
    """
    marked, notes = read_marked(data, asked.marks)
    splits = read_run_manifests(runs)
    fractions: dict[Split, float] = dict(zip(("train", "val", "test"), asked.fractions, strict=True))
    own = split_marked(marked, asked.split_seed, fractions, asked.fold)
    pictures = choose(marked, side, splits, own)
    return Chosen(pictures, {**_named(manifest_of(own, asked.split_seed)), **splits}, notes)


def _named(own: Manifest) -> dict[str, Manifest]:
    """Return the split that was drawn here as a finder's training writes it, and as a classifier's without boxes."""
    plain = tuple(picture.model_copy(update={"also": ()}) for picture in own.pictures)
    return {"these boxes": own, "these folders": own.model_copy(update={"pictures": plain})}


def measure(subject: Subject, chosen: Chosen) -> Measured:
    """Show every picture to one configuration, on one thread of OpenCV.

    Raises what the station's start does, and `StationError` when a model has learnt from a picture.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with open_line(subject.config) as line:
            notes = _notes(subject.name, line, chosen)
            seen = _look(line, chosen.pictures)
            models = [f"{model.name} {model.sha256[:12]}".rstrip() for model in line.models]
    finally:
        cv2.setNumThreads(threads)
    return Measured(assess(subject.name, subject.config.sha256, models, chosen.pictures, seen, notes), seen)


def _look(line: Line, pictures: Sequence[Marked]) -> tuple[Seen, ...]:
    for picture in pictures[:_WARM_UP]:
        line.look(picture.image())
    return tuple(line.look(picture.image()) for picture in pictures)


def _notes(name: str, line: Line, chosen: Chosen) -> list[str]:
    """Return what a reader of the figures should know. Raises `StationError` where a model learnt from a picture."""
    data = {model.name: model.data_sha256 for model in line.models}
    strangers = refuse_learnt(data, chosen.pictures, chosen.splits)
    notes = []
    if strangers:
        who = " and ".join(strangers)
        notes.append(f"not known whether {who} learnt from these pictures: name the runs with --manifest")
    marked = {label for picture in chosen.pictures for label in picture.labels}
    if never := sorted(marked - set(line.labels)):
        notes.append(f"marked, but never said by {name}: {', '.join(never)}; of them mAP, recall and precision are 0")
    return notes
