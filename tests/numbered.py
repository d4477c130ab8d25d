"""Pictures that carry a number, so that a test can tell which one it has got. Pure."""

from typing import Any

__all__ = ["draw", "number_of"]

_BITS, _COLUMNS = 16, 8
_DARK, _BRIGHT = 40, 200


def draw(number: int, width: int, height: int) -> bytes:
    """Return a grey picture whose tiles, 8 in each of two rows, are the bits of `number`, the lowest first."""
    tile = width // _COLUMNS
    bits = [_BRIGHT if number >> bit & 1 else _DARK for bit in range(_BITS)]
    upper, lower = (b"".join(bytes([level]) * tile for level in row) for row in (bits[:_COLUMNS], bits[_COLUMNS:]))
    return upper * (height // 2) + lower * (height // 2)


def number_of(image: Any) -> int:
    """Return the number that `draw` put into a picture, an array H×W of grey levels."""
    height, width = image.shape
    tile, middle = width // _COLUMNS, (_DARK + _BRIGHT) // 2
    levels = [int(image[row * height // 4, tile * column + tile // 2]) for row in (1, 3) for column in range(_COLUMNS)]
    return sum((level > middle) << bit for bit, level in enumerate(levels))
