"""Turn an fp32 model file into an INT8 one with Q/DQ nodes that ONNX Runtime and TensorRT both take. Runs alone."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

__all__ = ["quantize"]

_BATCH = 32
_PERCENTILE = 99.99


class _Crops(CalibrationDataReader):
    """Hands out calibration crops [n,1,S,S] in full batches: percentiles are taken over batches of one size only."""

    def __init__(self, crops: NDArray[np.uint8]) -> None:
        size = min(_BATCH, len(crops))
        starts = range(0, len(crops) - size + 1, size)
        self._batches: Iterator[NDArray[np.uint8]] = (crops[i : i + size] for i in starts)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next batch by input name; None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {"crops": batch}


def quantize(source: Path, target: Path, crops: NDArray[np.uint8]) -> None:
    """Write `source` as INT8 to `target`, ranges measured on `crops` uint8 [n,1,S,S].

    A range holds 99.99 % of the values met: the few beyond it saturate, and ordinary pictures keep finer steps.
    Symmetric int8 and no int32 bias: what TensorRT takes. Two parts stay fp32, at no cost in time: everything up to
    the first convolution, so that the scaling of crops stays exact and its one input channel gains nothing from INT8;
    and the last dense layer, since 8 bits of a logit would make steps in the confidence.
    """
    graph = onnx.load(source).graph
    first = next(index for index, node in enumerate(graph.node) if node.op_type == "Conv")
    last = max(index for index, node in enumerate(graph.node) if node.op_type == "Gemm")
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # quantize_static advises by the root logger to pre-process, which is done
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            quantize_static(
                source,
                target,
                _Crops(crops),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=["Conv", "Gemm", "Add", "GlobalAveragePool"],
                nodes_to_exclude=[node.name for node in (*graph.node[: first + 1], *graph.node[last:])],
                calibrate_method=CalibrationMethod.Percentile,
                extra_options={
                    "ActivationSymmetric": True,
                    "WeightSymmetric": True,
                    "QuantizeBias": False,
                    "CalibPercentile": _PERCENTILE,
                },
            )
    finally:
        root.setLevel(level)
