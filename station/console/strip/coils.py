"""What the tables say of whole coils: length, frames, defects, what was missed. Pure but for the database."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from station.console.strip.tables import VERDICTS

__all__ = ["CoilFigures", "Span", "Way", "count_labels", "find_coils", "read_coil", "read_spans", "read_ways"]

_COLUMNS: Final = (
    'id, name, part, unit, "begin", "end", begin_ns, end_ns, first_event, last_event, defects, unheard, journal'
)


class Way(msgspec.Struct, frozen=True):
    """A camera over a coil."""

    camera: int
    name: str
    width_px: int
    mm_per_px: float | None
    told: float
    reached: float
    reason: str
    unplaced: int
    missed: float
    """Of the coil's length, what this camera did not inspect."""


class Span(msgspec.Struct, frozen=True):
    """A stretch that a camera did not inspect."""

    camera: int
    begin: float
    end: float
    reason: str


class CoilFigures(msgspec.Struct, frozen=True):
    """One coil; lengths in its unit, `mm` or, of an hour without positions, `ms`."""

    id: int
    name: str
    part: int
    unit: Literal["mm", "ms"]
    begin: float
    end: float
    begin_ns: int
    end_ns: int
    first_event: int
    last_event: int
    defects: int
    unheard: int
    journal: str
    frames: dict[str, int]
    """By verdict, and `late` ones."""
    missed: float
    """What not every camera inspected is at least so long."""
    rate: float | None
    """Defects by `rate_unit`; None where nothing was inspected."""
    rate_unit: Literal["m2", "m", "frames"]
    """A square metre where the cameras are calibrated, else a metre; of an hour a thousand frames."""

    @property
    def reject_share(self) -> float:
        """Of all frames those that did not pass."""
        total = sum(self.frames[verdict] for verdict in VERDICTS)
        return 1 - self.frames["accept"] / total if total else 0.0


def find_coils(
    connection: sqlite3.Connection, limit: int, before: int | None = None, search: str = ""
) -> list[CoilFigures]:
    """Return the newest coils, or the newest before the one numbered `before`; with `search` in their names."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM strip_coils WHERE id < ? AND instr(lower(name), lower(?)) ORDER BY id DESC LIMIT ?",
        (before if before is not None else 2**62, search, limit),
    ).fetchall()
    return _complete(connection, rows)


def read_coil(connection: sqlite3.Connection, id: int) -> CoilFigures | None:
    """Return the coil of that number, or None."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM strip_coils WHERE id = ?", (id,)).fetchall()
    return next(iter(_complete(connection, rows)), None)


def read_ways(connection: sqlite3.Connection, coils: Sequence[int]) -> dict[int, list[Way]]:
    """Return the cameras over each of `coils`, by name."""
    places = ", ".join("?" * len(coils))
    missed = {
        tuple(row[:2]): row[2]
        for row in connection.execute(
            f'SELECT coil, camera, sum("end" - "begin") FROM strip_stretches WHERE coil IN ({places}) GROUP BY 1, 2',
            coils,
        )
    }
    found = defaultdict(list)
    for row in connection.execute(
        "SELECT coil, camera, name, width_px, mm_per_px, told, reached, reason, unplaced FROM strip_passes"
        f" JOIN strip_names ON id = camera WHERE coil IN ({places}) ORDER BY name",
        coils,
    ):
        named = dict(row)
        coil = named.pop("coil")
        pending = max(named["reached"] - named["told"], 0.0) if named["reason"] else 0.0
        found[coil].append(Way(**named, missed=missed.get((coil, named["camera"]), 0.0) + pending))
    return found


def read_spans(
    connection: sqlite3.Connection, coil: int, begin: float, end: float, nearer_than: float = 0.0
) -> list[Span]:
    """Return what was not inspected between `begin` and `end`, also what is not settled yet.

    Stretches of a camera and a reason that lie nearer to each other than `nearer_than` are one.
    """
    rows = connection.execute(
        'SELECT camera, "begin", "end", reason FROM strip_stretches WHERE coil = ? AND "begin" < ? AND "end" > ?'
        ' UNION ALL SELECT camera, told, reached, reason FROM strip_passes WHERE coil = ? AND reason != ""'
        " AND reached > told ORDER BY 1, 2",
        (coil, end, begin, coil),
    )
    merged: list[Span] = []
    for row in rows:
        span, last = Span(*row), merged[-1] if merged else None
        alike = last is not None and (last.camera, last.reason) == (span.camera, span.reason)
        if last is not None and alike and span.begin - last.end < nearer_than:
            merged[-1] = msgspec.structs.replace(last, end=max(last.end, span.end))
        else:
            merged.append(span)
    return merged


def count_labels(
    connection: sqlite3.Connection, coils: Sequence[int], minutes: tuple[int, int] = (0, 2**62)
) -> dict[int, dict[str, int]]:
    """Return how many defects of each class each of `coils` has, within `minutes`, the most frequent first."""
    found: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for coil, name, count in connection.execute(
        "SELECT coil, name, sum(defects) FROM strip_counts JOIN strip_names ON id = label"
        f" WHERE coil IN ({', '.join('?' * len(coils))}) AND minute BETWEEN ? AND ? GROUP BY 1, 2",
        (*coils, *minutes),
    ):
        found[coil][name] = count
    return {coil: dict(counts.most_common()) for coil, counts in found.items()}


def _complete(connection: sqlite3.Connection, rows: Sequence[Any]) -> list[CoilFigures]:
    coils = [row[0] for row in rows]
    ways = read_ways(connection, coils)
    frames = {
        row[0]: dict(zip((*VERDICTS, "late"), row[1:], strict=True))
        for row in connection.execute(
            "SELECT coil, sum(accept), sum(reject), sum(invalid), sum(late) FROM strip_minutes"
            f" WHERE coil IN ({', '.join('?' * len(coils))}) GROUP BY 1",
            coils,
        )
    }
    nothing = dict.fromkeys((*VERDICTS, "late"), 0)
    return [_figures(row, ways.get(row[0], []), frames.get(row[0], nothing)) for row in rows]


def _figures(row: Any, ways: Sequence[Way], frames: dict[str, int]) -> CoilFigures:
    named = dict(row)
    rate_unit, amount = _amount(named, ways, frames)
    return CoilFigures(
        **named,
        frames=dict(frames),
        missed=max((way.missed for way in ways), default=0.0),
        rate=named["defects"] / amount if amount > 0 else None,
        rate_unit=rate_unit,
    )


def _amount(
    coil: Mapping[str, Any], ways: Sequence[Way], frames: Mapping[str, int]
) -> tuple[Literal["m2", "m", "frames"], float]:
    """Return how much was inspected, and in what."""
    if coil["unit"] == "ms":
        return "frames", (frames["accept"] + frames["reject"]) / 1e3
    lengths_m = [max(coil["end"] - coil["begin"] - way.missed, 0.0) / 1e3 for way in ways]
    widths_m = [way.width_px * way.mm_per_px / 1e3 for way in ways if way.mm_per_px is not None]
    if not ways or len(widths_m) < len(ways):
        return "m", max(lengths_m, default=0.0)
    return "m2", sum(length * width for length, width in zip(lengths_m, widths_m, strict=True))
