"""What a heat map costs beside the shadows: the whole step of both on frames of 2048×1000, in one run. Main thread.

    python -m tests.benchmarks.finders [--model HEATMAP.onnx] [--scale 4] [--rounds 60] [--write docs/finders.md]

Without a finder file it is the network `small` of `station train regions` with random weights: they show time, not
what is found. Times are taken in turns, so that a busy moment strikes all; ratios travel, microseconds do not. A step
is everything from the frame to its regions: reduce, tiles, network, threshold, components.
"""

import argparse
import datetime
import os
import platform
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from engines import FinderCard, FrameOnnxEngine, read_finder_card
from engines.model import Precision
from engines.precision import convert_finder
from station.bench.regions import draw_strip
from station.config import HeatmapConfig, RegionsConfig
from station.regions import FrameEngines, RegionFinder, open_finder
from station.sample_frames import draw_frames
from training.finders.export import write_graph
from training.finders.heat_network import ServedHeat, open_heat_network
from training.finders.heat_recipe import SMALL, HeatRecipe

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
THREADS = (1, 2)
CALIBRATION_FRAMES = 16
DEFECTS = 3
SHADOW = "shadow"

Times = dict[str, list[int]]


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--model", type=Path, help="a heat map in fp32")
    words.add_argument("--scale", type=float, help="frame pixels to one input pixel, if not the file's own")
    words.add_argument("--rounds", type=int, default=60)
    words.add_argument("--write", type=Path, help="a page whose marked part is replaced")
    asked = words.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = asked.model or write_untrained(folder / "small.onnx", asked.scale or 4.0)
        times = measure(source, asked.scale, asked.rounds, folder)
        text = as_markdown(read_finder_card(source), asked.scale, times)
    print(text)
    if asked.write is not None:
        page = asked.write.read_text()
        before, _, rest = page.partition(BEGIN)
        asked.write.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


def write_untrained(path: Path, scale: float) -> Path:
    """Write the small network with random weights as a finder file."""
    torch.manual_seed(0)
    network, _ = open_heat_network(HeatRecipe(network=SMALL, weights="none"), 1)
    card = FinderCard(kind="heatmap", name="small", stride=network.stride, scale=(scale, scale), threshold=0.5)
    write_graph(ServedHeat(network).eval(), card, ["heat"], path, side_px=256)
    return path


def measure(source: Path, scale: float | None, rounds: int, folder: Path) -> Times:
    """Return the nanoseconds of each round: of the shadows, and of each precision and number of threads."""
    frame = draw_strip(DEFECTS)
    files = {precision: folder / f"{precision}.onnx" for precision in PRECISIONS}
    card = read_finder_card(source)
    sized = card.model_copy(update={"scale": (scale, scale)}) if scale else card
    for precision, file in files.items():
        convert_finder(source, file, precision, list(draw_frames(sized, CALIBRATION_FRAMES)[:, None]))
    with ExitStack() as opened:
        finders: dict[str, RegionFinder] = {SHADOW: open_finder(RegionsConfig(), None)}
        for threads in THREADS:
            engines = opened.enter_context(FrameEngines())
            for precision, file in files.items():
                config = HeatmapConfig(type="heatmap", model=file, threads=threads, scale=scale)
                finders[f"{precision}, threads = {threads}"] = open_finder(config, None, engines)
        times: Times = {name: [] for name in finders}
        for _ in range(rounds + 3):
            for name, finder in finders.items():
                start_ns = time.perf_counter_ns()
                finder.find(frame)
                times[name].append(time.perf_counter_ns() - start_ns)
        times |= network_alone(opened, files, sized, rounds)
    return {name: spent[3:] for name, spent in times.items()}


def network_alone(opened: ExitStack, files: dict[Precision, Path], card: FinderCard, rounds: int) -> Times:
    """Return the nanoseconds of one run of the network on one thread, without the rest of the step."""
    engines = {precision: opened.enter_context(FrameOnnxEngine(file)) for precision, file in files.items()}
    tile: NDArray[np.uint8] = draw_frames(card, 1)
    times: Times = {f"{precision}, network alone": [] for precision in engines}
    for _ in range(rounds + 3):
        for precision, engine in engines.items():
            start_ns = time.perf_counter_ns()
            engine.run(tile)
            times[f"{precision}, network alone"].append(time.perf_counter_ns() - start_ns)
    return times


def as_markdown(card: FinderCard, scale: float | None, times: Times) -> str:
    """Return the figures as a table; the least time is nearest to an idle machine."""
    shadow = float(np.median(times[SHADOW]))
    what = f"{card.name}, scale {scale or card.scale[0]:g}"
    load = os.getloadavg()[0]
    lines = [
        f"{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, load of the machine {load:.1f}, "
        f"ONNX Runtime {onnxruntime.__version__}; {what}, frame 2048×1000 with {DEFECTS} defects.",
        "",
        "| step | median ms | least ms | × shadow |",
        "|---|---|---|---|",
    ]
    for name, spent in times.items():
        median, least = float(np.median(spent)), min(spent)
        lines.append(f"| {name} | {median / 1e6:.2f} | {least / 1e6:.2f} | {median / shadow:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
