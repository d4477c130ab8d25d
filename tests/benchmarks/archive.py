"""Say what the evidence archive costs: each of its steps, and the line with and without it, as ratios. Main thread.

    python -m tests.benchmarks.archive [--rounds 5] [--seconds 120] [--folder FOLDER]

Frames are 2048×1000 with three regions, all of which reject: the worst case, in which every frame is to be kept whole,
with three crops. With and without take turns, so that what else the computer does meets both: in so many rounds of
runs of their own, and second by second in one run, whose archive process is halted every other second. FOLDER is the
disk to measure, the one for temporary files without it.
"""

import argparse
import tempfile
import time
from itertools import count
from pathlib import Path
from urllib.request import urlopen

import cv2
import msgspec
import numpy as np
import psutil

from engines.model import CropCut
from station.archive.archive import Archive
from station.archive.evidence import RECORD, Evidence, encode, minute_of, name_of
from station.archive.index import open_index
from station.archive.pictures import encode_crop, encode_frame, encode_live
from station.archive.reconcile import reconcile
from station.archive.shelf import names, owned, put_away, read_entry, take_away
from station.bench.line import RunningLine, measure_flood, measure_paced, running
from station.bench.regions import draw_strip
from station.bench.steps import median_us
from station.clock import HostClock
from station.config import ArchiveConfig
from station.crops import crop_square
from station.event import DefectRecord, InspectionEvent, Origin, StageTimes
from station.event import encode as encode_message
from station.frame import Frame, Image
from station.worker import Worker

CUT = CropCut(size_px=64, context=1.5, min_side_px=64)
BOXES = ((300, 200, 40, 30), (900, 500, 120, 20), (1500, 800, 60, 60))
SQUARES = tuple(crop_square(box, CUT, 2048, 1000) for box in BOXES)
REPEATS = 200
ON = '[archive]\nfolder = "{folder}/archive"\nframes_free_mb = 1\ncrops_free_mb = 1\n'


def make_event(number: int) -> InspectionEvent:
    """Return the event of a rejected frame with three defects."""
    return InspectionEvent(
        event=number,
        origin=Origin("line", "0123456789ab", "neu-compact 0123456789ab", "0123456789ab"),
        camera="top",
        sequence=number,
        captured_ns=time.time_ns(),
        clock="host",
        published_ns=1,
        verdict="reject",
        reason="scratches",
        late=False,
        budget_ms=20.0,
        latency_ms=1.0,
        size_px=(2048, 1000),
        defects=tuple(DefectRecord("scratches", 0.9, box, 900, -20.0) for box in BOXES),
        stages_us=StageTimes(1.0, 1.0, 1.0, 1.0, 1.0),
    )


def time_steps(folder: Path) -> dict[str, float]:
    """Return microseconds of each step for one piece: a whole frame and three crops."""
    image = draw_strip(3, 0)
    made = [encode_crop(image, *crop) for crop in enumerate(SQUARES)] + [encode_frame(image)]
    evidence = Evidence(make_event(1), tuple(picture for picture, _ in made), "scratches", time.time_ns())
    published = encode_message(evidence.event)
    files = {picture.file: content for picture, content in made} | {RECORD: encode(evidence, published)}
    print({name: f"{len(content)} B" for name, content in files.items()})
    return {
        "inspect thread: offer": time_offer(folder / "offered", image),
        "JPEG of the frame": median_us(lambda: encode_frame(image), REPEATS),
        "JPEG for a screen": median_us(lambda: encode_live(image), REPEATS),
        "PNG of three crops": median_us(lambda: [encode_crop(image, *crop) for crop in enumerate(SQUARES)], REPEATS),
        "JSON": median_us(lambda: encode(evidence, published), REPEATS),
        **time_files(folder / "files", evidence.event, files),
    }


def time_offer(folder: Path, image: Image) -> float:
    """Return what the inspect thread pays for a frame that is kept."""
    config = ArchiveConfig(frames_free_mb=1, crops_free_mb=1)
    archive = Archive(folder, folder / "live", config, HostClock(), lambda *told: None)
    frame, spent_us = Frame("top", 1, image, 0, 0), []
    with Worker("archive", archive.run, archive.stop):
        for number in range(REPEATS):
            event = make_event(number)
            start_ns = time.perf_counter_ns()
            archive.offer(frame, event, CUT)
            spent_us.append((time.perf_counter_ns() - start_ns) / 1e3)
            time.sleep(0.02)
    return float(np.median(spent_us))


def time_files(folder: Path, event: InspectionEvent, files: dict[str, bytes]) -> dict[str, float]:
    """Return what writing, indexing, finding and removing a piece takes."""
    folder.mkdir()
    minute, numbers = minute_of(time.time_ns(), "top"), count(1)

    def write() -> None:
        put_away(folder, f"{minute}/{name_of(msgspec.structs.replace(event, event=next(numbers)))}", files)

    with owned(folder):
        figures = {"write five files": median_us(write, REPEATS)}
    entries = iter([read_entry(folder, minute, name) for name in sorted(names(folder, minute))])
    with open_index(folder) as index:
        figures["enter into the index"] = median_us(lambda: index.add(next(entries)), REPEATS)
    with open_index(folder, anew=True) as index:
        search = reconcile(folder, index)
        figures["find a piece again"] = median_us(lambda: next(search), REPEATS)
    places = iter([f"{minute}/{name}" for name in sorted(names(folder, minute))])
    figures["remove a piece"] = median_us(lambda: take_away(folder, next(places)), REPEATS)
    return figures


def count_kept() -> dict[str, float]:
    """Return what a line that rejects 60 frames a second keeps and drops in ten seconds."""
    with running(3, 60.0, b"heartbeat", ON) as line:
        for _ in range(20):  # two heartbeats a second
            line.receive()
        lines = urlopen(line.metrics_url, timeout=5).read().decode().splitlines()
    return {
        name: float(value)
        for name, _, value in (one.rpartition(" ") for one in lines)
        if name.startswith(("station_archive_kept", "station_archive_dropped"))
    }


def compare_by_seconds(seconds: float) -> dict[str, list[float]]:
    """Return p50, p90 and p99 in ms at 60 Hz of the seconds in which evidence was kept, and of those between."""
    latencies: dict[str, list[float]] = {"kept": [], "halted": []}
    with running(3, 60.0, b"inspection.", ON) as line:
        process = keeping_process(line)
        print(f"the process: {process.memory_full_info().pss / 2**20:.1f} MiB", flush=True)
        for _ in range(round(seconds / 2)):
            latencies["kept"] += listen(line)
            process.suspend()
            latencies["halted"] += listen(line)
            process.resume()
        print(f"the process: {process.memory_full_info().pss / 2**20:.1f} MiB", flush=True)
    return {name: np.percentile(values, [50, 90, 99]).round(2).tolist() for name, values in latencies.items()}


def keeping_process(line: RunningLine) -> psutil.Process:
    """Return the process that keeps the evidence of `line`."""
    children = psutil.Process(line.process.pid).children()
    return next(child for child in children if "station.archive.serve" in child.cmdline())


def listen(line: RunningLine) -> list[float]:
    """Return the latencies of a second in ms, after a moment in which what was before ends."""
    started_s, heard = time.monotonic(), []
    while (passed_s := time.monotonic() - started_s) < 1.1:
        event = line.receive()
        if isinstance(event, InspectionEvent) and passed_s > 0.1:
            heard.append((event.published_ns - event.captured_ns) / 1e6)
    return heard


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.folder is not None:
        tempfile.tempdir = str(arguments.folder)
    with tempfile.TemporaryDirectory() as folder:
        for step, spent_us in time_steps(Path(folder)).items():
            print(f"{step}: {spent_us:.1f} µs")
    print(f"60 rejects a second for ten seconds: {count_kept()}", flush=True)
    print(f"p50, p90, p99 ms by seconds: {compare_by_seconds(arguments.seconds)}", flush=True)
    rates: dict[str, list[float]] = {"off": [], "on": []}
    p50s: dict[str, list[float]] = {"off": [], "on": []}
    p99s: dict[str, list[float]] = {"off": [], "on": []}
    for _ in range(arguments.rounds):
        for what, tables in (("off", ""), ("on", ON)):
            rates[what].append(measure_flood(3, tables)["fps"])
            paced = measure_paced(3, tables)
            p50s[what].append(float(paced["p50_ms"]))
            p99s[what].append(float(paced["p99_ms"]))
        print({"fps": rates, "p50_ms": p50s, "p99_ms": p99s}, flush=True)
    for name, values in (("flooded fps", rates), ("p50 ms", p50s), ("p99 ms", p99s)):
        off, on = float(np.median(values["off"])), float(np.median(values["on"]))
        print(f"{name}: off {off:.3f}, on {on:.3f}, ratio {on / off:.3f}, difference {on - off:+.3f}")


if __name__ == "__main__":
    main()
