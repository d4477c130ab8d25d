"""Convert a model or finder file from fp32 to fp16 or INT8, for every runtime alike. Needs onnx: never the daemon.

A runtime computes in the precision that it finds in the file: fp16 weights and values between casts, or INT8 as pairs
of QuantizeLinear and DequantizeLinear. What prepares the picture in front of a network and what concludes behind it
stay fp32: squares of grey levels overflow fp16, and 8 bits of a logit would make steps in the confidence. So does what
only the novelty is made by: distances are small differences of large sums.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as faults

from engines.finder_card import FINDER_KEY, FinderCard
from engines.frame_engine import check_frames
from engines.frame_onnx import read_finder_card
from engines.graph_parts import Model
from engines.model import METADATA_KEY, ModelCard, Precision
from engines.onnx_runtime import read_card
from shadowline.errors import EngineError, EngineMismatch, MissingExtra

try:
    import onnx

    from engines.half import to_fp16
    from engines.int8 import Batches, to_int8
except ModuleNotFoundError as fault:
    raise MissingExtra("onnx", "build") from fault

__all__ = ["convert", "convert_finder", "save_model"]

Card = TypeVar("Card", ModelCard, FinderCard)

_BATCH = 32
_AT_ONCE_PX = 5_000_000
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
    limits = {"novelty_limit": None, "false_unknown": None} if precision == "int8" else {}
    return _convert(source, target, precision, card, limits, lambda: _of_crops(source, card, crops))


def convert_finder(
    source: Path, target: Path, precision: Precision, frames: Sequence[NDArray[np.uint8]] = ()
) -> FinderCard:
    """Write the finder file `source` to `target` in `precision` and return the card in it.

    `frames`, each uint8 [N,1,H,W] as the network takes them, are what INT8 measures its ranges on: a few dozen, and
    with defects among them, since what is met in less than one value of 10,000 saturates. Thresholds and the shown
    range stay in the card: choose them again on what the new file says. All else is as for `convert`.
    """
    card = read_finder_card(source)
    return _convert(source, target, precision, card, {}, lambda: _of_frames(source, card, frames))


def save_model(model: Model, card: ModelCard | FinderCard, target: Path) -> None:
    """Write `model` to the one file `target` with `card` as its only metadata and without an exporter's notes."""
    key = FINDER_KEY if isinstance(card, FinderCard) else METADATA_KEY
    onnx.helper.set_model_props(model, {key: card.model_dump_json()})
    for part in (model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    _write(target, model.SerializeToString())


def _convert(
    source: Path,
    target: Path,
    precision: Precision,
    card: Card,
    changes: dict[str, Any],
    batches: Callable[[], Batches],
) -> Card:
    """Write `source` to `target` in `precision`, and return its card with `changes`."""
    content = source.read_bytes()
    if card.precision == precision:
        _write(target, content)
        return card
    if card.precision != "fp32":
        raise EngineMismatch(f"{source}: {card.precision} can't become {precision}: convert from its fp32 source")
    facts = {"precision": precision, "made_from": hashlib.sha256(content).hexdigest()}
    converted = card.model_copy(update=facts | changes)
    usable = batches() if precision == "int8" else None
    try:
        model = onnx.load_model_from_string(content)
        model = to_fp16(model) if usable is None else to_int8(model, usable)
    except _TOOL_FAULTS as fault:
        reason = (str(fault).splitlines() or [type(fault).__name__])[0]
        raise EngineError(f"{source}: can't be converted to {precision}: {reason}") from fault
    save_model(model, converted, target)
    return converted


def _write(target: Path, content: bytes) -> None:
    try:
        target.write_bytes(content)
    except OSError as fault:
        raise EngineError(f"{target}: can't write the model file: {fault.strerror}") from fault


def _of_crops(source: Path, card: ModelCard, crops: NDArray[np.uint8] | None) -> Batches:
    """Return crops in full batches, since percentiles are taken over batches of one size; of large crops one at once.

    Raises `EngineError` where ranges can't be measured on them.
    """
    if crops is None or not crops.size:
        raise EngineError(f"{source}: INT8 needs crops to measure its ranges on, a hundred or more: there are none")
    side = card.crop.size_px
    if crops.dtype != np.uint8 or crops.shape[1:] != (1, side, side):
        raise EngineError(
            f"{source}: crops for INT8 are {crops.dtype} {list(crops.shape)}, must be uint8 [n, 1, {side}, {side}]"
        )
    size = min(_BATCH, len(crops))
    batches = [crops[i : i + size] for i in range(0, len(crops) - size + 1, size)]
    return Batches("crops", batches, len(batches) if crops.size <= _AT_ONCE_PX else 1)


def _of_frames(source: Path, card: FinderCard, frames: Sequence[NDArray[np.uint8]]) -> Batches:
    """Return frames one at once: they are large, and may be of several sizes. Raises `EngineError`."""
    if not len(frames):
        raise EngineError(f"{source}: INT8 needs frames to measure its ranges on, a few dozen: there are none")
    for frame in frames:
        check_frames(frame, card, f"{source} for INT8")
    return Batches("frame", frames, 1)
