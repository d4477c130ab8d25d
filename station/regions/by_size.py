"""What belongs to frames of one size and type, kept for the last two of them. Pure."""

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from station.frame import Image

__all__ = ["BySize"]

_SIZES: Final = 2

T = TypeVar("T")


class BySize(Generic[T]):
    """Makes a value by `make(image)` for each new size or type, and keeps those of the last two.

    Two, since blocks of a line-scan camera come with and without rows of the block before.
    """

    def __init__(self, make: Callable[[Image], T]) -> None:
        self._make = make
        self._kept: list[tuple[tuple[object, ...], T]] = []

    def of(self, image: Image) -> T:
        """Return the value for frames such as `image`, which is the last one from now on."""
        key = (image.shape, image.dtype)
        found = next((kept for kept in self._kept if kept[0] == key), None)
        if found is None:
            found = (key, self._make(image))
            self._kept = [found, *self._kept[: _SIZES - 1]]
        elif found is not self._kept[0]:
            self._kept.reverse()
        return found[1]

    @property
    def last(self) -> T | None:
        """The value that was returned last; None before the first."""
        return self._kept[0][1] if self._kept else None
