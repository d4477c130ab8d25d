"""Run the finder over real pictures and say what it finds, beside a plain OpenCV chain. Main thread.

    SHADOWLINE_DATA=… python tests/benchmarks/real_regions.py [--write docs/regions.md]

The settings are the `[regions]` tables of docs/regions.md. Each set of pictures is cut in two by a seed: parameters
were chosen on the half `chosen`, the half `other` was not looked at. What the columns mean is said in docs/regions.md.
"""

import argparse
import os
import random
import re
import sys
import time
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from station.config import RegionsConfig
from station.regions import open_finder
from station.regions.background import Background
from station.regions.components import LEVEL

DOCS = Path(__file__).parents[2] / "docs" / "regions.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
SEED = 20261121
IOU, COVERED = 0.3, 0.2
CHAIN_LEVELS = {"neu": (8, 12), "magnetic-tile": (8, 18), "gc10": (18,), "gige-parts": (18,)}
CHAIN_AREA_PX = 64

Mask = NDArray[np.uint8]
Boxes = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture with what is known of it: boxes int [n,4] or a mask, or neither."""

    group: str
    image: Mask
    boxes: Boxes | None = None
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a chain says of a picture: boxes, and the pixels that it holds for defects."""

    boxes: Boxes
    pixels: Mask
    ms: float
    overfull: bool = False


class Chain(Protocol):
    def __call__(self, image: Mask) -> Found: ...


def finder_chain(config: RegionsConfig) -> Chain:
    """Return the station's finder with `config`."""
    finder = open_finder(config, None)

    def find(image: Mask) -> Found:
        start_s = time.perf_counter()
        regions = finder.find(image)
        ms = (time.perf_counter() - start_s) * 1e3
        pixels = beyond_limits(image, config) & drawn(regions.box, image.shape)
        return Found(regions.box, pixels, ms, regions.invalid == "overfull")

    return find


def beyond_limits(image: Mask, config: RegionsConfig) -> Mask:
    """Return 1 where `image` is beyond the limits of a picture by itself, computed anew for every pixel."""
    height, width = image.shape
    small = cv2.resize(
        image, (max(width // config.scale, 1), max(height // config.scale, 1)), interpolation=cv2.INTER_AREA
    )
    if config.smooth_px > 1:
        small = cv2.blur(small, (config.smooth_px, config.smooth_px))
    cell = config.cell_px
    grid = (-(-small.shape[0] // cell), -(-small.shape[1] // cell))
    background = Background(config, grid, 1.0)
    background.start(small)
    low, high = (
        cv2.resize(limit.astype(np.float32) / LEVEL, (grid[1] * cell, grid[0] * cell))[
            : small.shape[0], : small.shape[1]
        ]
        for limit in background.limits()
    )
    beyond = ((small < low) | (small > high)).astype(np.uint8)
    return cv2.resize(beyond, (width, height), interpolation=cv2.INTER_NEAREST)


def plain_chain(levels: int) -> Chain:
    """Return what is usually written: Gaussian background, difference, opening, components."""

    def find(image: Mask) -> Found:
        start_s = time.perf_counter()
        background = cv2.GaussianBlur(image, (101, 101), 0)
        beyond = (cv2.absdiff(background, image) > levels).astype(np.uint8)
        beyond = cv2.morphologyEx(beyond, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        stats = cv2.connectedComponentsWithStats(beyond)[2][1:]
        boxes = stats[stats[:, 4] >= CHAIN_AREA_PX, :4]
        ms = (time.perf_counter() - start_s) * 1e3
        return Found(boxes, beyond & drawn(boxes, image.shape), ms)

    return find


def drawn(boxes: Boxes, shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, np.uint8)
    for x, y, w, h in boxes.tolist():
        mask[y : y + h, x : x + w] = 1
    return mask


@dataclass
class Score:
    """Sums over the pictures of one half."""

    pictures: int = 0
    wanted: int = 0
    hit: int = 0
    hit_by_box: int = 0
    hit_by_chance: int = 0
    regions: int = 0
    false: int = 0
    free: int = 0
    free_false: int = 0
    part: float = 0.0
    overfull: int = 0
    ms: list[float] = field(default_factory=list)
    before: Boxes = field(default_factory=lambda: np.empty((0, 4), np.int32))

    def add(self, picture: Picture, found: Found) -> None:
        self.pictures += 1
        self.regions += len(found.boxes)
        self.part += float(found.pixels.mean())
        self.overfull += found.overfull
        self.ms.append(found.ms)
        if picture.boxes is not None:
            self.wanted += len(picture.boxes)
            self.hit += int((overlaps(picture.boxes, found.boxes).max(1, initial=0) >= IOU).sum())
            self.hit_by_chance += int((overlaps(picture.boxes, self.before).max(1, initial=0) >= IOU).sum())
            self.before = found.boxes
        if picture.mask is not None:
            self._add_mask(picture.mask, found)

    def _add_mask(self, mask: Mask, found: Found) -> None:
        false = sum(not mask[y : y + h, x : x + w].any() for x, y, w, h in found.boxes.tolist())
        self.false += false
        count, labels = cv2.connectedComponents(mask, connectivity=8)
        if count == 1:
            self.free += 1
            self.free_false += false
        total = np.bincount(labels.ravel(), minlength=count)[1:]
        covered = np.bincount(labels.ravel(), found.pixels.ravel(), minlength=count)[1:]
        self.wanted += count - 1
        self.hit += int((covered >= COVERED * total).sum())
        boxed = drawn(found.boxes, mask.shape)
        boxed_total = np.bincount(labels.ravel(), boxed.ravel(), minlength=count)[1:]
        self.hit_by_box += int((boxed_total >= COVERED * total).sum())

    def row(self, name: str) -> str:
        recall = f"{self.hit / self.wanted:.2f} of {self.wanted}" if self.wanted else "–"
        false = f"{self.false / self.pictures:.1f}" if self.free else "–"
        chance = f"{self.hit_by_chance / self.wanted:.2f}" if self.wanted and not self.free else "–"
        by_box = f"{self.hit_by_box / self.wanted:.2f}" if self.free else "–"
        free = f"{self.free_false / self.free:.1f}" if self.free else "–"
        return (
            f"| {name} | {self.pictures} | {recall} | {chance} | {by_box} "
            f"| {self.regions / self.pictures:.1f} | {false} | {free} "
            f"| {100 * self.part / self.pictures:.1f} % | {self.overfull} | {np.median(self.ms):.2f} |"
        )


def overlaps(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Return intersection over union, [len(a), len(b)]."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum((a[:, :2] + a[:, 2:])[:, None], (b[:, :2] + b[:, 2:])[None])
    common = np.clip(high - low, 0, None).prod(2)
    union = (a[:, 2] * a[:, 3])[:, None] + (b[:, 2] * b[:, 3])[None] - common
    return np.asarray(common / union)


def pictures_of(root: Path, name: str) -> Iterator[Picture]:
    """Yield the pictures of one set, in order of their names."""
    patterns = {"neu": "images/*/*", "magnetic-tile": "images/*/*", "gc10": "images-full/*/*", "gige-parts": "*.jpg"}
    for path in sorted((root / name).glob(patterns[name])):
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if name == "neu":
            yield Picture(path.parent.name, image, boxes=_voc(root / name / "annotations" / f"{path.stem}.xml"))
        elif name == "magnetic-tile":
            labelled = root / name / "masks" / path.parent.name / f"{path.stem}.png"
            mask = cv2.imread(str(labelled), cv2.IMREAD_GRAYSCALE) if labelled.exists() else np.zeros_like(image)
            yield Picture(path.parent.name, image, mask=(mask > 127).astype(np.uint8))
        elif name == "gc10":
            yield Picture(path.parent.name, image, boxes=_voc(root / name / "annotations" / f"{path.stem}.xml"))
        else:
            yield Picture("part", image)


def _voc(path: Path) -> Boxes | None:
    if not path.exists():
        return None
    corners = [
        [int(float(box.findtext(key, "0"))) for key in ("xmin", "ymin", "xmax", "ymax")]
        for box in ET.parse(path).getroot().iter("bndbox")
    ]
    found = np.array(corners, np.int32).reshape(-1, 4)
    found[:, 2:] -= found[:, :2]
    return found


def halves(pictures: list[Picture]) -> dict[str, list[Picture]]:
    """Cut the labelled sets in two by the seed; a set of a few pictures stays whole."""
    if len(pictures) < 100:
        return {"all": pictures}
    order = list(range(len(pictures)))
    random.Random(SEED).shuffle(order)
    middle = len(order) // 2
    return {"chosen": [pictures[i] for i in order[:middle]], "other": [pictures[i] for i in order[middle:]]}


def settings_of(text: str) -> dict[str, RegionsConfig]:
    """Return the `[regions]` tables of the docs by the name in the line above, `defaults` among them."""
    found = {"defaults": RegionsConfig(background="frame")}
    for name, table in re.findall(r"Settings `([\w-]+)`.*?```toml\n(.*?)```", text, re.DOTALL):
        found[name] = RegionsConfig.model_validate(tomllib.loads(table)["regions"])
    return found


RUNS = {
    "neu": ("defaults", "texture", "texture-all"),
    "magnetic-tile": ("defaults", "tiles"),
    "gc10": ("defaults", "texture"),
    "gige-parts": ("defaults", "tiles"),
}


def measure(root: Path, settings: dict[str, RegionsConfig]) -> Iterator[str]:
    """Yield the lines of the result."""
    for name, runs in RUNS.items():
        pictures = list(pictures_of(root, name))
        chains: dict[str, Chain] = {run: finder_chain(settings[run]) for run in runs}
        chains |= {f"plain chain, {levels} levels": plain_chain(levels) for levels in CHAIN_LEVELS[name]}
        yield f"\n**{name}**\n"
        yield (
            "| chain, half | pictures | recall | by chance | by box "
            "| regions | false | false on free | pixels | overfull | ms |"
        )
        yield "|---|---|---|---|---|---|---|---|---|---|---|"
        for chain_name, chain in chains.items():
            for half_name, half in halves(pictures).items():
                yield _score(chain, half).row(f"{chain_name}, {half_name}")
            if name == "neu" and chain_name == "texture":
                groups = sorted({picture.group for picture in pictures})
                scores = {group: _score(chain, [p for p in pictures if p.group == group]) for group in groups}
                by_group = [f"{group} {score.hit / score.wanted:.2f}" for group, score in scores.items()]
    yield "\nNEU by folder, `texture`, all pictures: " + ", ".join(by_group) + "."


def _score(chain: Chain, pictures: list[Picture]) -> Score:
    score = Score()
    for picture in pictures:
        score.add(picture, chain(picture.image))
    return score


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="put the result between the marks of this file")
    arguments = parser.parse_args()
    root = os.environ.get("SHADOWLINE_DATA")
    if not root:
        print("SHADOWLINE_DATA is not set: it names the folder of real pictures", file=sys.stderr)
        return 2
    cv2.setNumThreads(1)
    lines = []
    for line in measure(Path(root), settings_of(DOCS.read_text())):
        print(line, flush=True)
        lines.append(line)
    if arguments.write:
        text = arguments.write.read_text()
        before, rest = text.split(BEGIN)
        arguments.write.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + rest.split(END)[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
