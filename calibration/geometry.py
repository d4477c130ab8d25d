"""What turns a camera's pixels into millimetres on the strip, cheap enough for every frame. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shadowline.errors import CalibrationError
from shadowline.kernel_cache import helper, kernel, load_kernels

__all__ = ["CELL_PX", "Geometry"]

CELL_PX: Final = 16
"""Pitch of the nodes; finer ones would add nothing to what a lens bends."""

_SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """Millimetres across and along the strip, float64 `nodes` [rows,columns,2], at every `CELL_PX`th pixel edge.

    x grows to the right, from the frame's left edge in its middle row or from wherever the fit was told; y grows
    downwards, from the first row in the middle column; both lie in the strip's plane. Between nodes is interpolated,
    beyond them carried on: a line-scan camera has two rows of nodes and `height_px` None, for blocks of any height.
    Arrays are read-only. Raises `CalibrationError` for nodes that no camera makes.
    """

    nodes: NDArray[np.float64]
    width_px: int
    height_px: int | None = None
    _cells: NDArray[np.float64] = field(init=False, repr=False)
    """[cells,2,6]: with u and v from 0 to 1 across and down a cell, of 1, u, v, uv, u² and v², for x and for y."""

    def __post_init__(self) -> None:
        nodes = np.array(self.nodes, np.float64)
        rows = 2 if self.height_px is None else -(-self.height_px // CELL_PX) + 1
        if self.width_px < 1 or rows < 2 or nodes.shape != (rows, -(-self.width_px // CELL_PX) + 1, 2):
            raise CalibrationError(f"nodes {nodes.shape} do not fit a frame of {self.width_px}×{self.height_px} px")
        if not np.isfinite(nodes).all():
            raise CalibrationError("the geometry holds nodes that are not finite: calibrate it again")
        if (np.diff(nodes[..., 0], axis=1) <= 0).any() or (np.diff(nodes[..., 1], axis=0) <= 0).any():
            raise CalibrationError("the geometry has a place with 0 mm per pixel or less: calibrate it again")
        cells = _cells(nodes)
        for name, array in {"nodes": nodes, "_cells": cells}.items():
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        load_kernels()

    def boxes_mm(self, box: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return x, y, w, h in mm [n,4] of pixel boxes [n,4], across its middle row, along its middle column."""
        measured = np.empty((len(box), 4))
        _measure(self._cells, self.nodes.shape[1] - 1, box, measured)
        return measured

    @property
    def mm_per_px(self) -> tuple[float, float]:
        """Across and along, in the middle of the frame."""
        x, y = self.width_px // 2 - CELL_PX, (self.height_px or 0) // 2 - CELL_PX
        middle = np.array([[x, y, 2 * CELL_PX, 2 * CELL_PX]], np.int32)
        across, along = self.boxes_mm(middle)[0, 2:] / (2 * CELL_PX)
        return float(across), float(along)

    def check_size(self, width_px: int, height_px: int) -> None:
        """Raise `CalibrationError` for frames of another size than this geometry was made for."""
        if width_px != self.width_px or self.height_px not in (None, height_px):
            own = f"{self.width_px} px wide" if self.height_px is None else f"{self.width_px}×{self.height_px}"
            raise CalibrationError(
                f"made for frames {own}, but the camera delivers {width_px}×{height_px}: calibrate it again"
            )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what the calibration store keeps."""
        size = np.array([self.width_px, self.height_px or 0], np.int64)
        return {"geometry_schema": np.array(_SCHEMA_VERSION), "nodes_mm": self.nodes, "size_px": size}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Geometry":
        """Return what `arrays` gave; raises `CalibrationError` for others."""
        try:
            version = int(arrays["geometry_schema"])
            width, height = (int(side) for side in arrays["size_px"])
            nodes = np.asarray(arrays["nodes_mm"], np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise CalibrationError(f"not a geometry: {error}") from None
        if version != _SCHEMA_VERSION:
            raise CalibrationError(
                f"geometry of schema {version}, this station reads {_SCHEMA_VERSION}: calibrate it again"
            )
        return cls(nodes, width, height or None)


@helper
def _place(cells: NDArray[np.float64], columns: int, axis: int, x: float, y: float) -> float:
    """Return millimetres along `axis` of the pixel edge x, y; beyond the last cell that one is carried on."""
    column = min(max(int(x / CELL_PX), 0), columns - 1)
    row = min(max(int(y / CELL_PX), 0), len(cells) // columns - 1)
    u, v = x / CELL_PX - column, y / CELL_PX - row
    cell = cells[row * columns + column, axis]
    one, by_u, by_v, by_uv, by_uu, by_vv = cell[0], cell[1], cell[2], cell[3], cell[4], cell[5]
    return float(one + u * (by_u + by_uv * v + by_uu * u) + v * (by_v + by_vv * v))


@kernel("void(Array(float64, 3, 'C', readonly=True), int64, Array(int32, 2, 'C', readonly=True), float64[:,::1])")
def _measure(cells: NDArray[np.float64], columns: int, box: NDArray[np.int32], measured: NDArray[np.float64]) -> None:
    """Write x, y, w, h in mm of each box."""
    for index in range(len(box)):
        x, y, width, height = box[index]
        left = _place(cells, columns, 0, x, y + height / 2)
        top = _place(cells, columns, 1, x + width / 2, y)
        measured[index, 0] = left
        measured[index, 1] = top
        measured[index, 2] = _place(cells, columns, 0, x + width, y + height / 2) - left
        measured[index, 3] = _place(cells, columns, 1, x + width / 2, y + height) - top


def _cells(nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the polynomials of the cells: right at the nodes, and between them for all that bends like a parabola."""
    origin, right, down, opposite = nodes[:-1, :-1], nodes[:-1, 1:], nodes[1:, :-1], nodes[1:, 1:]
    bend_u = _bends(nodes.swapaxes(0, 1)).swapaxes(0, 1)[:-1] / 2
    bend_v = _bends(nodes)[:, :-1] / 2
    by_u, by_v, by_uv = right - origin - bend_u, down - origin - bend_v, opposite - right - down + origin
    cells = np.stack([origin, by_u, by_v, by_uv, bend_u, bend_v], axis=-1)
    return np.ascontiguousarray(cells.reshape(-1, 2, 6))


def _bends(nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the second differences down the first axis, of each cell the mean of its ends'; 0 for a single cell."""
    if len(nodes) < 3:
        return np.zeros_like(nodes[:-1])
    bends = np.diff(nodes, n=2, axis=0)
    bends = np.concatenate([bends[:1], bends, bends[-1:]])
    return np.asarray((bends[:-1] + bends[1:]) / 2)
