"""All figures of a coil's report, as they stand in its JSON. Pure."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np

from calibration.periodic import Roll, find_repeats
from shadowline.errors import ConfigError
from station.report.record import CameraRecord, CoilRecord, PlacedDefect

__all__ = ["CameraFigures", "CoilReport", "OutageFigures", "RepeatFigures", "SpanFigures", "make_report"]

_LANE_PART = 0.02  # of a picture's width: so far two marks of one roll may lie apart across


class SpanFigures(msgspec.Struct, frozen=True):
    """A stretch of the coil; `reason` is empty where it was inspected."""

    start_mm: float
    end_mm: float
    reason: str


class OutageFigures(msgspec.Struct, frozen=True):
    """A time of which the camera saw nothing, up to `back`."""

    back: str
    seconds: float
    mm: float | None


class RepeatFigures(msgspec.Struct, frozen=True):
    """A distance after which defects come again at one place across."""

    camera: str
    distance_mm: float
    spread_mm: float
    marks: int
    missing: int
    start_mm: float
    end_mm: float
    across_px: float
    confidence: float
    false_alarm: float
    """At most so many coils of random defects show a repeat as good."""
    rolls: tuple[str, ...]
    """Whose turn it is, nearest first."""
    labels: dict[str, int]


class CameraFigures(msgspec.Struct, frozen=True):
    """What one camera did; lengths of `spans` add up to the coil's."""

    frames: int
    verdicts: dict[str, int]
    invalid: dict[str, int]
    late: int
    seen_before: int
    """Frames of strip that had gone back."""
    worst_latency_ms: float
    width_px: int
    inspected_mm: float
    not_inspected_mm: dict[str, float]
    spans: tuple[SpanFigures, ...]
    outages: tuple[OutageFigures, ...]
    defects: dict[str, int]


class CoilReport(msgspec.Struct, frozen=True, tag_field="schema", tag="shadowline.coil-report/1"):
    """The report of one coil. A defect that goes on through several frames counts once."""

    coil: str
    stations: tuple[str, ...]
    runs: tuple[str, ...]
    models: tuple[str, ...]
    configs: tuple[str, ...]
    calibrations: tuple[str, ...]
    first: str
    last: str
    length_mm: float
    inspected_mm: float
    """By all of the cameras."""
    defects: dict[str, int]
    cameras: dict[str, CameraFigures]
    repeats: tuple[RepeatFigures, ...]
    notes: tuple[str, ...]
    """What is wrong with the record itself."""
    recipes: tuple[str, ...] = ()
    """Those that frames were judged by, beside the plain tables."""
    jobs: tuple[str, ...] = ()
    parts: dict[str, dict[str, int]] = {}
    """How many frames of each part had which verdict, over all cameras."""


def make_report(record: CoilRecord, rolls: Sequence[Roll] = ()) -> CoilReport:
    """Return the report of a record that is complete. Raises `ConfigError` when it holds nothing of the coil."""
    if not record.begun:
        raise ConfigError(f"coil {record.coil!r}: no frame of it among these events; see `station coil`")
    length_mm = max(camera.reached_mm for camera in record.cameras.values())
    cameras = {name: _camera(camera, length_mm) for name, camera in sorted(record.cameras.items())}
    names = {key: tuple(sorted(record.origins.get(key, ()))) for key in ("station", "run", "model", "config")}
    return CoilReport(
        coil=record.coil,
        stations=names["station"],
        runs=names["run"],
        models=names["model"],
        configs=names["config"],
        calibrations=tuple(sorted(record.origins.get("calibration", ()))),
        first=_utc(record.first_ns),
        last=_utc(record.last_ns),
        length_mm=round(length_mm, 3),
        inspected_mm=round(_inspected_by_all(list(cameras.values()), length_mm), 3),
        defects=_sum([camera.defects for camera in cameras.values()]),
        cameras=cameras,
        repeats=tuple(
            repeat for name, camera in sorted(record.cameras.items()) for repeat in _repeats(name, camera, rolls)
        ),
        notes=tuple(_notes(record)),
        recipes=tuple(sorted(record.origins.get("recipe", ()))),
        jobs=tuple(sorted(record.origins.get("job", ()))),
        parts=_parts(list(record.cameras.values())),
    )


def _camera(record: CameraRecord, length_mm: float) -> CameraFigures:
    spans = tuple(
        SpanFigures(round(span.start_mm, 3), round(span.end_mm, 3), span.reason) for span in record.spans_of(length_mm)
    )
    lengths = {"": 0.0}
    for span in spans:
        lengths[span.reason] = lengths.get(span.reason, 0.0) + span.end_mm - span.start_mm
    return CameraFigures(
        frames=record.verdicts.total(),
        verdicts={verdict: record.verdicts[verdict] for verdict in ("accept", "reject", "invalid")},
        invalid=dict(record.invalid.most_common()),
        late=record.late,
        seen_before=record.seen_before,
        worst_latency_ms=record.worst_latency_ms,
        width_px=record.width_px,
        inspected_mm=round(lengths[""], 3),
        not_inspected_mm={reason: round(mm, 3) for reason, mm in lengths.items() if reason},
        spans=spans,
        outages=tuple(
            OutageFigures(_utc(event.changed_ns), event.outage.seconds, event.outage.mm)
            for event in record.outages
            if event.outage is not None
        ),
        defects=_by_label([placed for placed in record.defects if placed.counts]),
    )


def _inspected_by_all(cameras: Sequence[CameraFigures], length_mm: float) -> float:
    """Return the length that not one camera has missed."""
    missed = sorted((span.start_mm, span.end_mm) for camera in cameras for span in camera.spans if span.reason)
    inspected, reached = length_mm, 0.0
    for start, end in missed:
        inspected -= max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return inspected


def _repeats(name: str, record: CameraRecord, rolls: Sequence[Roll]) -> list[RepeatFigures]:
    placed = [one for one in record.defects if one.counts and one.defect.position_mm is not None]
    along = np.array([sum(one.defect.position_mm or ()) / 2 for one in placed])
    across = np.array([one.defect.box_px[0] + one.defect.box_px[2] / 2 for one in placed])
    return [
        RepeatFigures(
            camera=name,
            distance_mm=round(repeat.distance_mm, 2),
            spread_mm=round(repeat.spread_mm, 2),
            marks=len(repeat.marks),
            missing=repeat.missing,
            start_mm=round(repeat.start_mm, 3),
            end_mm=round(repeat.end_mm, 3),
            across_px=round(repeat.across, 1),
            confidence=1 - repeat.false_alarm,
            false_alarm=repeat.false_alarm,
            rolls=repeat.rolls,
            labels=_by_label([placed[mark] for mark in repeat.marks]),
        )
        for repeat in find_repeats(along, across, _LANE_PART * record.width_px, rolls)
    ]


def _parts(cameras: Sequence[CameraRecord]) -> dict[str, dict[str, int]]:
    names = dict.fromkeys(part for camera in cameras for part in camera.parts)
    return {name: _sum([dict(camera.parts.get(name, {})) for camera in cameras]) for name in names}


def _by_label(defects: Sequence[PlacedDefect]) -> dict[str, int]:
    return dict(Counter(one.defect.label for one in defects).most_common())


def _sum(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    return dict(sum((Counter(one) for one in counts), Counter[str]()).most_common())


def _notes(record: CoilRecord) -> list[str]:
    notes = []
    if record.restarts:
        notes.append(f"The station began anew {record.restarts} times; what went by meanwhile counts as not inspected.")
    if record.left_out:
        notes.append(f"The station began anew {record.left_out} times; what it saw before the last time is left out.")
    if record.unheard:
        notes.append(f"{record.unheard} messages of the station are missing; frames among them count as not inspected.")
    if record.foreign:
        notes.append(f"{record.foreign} lines are no messages of a station and were left out.")
    if not record.ended:
        notes.append("The record ends before the coil does.")
    return notes


def _utc(ns: int) -> str:
    return datetime.fromtimestamp(ns // 1_000_000_000, UTC).isoformat().replace("+00:00", "Z")
