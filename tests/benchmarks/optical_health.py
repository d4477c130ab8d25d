"""Say how soon each fault of the optics is told, what it costs, and how often nothing is told as a fault. Main thread.

    python tests/benchmarks/optical_health.py [--clean-frames 100000] [--seeds 3]

Frames are 2048×1000 of the simulated strip with three defects a frame and 2 % of flicker, about every 20th is a
sample, as the station takes them. The faults are those of tests/optics.py; they set in after 40 samples and 500 frames
are watched from there.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import accumulate, islice, takewhile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.health import OpticalHealth
from calibration.health_baseline import take_baseline
from calibration.health_limits import HealthLimits
from station.camera.strip import Strip
from station.optics import steps

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.optics import FAULTS, Fault, Optics

SIZE = (2048, 1000)
EVERY = 20
BASELINE_FRAMES = 64
SETTLED, WATCHED = 40, 500
DEFECTS = 3.0
TICK_NS = 16_666_667


def tell_fault(fault: Fault, seed: int) -> str:
    """Return what is told of `fault` within 500 frames, and when."""
    optics = Optics(*SIZE, seed, DEFECTS)
    health = OpticalHealth(take_baseline(optics.frame(index) for index in range(BASELINE_FRAMES)), HealthLimits())
    began, told = 0, []
    for number, index in enumerate(islice(sample_indices(1000), SETTLED + 2 * WATCHED // EVERY)):
        if number == SETTLED:
            optics.fault, began = fault, index
        if optics.fault and index - began >= WATCHED:
            break
        for one in health.observe(optics.frame(index), index * TICK_NS):
            told.append(f"{index - began}: {one.text}" if optics.fault else f"FALSE: {one.text}")
    return "; ".join(told) or "NOT TOLD"


def sample_indices(start: int) -> Iterator[int]:
    """Yield the numbers of the frames that are samples."""
    return accumulate(steps(EVERY), initial=start)


def clean_frames(seed: int, indices: Iterable[int]) -> Iterator[NDArray[np.uint8]]:
    """Yield frames of a sound strip in one buffer."""
    strip, rng = Strip(*SIZE, seed, DEFECTS), np.random.default_rng(seed)
    image = np.empty(SIZE[::-1], np.uint8)
    for index in indices:
        strip.render(index, image)
        cv2.convertScaleAbs(image, dst=image, alpha=1 - 0.02 * rng.random())
        yield image


def run_clean(frames: int, seed: int) -> None:
    """Watch a sound strip and print every finding, the range of each figure, and the time of a sample."""
    health = OpticalHealth(take_baseline(clean_frames(seed, range(BASELINE_FRAMES))), HealthLimits())
    spent, told = [], 0
    ranges: dict[str, list[float]] = {}
    copy = np.empty(SIZE[::-1], np.uint8)
    copied = []
    indices = list(takewhile(lambda index: index < 1000 + frames, sample_indices(1000)))
    for index, image in zip(indices, clean_frames(seed, indices), strict=True):
        start = time.thread_time()
        np.copyto(copy, image)
        copied.append(time.thread_time() - start)
        start = time.thread_time()
        findings = health.observe(image, index * TICK_NS)
        spent.append(time.thread_time() - start)
        told += len(findings)
        for finding in findings:
            print(f"  frame {index}: FALSE {finding.text}{' over' if finding.over else ''}")
        for name, figure in health.figures.items():
            ranges.setdefault(name, []).append(figure.value)
    print(f"clean: {frames} frames, {len(spent)} samples, {told} findings")
    for name, values in ranges.items():
        print(f"  {name}: {min(values):.3f} to {max(values):.3f}")
    (median_ms, p99_ms), copy_ms = 1e3 * np.quantile(spent, [0.5, 0.99]), 1e3 * np.median(copied)
    print(f"  a sample takes {median_ms:.2f} ms of its thread (p99 {p99_ms:.2f}), {median_ms / copy_ms:.0f} × a copy")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clean-frames", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    for fault in FAULTS:
        for seed in range(arguments.seeds):
            print(f"{fault}, seed {seed}: {tell_fault(fault, seed)}", flush=True)
    run_clean(arguments.clean_frames, seed=1)


if __name__ == "__main__":
    main()
