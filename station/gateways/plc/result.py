"""A result as values of the table. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from station.config import Config
from station.config.gateways import GatewayBase
from station.config.line import EncoderBase
from station.event import DefectRecord, InspectionEvent
from station.gateways.plc.area import Value
from station.gateways.plc.registers import DEFECTS, OTHER_LABEL, REASONS, UNKNOWN_LABEL, VERDICTS

__all__ = ["Codes", "codes_of", "result_values"]

_UNKNOWN: Final = "unknown"
_TENTHS: Final = 10
_THOUSANDTHS: Final = 1000


@dataclass(frozen=True, slots=True)
class _Way:
    """From a picture's first row to the reject gate, in counts of the line's counter."""

    counts: Mapping[str, int]
    """By camera."""
    period: int

    def target(self, camera: str, count: int) -> int:
        return (count + self.counts[camera]) % self.period


@dataclass(frozen=True, slots=True)
class Codes:
    """What names are called in words."""

    cameras: Mapping[str, int] = field(default_factory=dict)
    jobs: Mapping[str, int] = field(default_factory=dict)
    way: _Way | None = None


def codes_of(config: Config, gateway: GatewayBase) -> Codes:
    """Return the codes by the configuration."""
    return Codes(
        {camera.name: place for place, camera in enumerate(config.camera, 1)},
        {name: recipe.external_id or 0 for name, recipe in config.recipe.items()},
        _way(config, gateway),
    )


def result_values(event: InspectionEvent, codes: Codes, labels: Mapping[str, int], age_ms: float) -> dict[str, Value]:
    """Return the values of `RESULT`; `labels` are the codes of those that have one."""
    values: dict[str, Value] = {
        "verdict": VERDICTS[event.verdict],
        event.verdict: 1,
        "late": event.late,
        "truncated": len(event.defects) > DEFECTS,
        "reason": _reason(event, labels),
        "camera": codes.cameras.get(event.camera, 0),
        "sequence": event.sequence,
        "result_job": codes.jobs.get(event.origin.recipe, 0),
        "age_ms": round(age_ms),
        "defect_count": len(event.defects),
        "result_part_id": event.part,
    }
    values.update(_position(event, codes.way))
    for number, defect in enumerate(event.defects[:DEFECTS], 1):
        values.update((f"defect_{number}_{name}", value) for name, value in _defect(defect, labels))
    return values


def _position(event: InspectionEvent, way: _Way | None) -> dict[str, Value]:
    found = event.position
    if found is None:
        return {}
    values: dict[str, Value] = {
        "position_known": 1,
        "position": round(found.mm * _TENTHS),
        "reversed": found.reversed,
        "result_coil_id": found.coil,
    }
    if found.count is not None:
        values |= {"count_known": 1, "count": found.count}
        if way is not None and event.camera in way.counts:
            values |= {"target_known": 1, "target": way.target(event.camera, found.count)}
    return values


def _defect(defect: DefectRecord, labels: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    x, y, width, height = defect.box_px
    across_mm, along_mm = defect.box_mm[2:] if defect.box_mm is not None else (0.0, 0.0)
    if defect.box_mm is None and defect.position_mm is not None:
        along_mm = abs(defect.position_mm[1] - defect.position_mm[0])
    yield "label", _label(defect.label, labels)
    yield "confidence", round(defect.confidence * _THOUSANDTHS)
    yield from (("x", x), ("y", y), ("width", width), ("height", height))
    yield "width_mm", round(across_mm * _TENTHS)
    yield "length_mm", round(along_mm * _TENTHS)


def _reason(event: InspectionEvent, labels: Mapping[str, int]) -> int:
    first = event.reason.split(",")[0].strip()
    if event.verdict == "invalid":
        return REASONS.index(first) + 1 if first in REASONS else OTHER_LABEL
    return _label(first, labels) if first else 0


def _label(label: str, labels: Mapping[str, int]) -> int:
    return UNKNOWN_LABEL if label == _UNKNOWN else labels.get(label, OTHER_LABEL)


def _way(config: Config, gateway: GatewayBase) -> _Way | None:
    encoder, reject = config.line.encoder, gateway.reject
    if not isinstance(encoder, EncoderBase) or reject is None or reject.distance_mm is None:
        return None
    mm_per_count = -encoder.mm_per_count if encoder.reversed else encoder.mm_per_count
    distances_mm = {camera.name: reject.distance_mm - camera.reach_mm for camera in config.camera}
    counts = {name: round(distance_mm / mm_per_count) for name, distance_mm in distances_mm.items()}
    return _Way(counts, 2**encoder.bits)
