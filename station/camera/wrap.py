"""Undo the wrap of a device's counter. Pure."""

__all__ = ["Unwrap"]


class Unwrap:
    """Turns the readings of a counter from `first` to `last` into one that goes on.

    Each reading is taken to be the nearest possible to the one before, so it may also go back.
    """

    def __init__(self, first: int, last: int) -> None:
        self._period = last - first + 1
        self._count: int | None = None

    def __call__(self, reading: int) -> int:
        """Return the count behind `reading`; the first reading is its own."""
        if self._count is None:
            self._count = reading
            return reading
        ahead = (reading - self._count) % self._period
        self._count += ahead - self._period if ahead > self._period // 2 else ahead
        return self._count
