"""A model file of one dense layer over the crop's mean level: bright or dark, and how far from grey."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.model import METADATA_KEY

__all__ = ["CARD", "LABELS", "SIDE", "write_model"]

SIDE, LABELS = 16, ("bright", "dark")
CARD: dict[str, Any] = {
    "name": "tiny",
    "labels": LABELS,
    "crop": {"size_px": SIDE, "context": 1.0, "min_side_px": SIDE},
}


def write_model(
    path: Path,
    card: Mapping[str, Any] = CARD,
    input_name: str = "crops",
    input_type: int = TensorProto.UINT8,
    input_shape: Sequence[str | int] = ("N", 1, SIDE, SIDE),
    output_name: str = "probabilities",
    output_type: int = TensorProto.FLOAT,
    classes: int = 2,
    last: str = "Softmax",
    weight: float = 1.0,
    bias: float = 0.0,
    metadata: dict[str, str] | None = None,
    novelty: str = "",
    novelty_type: int = TensorProto.FLOAT,
    grey: float = 128,
) -> Path:
    """Write the model file, right unless an argument says otherwise.

    With `novelty` there is a second output, made by an operator of that name: `Squeeze` gives [N], `Identity` [N,1].
    """
    channels, batch = input_shape[1], input_shape[0]
    assert isinstance(channels, int)
    slopes = np.linspace(weight, -weight, channels * classes, dtype=np.float32).reshape(channels, classes) / 64
    nodes = [
        helper.make_node("Cast", [input_name], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["levels", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "weight"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
        helper.make_node(last, ["logits"], ["answer"]),
        helper.make_node("Cast", ["answer"], [output_name], to=output_type),
    ]
    outputs = [helper.make_tensor_value_info(output_name, output_type, [batch, classes])]
    constants = {
        "weight": slopes,
        "bias": np.full(classes, bias, np.float32),
        "axes": np.array([2, 3], np.int64),
    }
    if novelty:
        inputs = ["distance", "one"] if novelty == "Squeeze" else ["distance"]
        nodes += [
            helper.make_node("Sub", ["mean", "grey"], ["difference"]),
            helper.make_node("Abs", ["difference"], ["distance"]),
            helper.make_node(novelty, inputs, ["row"]),
            helper.make_node("Cast", ["row"], ["novelty"], to=novelty_type),
        ]
        shape = [batch] if novelty == "Squeeze" else [batch, 1]
        outputs.append(helper.make_tensor_value_info("novelty", novelty_type, shape))
        constants |= {"grey": np.float32(grey), "one": np.array([1], np.int64)}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(input_name, input_type, input_shape)],
        outputs,
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, {METADATA_KEY: json.dumps(card)} if metadata is None else metadata)
    onnx.save(model, path)
    return path
