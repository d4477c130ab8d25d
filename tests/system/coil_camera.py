"""A camera over a rendered coil: a roll mark at every turn, random spots, and a strip that may go back."""

from collections.abc import Iterator, Mapping
from typing import Self

import numpy as np

from station.camera.base import CAN_WAIT
from station.clock import Clock
from station.config import PythonCameraConfig
from station.frame import Exposure

__all__ = ["HEIGHT", "PITCH_MM", "TURN_MM", "WIDTH", "CoilCamera"]

HEIGHT, WIDTH, PITCH_MM = 128, 256, 0.5
TURN_MM = 628.3
_MARK_PX, _MARK_X = 10, 180
_SPOTS_A_FRAME = 0.03


class CoilCamera:
    """Shows `settings.frames` pictures of rows that follow on each other, and counts the rows.

    At every `settings.back_every`th picture the strip goes back by five of them, and comes again. Every
    `settings.lose_every`th picture is made but not delivered.
    """

    def __init__(self, config: PythonCameraConfig, clock: Clock) -> None:
        self.identity = "coil"
        self.counters: Mapping[str, int] = {}
        self.features = frozenset({CAN_WAIT})
        self._of = {"frames": 0, "back_every": 0, "lose_every": 0} | config.settings
        self._clock = clock
        self._plain = np.random.default_rng(0).integers(118, 123, (HEIGHT, WIDTH), np.uint8)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        pass

    def exposures(self, timeout_s: float) -> Iterator[Exposure | None]:
        for number, place in enumerate(self._places()):
            if not _every(self._of["lose_every"], number):
                yield Exposure(self._draw(place), number, self._clock.utc_ns(), encoder=place * HEIGHT)

    def _places(self) -> Iterator[int]:
        """Yield the number of the stretch of strip that each picture shows."""
        for place in range(self._of["frames"]):
            yield place
            if _every(self._of["back_every"], place):
                yield from range(place, place - 5, -1)
                yield from range(place - 4, place + 1)

    def _draw(self, place: int) -> np.ndarray:
        picture = self._plain.copy()
        first_mm = place * HEIGHT * PITCH_MM
        turn = int(first_mm // TURN_MM)
        rows = [round((number * TURN_MM - first_mm) / PITCH_MM) for number in (turn, turn + 1) if number]
        spots = np.random.default_rng(place)
        if spots.random() < _SPOTS_A_FRAME and place:
            rows_across = (int(spots.integers(0, HEIGHT - 8)), int(spots.integers(0, WIDTH - 8)))
            picture[rows_across[0] :, rows_across[1] :][:8, :8] = 20
        for row in rows:
            picture[max(row, 0) : max(row + _MARK_PX, 0), _MARK_X : _MARK_X + _MARK_PX] = 20
        return picture


def _every(nth: int, number: int) -> bool:
    return nth > 0 and number > 0 and number % nth == 0
