"""Put the networks of an ONNX graph into INT8, by QuantizeLinear and DequantizeLinear. Needs onnx: for tools alone."""

import contextlib
import io
import logging
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

from engines.graph_parts import LAYERS, NOTHING_INSIDE, Model, below, kinds_of, tail_of, with_parts

__all__ = ["Batches", "to_int8"]

_QUANTISED = ["Conv", "Gemm", "Add", "GlobalAveragePool"]
_PERCENTILE = 99.99


class Batches:
    """Hands out what ranges are measured on: batches of the one input, by its name.

    They are asked for `at_once` at a time, whose values in every layer are in memory together; batches of more than
    one size can't be asked for together.
    """

    def __init__(self, name: str, batches: Sequence[NDArray[np.uint8]], at_once: int) -> None:
        self.at_once = at_once
        self._name = name
        self._batches = batches
        self._next = iter(batches)

    def __len__(self) -> int:
        return len(self._batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Hand out these batches next."""
        self._next = iter(self._batches[start_index:end_index])

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next batch by input name; None at the end."""
        batch = next(self._next, None)
        return None if batch is None else {self._name: batch}


def to_int8(model: Model, batches: Batches) -> Model:
    """Return `model` with Q/DQ nodes, ranges measured on `batches`.

    A range holds 99.99 % of the values met: the few beyond it saturate, and ordinary pictures keep finer steps.
    Symmetric int8 and no int32 bias: what TensorRT takes. Two parts of each network stay fp32, at no cost in time:
    everything up to its first convolution, so that the scaling of grey levels stays exact and its few input channels
    gain nothing from INT8; and its last layer, since 8 bits of a logit would make steps in the confidence. And so does
    what only the novelty is made by.
    """
    nodes = list(model.graph.node)
    for index, node in enumerate(nodes):
        node.name = node.name or f"node_{index}"  # the quantiser knows nodes by name
    convolutions = kinds_of(nodes, {"Conv"})
    front = set(range(len(nodes))) - below(nodes, kinds_of(nodes, LAYERS))
    exact = front | (convolutions - below(nodes, convolutions)) | tail_of(nodes)
    if not any(node.op_type in _QUANTISED for index, node in enumerate(nodes) if index not in exact):
        raise ValueError(NOTHING_INSIDE)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        target = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            target,
            batches,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=_QUANTISED,
            nodes_to_exclude=[nodes[index].name for index in sorted(exact)],
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "QuantizeBias": False,
                "CalibPercentile": _PERCENTILE,
                "CalibStridedMinMax": batches.at_once,  # whatever its name: for percentiles too
            },
        )
        quantised = onnx.load(target)
    return _with_own_pairs(quantised)


def _with_own_pairs(model: Model) -> Model:
    """Return `model` with a Q/DQ pair for each reader of a quantised value, as a residual network has several.

    The integer kernels of ONNX Runtime on x86 want unsigned values. It makes a pair unsigned only where one node reads
    it and merges equal pairs first, so that a ResNet stays in floating point: hence scales one rounding step apart.
    """
    writers = {name: node for node in model.graph.node for name in node.output}
    readers: dict[str, list[tuple[Any, int]]] = defaultdict(list)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            readers[name].append((node, place))
    nodes = []
    for node in model.graph.node:
        nodes.append(node)
        quantiser = writers.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if quantiser is not None:
            for step, (reader, place) in enumerate(readers[node.output[0]][1:], 1):
                pair, scale = _another_pair(model, quantiser, node, step)
                nodes.extend(pair)
                model.graph.initializer.append(scale)
                reader.input[place] = pair[1].output[0]
    return with_parts(model, nodes, model.graph.initializer)


def _another_pair(model: Model, quantiser: Any, dequantiser: Any, step: int) -> tuple[list[Any], Any]:
    """Return copies of both nodes under new names, and their scale, `step` rounding steps above the first one's."""
    scale = next(tensor for tensor in model.graph.initializer if tensor.name == quantiser.input[1])
    number = onnx.numpy_helper.to_array(scale)
    for _ in range(step):
        number = np.nextafter(number, np.float32(np.inf))
    pair = []
    for node in (quantiser, dequantiser):
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name, copy.output[0], copy.input[1] = (f"{n}_{step}" for n in (node.name, node.output[0], scale.name))
        pair.append(copy)
    pair[1].input[0] = pair[0].output[0]
    return pair, onnx.numpy_helper.from_array(number, pair[0].input[1])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the quantiser prints and its advice, by the root logger, to pre-process, which the exporter did."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)
