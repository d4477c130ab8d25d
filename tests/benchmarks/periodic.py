"""How surely a roll mark is found among random defects, and how often a roll is named where there is none.

python -m tests.benchmarks.periodic [COILS]   # Markdown; random coils of each kind
"""

import sys
import time

import numpy as np
from numpy.typing import NDArray

from calibration.periodic import Repeat, Roll, find_repeats

WIDTH_MM, LANE_MM, DEFECTS_PER_KM = 1200.0, 20.0, 200
ROLLS = tuple(
    Roll(name, diameter_mm)
    for name, diameter_mm in {
        "leveller": 60.0,
        "deflector 1": 180.0,
        "work roll top": 200.0,
        "work roll bottom": 206.0,
        "pinch": 400.0,
        "bridle": 800.0,
        "backup": 1350.0,
    }.items()
)
TURN_MM = 628.0
Coil = tuple[NDArray[np.float64], NDArray[np.float64]]


def random_coil(rng: np.random.Generator, length_mm: float, defects: int | None = None) -> Coil:
    """Return places along and across of a Poisson number of defects, or of so many, all over the strip."""
    count = rng.poisson(length_mm * DEFECTS_PER_KM / 1e6) if defects is None else defects
    return rng.uniform(0, length_mm, count), rng.uniform(0, WIDTH_MM, count)


def clustered_coil(rng: np.random.Generator, length_mm: float) -> Coil:
    """Return a coil whose defects come in files along the rolling direction: broken scratches and rows of scale."""
    parts = [random_coil(rng, length_mm)]
    for _ in range(rng.poisson(length_mm / 5e4) + 1):
        count, long_mm = int(rng.integers(5, 80)), rng.uniform(100, 20_000)
        start, place = rng.uniform(0, length_mm), rng.uniform(0, WIDTH_MM)
        parts.append((start + rng.uniform(0, long_mm, count), place + rng.normal(0, 4, count)))
    return join(parts)


def with_marks(rng: np.random.Generator, coil: Coil, marks: int, start_mm: float, missing: float = 0.0) -> Coil:
    """Add a roll's marks: each up to 2 mm off its place, a part of them missing, with slip that adds up."""
    turns = TURN_MM * (1 + rng.normal(0, 0.001, marks))
    along = start_mm + np.cumsum(turns) + rng.uniform(-2, 2, marks)
    across = rng.uniform(50, WIDTH_MM - 50) + rng.normal(0, 3, marks)
    kept = rng.random(marks) >= missing
    return join([coil, (along[kept], across[kept])])


def join(parts: list[Coil]) -> Coil:
    """Return the defects of all parts as one coil."""
    return np.concatenate([along for along, _ in parts]), np.concatenate([across for _, across in parts])


def find(coil: Coil) -> list[Repeat]:
    """Return the repeats of a coil, with the rolls above."""
    return find_repeats(*coil, LANE_MM, ROLLS)


def is_right(found: list[Repeat]) -> bool:
    """Whether the surest repeat is of the right roll."""
    return bool(found) and found[0].rolls[:1] == ("work roll top",)


def measure_power(coils: int) -> None:
    """Print how often the right roll is named after so many turns, all marks there or one in ten missing."""
    print(f"\n{coils} coils a cell\n\n| turns | right roll | another | 10 % missing | another |\n|---|---|---|---|---|")
    for marks in (5, 6, 8, 10, 20):
        cells = []
        for missing in (0.0, 0.1):
            rng = np.random.default_rng(marks)
            found = [
                find(with_marks(rng, random_coil(rng, 1e6), marks, rng.uniform(0, 9e5), missing)) for _ in range(coils)
            ]
            cells += [sum(map(is_right, found)), sum(bool(one) and not is_right(one) for one in found)]
        print(f"| {marks} | " + " | ".join(f"{cell / coils:.3f}" for cell in cells) + " |", flush=True)


def measure_alarms(coils: int) -> None:
    """Print on how many coils without any roll mark a repeat is found, and a roll named."""
    kinds = {
        "200 a km, 1 km": lambda rng: random_coil(rng, 1e6),
        "2000 a km, 1 km": lambda rng: random_coil(rng, 1e6, 2000),
        "20 000 a km, 100 m": lambda rng: random_coil(rng, 1e5, 2000),
        "200 a km and files of defects, 1 km": lambda rng: clustered_coil(rng, 1e6),
    }
    print("\n| random coils | coils | with a repeat | with a roll |\n|---|---|---|---|")
    for name, make in kinds.items():
        rng = np.random.default_rng(7)
        found = [find(make(rng)) for _ in range(coils)]
        rolls = sum(any(repeat.rolls for repeat in one) for one in found)
        print(f"| {name} | {coils} | {sum(map(bool, found))} | {rolls} |", flush=True)


def measure_speed() -> None:
    """Print the time for 10 000 defects."""
    rng = np.random.default_rng(1)
    coils = {
        "10 000 random, 50 km": random_coil(rng, 5e7, 10_000),
        "10 000 random, 1 km": random_coil(rng, 1e6, 10_000),
        "8000 marks of one roll, 2000 random, 5 km": with_marks(rng, random_coil(rng, 5e6, 2000), 8000, 0.0),
        "10 000 in one lane, 1 km": (rng.uniform(0, 1e6, 10_000), rng.normal(0, 4, 10_000)),
        "10 000 in 10 m": random_coil(rng, 1e4, 10_000),
    }
    print("\n| 10 000 defects | s | repeats |\n|---|---|---|")
    for name, coil in coils.items():
        start = time.perf_counter()
        found = find(coil)
        print(f"| {name} | {time.perf_counter() - start:.2f} | {len(found)} |", flush=True)


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    measure_speed()
    measure_power(max(number // 5, 1))
    measure_alarms(number)
