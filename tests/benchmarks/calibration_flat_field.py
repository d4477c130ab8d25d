"""What a flat field is worth and what it costs, as docs/calibration.md tells. Main thread.

    SHADOWLINE_DATA=… python tests/benchmarks/calibration_flat_field.py [--picture docs/pictures/flat-field.png]

Rendered cameras have a known flat field (`tests/lit.py`); the parts are 16 pictures of one scene under 16 lights, of
which one at a time is left out and corrected by the others. Without SHADOWLINE_DATA the parts are left out.
"""

import argparse
import os
import statistics
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import FlatField
from calibration.flat_field_fit import FlatFieldFit, fit_flat_field
from calibration.frame_mean import FrameMean
from shadowline.errors import CalibrationError
from station.config import RegionsConfig
from station.regions import ShadowFinder
from tests.lit import LitCamera

HEIGHT, WIDTH = 1000, 2048
LEVEL = 140.0
DARK_FRAMES = 32
MANY_SPECKS = 58
CELL_PX = 16

Plane = NDArray[np.float32]


def rms(plane: Plane) -> float:
    return float(np.sqrt(np.mean(np.square(plane, dtype=np.float64))))


def off_the_limit(camera: LitCamera, gain: Plane, level: float) -> tuple[float, float]:
    """Return how far an even sheet is off the background folded with `gain`, as the finder does it: RMS, greatest."""
    seen = camera.sheet(level) * camera.gain + camera.dark
    cells = (WIDTH // CELL_PX, HEIGHT // CELL_PX)
    mean, cell_gain = (cv2.resize(one, cells, interpolation=cv2.INTER_AREA) for one in (seen, gain))
    background = cv2.medianBlur((mean / cell_gain).astype(np.float32), 5)
    off = seen - cv2.resize(background, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR) * gain
    inside = np.asarray(off[CELL_PX * 2 : -CELL_PX * 2, CELL_PX * 2 : -CELL_PX * 2], np.float32)
    return rms(inside), float(np.abs(inside).max())


def rendered() -> Iterator[str]:
    yield "| camera and target | bright frames | level | unevenness before | after | off the folded limit, RMS / most |"
    yield "|---|---|---|---|---|---|"
    for black, pattern, moving, count in (
        (0, 0, False, 64),
        (4, 0.5, False, 64),
        (4, 0.5, True, 200),
        (16, 1, True, 200),
    ):
        camera = LitCamera(HEIGHT, WIDTH, black=black, pattern=pattern, specks=MANY_SPECKS)
        fit = fit_flat_field(camera.mean_of(count, LEVEL, moving), camera.mean_of(DARK_FRAMES, 0))
        gain = FlatField.of({"gain": fit.gain, "dark": fit.dark}, fit.level).gain
        for level in (80, 140, 200):
            seen = camera.sheet(level) * camera.gain + camera.dark
            after = ((seen - fit.dark) / fit.gain).std()
            off, most = off_the_limit(camera, gain, level)
            target = f"black {black}, pattern {pattern:g}; {'running strip' if moving else 'sheet'}"
            yield f"| {target} | {count} | {level} | {seen.std():.1f} | {after:.2f} | {off:.2f} / {most:.1f} |"


def dark_levels() -> Iterator[str]:
    yield "| black, pattern | level | light alone | dark folded in at 140 |"
    yield "|---|---|---|---|"
    for black, pattern in ((4, 0.5), (16, 1), (16, 3)):
        camera = LitCamera(HEIGHT, WIDTH, black=black, pattern=pattern, specks=MANY_SPECKS)
        fit = fit_flat_field(camera.mean_of(64, LEVEL), camera.mean_of(DARK_FRAMES, 0))
        folded = FlatField.of({"gain": fit.gain, "dark": fit.dark}, fit.level).gain
        for level in (80, 140, 200):
            cells = [
                f"{off:.2f} / {most:.1f}" for off, most in (off_the_limit(camera, g, level) for g in (fit.gain, folded))
            ]
            yield f"| {black}, {pattern:g} | {level} | {' | '.join(cells)} |"


def calibrated(specks: int) -> tuple[LitCamera, FlatFieldFit, FlatField]:
    camera = LitCamera(HEIGHT, WIDTH, specks=specks)
    fit = fit_flat_field(camera.mean_of(200, LEVEL, moving=True), camera.mean_of(DARK_FRAMES, 0))
    return camera, fit, FlatField.of({"gain": fit.gain, "dark": fit.dark}, fit.level)


def hot_path() -> Iterator[str]:
    runs = {}
    for specks in (0, 6, MANY_SPECKS):
        camera, _, field = calibrated(specks)
        frames = [camera.expose(camera.strip(LEVEL, grain=0.01, defects=0)) for _ in range(8)]
        for word, used in (("without", None), ("with", field)):
            runs[f"{specks} specks of dust, {word}"] = (ShadowFinder(RegionsConfig(), used), frames)
    times: dict[str, list[float]] = {name: [] for name in runs}
    regions: dict[str, list[int]] = {name: [] for name in runs}
    for turn in range(400):
        for name, (finder, images) in runs.items():
            image = images[turn % len(images)]
            begin = time.perf_counter()
            found = finder.find(image)
            finder.learn(image)
            times[name].append((time.perf_counter() - begin) * 1e6)
            regions[name].append(len(found.box))
    yield "| frames, flat field | µs a frame, median | quartiles | regions a frame |"
    yield "|---|---|---|---|"
    for name, taken in times.items():
        low, middle, high = statistics.quantiles(taken[40:], n=4)
        yield f"| {name} | {middle:.0f} | {low:.0f}–{high:.0f} | {statistics.mean(regions[name][40:]):.1f} |"


def cost() -> Iterator[str]:
    yield "| frames | ms a frame | memory, MiB |"
    yield "|---|---|---|"
    for wide in (False, True):
        camera = LitCamera(HEIGHT, WIDTH)
        frames = [camera.expose(camera.strip(LEVEL), wide) for _ in range(4)]
        tracemalloc.start()
        mean = FrameMean(200)
        begin = time.perf_counter()
        for turn in range(40):
            mean.add(frames[turn % 4])
        taken_ms = (time.perf_counter() - begin) / 40 * 1e3
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        yield f"| {frames[0].dtype} 2048×1000 | {taken_ms:.1f} | {most / 2**20:.0f} |"


def plate_of(image: NDArray[np.uint8]) -> Plane:
    """Return the right one of the two even plates behind the part, set upright, float32 [900,160]."""
    corners = np.array([[1070, 60], [1225, 60], [1195 + 190, 960], [1215, 960]], np.float32)
    upright = np.array([[0, 0], [160, 0], [160, 900], [0, 900]], np.float32)
    return np.asarray(
        cv2.warpPerspective(image, cv2.getPerspectiveTransform(corners, upright), (160, 900)).astype(np.float32)
    )


def unevenness(plate: Plane) -> float:
    """Return the deviation of areas of 20 px from their mean, in per cent."""
    areas = cv2.resize(plate, (plate.shape[1] // 20, plate.shape[0] // 20), interpolation=cv2.INTER_AREA)
    return float(areas.std() / areas.mean() * 100)


def parts(folder: Path) -> tuple[list[str], Plane]:
    """Return what is to be said of the parts, and the plate of the light of middling gain, before and after."""
    images = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted(folder.glob("*.jpg"))]
    lines, mean = [], FrameMean(len(images))
    for image in images:
        mean.add(image)
    try:
        fit_flat_field(mean)
    except CalibrationError as error:
        lines.append(f"whole pictures: refused, {error}")
    lit = [plate * (120 / np.median(plate)) for image in images if np.median(plate := plate_of(image)) >= 12]
    pairs = []
    for index, plate in enumerate(lit):
        others = FrameMean(len(lit) - 1)
        for other in lit[:index] + lit[index + 1 :]:
            others.add(np.clip(other * 256, 0, 65535).astype(np.uint16))
        first, second = others.halves()
        gain = cv2.GaussianBlur(first + second, (0, 0), 3)
        pairs.append((plate, (plate / (gain / gain.mean())).astype(np.float32)))
    before, after = ([unevenness(pair[side]) for pair in pairs] for side in (0, 1))
    better = sum(b > a for b, a in zip(before, after, strict=True))
    mean_before, mean_after = statistics.mean(before), statistics.mean(after)
    middle_before, middle_after = statistics.median(before), statistics.median(after)
    lines.append(
        f"plate of {len(lit)} lights, each corrected by the others: unevenness {mean_before:.1f} % → "
        f"{mean_after:.1f} % on average, {middle_before:.1f} % → {middle_after:.1f} % in the median; "
        f"better under {better}, worse under {len(lit) - better}"
    )
    ranked = sorted(pairs, key=lambda pair: unevenness(pair[1]) / unevenness(pair[0]))
    return lines, np.asarray(np.concatenate(ranked[len(ranked) // 2], 1), np.float32)


def draw(camera: LitCamera, fit: FlatFieldFit, plates: Plane | None, path: Path) -> None:
    """Write frames before (left) and after the correction, with the means of their columns below; and the plates."""
    frame = camera.expose(camera.strip(LEVEL)).astype(np.float32)
    panels = [panel(frame), panel((frame - fit.dark) / fit.gain)]
    if plates is not None:
        high = panels[0].shape[0]
        upright = cv2.resize(plates, (plates.shape[1] * high // plates.shape[0], high), interpolation=cv2.INTER_AREA)
        panels.append(np.clip(upright, 0, 255).astype(np.uint8))
    gap = np.full((panels[0].shape[0], 8), 255, np.uint8)
    row = np.concatenate([part for each in panels for part in (each, gap)][:-1], 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), row // 4 * 4, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def panel(frame: Plane) -> NDArray[np.uint8]:
    small = cv2.resize(frame, (480, 234), interpolation=cv2.INTER_AREA)
    chart = np.full((100, 480), 255, np.uint8)
    means = cv2.resize(frame.mean(0, keepdims=True), (480, 1), interpolation=cv2.INTER_AREA)[0]
    points = np.stack([np.arange(480), np.clip(100 - (means - 80) * 1.2, 0, 99)], 1).astype(np.int32)
    cv2.polylines(chart, [points], False, 0, 1)
    return np.concatenate([np.clip(small, 0, 255).astype(np.uint8), chart])


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--picture", type=Path)
    picture = asked.parse_args().picture
    for title, lines in (("Rendered, levels RMS", rendered()), ("Dark levels", dark_levels()), ("Cost", cost())):
        print(f"\n{title}\n", *lines, sep="\n")
    print("\nRegions\n", *hot_path(), sep="\n")
    plates = None
    if data := os.environ.get("SHADOWLINE_DATA"):
        lines, plates = parts(Path(data) / "gige-parts")
        print("\nParts\n", *lines, sep="\n")
    if picture:
        camera, fit, _ = calibrated(MANY_SPECKS)
        draw(camera, fit, plates, picture)


if __name__ == "__main__":
    main()
