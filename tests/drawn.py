"""Small drawn pictures of a few kinds, in folders, for trainings that take seconds."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["KINDS", "draw", "write_pictures"]

KINDS = ("blob", "stripes", "dots")


def draw(kind: str, seed: int, side_px: int = 48) -> NDArray[np.uint8]:
    """Return a noisy grey picture [side_px,side_px] of one kind: a dark disc, upright stripes, or bright dots."""
    rng = np.random.default_rng(seed)
    picture = np.full((side_px, side_px), 150.0) + rng.normal(0, 30)
    if kind == "blob":
        cv2.circle(picture, tuple(int(c) for c in rng.integers(14, side_px - 14, 2)), int(rng.integers(7, 12)), 40, -1)
    elif kind == "stripes":
        picture += 45 * np.sign(np.sin(np.arange(side_px) * rng.uniform(0.6, 0.9) + rng.uniform(0, 6)))
    else:
        for x, y in rng.integers(3, side_px - 3, (40, 2)).tolist():
            cv2.circle(picture, (x, y), 1, 250, -1)
    return np.clip(picture + rng.normal(0, 12, picture.shape), 0, 255).astype(np.uint8)


def write_pictures(root: Path, count: int, kinds: tuple[str, ...] = KINDS, first: int = 0) -> Path:
    """Write `count` pictures a kind into `root`/<kind>/ and return `root`."""
    for kind in kinds:
        (root / kind).mkdir(parents=True)
        for seed in range(first, first + count):
            cv2.imwrite(str(root / kind / f"{kind}_{seed}.png"), draw(kind, 1000 * KINDS.index(kind) + seed))
    return root
