"""Turn a training run into one self-describing model file: calibrated, converted and measured. Needs torch."""

import datetime
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from engines import OnnxRuntimeEngine, read_card
from engines.model import ModelCard, Precision
from engines.precision import convert, save_model
from shadowline.errors import StationError
from training.data import Manifest, read_manifest, read_tree
from training.fit import CHECKPOINT, MANIFEST, RECIPE, logits_of, sources_of
from training.networks import Serving, build_network
from training.recipe import Recipe
from training.samples import Sampler, Samples, exact_crops
from training.scores import Scores, choose_floor, score

__all__ = ["export", "export_graph"]

_OPSET = 20
_PARITY = 1e-4
_CALIBRATION_CROPS = 512
_FLOOR_CAUGHT = 0.5
_MAX_BATCH = 4096


@dataclass(frozen=True, slots=True)
class _Held:
    """Crops and class numbers by source of one side of the split."""

    crops: dict[str, NDArray[np.uint8]]
    classes: dict[str, NDArray[np.int64]]

    def all_crops(self, sources: Iterable[str] | None = None) -> NDArray[np.uint8]:
        return np.concatenate([self.crops[name] for name in sources or self.crops])

    def all_classes(self, sources: Iterable[str] | None = None) -> NDArray[np.int64]:
        return np.concatenate([self.classes[name] for name in sources or self.classes])

    def like_serving(self) -> list[str]:
        """Return the sources to choose by: without annotated boxes, which overlap and contradict each other."""
        return [name for name in self.crops if name != "box"]


def export(run: Path, data: Path, out: Path, precision: Precision = "int8", keep_fp32: Path | None = None) -> ModelCard:
    """Write the model of `run` to `out`, and the fp32 file that it was made from to `keep_fp32`; return its card.

    Temperature and confidence floor are chosen on the validation side, INT8 ranges are measured on the training side,
    the test side is only measured. Raises `StationError` when the run or its data changed or the parity fails.
    """
    recipe, manifest = _read_run(run)
    tree = read_tree(data / recipe.pictures)
    if {p.path: p.sha256 for p in manifest.pictures} != dict(zip(tree.paths, tree.sha256, strict=True)):
        raise StationError(f"{data / recipe.pictures}: these are not the pictures of {run / MANIFEST}")
    val, test = (_cut(sources_of(recipe, tree, manifest, data, side), recipe) for side in ("val", "test"))
    network = build_network(recipe.network, len(manifest.labels), recipe.crop.size_px)
    network.load_state_dict(torch.load(run / CHECKPOINT, weights_only=True))
    temperature = _fit_temperature(network, recipe.network, val)
    serving = Serving(network.eval().folded(), recipe.network, temperature).eval()
    with tempfile.TemporaryDirectory() as folder:
        plain, final = Path(folder) / "fp32.onnx", Path(folder) / "final.onnx"
        export_graph(serving, _card(recipe, manifest, temperature), plain)
        _check_parity(serving, val.all_crops(), plain)
        card = _measure(plain, val, test)
        if precision != "fp32":
            train = sources_of(recipe, tree, manifest, data, "train")
            convert(plain, final, precision, _calibration_crops(train, recipe))
            card = _measure(final, val, test, plain)
        for source, target in ((plain, keep_fp32), (plain if precision == "fp32" else final, out)):
            if target is not None:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
    return card


def _read_run(run: Path) -> tuple[Recipe, Manifest]:
    try:
        return Recipe.model_validate_json((run / RECIPE).read_bytes()), read_manifest(run / MANIFEST)
    except (OSError, ValueError) as fault:
        raise StationError(f"{run}: not a run directory of `station train fit`") from fault


def _cut(sources: Mapping[str, Samples], recipe: Recipe) -> _Held:
    crops = {name: exact_crops(samples, recipe.crop) for name, samples in sources.items()}
    return _Held(crops, {name: samples.classes for name, samples in sources.items()})


def _fit_temperature(network: nn.Module, kind: str, val: _Held) -> float:
    """Return the temperature of the least cross-entropy, every source counting alike (Guo et al. 2017)."""
    parts = [(logits_of(network, kind, val.crops[n]), torch.from_numpy(val.classes[n])) for n in val.like_serving()]

    def loss(temperature: float) -> float:
        return sum(float(functional.cross_entropy(logits / temperature, classes)) for logits, classes in parts)

    return float(min(torch.exp(torch.linspace(-4, 2, 241)).tolist(), key=loss))


def export_graph(serving: nn.Module, card: ModelCard, path: Path) -> None:
    """Write `serving`, uint8 crops [N,1,S,S] → probabilities float32 [N,C], as the fp32 model file `path`."""
    for chatty in ("onnxscript", "onnx_ir"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    example = torch.zeros(2, 1, card.crop.size_px, card.crop.size_px, dtype=torch.uint8)
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
    save_model(program.model_proto, card, path)


def _card(recipe: Recipe, manifest: Manifest, temperature: float) -> ModelCard:
    return ModelCard(
        name=recipe.name,
        labels=manifest.labels,
        crop=recipe.crop,
        temperature=temperature,
        data_sha256=manifest.sha256(),
        config_sha256=recipe.sha256(),
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
        licence=recipe.licence,
        not_for=recipe.not_for,
    )


def _measure(model: Path, val: _Held, test: _Held, plain: Path | None = None) -> ModelCard:
    """Choose the confidence floor of a model file, measure it, write both into its card and return that.

    `plain` is the fp32 file that a converted one is compared with.
    """
    card = read_card(model)
    chosen = val.like_serving()
    floor = choose_floor(_run(model, val.all_crops(chosen)), val.all_classes(chosen), _FLOOR_CAUGHT)
    metrics = {**_metrics(model, "val", val, card.labels), **_metrics(model, "test", test, card.labels)}
    if plain is not None:
        metrics["val/against_fp32"] = _against(model, plain, val)
    card = card.model_copy(update={"confidence_floor": floor, "metrics": metrics})
    save_model(onnx.load(model), card, model)
    return card


def _check_parity(serving: Serving, crops: NDArray[np.uint8], model: Path) -> None:
    with torch.inference_mode():
        expected = serving(torch.from_numpy(crops)).numpy()
    difference = float(np.abs(_run(model, crops) - expected).max())
    if difference > _PARITY:
        raise StationError(f"the exported graph differs from torch by {difference:.2g}, more than {_PARITY:g}")


def _against(final: Path, plain: Path, val: _Held) -> dict[str, float]:
    """Return how a converted file compares with the fp32 one it was made of, over all validation crops."""
    crops, classes = val.all_crops(), val.all_classes()
    answers, reference = _run(final, crops), _run(plain, crops)
    return {
        "n": len(classes),
        "agreement": float((answers.argmax(1) == reference.argmax(1)).mean()),
        "largest_difference": float(np.abs(answers - reference).max()),
        "fp32_accuracy": float((reference.argmax(1) == classes).mean()),
        "accuracy": float((answers.argmax(1) == classes).mean()),
    }


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


def _metrics(model: Path, side: str, sources: _Held, labels: tuple[str, ...]) -> dict[str, dict[str, float]]:
    return {
        f"{side}/{name}": _figures(score(_run(model, crops), sources.classes[name], labels))
        for name, crops in sources.crops.items()
    }


def _figures(scores: Scores) -> dict[str, float]:
    return {"n": scores.n, "accuracy": scores.accuracy, "macro_f1": scores.macro_f1, "ece": scores.ece}
