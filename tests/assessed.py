"""A small marked data set of dark spots on bright pictures, and configurations of the station that find them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.finder_files import write_finder

__all__ = ["GOOD", "SIDE_PX", "config_text", "write_marked"]

SIDE_PX = 128
GOOD = "fine"


def write_marked(root: Path, count: int = 8) -> Path:
    """Write pictures and masks, as many with a dark square of 24 px as without, in folders `spot` and `fine`."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        for label in ("spot", GOOD):
            image = np.clip(rng.normal(200, 6, (SIDE_PX, SIDE_PX)), 0, 255).astype(np.uint8)
            mask = np.zeros_like(image)
            if label == "spot":
                x, y = (8 * rng.integers(2, 11, 2)).tolist()
                image[y : y + 24, x : x + 24] //= 8
                mask[y : y + 24, x : x + 24] = 255
            for folder, picture in (("pictures", image), ("masks", mask)):
                file = root / folder / label / f"{label}_{seed}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(file), picture)
    return root


def config_text(folder: Path, kind: str = "shadow", more: str = "", facts: Mapping[str, Any] | None = None) -> Path:
    """Write a configuration whose classifier calls every region `spot`, with a finder of some kind; return its file."""
    regions = ""
    if kind != "shadow":
        model = write_finder(folder / f"{kind}.onnx", kind, facts=facts)
        regions = f'type = "{kind}"\nmodel = "{model}"\n'
    file = folder / f"{kind}.toml"
    file.write_text(
        '[[camera]]\nname = "top"\ntype = "simulated"\n'
        '[engine]\nbackend = "fake"\nlabels = ["spot", "other"]\n'
        f"[regions]\n{regions}{more}"
    )
    return file
