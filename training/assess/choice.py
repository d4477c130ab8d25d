"""Which pictures a configuration is measured on: one side of a split, and none that its models have learnt from. Pure
but for reading.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from shadowline.errors import StationError
from training.data import Manifest, Marked, Split, read_manifest

__all__ = ["Side", "choose", "read_run_manifests", "refuse_learnt"]

Side: TypeAlias = Literal["train", "val", "test", "all"]


def read_run_manifests(runs: Sequence[Path]) -> dict[str, Manifest]:
    """Return the split of each training run, given its folder or its manifest. Raises `StationError` for none."""
    return {str(run): read_manifest(run / "manifest.json" if run.is_dir() else run) for run in runs}


def choose(
    pictures: Sequence[Marked], side: Side, manifests: Mapping[str, Manifest], own: Mapping[Split, tuple[Marked, ...]]
) -> tuple[Marked, ...]:
    """Return the pictures on one side: of every manifest, or without one of the `own` split.

    A picture is known by its hash, wherever it lies now. Raises `StationError` when none is left.
    """
    if side == "all":
        chosen = tuple(pictures)
    elif manifests:
        there = [{one.sha256 for one in manifest.of(side)} for manifest in manifests.values()]
        chosen = tuple(picture for picture in pictures if all(picture.sha256 in hashes for hashes in there))
    else:
        chosen = own[side]
    if not chosen:
        raise StationError(f"no picture is on side {side} of {', '.join(manifests) or 'this split'}")
    return chosen


def refuse_learnt(models: Mapping[str, str], chosen: Sequence[Marked], splits: Mapping[str, Manifest]) -> list[str]:
    """Return which of `models` (name → data hash) are of none of `splits`: what they learnt is not known.

    Raises `StationError` when one has learnt from a chosen picture.
    """
    by_hash = {manifest.sha256(): (name, manifest) for name, manifest in splits.items()}
    for model, data_sha256 in models.items():
        if data_sha256 in by_hash:
            name, manifest = by_hash[data_sha256]
            sides = {picture.sha256: picture.split for picture in manifest.pictures}
            learnt = [picture.path for picture in chosen if sides.get(picture.sha256, "test") != "test"]
            if learnt:
                raise StationError(
                    f"{model} has learnt from {len(learnt)} of these {len(chosen)} pictures (split of {name}), "
                    f"first {learnt[0]}: measure it with --side test"
                )
    return [model for model, data_sha256 in models.items() if data_sha256 not in by_hash]
