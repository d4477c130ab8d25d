"""Training crops: which defects there are, and loose, shifted, partial boxes of them as a finder would cut. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.model import CropCut
from station.camera.strip import Strip
from station.crops import cut_crops, whole_image
from training.augment import augment
from training.data import Manifest, Split, Tree, read_boxes
from training.recipe import Recipe, Renders

__all__ = ["Sampler", "Samples", "box_samples", "exact_crops", "render_samples", "whole_samples"]

_SPLIT_ORDER: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Samples:
    """n defects of one kind of source: a picture, a box x, y, w, h in it, and a class number each."""

    images: tuple[NDArray[np.uint8], ...]
    boxes: NDArray[np.int32]
    classes: NDArray[np.int64]
    whole: bool

    def __len__(self) -> int:
        return len(self.images)


def whole_samples(tree: Tree, manifest: Manifest, split: Split) -> Samples:
    """Return the pictures of one side, each as one whole defect of its folder's class."""
    rows = _rows_of(tree, manifest, split)
    boxes = [whole_image(tree.images[row])[0] for row in rows]
    classes = [manifest.labels.index(tree.labels[row]) for row in rows]
    return _samples([tree.images[row] for row in rows], boxes, classes, whole=True)


def box_samples(tree: Tree, manifest: Manifest, split: Split, folder: Path) -> Samples:
    """Return the annotated boxes of one side's pictures by their own labels; `folder` holds <picture>.xml files."""
    images, boxes, classes = [], [], []
    for row in _rows_of(tree, manifest, split):
        for label, box in read_boxes(folder / f"{Path(tree.paths[row]).stem}.xml"):
            if label in manifest.labels:
                images.append(tree.images[row])
                boxes.append(np.array(box, np.int32))
                classes.append(manifest.labels.index(label))
    return _samples(images, boxes, classes, whole=False)


def render_samples(renders: Renders, labels: Sequence[str], split: Split) -> Samples:
    """Return the simulator's defects of one side; no seed serves two sides."""
    side = _SPLIT_ORDER.index(split)
    first = renders.train_seed + sum(renders.strips[:side])
    images, boxes, classes = [], [], []
    for seed in range(first, first + renders.strips[side]):
        strip = Strip(renders.side_px, renders.side_px, seed, renders.defects_per_frame)
        for index in range(renders.frames):
            image, defects = strip.frame(index)
            for defect in defects:
                images.append(image)
                boxes.append(np.array(defect.box, np.int32))
                classes.append(labels.index(defect.label))
    return _samples(images, boxes, classes, whole=False)


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
            shape = (image.shape[0], image.shape[1])
            box = (_part if samples.whole else _loose)(samples.boxes[row], shape, self._rng)
            cut_crops(image, box[None], self._cut, crops[place : place + 1])
            crops[place, 0] = augment(crops[place, 0], self._rng)
            classes[place] = samples.classes[row]
        return crops, classes


def _part(box: NDArray[np.int32], shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.int32]:
    """Return the whole picture, or somewhat more often a random half to nine tenths of its sides."""
    if rng.random() < 0.45:
        return box
    size = np.rint(box[2:] * rng.uniform(0.45, 0.9)).astype(np.int32)
    corner = box[:2] + rng.integers(0, box[2:] - size, endpoint=True)
    return np.concatenate([corner, size]).astype(np.int32)


def _loose(box: NDArray[np.int32], shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.int32]:
    """Return a box that a finder might make of the true one: a fragment, or looser and shifted; at least 3 px."""
    size = box[2:] * (rng.uniform(0.35, 1.0, 2) if rng.random() < 0.4 else rng.uniform(0.85, 1.25, 2))
    size = np.clip(np.rint(size), 3, [shape[1], shape[0]])
    slack = np.abs(box[2:] - size) / 2
    centre = box[:2] + box[2:] / 2 + rng.uniform(-1, 1, 2) * (slack + 0.06 * box[2:])
    corner = np.clip(np.rint(centre - size / 2), 0, np.array([shape[1], shape[0]]) - size)
    return np.concatenate([corner, size]).astype(np.int32)


def _rows_of(tree: Tree, manifest: Manifest, split: Split) -> list[int]:
    wanted = {picture.path for picture in manifest.of(split)}
    return [row for row, path in enumerate(tree.paths) if path in wanted]


def _samples(
    images: Sequence[NDArray[np.uint8]], boxes: Sequence[NDArray[np.int32]], classes: Sequence[int], whole: bool
) -> Samples:
    columns = np.stack(boxes).astype(np.int32) if boxes else np.empty((0, 4), np.int32)
    return Samples(tuple(images), columns, np.array(classes, np.int64), whole)
