"""What a station says of a strip, message by message: for the strip map's tests and its benchmark."""

from typing import Literal

import msgspec

from station.event import (
    CameraState,
    CoverageEvent,
    DefectRecord,
    InspectionEvent,
    Numbered,
    Origin,
    PositionRecord,
    StageTimes,
    StateEvent,
)

__all__ = ["FRAME_MM", "HOUR_NS", "PITCH_MM", "ROWS", "WIDTH_PX", "ZERO_NS", "StripTalk", "defect"]

PITCH_MM, ROWS, WIDTH_PX = 0.5, 400, 2000
FRAME_MM = PITCH_MM * ROWS
SECOND_NS = 10**9
HOUR_NS = 3600 * SECOND_NS
ZERO_NS = 1_700_000_000 * SECOND_NS // HOUR_NS * HOUR_NS


def defect(
    label: str, x_px: int, y_px: int, frame_mm: float = 0.0, area_px: int = 300, placed: bool = True
) -> DefectRecord:
    """Return a defect of 40 × 20 px; `StripTalk.frame` adds the frame's place to its own."""
    place = (frame_mm + y_px * PITCH_MM, frame_mm + (y_px + 20) * PITCH_MM) if placed else None
    return DefectRecord(label, 0.9, (x_px, y_px, 40, 20), area_px, -8.0, position_mm=place)


class StripTalk:
    """A station that numbers what it says, a second apart."""

    def __init__(self, run: str = "run1", every_ns: int = SECOND_NS) -> None:
        self.said: list[Numbered] = []
        self._events, self._sequences = 0, dict[str, int]()
        self._ns, self._every_ns = ZERO_NS, every_ns
        self._run = run

    def frame(
        self,
        mm: float | None,
        reason: str = "",
        defects: tuple[DefectRecord, ...] = (),
        coil: str = "A-17",
        camera: str = "top",
        reversed: bool = False,
        count: int | None = None,
    ) -> InspectionEvent:
        """Say a frame, whose defects lie from the frame's begin."""
        self._sequences[camera] = sequence = self._sequences.get(camera, 0) + 1
        placed = tuple(_moved(one, mm) for one in defects) if mm else defects
        verdict: Literal["accept", "reject", "invalid"] = "invalid" if reason else "reject" if defects else "accept"
        event = InspectionEvent(
            event=self._next(),
            origin=self._origin(),
            camera=camera,
            sequence=sequence,
            captured_ns=self._ns,
            clock="host",
            published_ns=self._ns,
            verdict=verdict,
            reason=reason or ", ".join(sorted({one.label for one in defects})),
            late=sequence % 5 == 0,
            budget_ms=20.0,
            latency_ms=3.0,
            size_px=(WIDTH_PX, ROWS),
            defects=placed,
            stages_us=StageTimes(0, 0, 0, 0, 0),
            position=None if mm is None else PositionRecord(mm, PITCH_MM, count, coil, reversed),
        )
        self.said.append(event)
        return event

    def span(self, start: float, end: float, reason: str, coil: str = "A-17", ends_coil: bool = False) -> None:
        """Say that a stretch is settled."""
        self.said.append(
            CoverageEvent(self._next(), self._origin(), "top", coil, start, end, reason, ends_coil, self._ns)
        )

    def state(self, state: CameraState) -> None:
        """Say a state of the camera."""
        self.said.append(StateEvent(self._next(), self._origin(), "top", state, "", self._ns, self._ns))

    def restart(self) -> None:
        """Go on as another run of the station."""
        self._run += "+"
        self._sequences.clear()

    def at(self, ns: int) -> None:
        """Let the next message be of that time."""
        self._ns = ns - self._every_ns

    def skip(self, numbers: int) -> None:
        """Leave out so many numbers."""
        self._events += numbers

    def _next(self) -> int:
        self._events += 1
        self._ns += self._every_ns
        return self._events

    def _origin(self) -> Origin:
        return Origin("line", self._run, "model", "config")


def _moved(one: DefectRecord, mm: float) -> DefectRecord:
    if one.position_mm is None:
        return one
    begin, end = one.position_mm
    return msgspec.structs.replace(one, position_mm=(begin + mm, end + mm))
