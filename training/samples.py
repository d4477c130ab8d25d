"""Training crops: which defects there are, and loose, shifted, partial boxes of them as a finder would cut. Pure."""

from collections.abc import Iterable, Mapping, Sequence
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
from training.data import Manifest, Split, Tree, read_tree, with_box_labels
from training.data.boxes import boxes_of
from training.recipe import Recipe, Renders

__all__ = [
    "Sampler",
    "Samples",
    "box_samples",
    "exact_crops",
    "like_serving",
    "pictures_of",
    "render_samples",
    "sources_of",
    "whole_samples",
]

Jitter: TypeAlias = Literal["part", "loose", "slight"]

_SPLIT_ORDER: tuple[Split, ...] = ("train", "val", "test")
_Row: TypeAlias = tuple[str, NDArray[np.uint8], NDArray[np.int32], tuple[str, ...]]
"""Name, picture, box and labels, its class first."""


@dataclass(frozen=True, slots=True)
class Samples:
    """n defects of one source: a picture and its name, a box x, y, w, h in it, a class number and all labels each.

    `targets` float32 [n,C] is 1 for every label that is true, the class among them. `jitter` is how training changes
    the box: `part` of a whole picture, `loose` or partial, or only `slight`.
    """

    names: tuple[str, ...]
    images: tuple[NDArray[np.uint8], ...]
    boxes: NDArray[np.int32]
    classes: NDArray[np.int64]
    targets: NDArray[np.float32]
    jitter: Jitter

    def __len__(self) -> int:
        return len(self.images)


def pictures_of(recipe: Recipe, data: Path) -> Tree:
    """Read the pictures of a recipe below `data`, for several labels at once with those of the boxes beside them.

    Raises `StationError` when they can't be used.
    """
    several = recipe.head == "multi_label"
    tree = read_tree(data / recipe.pictures, "also" if several else "skip", recipe.aliases)
    if several and recipe.boxes is not None:
        tree = with_box_labels(tree, data / recipe.boxes, recipe.aliases, recipe.box_size_px)
    return tree


def sources_of(recipe: Recipe, tree: Tree, manifest: Manifest, data: Path, split: Split) -> dict[str, Samples]:
    """Return one side's samples by source: `whole`, and `box`, `render`, `found` where the recipe asks for them."""
    sources = {"whole": whole_samples(tree, manifest, split)}
    if recipe.boxes is not None:
        sources["box"] = box_samples(recipe, tree, manifest, split, data / recipe.boxes)
    if recipe.renders is not None:
        sources.update(render_samples(recipe.renders, manifest.labels, split))
    return sources


def like_serving(sources: Iterable[str]) -> list[str]:
    """Return the sources to choose by: without annotated boxes, which overlap and contradict each other."""
    names = list(sources)
    return [name for name in names if name != "box"] or names


def whole_samples(tree: Tree, manifest: Manifest, split: Split) -> Samples:
    """Return the pictures of one side, each as one whole defect of its folder's class, and of what else is in it."""
    side = {picture.path: picture for picture in manifest.of(split)}
    rows = [
        (path, image, whole_image(image)[0], (side[path].label, *side[path].also))
        for path, image in zip(tree.paths, tree.images, strict=True)
        if path in side
    ]
    return _samples(rows, manifest.labels, "part")


def box_samples(recipe: Recipe, tree: Tree, manifest: Manifest, split: Split, folder: Path) -> Samples:
    """Return the annotated boxes of one side's pictures by their own labels; `folder` holds <picture>.xml files."""
    wanted = {picture.path for picture in manifest.of(split)}
    found = boxes_of(tree, folder, recipe.aliases, recipe.box_size_px)
    rows = [
        (f"{path} {box}", image, np.array(box, np.int32), (label,))
        for path, image in zip(tree.paths, tree.images, strict=True)
        if path in wanted
        for label, box in found[path].boxes
    ]
    return _samples(rows, manifest.labels, "loose")


def render_samples(renders: Renders, labels: Sequence[str], split: Split) -> dict[str, Samples]:
    """Return the simulator's defects of one side, by true box (`render`) and as the finder cuts them (`found`).

    No seed serves two sides. A found region is of the defect that holds more than half of its box.
    """
    side = _SPLIT_ORDER.index(split)
    first = renders.train_seed + sum(renders.strips[:side])
    rows: dict[Jitter, list[_Row]] = {"loose": [], "slight": []}
    for seed in range(first, first + renders.strips[side]):
        strip = Strip(renders.side_px, renders.side_px, seed, renders.defects_per_frame)
        finder = open_finder(RegionsConfig(), None)
        for index in range(renders.frames):
            image, defects = strip.frame(index)
            true = [(np.array(defect.box, np.int32), defect.label) for defect in defects]
            found = _matched(finder.find(image).box, defects)
            place = f"strip {seed} frame {index}"
            rows["loose"] += [(f"{place} {box.tolist()}", image, box, (label,)) for box, label in true]
            rows["slight"] += [(f"{place} {box.tolist()}", image, box, (label,)) for box, label in found]
    return {
        "render": _samples(rows["loose"], labels, "loose"),
        "found": _samples(rows["slight"], labels, "slight"),
    }


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
    """Draws augmented training batches from several sources by the shares of the recipe's mix."""

    def __init__(self, sources: Mapping[str, Samples], recipe: Recipe) -> None:
        shares = recipe.mix.model_dump()
        used = [(shares[name], samples) for name, samples in sources.items() if shares[name] > 0 and len(samples)]
        self._samples = [samples for _, samples in used]
        self._shares = np.array([share for share, _ in used]) / sum(share for share, _ in used)
        self._chances = [_chances(samples.classes, recipe.sampling) for samples in self._samples]
        self._recipe = recipe

    def batch(self, count: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return `count` fresh crops [n,1,S,S] and their targets [n,C]."""
        recipe, cut = self._recipe, self._recipe.crop
        crops = np.empty((count, 1, cut.size_px, cut.size_px), np.uint8)
        targets = np.empty((count, self._samples[0].targets.shape[1]), np.float32)
        for place, source in enumerate(rng.choice(len(self._samples), count, p=self._shares)):
            samples = self._samples[source]
            row = int(rng.choice(len(samples), p=self._chances[source]))
            image = samples.images[row]
            box = _jittered(samples.boxes[row], samples.jitter, image, recipe, rng)
            cut_crops(image, box[None], cut, crops[place : place + 1])
            crops[place, 0] = augment(crops[place, 0], rng, recipe.augment, recipe.turns)
            targets[place] = samples.targets[row]
        return crops, targets


def _chances(classes: NDArray[np.int64], sampling: str) -> NDArray[np.float64]:
    """Return how likely each sample is drawn; they sum to 1."""
    power = {"natural": 0.0, "root": 0.5, "balanced": 1.0}[sampling]
    chances = 1 / np.bincount(classes)[classes] ** power
    return np.asarray(chances / chances.sum(), np.float64)


def _jittered(
    box: NDArray[np.int32], jitter: Jitter, image: NDArray[np.uint8], recipe: Recipe, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Return the box as another finder might have made it, at least 3 px wide and inside the picture."""
    if jitter == "part":
        return _part(box, recipe.least_part, rng) if rng.random() < recipe.parts else box
    limit = (image.shape[1], image.shape[0])
    partial = jitter == "loose" and rng.random() < 0.4
    size = box[2:] * (rng.uniform(0.35, 1.0, 2) if partial else rng.uniform(0.85, 1.25, 2))
    size = np.clip(np.rint(size), 3, limit)
    slack = np.abs(box[2:] - size) / 2
    centre = box[:2] + box[2:] / 2 + rng.uniform(-1, 1, 2) * (slack + 0.06 * box[2:])
    corner = np.clip(np.rint(centre - size / 2), 0, limit - size)
    return np.concatenate([corner, size]).astype(np.int32)


def _part(box: NDArray[np.int32], least: float, rng: np.random.Generator) -> NDArray[np.int32]:
    """Return a random part of a box, at least `least` of its sides."""
    size = np.rint(box[2:] * rng.uniform(least, max(least, 0.9))).astype(np.int32)
    corner = box[:2] + rng.integers(0, box[2:] - size, endpoint=True)
    return np.concatenate([corner, size]).astype(np.int32)


def _samples(rows: Sequence[_Row], labels: Sequence[str], jitter: Jitter) -> Samples:
    numbers = [[labels.index(label) for label in own] for _, _, _, own in rows]
    targets = np.zeros((len(rows), len(labels)), np.float32)
    for row, own in enumerate(numbers):
        targets[row, own] = 1
    return Samples(
        tuple(name for name, _, _, _ in rows),
        tuple(image for _, image, _, _ in rows),
        np.array([box for _, _, box, _ in rows], np.int32).reshape(-1, 4),
        np.array([own[0] for own in numbers], np.int64),
        targets,
        jitter,
    )
