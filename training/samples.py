"""Training crops: which defects there are, and loose, shifted, partial boxes of them as a finder would cut. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.model import CropCut
from station.camera.strip import Defect, Strip
from station.config import RegionsConfig
from station.crops import cut_crops, whole_image
from station.regions import open_finder
from training.augment import augment
from training.data import Manifest, Split, Tree, read_boxes
from training.recipe import Recipe, Renders

__all__ = ["Sampler", "Samples", "box_samples", "exact_crops", "render_samples", "whole_samples"]

Jitter: TypeAlias = Literal["part", "loose", "slight"]

_SPLIT_ORDER: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Samples:
    """n defects of one source: a picture, a box x, y, w, h in it, and a class number each.

    `jitter` is how training changes the box: `part` of a whole picture, `loose` or partial, or only `slight`.
    """

    images: tuple[NDArray[np.uint8], ...]
    boxes: NDArray[np.int32]
    classes: NDArray[np.int64]
    jitter: Jitter

    def __len__(self) -> int:
        return len(self.images)


def whole_samples(tree: Tree, manifest: Manifest, split: Split) -> Samples:
    """Return the pictures of one side, each as one whole defect of its folder's class."""
    rows = _rows_of(tree, manifest, split)
    whole = [(tree.images[row], whole_image(tree.images[row])[0], tree.labels[row]) for row in rows]
    return _samples([(image, box, manifest.labels.index(label)) for image, box, label in whole], "part")


def box_samples(tree: Tree, manifest: Manifest, split: Split, folder: Path) -> Samples:
    """Return the annotated boxes of one side's pictures by their own labels; `folder` holds <picture>.xml files."""
    rows = []
    for row in _rows_of(tree, manifest, split):
        for label, box in read_boxes(folder / f"{Path(tree.paths[row]).stem}.xml"):
            if label in manifest.labels:
                rows.append((tree.images[row], np.array(box, np.int32), manifest.labels.index(label)))
    return _samples(rows, "loose")


def render_samples(renders: Renders, labels: Sequence[str], split: Split) -> dict[str, Samples]:
    """Return the simulator's defects of one side, by true box (`render`) and as the finder cuts them (`found`).

    No seed serves two sides. A found region is of the defect that holds more than half of its box.
    """
    side = _SPLIT_ORDER.index(split)
    first = renders.train_seed + sum(renders.strips[:side])
    rows: dict[Jitter, list[tuple[NDArray[np.uint8], NDArray[np.int32], int]]] = {"loose": [], "slight": []}
    for seed in range(first, first + renders.strips[side]):
        strip = Strip(renders.side_px, renders.side_px, seed, renders.defects_per_frame)
        finder = open_finder(RegionsConfig(), None)
        for index in range(renders.frames):
            image, defects = strip.frame(index)
            true = [(np.array(defect.box, np.int32), defect.label) for defect in defects]
            found = _matched(finder.find(image).box, defects)
            rows["loose"] += [(image, box, labels.index(label)) for box, label in true]
            rows["slight"] += [(image, box, labels.index(label)) for box, label in found]
    return {"render": _samples(rows["loose"], "loose"), "found": _samples(rows["slight"], "slight")}


def _matched(boxes: NDArray[np.int32], defects: Sequence[Defect]) -> list[tuple[NDArray[np.int32], str]]:
    """Return found boxes [n,4] with the label of the defect whose box holds more than half of them."""
    matched = []
    for box in boxes:
        for defect in defects:
            true = np.array(defect.box)
            ends = np.minimum(box[:2] + box[2:], true[:2] + true[2:])
            shared = np.maximum(ends - np.maximum(box[:2], true[:2]), 0).prod()
            if 2 * shared > box[2:].prod():
                matched.append((box, defect.label))
                break
    return matched


def exact_crops(samples: Samples, cut: CropCut) -> NDArray[np.uint8]:
    """Return the crop of every defect's true box, uint8 [n,1,S,S], as serving cuts it."""
    crops = np.empty((len(samples), 1, cut.size_px, cut.size_px), np.uint8)
    for row, image in enumerate(samples.images):
        cut_crops(image, samples.boxes[row : row + 1], cut, crops[row : row + 1])
    return crops


class Sampler:
    """Draws augmented training batches from several sources by their shares, classes evenly within each."""

    def __init__(self, sources: Sequence[tuple[float, Samples]], recipe: Recipe) -> None:
        used = [(share, samples) for share, samples in sources if share > 0 and len(samples)]
        self._samples = [samples for _, samples in used]
        shares = np.array([share for share, _ in used])
        self._shares = shares / shares.sum()
        self._rows = [
            [np.flatnonzero(samples.classes == number) for number in np.unique(samples.classes)]
            for samples in self._samples
        ]
        self._cut = recipe.crop
        self._rng = np.random.default_rng(recipe.seed)

    def batch(self, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return `count` fresh crops [n,1,S,S] and their class numbers [n]."""
        crops = np.empty((count, 1, self._cut.size_px, self._cut.size_px), np.uint8)
        classes = np.empty(count, np.int64)
        for place, source in enumerate(self._rng.choice(len(self._samples), count, p=self._shares)):
            samples = self._samples[source]
            rows = self._rows[source][int(self._rng.integers(len(self._rows[source])))]
            row = int(self._rng.choice(rows))
            image = samples.images[row]
            box = _jittered(samples.boxes[row], samples.jitter, (image.shape[1], image.shape[0]), self._rng)
            cut_crops(image, box[None], self._cut, crops[place : place + 1])
            crops[place, 0] = augment(crops[place, 0], self._rng)
            classes[place] = samples.classes[row]
        return crops, classes


def _jittered(
    box: NDArray[np.int32], jitter: Jitter, limit: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.int32]:
    """Return the box as another finder might have made it, at least 3 px wide and inside width and height `limit`."""
    if jitter == "part":
        return box if rng.random() < 0.45 else _part(box, rng)
    partial = jitter == "loose" and rng.random() < 0.4
    size = box[2:] * (rng.uniform(0.35, 1.0, 2) if partial else rng.uniform(0.85, 1.25, 2))
    size = np.clip(np.rint(size), 3, limit)
    slack = np.abs(box[2:] - size) / 2
    centre = box[:2] + box[2:] / 2 + rng.uniform(-1, 1, 2) * (slack + 0.06 * box[2:])
    corner = np.clip(np.rint(centre - size / 2), 0, limit - size)
    return np.concatenate([corner, size]).astype(np.int32)


def _part(box: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
    """Return a random part of a box, half to nine tenths of its sides."""
    size = np.rint(box[2:] * rng.uniform(0.5, 0.9)).astype(np.int32)
    corner = box[:2] + rng.integers(0, box[2:] - size, endpoint=True)
    return np.concatenate([corner, size]).astype(np.int32)


def _rows_of(tree: Tree, manifest: Manifest, split: Split) -> list[int]:
    wanted = {picture.path for picture in manifest.of(split)}
    return [row for row, path in enumerate(tree.paths) if path in wanted]


def _samples(rows: Sequence[tuple[NDArray[np.uint8], NDArray[np.int32], int]], jitter: Jitter) -> Samples:
    boxes = np.array([box for _, box, _ in rows], np.int32).reshape(-1, 4)
    classes = np.array([number for _, _, number in rows], np.int64)
    return Samples(tuple(image for image, _, _ in rows), boxes, classes, jitter)
