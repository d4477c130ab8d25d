"""The report of a stretch of time: what the line saw in a shift, coil by coil. Pure but for the database."""

import csv
import io
import sqlite3
from collections import Counter
from datetime import UTC, datetime
from typing import Final

import msgspec

from station.console.strip.coils import count_labels
from station.console.strip.tables import VERDICTS

__all__ = ["CoilShare", "ShiftReport", "make_shift", "shift_table"]

_MINUTE_NS: Final = 60 * 10**9
_MOST_COILS: Final = 2000


class CoilShare(msgspec.Struct, frozen=True):
    """What of one coil, or of one camera, fell into the time."""

    id: int
    name: str
    frames: dict[str, int]
    """By verdict, and `late` ones."""
    defects: dict[str, int]

    @property
    def reject_share(self) -> float:
        """Of all frames those that did not pass."""
        total = sum(self.frames[verdict] for verdict in VERDICTS)
        return 1 - self.frames["accept"] / total if total else 0.0


class ShiftReport(msgspec.Struct, frozen=True, tag_field="schema", tag="shadowline.shift-report/1"):
    """All frames taken from `first` to `last`, whole minutes in UTC."""

    first: str
    last: str
    total: CoilShare
    coils: tuple[CoilShare, ...]
    cameras: dict[str, dict[str, int]]
    cut: bool
    """There were more coils, the earliest of which are left out."""


def make_shift(connection: sqlite3.Connection, begin_ns: int, end_ns: int) -> ShiftReport:
    """Return the report of the minutes from `begin_ns` to before `end_ns`."""
    minutes = (begin_ns // _MINUTE_NS, max(begin_ns, end_ns - 1) // _MINUTE_NS)
    coils = connection.execute(
        "SELECT id, name, part FROM strip_coils WHERE end_ns >= ? AND begin_ns < ? ORDER BY begin_ns DESC LIMIT ?",
        (minutes[0] * _MINUTE_NS, end_ns, _MOST_COILS + 1),
    ).fetchall()
    cut, coils = len(coils) > _MOST_COILS, coils[:_MOST_COILS][::-1]
    ids = [row[0] for row in coils]
    labels = count_labels(connection, ids, minutes)
    frames, cameras = _count_frames(connection, ids, minutes)
    shares = [
        CoilShare(id, f"{name} ({part})" if part > 1 else name, _named(frames[id]), labels.get(id, {}))
        for id, name, part in coils
        if id in frames
    ]
    defects = sum((Counter(share.defects) for share in shares), Counter[str]())
    total = CoilShare(0, "", _named(sum(frames.values(), Counter[str]())), dict(defects.most_common()))
    by_camera = {name: _named(counts) for name, counts in sorted(cameras.items())}
    return ShiftReport(_utc(minutes[0]), _utc(minutes[1] + 1), total, tuple(shares), by_camera, cut)


def shift_table(report: ShiftReport) -> str:
    """Return the report as CSV, a line each coil and the sum."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    labels = tuple(report.total.defects)
    writer.writerow(("coil", "frames", *VERDICTS, "late", "reject_share", "defects", *labels))
    for share in (*report.coils, report.total):
        frames = [share.frames[key] for key in (*VERDICTS, "late")]
        counts = [share.defects.get(label, 0) for label in labels]
        name = share.name if share is not report.total else "total"
        writer.writerow((name, sum(frames[:3]), *frames, round(share.reject_share, 5), sum(counts), *counts))
    return text.getvalue()


def _count_frames(
    connection: sqlite3.Connection, coils: list[int], minutes: tuple[int, int]
) -> tuple[dict[int, Counter[str]], dict[str, Counter[str]]]:
    """Return the frames of each coil and of each camera."""
    by_coil: dict[int, Counter[str]] = {}
    by_camera: dict[str, Counter[str]] = {}
    for coil, camera, *counts in connection.execute(
        "SELECT coil, name, sum(accept), sum(reject), sum(invalid), sum(late) FROM strip_minutes"
        f" JOIN strip_names ON id = camera WHERE coil IN ({', '.join('?' * len(coils))})"
        " AND minute BETWEEN ? AND ? GROUP BY 1, 2",
        (*coils, *minutes),
    ):
        found = Counter(dict(zip((*VERDICTS, "late"), counts, strict=True)))
        by_coil.setdefault(coil, Counter()).update(found)
        by_camera.setdefault(camera, Counter()).update(found)
    return by_coil, by_camera


def _named(counts: Counter[str]) -> dict[str, int]:
    return {key: counts[key] for key in (*VERDICTS, "late")}


def _utc(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).isoformat().replace("+00:00", "Z")
