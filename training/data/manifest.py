"""Which picture serves for what: the split by class and by group, kept as a JSON manifest. Pure but for reading."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shadowline.errors import ConfigError, StationError
from training.data.groups import TWIN_CORRELATION, group_pictures, nearest
from training.data.tree import Tree

__all__ = ["Manifest", "Picture", "Split", "check_leak", "check_split", "make_manifest", "read_manifest", "sides_of"]

Split: TypeAlias = Literal["train", "val", "test"]
_ORDER: tuple[Split, ...] = ("train", "test", "val")
"""Who gets a group first where a class has too few for every side."""
_SHOWN = 5
_SAME_CORRELATION = 0.9
"""Above what any two frames of different strips reached in a real line's pictures (0.83)."""


class Picture(BaseModel):
    """One picture of a manifest; `path` is relative to the tree's root, `group` is shared by what belongs together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    label: str
    also: tuple[str, ...] = ()
    """Other labels in the picture."""
    sha256: str
    group: int
    split: Split


class Manifest(BaseModel):
    """Which picture serves for what, and which could not be used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    seed: int
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    pictures: tuple[Picture, ...]
    skipped: dict[str, str] = {}
    """Path → why it was left out."""
    notes: tuple[str, ...] = ()
    """What was handled, and how."""

    def of(self, split: Split) -> tuple[Picture, ...]:
        """Return the pictures of one side of the split."""
        return tuple(picture for picture in self.pictures if picture.split == split)

    def sha256(self) -> str:
        """Return the hash of every picture's hash, labels and side, in order of the paths."""
        rows = sorted(self.pictures, key=lambda p: p.path)
        lines = (" ".join((p.path, p.label, p.sha256, p.split, *p.also)) for p in rows)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def make_manifest(
    tree: Tree,
    seed: int,
    fractions: Mapping[Split, float],
    group_pattern: str | None = None,
    fold: int | None = None,
) -> Manifest:
    """Split a tree by class and by group, so that no copy, near twin, strip or part stands on two sides.

    Same seed, same split. `group_pattern` is that of `group_pictures`. With `fold`, the test side is that one of k
    folds, k being 1 over the test fraction; the test sides of all folds are disjoint and hold every picture. Raises
    `StationError` for a class with one picture, and when the fractions do not sum to 1 or have no such fold.
    """
    labels = tuple(sorted(set(tree.labels)))
    for label, count in Counter(tree.labels).items():
        if count < 2:
            raise StationError(f"{tree.root}: class {label} has one usable picture; add more or remove its folder")
    groups = group_pictures(tree, group_pattern)
    counts, rows = _count(tree.labels, groups)
    sides = _sides(counts, fractions, fold, np.random.default_rng(seed))
    pictures = tuple(
        Picture(path=path, label=label, also=tree.also.get(path, ()), sha256=sha256, group=int(group), split=sides[row])
        for path, label, sha256, group, row in zip(tree.paths, tree.labels, tree.sha256, groups, rows, strict=True)
    )
    notes = (*tree.notes, *_group_notes(labels, counts), *_side_notes(labels, counts, sides, fractions))
    return Manifest(seed=seed, labels=labels, pictures=pictures, skipped=tree.skipped, notes=notes)


def sides_of(
    labels: Sequence[str],
    groups: NDArray[np.int64],
    seed: int,
    fractions: Mapping[Split, float],
    fold: int | None = None,
) -> list[Split]:
    """Return the side of each picture, given its label and its group, shared out as `make_manifest` does."""
    counts, rows = _count(labels, groups)
    sides = _sides(counts, fractions, fold, np.random.default_rng(seed))
    return [sides[row] for row in rows]


def check_split(manifest: Manifest) -> None:
    """Raise `StationError` when a picture's hash or group stands on two sides of a split."""
    sides: dict[str, dict[Split, str]] = {}
    for picture in manifest.pictures:
        for key in (f"picture {picture.sha256[:12]}", f"group {picture.group}"):
            sides.setdefault(key, {}).setdefault(picture.split, picture.path)
    shared = [(key, found) for key, found in sides.items() if len(found) > 1]
    if shared:
        key, found = shared[0]
        where = ", ".join(f"{path} in {side}" for side, path in found.items())
        raise StationError(f"the split leaks: {key} is {where} ({len(shared)} in all); make the split again")


def check_leak(train: Tree, test: Tree) -> tuple[str, ...]:
    """Return a note on pictures of `test` that may be near twins of one in `train`.

    Raises `StationError`, with the first pairs, when one stands in `train` itself: the same file, or the same picture
    in another light or file format.
    """
    rows, alike = nearest(train.images, test.images)
    row_of = {sha256: row for row, sha256 in enumerate(train.sha256)}
    twins = [train.paths[row_of.get(sha256, row)] for sha256, row in zip(test.sha256, rows.tolist(), strict=True)]
    same = (alike > _SAME_CORRELATION) | np.array([sha256 in row_of for sha256 in test.sha256])
    if same.any():
        raise StationError(
            f"pictures below {test.root} that were learnt from: {_pairs_shown(test.paths, twins, same)}; "
            "take them out of one of the two"
        )
    close = alike > TWIN_CORRELATION
    if not close.any():
        return ()
    return (f"pictures below {test.root} that look like learnt ones: {_pairs_shown(test.paths, twins, close)}",)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest. Raises `StationError` when it is missing or not one."""
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as fault:
        raise StationError(f"{path}: not a split manifest of `station train fit`") from fault


def _count(labels: Sequence[str], groups: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pictures of each label in each group [groups, labels], labels sorted, and each picture's row of it."""
    names, columns = np.unique(labels, return_inverse=True)
    found, rows = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(found), len(names)), np.int64)
    np.add.at(counts, (rows, columns), 1)
    return counts, rows


def _sides(
    counts: NDArray[np.int64], fractions: Mapping[Split, float], fold: int | None, rng: np.random.Generator
) -> list[Split]:
    """Return the side of each group; `counts` is its pictures of each class [groups, classes]."""
    if abs(sum(fractions.values()) - 1) > 1e-6:
        raise ConfigError(f"split fractions {dict(fractions)} do not sum to 1")
    names = [side for side in _ORDER if fractions.get(side, 0.0) > 0]
    if fold is None:
        return [names[place] for place in _share_out(counts, [fractions[side] for side in names], rng)]
    folds = round(1 / fractions["test"]) if fractions.get("test") else 0
    if not 0 <= fold < folds or folds < 2:
        raise ConfigError(
            f"fold {fold}: a test fraction of {fractions.get('test', 0.0)} makes {folds} folds, from 0 on"
        )
    tested = _share_out(counts, [1 / folds] * folds, rng) == fold
    others = [side for side in names if side != "test"]
    places = iter(_share_out(counts[~tested], [fractions[side] for side in others], rng))
    return ["test" if out else others[next(places)] for out in tested]


def _share_out(counts: NDArray[np.int64], fractions: Sequence[float], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the side number of each group, so that each class is shared out by `fractions` as its groups allow.

    First each class, rarest first, gets a group on each side while it has any; then the groups, largest first, go where
    the most is missing of their classes: the side that lowers the sum of squared relative deviations the most.
    """
    totals = np.maximum(counts.sum(0), 1)
    target = np.array(fractions)[:, None] / sum(fractions) * totals
    order = rng.permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]
    sides = np.full(len(counts), -1, np.int64)
    for number in np.argsort((counts > 0).sum(0), kind="stable"):
        for side in range(len(fractions)):
            holds = counts[:, number] > 0
            free = [group for group in order if holds[group] and sides[group] < 0]
            if free and not (holds & (sides == side)).any():
                sides[free[0 if side == 0 else -1]] = side
    filled = np.stack([counts[sides == side].sum(0) for side in range(len(fractions))])
    for group in order[sides[order] < 0]:
        missing = (counts[group] / totals**2 * (target - filled)).sum(1)
        sides[group] = missing.argmax()
        filled[sides[group]] += counts[group]
    return sides


def _pairs_shown(paths: Sequence[str], twins: Sequence[str], chosen: NDArray[np.bool_]) -> str:
    """Return how many of the pictures are chosen, and the first ones with their twins."""
    shown = ", ".join(f"{paths[row]} is {twins[row]}" for row in np.flatnonzero(chosen)[:_SHOWN])
    return f"{chosen.sum()} of {len(paths)} ({shown})"


def _group_notes(labels: Sequence[str], counts: NDArray[np.int64]) -> list[str]:
    """Return how many groups of several pictures there are, and which one is the largest."""
    sizes = counts.sum(1)
    if sizes.max() < 2:
        return []
    largest = counts[sizes.argmax()]
    held = ", ".join(f"{largest[number]} {labels[number]}" for number in np.argsort(-largest) if largest[number])
    several = int((sizes > 1).sum())
    return [f"{sizes.sum()} pictures make {len(sizes)} groups, {several} of several pictures; the largest: {held}"]


def _side_notes(
    labels: Sequence[str], counts: NDArray[np.int64], sides: Sequence[Split], fractions: Mapping[Split, float]
) -> list[str]:
    """Return which classes have fewer than 3 groups or are missing on a side."""
    notes = []
    for number, label in enumerate(labels):
        there = {side for side, count in zip(sides, counts[:, number], strict=True) if count}
        absent = [side for side in _ORDER if fractions.get(side, 0.0) > 0 and side not in there]
        groups = int((counts[:, number] > 0).sum())
        if absent or groups < 3:
            what = f"none of them in {' and '.join(absent)}" if absent else "too few to judge by"
            notes.append(f"class {label} has {groups} groups of pictures: {what}")
    return notes
