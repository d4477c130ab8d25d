"""The table of labels that a scan fills: a row of statistics each, joined by union-find. Pure."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shadowline.kernel_cache import helper

__all__ = [
    "AREA",
    "BRIGHT_EXCESS",
    "COLUMNS",
    "DARK_EXCESS",
    "PARENT",
    "SIGN",
    "SUM_X",
    "SUM_Y",
    "X0",
    "X1",
    "Y0",
    "Y1",
    "add_label",
    "fold",
    "root_of",
]

PARENT, SIGN, X0, Y0, X1, Y1, AREA, SUM_X, SUM_Y, DARK_EXCESS, BRIGHT_EXCESS = range(11)
"""Columns of int64. X1 and Y1 are one past the last pixel; excess is in 1/256 level, summed over pixels."""
COLUMNS: Final = 11


@helper
def root_of(table: NDArray[np.int64], label: int) -> int:
    """Return the root of `label`, halving the way there."""
    root = int(label)
    while table[root, PARENT] != root:
        table[root, PARENT] = table[int(table[root, PARENT]), PARENT]
        root = int(table[root, PARENT])
    return root


@helper
def fold(table: NDArray[np.int64], count: int) -> None:
    """Add the statistics of every label to its root's; a root is the least label of its component."""
    for label in range(count):
        root = root_of(table, label)
        if root != label:
            add_label(table, root, label)
            table[label, PARENT] = root


@helper
def add_label(table: NDArray[np.int64], root: int, label: int) -> None:
    """Add the statistics of `label` to those of `root`."""
    table[root, X0] = min(table[root, X0], table[label, X0])
    table[root, Y0] = min(table[root, Y0], table[label, Y0])
    table[root, X1] = max(table[root, X1], table[label, X1])
    table[root, Y1] = max(table[root, Y1], table[label, Y1])
    for column in range(AREA, COLUMNS):
        table[root, column] += table[label, column]
