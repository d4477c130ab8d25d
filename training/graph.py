"""ONNX graphs: made of torch modules, run as they are, and given a novelty of their own. Needs torch."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.compose
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engines import read_card
from engines.precision import save_model
from training.novelty import fit_novelty

__all__ = ["attach_novelty", "run_graph", "to_onnx"]

_OPSET = 20
_MAX_BATCH = 4096
_MAX_SIDE = 2048
"""Steps."""
_BATCH = 32


def to_onnx(module: nn.Module, example: Tensor, given: str, outputs: list[str], step: int | None = None) -> Any:
    """Return a module of one input as an `onnx.ModelProto` with a free first dimension.

    With `step` the last two dimensions are free as well: any multiples of it.
    """
    free = {0: torch.export.Dim("N", min=1, max=_MAX_BATCH)}
    if step is not None:
        free |= {place: step * torch.export.Dim(name, min=1, max=_MAX_SIDE) for place, name in ((2, "h"), (3, "w"))}
    for chatty in ("onnxscript", "onnx_ir"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            opset_version=_OPSET,
            input_names=[given],
            output_names=outputs,
            dynamic_shapes=(free,),
            verbose=False,
        )
    return program.model_proto


def run_graph(model: Path, output: str, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return one output of a model file for crops [n,1,S,S], whatever the others are."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    parts = (crops[i : i + _BATCH] for i in range(0, len(crops), _BATCH))
    return np.concatenate([session.run([output], {"crops": part})[0] for part in parts])


def attach_novelty(models: Sequence[Path], crops: NDArray[np.uint8], classes: NDArray[np.int64]) -> None:
    """Let model files tell novelty [N] in place of their depths [N,M], by one rule fitted on known crops [n,1,S,S].

    `models` are one network in several precisions, `classes` [n] the crops' classes. The rule is fitted on the depths
    that all of these files give: INT8 moves them a little, in just those directions in which known crops hardly differ
    and which would else count most.
    """
    depths = np.concatenate([run_graph(model, "novelty", crops) for model in models])
    head = fit_novelty(depths, np.concatenate([classes] * len(models))).eval()
    tail = to_onnx(head, torch.from_numpy(depths[:2]), "depths", ["novelty"])
    for model in models:
        _attach(model, tail)


def _attach(model: Path, tail: Any) -> None:
    """Put the graph `tail`, depths to novelty, behind a model file's depths."""
    card, whole = read_card(model), onnx.load(model)
    tail.ir_version = whole.ir_version
    merged = onnx.compose.merge_models(whole, tail, [("novelty", "depths")], prefix2="novel_")
    for node in merged.graph.node:
        node.output[:] = ["novelty" if name == "novel_novelty" else _renamed(name) for name in node.output]
        node.input[:] = [_renamed(name) for name in node.input]
    for value in merged.graph.output:
        value.name = "novelty" if value.name == "novel_novelty" else value.name
    opsets = {one.domain: one.version for one in merged.opset_import}  # merging lists them twice
    del merged.opset_import[:]
    merged.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in opsets.items())
    save_model(merged, card, model)


def _renamed(name: str) -> str:
    return "depths" if name == "novelty" else name
