"""Drawn pictures with defects of two kinds and their YOLO boxes, for detectors that are trained in seconds."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["MARKS", "draw_marked", "write_marked"]

MARKS = ("disc", "bar")
SIDE_PX = 96


def draw_marked(seed: int) -> tuple[NDArray[np.uint8], list[tuple[int, tuple[int, int, int, int]]]]:
    """Return a noisy grey picture of 96 px with dark discs and bright bars, one or two: kind and box x, y, w, h."""
    rng = np.random.default_rng(seed)
    picture = np.full((SIDE_PX, SIDE_PX), 140.0) + rng.normal(0, 15)
    marks = []
    for left in rng.permutation((0, SIDE_PX // 2))[: int(rng.integers(1, 3))].tolist():
        kind = int(rng.integers(len(MARKS)))
        half_w, half_h = (r := int(rng.integers(7, 14)), r) if kind == 0 else (3, int(rng.integers(12, 24)))
        x, y = left + SIDE_PX // 4 + int(rng.integers(-8, 9)), int(rng.integers(half_h, SIDE_PX - half_h))
        if kind == 0:
            cv2.circle(picture, (x, y), r, 40, -1)
        else:
            cv2.rectangle(picture, (x - half_w, y - half_h), (x + half_w, y + half_h), 240, -1)
        marks.append((kind, (x - half_w, y - half_h, 2 * half_w + 1, 2 * half_h + 1)))
    return np.clip(picture + rng.normal(0, 8, picture.shape), 0, 255).astype(np.uint8), marks


def write_marked(root: Path, count: int, first: int = 0) -> Path:
    """Write `count` pictures into `root`/pictures and their YOLO files into `root`/yolo, and return `root`."""
    for name in ("pictures", "yolo"):
        (root / name).mkdir(parents=True)
    (root / "yolo" / "classes.txt").write_text("\n".join(MARKS))
    for seed in range(first, first + count):
        picture, marks = draw_marked(seed)
        cv2.imwrite(str(root / "pictures" / f"{seed}.png"), picture)
        lines = (_yolo_line(kind, box) for kind, box in marks)
        (root / "yolo" / f"{seed}.txt").write_text("\n".join(lines))
    return root


def _yolo_line(kind: int, box: tuple[int, int, int, int]) -> str:
    x, y, w, h = (value / SIDE_PX for value in box)
    return f"{kind} {x + w / 2:.6f} {y + h / 2:.6f} {w:.6f} {h:.6f}"
