"""Small finder files that need no training: heat is darkness, boxes are where it is darkest. For tests alone.

Every kind sees the same: the mean darkness of each square of `STRIDE` pixels, 0 for white and 1 for black, averaged
over its neighbours by a box filter. A dark spot on a bright frame is therefore found by any of them, where it is.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.finder_card import FINDER_KEY, FinderCard, FinderKind

__all__ = ["CANDIDATES", "STRIDE", "finder_card", "write_finder"]

STRIDE = 8
CANDIDATES = 16
_BOX_PX = 16.0
_CHANNELS = 16


def finder_card(kind: FinderKind = "heatmap", **facts: Any) -> FinderCard:
    """Return the card of a file that `write_finder` makes, with `facts` in place of its own."""
    usual: dict[str, Any] = {"name": f"drawn-{kind}", "stride": STRIDE, "threshold": 0.5}
    if kind == "detector":
        usual |= {"labels": ("hole", "stain"), "nms_iou": 0.5}
    if kind == "anomaly":
        usual |= {"low": 0.0, "high": 10.0}
    return FinderCard(kind=kind, **(usual | facts))


def write_finder(
    path: Path,
    kind: FinderKind = "heatmap",
    *,
    facts: Mapping[str, Any] | None = None,
    input_name: str = "frame",
    input_type: int = TensorProto.UINT8,
    renamed: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
    gain: float = 1.0,
    batch: str | int = "N",
) -> Path:
    """Write a finder file of `kind`, right unless an argument says otherwise, and return its path.

    `facts` go into its card; `input_px` there fixes the graph's input. `renamed` gives outputs other names, `metadata`
    takes the place of all metadata. `gain` multiplies the heat: NaN gives a map that is none.

    heatmap    heat = mean darkness, 0 to 1; with C labels C maps, each half as warm as the one before
    anomaly    heat = 10 × mean darkness
    detector   the `CANDIDATES` darkest cells as boxes of 16 × 16 pixels, the darkness as score, even cells "hole"
    """
    card = finder_card(kind, **(facts or {}))
    maps = len(card.labels) if kind == "heatmap" and card.labels else 1
    constants = _filters(maps, gain)
    nodes = [
        helper.make_node("Cast", [input_name], ["grey"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["grey", "white"], ["part"]),
        helper.make_node("Sub", ["one", "part"], ["darkness"]),
        helper.make_node("Conv", ["darkness", "cells"], ["cell"], strides=[STRIDE, STRIDE]),
        helper.make_node("Relu", ["cell"], ["warm"]),
        helper.make_node("Conv", ["warm", "spread"], ["wide"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["wide"], ["wider"]),
        helper.make_node("Conv", ["wider", "gather"], ["maps"]),
    ]
    height, width = card.input_px or ("H", "W")
    rows, columns = (side // STRIDE if isinstance(side, int) else side.lower() for side in (height, width))
    if kind == "detector":
        more, outputs = _as_boxes(batch)
        constants |= _grid_constants()
    else:
        more, outputs = _as_heat(kind, batch, len(card.labels), (rows, columns))
    graph = helper.make_graph(
        _with_names([*nodes, *more], renamed or {}),
        "drawn",
        [helper.make_tensor_value_info(input_name, input_type, [batch, 1, height, width])],
        [_named(output, renamed or {}) for output in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, {FINDER_KEY: card.model_dump_json()} if metadata is None else dict(metadata))
    onnx.save(model, path)
    return path


def _filters(maps: int, gain: float) -> dict[str, Any]:
    """Return the weights: a cell's mean, the mean of 3 × 3 cells, and half and half again for each further map."""
    spread = np.zeros((_CHANNELS, _CHANNELS, 3, 3), np.float32)
    spread[np.arange(_CHANNELS), np.arange(_CHANNELS)] = 1 / 9
    shares = np.float32(gain) / _CHANNELS * 0.5 ** np.arange(maps, dtype=np.float32)
    return {
        "white": np.float32(255),
        "one": np.float32(1),
        "cells": np.full((_CHANNELS, 1, STRIDE, STRIDE), 1 / STRIDE**2, np.float32),
        "spread": spread,
        "gather": np.repeat(shares, _CHANNELS).reshape(maps, _CHANNELS, 1, 1).astype(np.float32),
    }


def _as_heat(
    kind: FinderKind, batch: str | int, labels: int, cells: tuple[int | str, int | str]
) -> tuple[list[Any], list[Any]]:
    """Return the nodes and the output of a map."""
    shape = [batch, labels, *cells] if labels else [batch, *cells]
    nodes = [] if labels else [helper.make_node("Squeeze", ["maps", "axis_1"], ["flat"])]
    nodes = [helper.make_node("Constant", [], ["axis_1"], value=_numbers([1])), *nodes]
    last = "maps" if labels else "flat"
    if kind == "anomaly":
        nodes.append(helper.make_node("Constant", [], ["ten"], value=numpy_helper.from_array(np.float32(10))))
        nodes.append(helper.make_node("Mul", [last, "ten"], ["heat"]))
    else:
        nodes += [
            helper.make_node("Constant", [], ["cold"], value=numpy_helper.from_array(np.float32(0))),
            helper.make_node("Constant", [], ["hot"], value=numpy_helper.from_array(np.float32(1))),
            helper.make_node("Clip", [last, "cold", "hot"], ["heat"]),
        ]
    return nodes, [helper.make_tensor_value_info("heat", TensorProto.FLOAT, shape)]


def _as_boxes(batch: str | int) -> tuple[list[Any], list[Any]]:
    """Return the nodes and outputs of a detector: the darkest cells, a box around the centre of each."""
    nodes = [
        helper.make_node("Reshape", ["maps", "rows_of_all"], ["flat"]),
        helper.make_node("TopK", ["flat", "candidates"], ["top", "cell_no"], axis=1),
        helper.make_node("Clip", ["top", "cold", "hot"], ["scores"]),
        helper.make_node("Mod", ["cell_no", "two"], ["labels"]),
        helper.make_node("Shape", ["maps"], ["columns"], start=3, end=4),
        helper.make_node("Mod", ["cell_no", "columns"], ["column"]),
        helper.make_node("Div", ["cell_no", "columns"], ["row"]),
    ]
    for axis, cell in (("x", "column"), ("y", "row")):
        nodes += [
            helper.make_node("Cast", [cell], [f"{axis}_cell"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{axis}_cell", "stride"], [f"{axis}_edge"]),
            helper.make_node("Sub", [f"{axis}_edge", "before"], [f"{axis}0"]),
            helper.make_node("Add", [f"{axis}_edge", "behind"], [f"{axis}1"]),
            helper.make_node("Unsqueeze", [f"{axis}0", "last"], [f"{axis}0_column"]),
            helper.make_node("Unsqueeze", [f"{axis}1", "last"], [f"{axis}1_column"]),
        ]
    corners = ["x0_column", "y0_column", "x1_column", "y1_column"]
    nodes.append(helper.make_node("Concat", corners, ["boxes"], axis=2))
    outputs = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [batch, CANDIDATES, 4]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, CANDIDATES]),
        helper.make_tensor_value_info("labels", TensorProto.INT64, [batch, CANDIDATES]),
    ]
    return nodes, outputs


def _grid_constants() -> dict[str, Any]:
    return {
        "rows_of_all": np.array([0, -1], np.int64),
        "candidates": np.array([CANDIDATES], np.int64),
        "two": np.array(2, np.int64),
        "last": np.array([2], np.int64),
        "cold": np.float32(0),
        "hot": np.float32(1),
        "stride": np.float32(STRIDE),
        "before": np.float32((_BOX_PX - STRIDE) / 2),
        "behind": np.float32((_BOX_PX + STRIDE) / 2),
    }


def _numbers(values: list[int]) -> Any:
    return numpy_helper.from_array(np.array(values, np.int64))


def _with_names(nodes: list[Any], renamed: Mapping[str, str]) -> list[Any]:
    for node in nodes:
        node.output[:] = [renamed.get(name, name) for name in node.output]
        node.input[:] = [renamed.get(name, name) for name in node.input]
    return nodes


def _named(output: Any, renamed: Mapping[str, str]) -> Any:
    output.name = renamed.get(output.name, output.name)
    return output
