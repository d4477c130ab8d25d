"""Put the networks of an ONNX graph into fp16, between casts. Needs onnx: for tools, never the daemon."""

import onnx
import onnx.compose
import onnx.utils
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from engines.graph_parts import LAYERS, NOTHING_INSIDE, Model, below, kinds_of, tail_of, with_parts, written

__all__ = ["to_fp16"]


def to_fp16(model: Model) -> Model:
    """Return `model` with its networks in fp16, between casts.

    The converter is given the networks alone: nodes that it is told to spare it parts by casts to fp16 and back. And
    what a spared node and a network share would be fp16 for both, so that each gets its own.
    """
    nodes = list(model.graph.node)
    layers, tail = kinds_of(nodes, LAYERS), tail_of(nodes)
    front = set(range(len(nodes))) - layers - below(nodes, layers) - tail
    spared = [[nodes[index] for index in sorted(part)] for part in (front, tail)]
    inside = [node for index, node in enumerate(nodes) if index not in front | tail]
    if not any(node.op_type in LAYERS for node in inside):
        raise ValueError(NOTHING_INSIDE)
    results = {value.name for value in model.graph.output}
    read_outside = results.union(*(node.input for part in spared for node in part))
    ours, read_inside = written(inside), {name for node in inside for name in node.input}
    given = {value.name for value in model.graph.input} | written(spared[0])
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    networks = onnx.utils.Extractor(inferred).extract_model(sorted(given & read_inside), sorted(ours & read_outside))
    half = convert_float_to_float16(networks, keep_io_types=True)
    OnnxModel.graph_topological_sort(half.graph)
    half = _with_own_constants(half)
    constants = [tensor for tensor in model.graph.initializer if tensor.name in read_outside]
    whole = with_parts(model, [*spared[0], *half.graph.node, *spared[1]], [*constants, *half.graph.initializer])
    whole.graph.ClearField("value_info")  # types of values that are fp16 now
    return whole


def _with_own_constants(half: Model) -> Model:
    """Return `half` with other names for its constants than those they were converted from."""
    others = ("nodes", "edges", "inputs", "outputs", "value_infos", "functions")
    return onnx.compose.add_prefix(half, "fp16.", **{f"rename_{what}": False for what in others})
