"""Evidence for tests: events with defects, frames, and an archive filled with pieces."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from engines.model import CropCut
from station.archive.evidence import RECORD, Evidence, encode, minute_of, name_of
from station.archive.pictures import encode_crop, encode_frame
from station.archive.shelf import put_away
from station.command.archive import app
from station.crops import crop_square
from station.event import DefectRecord, InspectionEvent, Origin, PositionRecord, StageTimes
from station.event import encode as encode_message
from station.frame import Frame, Image

__all__ = ["CUT", "DAY_NS", "NOON_NS", "fill", "make_event", "make_frame", "run_command"]

CUT = CropCut(size_px=32, context=1.5, min_side_px=32)
NOON_NS = 1_795_262_400_000_000_000
"""2026-11-21 12:00 UTC."""
DAY_NS = 86_400 * 10**9


def make_event(
    number: int,
    labels: Sequence[str] = ("scratches",),
    verdict: str = "reject",
    captured_ns: int = NOON_NS,
    camera: str = "top",
    coil: str = "",
    published_ns: int = 1,
) -> InspectionEvent:
    """Return the event of a frame of 200×120 with a defect for each of `labels`, one after the other."""
    defects = tuple(
        DefectRecord(label, 0.9, (20 * index, 40, 12, 10), 80 - index, -20.0) for index, label in enumerate(labels)
    )
    return InspectionEvent(
        event=number,
        origin=Origin("line", "0123456789ab", "tiny 123", "abc"),
        camera=camera,
        sequence=number,
        captured_ns=captured_ns,
        clock="host",
        published_ns=published_ns,
        verdict=verdict,  # type: ignore[arg-type]
        reason="",
        late=False,
        budget_ms=20.0,
        latency_ms=1.0,
        size_px=(200, 120),
        defects=defects,
        stages_us=StageTimes(1.0, 1.0, 1.0, 1.0, 1.0),
        position=PositionRecord(0.0, None, None, coil, False) if coil else None,
    )


def make_frame(camera: str = "top", size: tuple[int, int] = (200, 120), seed: int = 0) -> Frame:
    """Return a frame of noise."""
    image: Image = np.random.default_rng(seed).integers(90, 130, size[::-1], np.uint8)
    image.flags.writeable = False
    return Frame(camera, 1, image, NOON_NS, 0)


def fill(archive: Path, events: Sequence[InspectionEvent], frame: bool = False) -> list[Path]:
    """Put evidence of `events` into the files of `archive`, kept when it was captured; return its folders."""
    (archive / ".work").mkdir(parents=True, exist_ok=True)
    places = []
    for event in events:
        image = make_frame(seed=event.event).image
        squares = [crop_square(one.box_px, CUT, *image.shape[::-1]) for one in event.defects]
        made = [encode_crop(image, number, square) for number, square in enumerate(squares)]
        made += [encode_frame(image)] if frame else []
        label = event.defects[0].label if event.defects else event.verdict
        evidence = Evidence(event, tuple(picture for picture, _ in made), label, event.captured_ns)
        place = f"{minute_of(event.captured_ns, event.camera)}/{name_of(event)}"
        record = encode(evidence, encode_message(event))
        put_away(archive, place, {one.file: content for one, content in made} | {RECORD: record})
        places.append(archive / place)
    return places


def run_command(*words: str | Path) -> str:
    """Run `station archive` with these words and return what it prints; raises what it fails with."""
    done = CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "160"}, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output
