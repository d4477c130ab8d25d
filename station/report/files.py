"""Write a coil's report: a page to read, a table of its defects, and all its figures. Main thread."""

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from shadowline.errors import ConfigError
from station.report.figures import CoilReport
from station.report.page import make_page
from station.report.record import PlacedDefect

__all__ = ["write_report"]

_COLUMNS = (
    *("camera", "sequence", "captured_ns", "label", "confidence", "start_mm", "end_mm"),
    *("x_px", "y_px", "width_px", "height_px", "area_px", "x_mm", "width_mm", "length_mm", "area_mm2"),
    *("depth", "novelty", "goes_on", "seen_before", "model", "part", "found_by", "score"),
)


def write_report(report: CoilReport, defects: Mapping[str, Sequence[PlacedDefect]], folder: Path) -> list[Path]:
    """Write `coil-NAME.html`, `.csv` and `.json` into `folder` and return them; older ones are replaced whole.

    Raises `ConfigError` where they can't be written.
    """
    stem = "coil-" + re.sub(r"[^A-Za-z0-9_.+#-]", "_", report.coil)
    contents = {
        ".html": make_page(report, defects).encode(),
        ".csv": _table(defects).encode(),
        ".json": msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_write(folder / f"{stem}{ending}", content) for ending, content in contents.items()]
    except OSError as error:
        raise ConfigError(f"{folder}: can't write the report: {error.strerror}") from None


def _write(path: Path, content: bytes) -> Path:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path


def _table(defects: Mapping[str, Sequence[PlacedDefect]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for camera in defects.values():
        for placed in camera:
            writer.writerow(_row(placed))
    return text.getvalue()


def _row(placed: PlacedDefect) -> Sequence[object]:
    defect = placed.defect
    x_mm, _, width_mm, length_mm = defect.box_mm or ("", "", "", "")
    return (
        *(placed.camera, placed.sequence, placed.captured_ns, defect.label, defect.confidence),
        *(defect.position_mm or ("", "")),
        *defect.box_px,
        *(defect.area_px, x_mm, width_mm, length_mm, _or_empty(defect.area_mm2)),
        *(defect.depth, _or_empty(defect.novelty)),
        *(int(defect.goes_on), int(placed.seen_before), placed.model, placed.part, defect.found_by, defect.score),
    )


def _or_empty(value: float | None) -> object:
    return "" if value is None else value
