"""Convert a model file from fp32 to fp16 or INT8, for every runtime alike. Needs onnx: for tools, never the daemon.

A runtime computes in the precision that it finds in the file: fp16 weights and values between casts, or INT8 as pairs
of QuantizeLinear and DequantizeLinear. What prepares the crops in front of a network and what makes probabilities
behind it stay fp32: squares of grey levels overflow fp16, and 8 bits of a logit would make steps in the confidence.
So does what only the novelty is made by: distances are small differences of large sums.
"""

import contextlib
import hashlib
import io
import logging
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as faults

from engines.model import METADATA_KEY, ModelCard, Precision
from engines.onnx_runtime import read_card
from shadowline.errors import EngineError, EngineMismatch, MissingExtra

try:
    import onnx
    import onnx.compose
    import onnx.utils
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel
except ModuleNotFoundError as fault:
    raise MissingExtra("onnx", "build") from fault

__all__ = ["convert", "save_model"]

Model: TypeAlias = Any
"""An `onnx.ModelProto`."""

_LAYERS = frozenset({"Conv", "Gemm", "MatMul"})
_QUANTISED = ["Conv", "Gemm", "Add", "GlobalAveragePool"]
_NOTHING = "there is no layer to convert between its first and its last one: use it as it is"
_BATCH = 32
_AT_ONCE_PX = 5_000_000
_PERCENTILE = 99.99
_TOOL_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    onnx.checker.ValidationError,
    onnx.shape_inference.InferenceError,
    faults.Fail,
    faults.InvalidArgument,
    faults.InvalidGraph,
    faults.NotImplemented,
    faults.RuntimeException,
)


def convert(source: Path, target: Path, precision: Precision, crops: NDArray[np.uint8] | None = None) -> ModelCard:
    """Write the model file `source` to `target` in `precision` and return the card in it.

    A card of INT8 has no novelty limit: one is chosen on what a file itself answers, and INT8 moves novelty.
    `crops` uint8 [n,1,S,S] are what INT8 measures its ranges on; the other precisions need none. A file that is of
    `precision` already is copied as it is. Raises `EngineMismatch` for any other file that is not fp32, and
    `EngineError` when crops are missing or of another shape, when the graph can't be converted or `target` not written.
    """
    card = read_card(source)
    content = source.read_bytes()
    if card.precision == precision:
        _write(target, content)
        return card
    if card.precision != "fp32":
        raise EngineMismatch(f"{source}: {card.precision} can't become {precision}: convert from its fp32 source")
    facts = {"precision": precision, "made_from": hashlib.sha256(content).hexdigest()}
    limits = {"novelty_limit": None, "false_unknown": None} if precision == "int8" else {}
    converted = card.model_copy(update=facts | limits)
    usable = _checked(source, card, crops) if precision == "int8" else None
    try:
        model = onnx.load_model_from_string(content)
        model = _to_fp16(model) if usable is None else _to_int8(model, usable)
    except _TOOL_FAULTS as fault:
        reason = (str(fault).splitlines() or [type(fault).__name__])[0]
        raise EngineError(f"{source}: can't be converted to {precision}: {reason}") from fault
    save_model(model, converted, target)
    return converted


def save_model(model: Model, card: ModelCard, target: Path) -> None:
    """Write `model` to the one file `target` with `card` as its only metadata and without an exporter's notes."""
    onnx.helper.set_model_props(model, {METADATA_KEY: card.model_dump_json()})
    for part in (model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    _write(target, model.SerializeToString())


def _write(target: Path, content: bytes) -> None:
    try:
        target.write_bytes(content)
    except OSError as fault:
        raise EngineError(f"{target}: can't write the model file: {fault.strerror}") from fault


def _checked(source: Path, card: ModelCard, crops: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Return `crops` if ranges can be measured on them."""
    if crops is None or not crops.size:
        raise EngineError(f"{source}: INT8 needs crops to measure its ranges on, a hundred or more: there are none")
    side = card.crop.size_px
    if crops.dtype != np.uint8 or crops.shape[1:] != (1, side, side):
        raise EngineError(
            f"{source}: crops for INT8 are {crops.dtype} {list(crops.shape)}, must be uint8 [n, 1, {side}, {side}]"
        )
    return crops


def _to_fp16(model: Model) -> Model:
    """Return `model` with its networks in fp16, between casts.

    The converter is given the networks alone: nodes that it is told to spare it parts by casts to fp16 and back. And
    what a spared node and a network share would be fp16 for both, so that each gets its own.
    """
    nodes = list(model.graph.node)
    layers, tail = _are(nodes, _LAYERS), _tail(nodes)
    front = set(range(len(nodes))) - layers - _below(nodes, layers) - tail
    spared = [[nodes[index] for index in sorted(part)] for part in (front, tail)]
    inside = [node for index, node in enumerate(nodes) if index not in front | tail]
    if not any(node.op_type in _LAYERS for node in inside):
        raise ValueError(_NOTHING)
    results = {value.name for value in model.graph.output}
    read_outside = results.union(*(node.input for part in spared for node in part))
    ours, read_inside = _written(inside), {name for node in inside for name in node.input}
    given = {value.name for value in model.graph.input} | _written(spared[0])
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    networks = onnx.utils.Extractor(inferred).extract_model(sorted(given & read_inside), sorted(ours & read_outside))
    half = convert_float_to_float16(networks, keep_io_types=True)
    OnnxModel.graph_topological_sort(half.graph)
    half = _with_own_constants(half)
    constants = [tensor for tensor in model.graph.initializer if tensor.name in read_outside]
    whole = _with_parts(model, [*spared[0], *half.graph.node, *spared[1]], [*constants, *half.graph.initializer])
    whole.graph.ClearField("value_info")  # types of values that are fp16 now
    return whole


def _with_own_constants(half: Model) -> Model:
    """Return `half` with other names for its constants than those they were converted from."""
    others = ("nodes", "edges", "inputs", "outputs", "value_infos", "functions")
    return onnx.compose.add_prefix(half, "fp16.", **{f"rename_{what}": False for what in others})


def _with_parts(model: Model, nodes: Iterable[Any], constants: Iterable[Any]) -> Model:
    """Return `model` with other nodes and constants."""
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    for field in ("node", "initializer"):
        whole.graph.ClearField(field)
    whole.graph.node.extend(nodes)
    whole.graph.initializer.extend(constants)
    return whole


def _to_int8(model: Model, crops: NDArray[np.uint8]) -> Model:
    """Return `model` with Q/DQ nodes, ranges measured on `crops`.

    A range holds 99.99 % of the values met: the few beyond it saturate, and ordinary pictures keep finer steps.
    Symmetric int8 and no int32 bias: what TensorRT takes. Two parts of each network stay fp32, at no cost in time:
    everything up to its first convolution, so that the scaling of crops stays exact and its few input channels gain
    nothing from INT8; and its last layer, since 8 bits of a logit would make steps in the confidence. And so does what
    only the novelty is made by.
    """
    nodes = list(model.graph.node)
    for index, node in enumerate(nodes):
        node.name = node.name or f"node_{index}"  # the quantiser knows nodes by name
    convolutions = _are(nodes, {"Conv"})
    front = set(range(len(nodes))) - _below(nodes, _are(nodes, _LAYERS))
    exact = front | (convolutions - _below(nodes, convolutions)) | _tail(nodes)
    if not any(node.op_type in _QUANTISED for index, node in enumerate(nodes) if index not in exact):
        raise ValueError(_NOTHING)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        target = Path(folder) / "int8.onnx"
        reader = _Crops(crops)
        quantize_static(
            model,
            target,
            reader,
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
                "CalibStridedMinMax": reader.at_once,  # whatever its name: for percentiles too
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
    return _with_parts(model, nodes, model.graph.initializer)


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


def _are(nodes: Sequence[Any], kinds: Set[str]) -> set[int]:
    """Return the numbers of the nodes of `kinds`."""
    return {index for index, node in enumerate(nodes) if node.op_type in kinds}


def _below(nodes: Sequence[Any], starts: Set[int]) -> set[int]:
    """Return the numbers of the nodes that have one of `starts` upstream; a graph's nodes stand in order."""
    reached: set[str] = set()
    found = set()
    for index, node in enumerate(nodes):
        if not reached.isdisjoint(node.input):
            found.add(index)
        if index in starts or index in found:
            reached.update(node.output)
    return found


def _above(nodes: Sequence[Any], output: str) -> set[int]:
    """Return the numbers of the nodes that the value `output` is made by."""
    wanted, found = {output}, set()
    for index in reversed(range(len(nodes))):
        if not wanted.isdisjoint(nodes[index].output):
            found.add(index)
            wanted.update(nodes[index].input)
    return found


def _tail(nodes: Sequence[Any]) -> set[int]:
    """Return the numbers of the last layer of each path and of everything downstream of it.

    What only the novelty is made by belongs to it from where it leaves the way to the probabilities, layers and all.
    """
    novel = _above(nodes, "novelty") - _above(nodes, "probabilities")
    layers = _are(nodes, _LAYERS) - novel
    last = {layer for layer in layers if not _below(nodes, {layer}) & layers}
    return last | _below(nodes, last) | novel


def _written(nodes: Iterable[Any]) -> set[str]:
    return {name for node in nodes for name in node.output}


class _Crops:
    """Hands out calibration crops [n,1,S,S] in full batches: percentiles are taken over batches of one size only.

    They are asked for `at_once` batches at a time, whose values in every layer are in memory together: all of them, or
    of large crops one.
    """

    def __init__(self, crops: NDArray[np.uint8]) -> None:
        size = min(_BATCH, len(crops))
        self._batches = [crops[i : i + size] for i in range(0, len(crops) - size + 1, size)]
        self._next = iter(self._batches)
        self.at_once = len(self._batches) if crops.size <= _AT_ONCE_PX else 1

    def __len__(self) -> int:
        return len(self._batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Hand out these batches next."""
        self._next = iter(self._batches[start_index:end_index])

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next batch by input name; None at the end."""
        batch = next(self._next, None)
        return None if batch is None else {"crops": batch}


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
