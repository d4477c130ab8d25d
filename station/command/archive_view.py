"""How `station archive` shows what it found. Main thread."""

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from station.archive.evidence import Evidence
from station.archive.index import Index
from station.archive.shelf import Entry
from station.event import InspectionEvent

__all__ = ["show_entries", "show_evidence", "show_info"]


def show_entries(entries: Sequence[Entry]) -> None:
    """Print a line for each of `entries`."""
    table = Table(box=None, pad_edge=False)
    for name in ("event", "captured (UTC)", "camera", "coil", "part", "verdict", "labels", "pictures"):
        table.add_column(name, justify="right" if name in ("event", "pictures") else "left")
    for one in entries:
        labels = ", ".join(one.labels)
        about = (str(one.event), _when(one.captured_ns), one.camera, one.coil, one.part)
        table.add_row(*about, one.verdict, labels, str(one.pictures))
    Console(highlight=False, markup=False).print(table if entries else "nothing fits")


def show_evidence(place: Path, evidence: Evidence) -> None:
    """Print what was kept of an event in the folder `place`."""
    event = evidence.event
    typer.echo(place)
    typer.echo(f"{event.camera} frame {event.sequence}, {_when(event.captured_ns)} UTC, model {event.origin.model}")
    if named := [f"{name} {value}" for name, value in _named(event) if value]:
        typer.echo(", ".join(named))
    typer.echo(": ".join(part for part in (event.verdict, event.reason, event.detail) if part))
    for picture in evidence.pictures:
        x, y, width, height = picture.box_px
        scale = f", a pixel is {picture.scale}×{picture.scale} of them" if picture.scale > 1 else ""
        what = "the whole frame"
        if picture.defect is not None:
            defect = event.defects[picture.defect]
            what = f"{defect.label} {defect.confidence:.2f}, {defect.area_px} px"
        typer.echo(
            f"  {picture.file}: {what}; shows {width}×{height} px at {x}, {y}{scale}; {picture.bytes} B, unchanged"
        )
    for line in evidence.left_out:
        typer.echo(f"  left out: {line}")


def _named(event: InspectionEvent) -> tuple[tuple[str, str], ...]:
    return ("recipe", event.origin.recipe), ("job", event.job), ("part", event.part)


def show_info(folder: Path, index: Index, as_json: bool) -> None:
    """Print how much is kept in `folder`."""
    sizes, oldest = index.sizes(), index.oldest()
    free = shutil.disk_usage(folder).free
    facts = {
        "folder": str(folder),
        "pieces": index.count(),
        "bytes": sum(sizes.values()),
        "bytes_by_label": sizes,
        "oldest": _when(oldest.kept_ns) if oldest else "",
        "newest": _when(index.newest_ns()) if oldest else "",
        "disk_free_bytes": free,
    }
    if as_json:
        typer.echo(msgspec.json.encode(facts).decode())
        return
    typer.echo(f"{folder}: {facts['pieces']} pieces, {sum(sizes.values()) / 1e6:.1f} MB; {free / 1e6:.0f} MB free")
    if oldest:
        typer.echo(f"kept from {facts['oldest']} to {facts['newest']} UTC, by the archive's clock")
    for label, size in sorted(sizes.items(), key=lambda one: -one[1]):
        typer.echo(f"{size / 1e6:10.1f} MB {label}")


def _when(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns / 1e9, UTC):%Y-%m-%d %H:%M:%S}"
