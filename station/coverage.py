"""Which millimetres of the coil one camera has inspected, and which it has not and why. Pure."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from station.event import InspectionEvent, StateEvent

__all__ = ["GAP", "NO_POSITION", "OFFLINE", "RESTART", "UNHEARD", "Coverage", "Span"]

GAP: Final = "gap"
"""No picture was taken of it: the line was faster than the camera, or nothing triggered it."""
OFFLINE: Final = "offline"
"""The camera was away."""
NO_POSITION: Final = "no_position"
"""There were pictures, but nothing told where."""
UNHEARD: Final = "unheard"
"""There were frames of which no message was heard."""
RESTART: Final = "restart"
"""The station was not there."""

_OUTAGES = 64
_LEAST_MM = 1e-3


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a coil. `reason` is empty for what was inspected, else all that kept it from being, by comma.

    A reason is one of an invalid frame, or of those above.
    """

    coil: str
    start_mm: float
    end_mm: float
    reason: str
    ends_coil: bool = False
    """`end_mm` is the length of the coil."""

    @property
    def length_mm(self) -> float:
        """Its millimetres."""
        return self.end_mm - self.start_mm


@dataclass(slots=True)
class _Stretch:
    """What goes on from the stretch before to `end`, over the ends of coils."""

    end: float
    reason: str


class Coverage:
    """Follows one camera's events, and gives out the spans of each coil, one after the other and without a gap.

    Each is given out once and for good, as soon as nothing can change it; they begin at 0 and add up to what the camera
    has passed. So strip that comes again after it went back changes nothing. What two pictures show is inspected if it
    was in one of them. Less than a row between two pictures is no gap. Takes constant time and memory a frame.
    """

    def __init__(self, reach_mm: float = 0.0, length_of: Callable[[str], float | None] = lambda coil: None) -> None:
        """`reach_mm` is the camera's; `length_of` tells the length of a coil that has ended.

        Where it does not know, a coil ends where the camera last saw it, and the next one has from its own pictures on.
        """
        self._ahead_mm = max(0.0, -reach_mm)
        self._length_of = length_of
        self._zeros: list[tuple[float, str]] = []
        self._held: deque[_Stretch] = deque()
        self._given = 0.0
        self._missed: set[str] = set()
        self._outages: deque[int] = deque(maxlen=_OUTAGES)
        self._away = False
        self._sequence = 0
        self._seen_ns = 0

    def note_state(self, event: StateEvent) -> None:
        """Take a state of the camera: strip that passes during an outage is `offline`. Any thread."""
        self._away = event.state == "offline"
        if event.outage is not None:
            self._outages.append(event.changed_ns - round(event.outage.seconds * 5e8))  # its middle

    def begin_run(self) -> None:
        """Take the next event as the first one after a restart of the station."""
        self._missed.add(RESTART)
        self._sequence = 0

    def take(self, event: InspectionEvent) -> Iterator[Span]:
        """Yield the spans that are settled now; `event` is the camera's next."""
        if event.sequence != self._sequence + 1:
            self._missed.add(UNHEARD)
        self._sequence = event.sequence
        position, size_px = event.position, event.size_px
        reason = event.reason if event.verdict == "invalid" else ""
        if position is None or position.pitch_mm is None or size_px is None:
            self._missed.add(reason or NO_POSITION)
            return
        if not self._zeros or self._zeros[-1][1] != position.coil:
            self._begin(position.coil)
        way, rows_mm = self._zeros[-1][0] + position.mm, size_px[1] * position.pitch_mm
        start, end = min(way, way + rows_mm), max(way, way + rows_mm)
        if end > self._frontier:
            self._pass_gap(start, abs(position.pitch_mm), self._was_away(event.captured_ns))
            self._see(start, end, reason)
        self._missed.clear()
        self._seen_ns = event.captured_ns
        yield from self._settle(self._frontier - 2 * (end - start) - self._ahead_mm)

    def close(self, length_mm: float | None = None) -> Iterator[Span]:
        """Yield the rest; with `length_mm` the last coil is so long, and what was not seen of it is not inspected."""
        if self._zeros:
            zero = self._zeros[-1][0]
            end = max(self._frontier, zero) if length_mm is None else zero + length_mm
            self._pass_gap(end, _LEAST_MM, self._away)
            self._zeros.append((end, ""))
            yield from self._settle(end)
            self._zeros.clear()

    @property
    def reached_mm(self) -> float:
        """How far the camera has seen the last coil."""
        return max(0.0, self._frontier - self._zeros[-1][0]) if self._zeros else 0.0

    @property
    def _frontier(self) -> float:
        """The way up to which all is known, in millimetres since the first coil began."""
        return self._held[-1].end if self._held else self._given

    def _was_away(self, now_ns: int) -> bool:
        return any(self._seen_ns < middle_ns < now_ns for middle_ns in list(self._outages))

    def _begin(self, coil: str) -> None:
        """Place the zero of a coil on the way, behind what is given out."""
        zero = self._given
        if self._zeros:
            last, before = self._zeros[-1]
            length_mm = self._length_of(before)
            zero = max(zero, self._frontier if length_mm is None else last + length_mm)
        self._zeros.append((zero, coil))

    def _pass_gap(self, start: float, least_mm: float, away: bool) -> None:
        """Go on to `start`, if that is further than the last picture showed, and say why nothing was seen between."""
        if start - self._frontier >= least_mm:
            reasons = self._missed | ({OFFLINE} if away else set())
            self._go_on(start, ", ".join(sorted(reasons)) or GAP)

    def _see(self, start: float, end: float, reason: str) -> None:
        """Go on to the end of a picture; an inspected one also tells of what it shows of an invalid one before."""
        while not reason and self._held and self._held[-1].reason and self._frontier > start:
            last = self._held.pop()
            if self._frontier < start:
                self._held.append(_Stretch(start, last.reason))
        self._go_on(end, reason)

    def _go_on(self, end: float, reason: str) -> None:
        if self._held and self._held[-1].reason == reason:
            self._held[-1].end = end
        else:
            self._held.append(_Stretch(end, reason))

    def _settle(self, settled: float) -> Iterator[Span]:
        """Yield what ends before `settled`, but the last stretch only where its coil ends, since it may go on."""
        while self._held:
            first = self._held[0]
            coil_end = self._zeros[1][0] if len(self._zeros) > 1 else math.inf
            end = min(first.end, coil_end)
            if end > settled or (len(self._held) == 1 and end < coil_end):
                return
            zero, coil = self._zeros[0]
            if end > self._given:
                yield Span(coil, self._given - zero, end - zero, first.reason, end == coil_end)
            self._given = end
            if end == first.end:
                self._held.popleft()
            if end == coil_end:
                self._zeros.pop(0)
