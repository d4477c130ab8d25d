"""Turn a training run into one self-describing model file: calibrated, quantised and measured. Needs torch."""

import datetime
import logging
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from engines import OnnxRuntimeEngine
from engines.model import METADATA_KEY, ModelCard
from shadowline.errors import StationError
from training.data import Manifest, read_manifest, read_tree
from training.fit import CHECKPOINT, MANIFEST, RECIPE, logits_of, sources_of
from training.networks import Serving, build_network
from training.quantize import quantize
from training.recipe import Recipe
from training.samples import Sampler, Samples, exact_crops
from training.scores import Scores, choose_floor, score

__all__ = ["export"]

_OPSET = 20
_PARITY = 1e-4
_CALIBRATION_CROPS = 512
_FLOOR_RIGHT = 0.97
_MAX_BATCH = 4096
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sources:
    """Crops and class numbers by source of one side of the split."""

    crops: dict[str, NDArray[np.uint8]]
    classes: dict[str, NDArray[np.int64]]

    def all_crops(self) -> NDArray[np.uint8]:
        return np.concatenate(list(self.crops.values()))

    def all_classes(self) -> NDArray[np.int64]:
        return np.concatenate(list(self.classes.values()))


def export(run: Path, data: Path, out: Path, precision: Literal["int8", "fp32"] = "int8") -> ModelCard:
    """Write the model of `run` to `out` and return its card.

    Temperature and confidence floor are chosen on the validation side, INT8 ranges are measured on the training side,
    the test side is only measured. Raises `StationError` when the run or its data changed or the parity fails.
    """
    recipe, manifest = _read_run(run)
    tree = read_tree(data / recipe.pictures)
    if {p.path: p.sha256 for p in manifest.pictures} != dict(zip(tree.paths, tree.sha256, strict=True)):
        raise StationError(f"{data / recipe.pictures}: these are not the pictures of {run / MANIFEST}")
    train = sources_of(recipe, tree, manifest, data, "train")
    val = _cut(sources_of(recipe, tree, manifest, data, "val"), recipe)
    network = build_network(recipe.network, len(manifest.labels), recipe.crop.size_px)
    network.load_state_dict(torch.load(run / CHECKPOINT, weights_only=True))
    logits = {name: logits_of(network, recipe.network, crops) for name, crops in val.crops.items()}
    temperature = _fit_temperature(logits, val.classes)
    serving = Serving(network.eval().folded(), recipe.network, temperature).eval()
    with tempfile.TemporaryDirectory() as folder:
        plain, final = Path(folder) / "fp32.onnx", Path(folder) / "model.onnx"
        _export_graph(serving, recipe.crop.size_px, plain)
        card = _card(recipe, manifest, temperature, "fp32")
        _write_card(plain, plain, card)
        reference = _run(plain, val.all_crops())
        _check_parity(serving, val.all_crops(), reference)
        if precision == "int8":
            quantize(plain, final, _calibration_crops(train, recipe))
        else:
            final = plain
        card = card.model_copy(update={"precision": precision})
        _write_card(final, final, card)
        answers = _run(final, val.all_crops())
        test = _cut(sources_of(recipe, tree, manifest, data, "test"), recipe)
        metrics = {
            **_metrics(final, "val", val, manifest.labels),
            **_metrics(final, "test", test, manifest.labels),
            "val/against_fp32": {
                "agreement": float((answers.argmax(1) == reference.argmax(1)).mean()),
                "largest_difference": float(np.abs(answers - reference).max()),
                "fp32_accuracy": float((reference.argmax(1) == val.all_classes()).mean()),
                "accuracy": float((answers.argmax(1) == val.all_classes()).mean()),
            },
        }
        floor = choose_floor(answers, val.all_classes(), _FLOOR_RIGHT)
        card = card.model_copy(update={"confidence_floor": floor, "metrics": metrics})
        out.parent.mkdir(parents=True, exist_ok=True)
        _write_card(final, out, card)
    return card


def _read_run(run: Path) -> tuple[Recipe, Manifest]:
    try:
        return Recipe.model_validate_json((run / RECIPE).read_bytes()), read_manifest(run / MANIFEST)
    except (OSError, ValueError) as fault:
        raise StationError(f"{run}: not a run directory of `station train fit`") from fault


def _cut(sources: Mapping[str, Samples], recipe: Recipe) -> Sources:
    crops = {name: exact_crops(samples, recipe.crop) for name, samples in sources.items()}
    return Sources(crops, {name: samples.classes for name, samples in sources.items()})


def _fit_temperature(logits: Mapping[str, Tensor], classes: Mapping[str, NDArray[np.int64]]) -> float:
    """Return the temperature of the least cross-entropy, every source counting alike (Guo et al. 2017)."""
    candidates = torch.exp(torch.linspace(-4, 2, 241)).tolist()

    def loss(temperature: float) -> float:
        return sum(
            float(functional.cross_entropy(part / temperature, torch.from_numpy(classes[name])))
            for name, part in logits.items()
        )

    return float(min(candidates, key=loss))


def _export_graph(serving: Serving, size_px: int, path: Path) -> None:
    example = torch.zeros(2, 1, size_px, size_px, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            serving,
            (example,),
            dynamo=True,
            opset_version=_OPSET,
            input_names=["crops"],
            output_names=["probabilities"],
            dynamic_shapes=({0: torch.export.Dim("N", min=1, max=_MAX_BATCH)},),
            verbose=False,
        )
    program.save(path, external_data=False)


def _card(recipe: Recipe, manifest: Manifest, temperature: float, precision: Literal["int8", "fp32"]) -> ModelCard:
    return ModelCard(
        name=recipe.name,
        labels=manifest.labels,
        crop=recipe.crop,
        precision=precision,
        temperature=temperature,
        data_sha256=manifest.sha256(),
        config_sha256=recipe.sha256(),
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
        licence=recipe.licence,
        not_for=recipe.not_for,
    )


def _write_card(source: Path, target: Path, card: ModelCard) -> None:
    """Copy a model file with `card` as its only metadata, and without the exporter's notes on each node."""
    model = onnx.load(source)
    onnx.helper.set_model_props(model, {METADATA_KEY: card.model_dump_json()})
    for part in (model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.save(model, target)


def _check_parity(serving: Serving, crops: NDArray[np.uint8], answers: NDArray[np.float32]) -> None:
    with torch.inference_mode():
        expected = serving(torch.from_numpy(crops)).numpy()
    difference = float(np.abs(answers - expected).max())
    if difference > _PARITY:
        raise StationError(f"the exported graph differs from torch by {difference:.2g}, more than {_PARITY:g}")


def _calibration_crops(train: Mapping[str, Samples], recipe: Recipe) -> NDArray[np.uint8]:
    """Return training crops, half as serving cuts them and half augmented, so that ranges hold for bad pictures."""
    rng = np.random.default_rng(recipe.seed)
    count = _CALIBRATION_CROPS // (2 * len(train))
    exact = []
    for samples in train.values():
        crops = exact_crops(samples, recipe.crop)
        exact.append(crops[rng.permutation(len(crops))[:count]])
    shares = recipe.mix.model_dump()
    sampler = Sampler([(shares[name], samples) for name, samples in train.items()], recipe)
    return np.concatenate([*exact, sampler.batch(_CALIBRATION_CROPS // 2)[0]])


def _run(model: Path, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    with OnnxRuntimeEngine(model) as engine:
        return engine.classify(crops).copy()


def _metrics(model: Path, side: str, sources: Sources, labels: tuple[str, ...]) -> dict[str, dict[str, float]]:
    return {
        f"{side}/{name}": _figures(score(_run(model, crops), sources.classes[name], labels))
        for name, crops in sources.crops.items()
    }


def _figures(scores: Scores) -> dict[str, float]:
    return {"n": scores.n, "accuracy": scores.accuracy, "macro_f1": scores.macro_f1, "ece": scores.ece}
