"""Rows of the strip map's tables, gathered and written in one transaction. The follower's thread."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from station.console.strip.progress import Pass
from station.console.strip.tables import VERDICTS, Names
from station.event import DefectRecord, InspectionEvent

__all__ = ["MOST_KEPT", "Coil", "StripLedger"]

MOST_KEPT: Final = 250_000
"""Rows of one coil; what goes on beyond that is its next part, so that a coil without an end stays readable."""
_LONGEST_NS: Final = 24 * 3600 * 10**9
_JOIN_NS: Final = 600 * 10**9
"""So long after its last frame another camera may come to the same coil; later the name is used again."""
_MOST: Final = 2**63 - 1
_MINUTE_NS: Final = 60 * 10**9


@dataclass(slots=True)
class Coil:
    """A row of `strip_coils`."""

    id: int
    begin: float
    end: float
    begin_ns: int
    end_ns: int
    first_event: int
    last_event: int
    defects: int = 0
    kept: int = 0
    unheard: int = 0

    @property
    def is_full(self) -> bool:
        """Whether what comes next belongs into another part."""
        return self.kept >= MOST_KEPT or self.end_ns - self.begin_ns > _LONGEST_NS


class StripLedger:
    """What one transaction adds. Numbers beyond what the database holds are cut."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._names = Names(connection)
        self._coils: dict[int, Coil] = {}
        self._minutes: defaultdict[tuple[int, int, int], Counter[str]] = defaultdict(Counter)
        self._counts: Counter[tuple[int, int, int, int]] = Counter()
        self._stretches: list[tuple[int, int, float, float, str]] = []
        self._defects: list[tuple[object, ...]] = []
        self._passes: dict[tuple[int, int], Pass] = {}

    def open_coil(self, journal: str, name: str, unit: str, at: float, event: InspectionEvent) -> Coil:
        """Return the coil that `event` is the camera's first frame of: another camera's, or a new one from `at` on."""
        newest = self._connection.execute(
            "SELECT id, journal, unit, part FROM strip_coils WHERE name = ? ORDER BY part DESC LIMIT 1", (name,)
        ).fetchone()
        if newest and newest[1:3] == (journal, unit) and self._may_join(self.coil(newest[0]), event):
            return self.coil(newest[0])
        ns, number, part = _whole(event.captured_ns), event.event, newest[3] + 1 if newest else 1
        cursor = self._connection.execute(
            'INSERT INTO strip_coils (journal, name, part, unit, "begin", "end", begin_ns, end_ns, first_event,'
            " last_event, defects, kept, unheard) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0)",
            (journal, name, part, unit, at, at, ns, ns, number, number),
        )
        return self.coil(int(cursor.lastrowid or 0))

    def coil(self, id: int) -> Coil:
        """Return the coil of that number, to be changed; it is written with the rest."""
        if id not in self._coils:
            row = self._connection.execute(
                'SELECT id, "begin", "end", begin_ns, end_ns, first_event, last_event, defects, kept, unheard'
                " FROM strip_coils WHERE id = ?",
                (id,),
            ).fetchone()
            self._coils[id] = Coil(*row) if row else Coil(id, 0, 0, 0, 0, 0, 0)
        return self._coils[id]

    def note_pass(self, camera: str, way: Pass) -> None:
        """Keep how far a camera is."""
        self._passes[way.coil, self._names.number(camera)] = way

    def add_stretch(self, camera: str, way: Pass, begin: float, end: float, reason: str) -> None:
        """Keep a stretch that was not inspected."""
        if end > begin:
            self._stretches.append((way.coil, self._names.number(camera), begin, end, reason))
            self.coil(way.coil).kept += 1

    def add_frame(self, way: Pass, event: InspectionEvent, at: float | None) -> None:
        """Count a frame of `way` that begins at `at`, and keep its defects."""
        coil, camera, ns = self.coil(way.coil), self._names.number(event.camera), _whole(event.captured_ns)
        coil.begin_ns, coil.end_ns = min(coil.begin_ns, ns), max(coil.end_ns, ns)
        coil.last_event = max(coil.last_event, event.event)
        coil.end = max(coil.end, way.reached)
        coil.begin = min(coil.begin, coil.end if at is None else at)
        minute = self._minutes[coil.id, ns // _MINUTE_NS, camera]
        minute[event.verdict] += 1
        minute["late"] += event.late
        seen_before = event.position is not None and event.position.reversed
        for number, defect in enumerate(event.defects):
            label, counts = self._names.number(defect.label), not (defect.goes_on or seen_before)
            place = _place(way, defect, at)
            self._defects.append(
                (
                    *(coil.id, event.event, number, camera, label, VERDICTS.index(event.verdict), *place),
                    *map(_whole, defect.box_px),
                    *_measures(defect),
                    *(int(counts), ns),
                )
            )
            coil.kept += 1
            way.unplaced += place[0] is None
            if counts:
                coil.defects += 1
                self._counts[coil.id, ns // _MINUTE_NS, camera, label] += 1

    def write(self) -> None:
        """Write all of it."""
        execute = self._connection.executemany
        execute(
            'UPDATE strip_coils SET "begin" = ?, "end" = ?, begin_ns = ?, end_ns = ?, first_event = ?, last_event = ?,'
            " defects = ?, kept = ?, unheard = ? WHERE id = ?",
            map(_coil_row, self._coils.values()),
        )
        execute("INSERT OR REPLACE INTO strip_passes VALUES (?, ?, ?, ?, ?, ?, ?, ?)", self._pass_rows())
        execute(
            "INSERT INTO strip_minutes VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET accept = accept +"
            " excluded.accept, reject = reject + excluded.reject, invalid = invalid + excluded.invalid, late = late +"
            " excluded.late",
            [
                (*key, *(counts[verdict] for verdict in VERDICTS), counts["late"])
                for key, counts in self._minutes.items()
            ],
        )
        execute(
            "INSERT INTO strip_counts VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET defects = defects +"
            " excluded.defects",
            [(*key, count) for key, count in self._counts.items()],
        )
        execute("INSERT OR REPLACE INTO strip_stretches VALUES (?, ?, ?, ?, ?)", self._stretches)
        execute(f"INSERT OR IGNORE INTO strip_defects VALUES ({', '.join('?' * 23)})", self._defects)

    def _may_join(self, coil: Coil, event: InspectionEvent) -> bool:
        camera = self._names.number(event.camera)
        been = self._connection.execute(
            "SELECT 1 FROM strip_passes WHERE coil = ? AND camera = ?", (coil.id, camera)
        ).fetchone()
        known = been or (coil.id, camera) in self._passes
        return not known and not coil.is_full and event.captured_ns - coil.end_ns < _JOIN_NS

    def _pass_rows(self) -> Iterator[tuple[object, ...]]:
        for (coil, camera), way in self._passes.items():
            settled = (way.told, way.reached, way.reason, way.unplaced)
            yield coil, camera, _whole(way.width_px), way.mm_per_px, *settled


def _place(way: Pass, defect: DefectRecord, at: float | None) -> tuple[float | None, float | None]:
    """Return from where to where a defect lies: to the row where its rows have a pitch, else where its frame does."""
    if way.unit == "mm" and defect.position_mm is not None:
        return min(defect.position_mm), max(defect.position_mm)
    return at, at


def _measures(defect: DefectRecord) -> tuple[object, ...]:
    x_mm, _, width_mm, length_mm = defect.box_mm or (None, None, None, None)
    of_box = (_whole(defect.area_px), x_mm, width_mm, length_mm, defect.area_mm2)
    return *of_box, defect.confidence, defect.depth, defect.novelty, defect.found_by


def _coil_row(coil: Coil) -> tuple[float, ...]:
    events = (coil.first_event, coil.last_event)
    return (coil.begin, coil.end, coil.begin_ns, coil.end_ns, *events, coil.defects, coil.kept, coil.unheard, coil.id)


def _whole(number: int) -> int:
    return min(max(number, -_MOST), _MOST)
