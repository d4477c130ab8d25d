"""Choose limits on one part of the pictures and count false regions, and defects found, on another. Main thread.

    python tests/benchmarks/calibration_limit.py strip
    SHADOWLINE_DATA=… python tests/benchmarks/calibration_limit.py tiles

`strip`: simulated coils of two metres, each of a seed of its own, without defects; other coils judge. `tiles`:
magnetic tiles, cut in two by groups of near twins: settings were found and limits are chosen on the one half, the sound
tiles of it; the other half was not looked at. Recall is that of docs/regions.md.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from real_regions import DOCS, Chain, Picture, Score, finder_chain, pictures_of, plain_chain, settings_of

from calibration.limit import Choice, Counts, choose
from shadowline.errors import CalibrationError
from station.camera.strip import Strip
from station.config import RegionsConfig
from station.frame import Image
from station.limit_sweep import Sweep
from station.regions import open_finder
from training.data.groups import twin_groups

WIDTH_PX, HEIGHT_PX, PITCH_MM = 2048, 1000, 0.25
FRAMES = 8  # a coil; its surface repeats after one and a quarter, its noise does not
SIGMAS = np.geomspace(2.2, 4.2, 24)
CHOSEN, JUDGED = range(1, 41), range(101, 141)
SEED = 5
CHAIN_LEVELS = range(20, 120, 4)
TRIED: tuple[tuple[str, dict[str, object]], ...] = (
    ("defaults", {}),
    ("defaults", {"polarity": "dark"}),
    ("tiles", {}),
    ("tiles", {"polarity": "dark"}),
    ("tiles", {"polarity": "dark", "min_area_px": 64}),
    ("tiles", {"polarity": "dark", "min_area_px": 64, "scale": 2, "merge_gap_px": 16, "contrast": 0.05}),
)


def coils(seeds: range) -> Iterator[list[Image]]:
    for seed in seeds:
        strip = Strip(WIDTH_PX, HEIGHT_PX, seed, 0)
        yield [strip.frame(index)[0] for index in range(FRAMES)]


def swept() -> Counts:
    """Return what the coils that choose show, in four zones."""
    sweep = Sweep(RegionsConfig(), None, 4, SIGMAS)
    for images in coils(CHOSEN):
        sweep.begin()
        for image in images:
            sweep.take("", image)
    return sweep.counts(RegionsConfig().min_area_px, PITCH_MM)


def joined(counts: Counts, zones: int) -> Counts:
    """Return `counts` with neighbouring zones counted as one, so that `zones` are left."""
    found = counts.found.reshape(*counts.found.shape[:2], zones, -1).sum(3)
    return Counts(counts.sigmas, found, counts.amount)


def with_limit(config: RegionsConfig, choice: Choice) -> RegionsConfig:
    sigmas = choice.sigmas if len(choice.sigmas) > 1 else choice.sigmas[0]
    return config.model_copy(update={"noise_sigmas": sigmas})


def held_out(configs: list[RegionsConfig]) -> list[float]:
    """Return the false regions a metre of the coils that judge, for each of `configs`."""
    found = np.zeros(len(configs))
    for images in coils(JUDGED):
        finders = [open_finder(config, None) for config in configs]
        for image in images:
            found += [len(finder.find(image)) for finder in finders]
            for finder in finders:
                finder.learn(image)
    metres = len(JUDGED) * FRAMES * HEIGHT_PX * PITCH_MM / 1e3
    return [float(rate) for rate in found / metres]


def strip() -> None:
    choices, counts = [], swept()
    for zones, rates in ((1, (10, 5, 2, 1)), (2, (5, 2)), (4, (5,))):
        for rate in rates:
            try:
                choices.append(choose(joined(counts, zones), rate, "metre"))
            except CalibrationError as error:
                print(f"{zones} zones, {rate} a metre: {error}")
    rates = held_out([with_limit(RegionsConfig(), choice) for choice in choices])
    print("| zones | asked a metre | noise_sigmas | 95 % | held out | factor |\n|---|---|---|---|---|---|")
    for choice, rate in zip(choices, rates, strict=True):
        sigmas = ", ".join(f"{sigma:.2f}" for sigma in choice.sigmas)
        print(
            f"| {len(choice.sigmas)} | {choice.rate:g} | {sigmas} | {choice.low:.2g} to {choice.high:.2g} "
            f"| {rate:.2f} | {rate / choice.rate:.2f} |"
        )


def tile_limit(config: RegionsConfig, pictures: list[Picture]) -> RegionsConfig:
    sweep = Sweep(config)
    for number, picture in enumerate(pictures):
        sweep.begin()
        sweep.take(str(number), picture.image)
    return with_limit(config, choose(sweep.counts(config.min_area_px), 1.0, "frame"))


def chain_at_one(pictures: list[Picture]) -> tuple[str, Chain]:
    """Return the plain chain at the least level with at most one false region a picture."""
    for levels in CHAIN_LEVELS:
        if scored(plain_chain(levels), pictures).false <= len(pictures):
            break
    return f"plain chain, {levels} levels", plain_chain(levels)


def scored(chain: Chain, pictures: list[Picture]) -> Score:
    score = Score()
    for picture in pictures:
        score.add(picture, chain(picture.image))
    return score


def tiles(root: Path) -> None:
    pictures = list(pictures_of(root, "magnetic-tile"))
    groups = twin_groups([picture.image for picture in pictures])
    order = np.random.default_rng(SEED).permutation(np.unique(groups))
    first = np.isin(groups, order[: len(order) // 2])
    sound = np.array([picture.group == "MT_Free" for picture in pictures])
    chosen = [pictures[row] for row in np.flatnonzero(first & sound)]
    free = [pictures[row] for row in np.flatnonzero(~first & sound)]
    marred = [pictures[row] for row in np.flatnonzero(~first & ~sound)]
    print(f"{len(chosen)} sound pictures choose; {len(free)} sound and {len(marred)} marred ones judge")
    base = settings_of(DOCS.read_text())
    rows: list[tuple[str, Chain]] = [(name, finder_chain(base[name])) for name in ("defaults", "tiles")]
    for name, changes in TRIED:
        config = tile_limit(base[name].model_copy(update=changes), chosen)
        told = ", ".join(f"{key} {value}" for key, value in changes.items())
        rows.append((f"{name}, {told or 'as it is'}, limit chosen: {config.noise_sigmas:.2f}", finder_chain(config)))
    rows.append(chain_at_one(chosen))
    print("| chain | recall | by box | false a sound picture | false a marred one |\n|---|---|---|---|---|")
    for name, chain in rows:
        found, false = scored(chain, marred), scored(chain, free)
        print(
            f"| {name} | {found.hit / found.wanted:.2f} of {found.wanted} | {found.hit_by_box / found.wanted:.2f} "
            f"| {false.false / false.pictures:.2f} | {found.false / found.pictures:.2f} |",
            flush=True,
        )


def main() -> int:
    cv2.setNumThreads(1)
    root = os.environ.get("SHADOWLINE_DATA")
    match sys.argv[1:]:
        case ["strip"]:
            strip()
        case ["tiles"] if root:
            tiles(Path(root))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
