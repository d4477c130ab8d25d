"""The reject gate: what is under it now, and whether that was accepted in time. Pure.

Everything is rejected that was not accepted: no verdict, a late one, an invalid one and a silent station all look the
same to the output. An accept belongs to a stretch, of strip or of time, and is never moved to another.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["RejectGate", "Stretch"]

_MOST: Final = 4096
"""Stretches of one camera on their way to the gate; the oldest give way, which rejects them."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one picture judges: from where to where, in the unit of the gate (millimetres of way, or of time)."""

    start: float
    end: float
    accepted: bool


class RejectGate:
    """Holds the stretches between cameras and gate. The output is False, let pass, only where each camera accepted.

    Two stretches of a camera may overlap, as pictures of a strip do: where one does not accept, nothing passes.
    """

    def __init__(self, cameras: Iterable[str], distance: float, before: float, after: float) -> None:
        """`distance` is from a picture's first row to the gate; the output leads by `before`, stays by `after`."""
        self._on_the_way: dict[str, deque[Stretch]] = {camera: deque(maxlen=_MOST) for camera in cameras}
        self._distance, self._before, self._after = distance, before, after
        self.late = 0
        """Verdicts that came when their stretch had reached the gate: not used."""

    def tell(self, camera: str, stretch: Stretch, here: float) -> bool:
        """Take a verdict at `here`, where what now passes the camera begins; return whether it came in time.

        A late one is counted, and what it judged is rejected.
        """
        in_time = stretch.start - self._before > here - self._distance
        if not in_time:
            self.late += 1
            stretch = Stretch(stretch.start, stretch.end, accepted=False)
        if camera in self._on_the_way:
            self._on_the_way[camera].append(stretch)
        return in_time

    def rejects(self, here: float) -> bool:
        """Return the output at `here`; forgets what has passed."""
        low, high = here - self._distance - self._after, here - self._distance + self._before
        for stretches in self._on_the_way.values():
            while stretches and stretches[0].end <= low:
                stretches.popleft()
        return not all(_passes(stretches, low, high) for stretches in self._on_the_way.values())

    def clear(self) -> None:
        """Forget every accept: nobody knows any more where they belong."""
        for stretches in self._on_the_way.values():
            stretches.clear()


def _passes(stretches: Iterable[Stretch], low: float, high: float) -> bool:
    """Whether all from `low` to `high` was accepted, without a gap, and nothing of it was not."""
    reach = low
    for stretch in sorted(stretches, key=lambda one: one.start):
        if stretch.start > high or stretch.end <= low:
            continue
        if not stretch.accepted:
            return False
        if stretch.start <= reach:
            reach = max(reach, stretch.end)
    return reach > high
