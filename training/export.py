"""Turn a run into one self-describing model file: honest, converted and measured. Needs torch."""

import datetime
import hashlib
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias, get_args

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from engines import OnnxRuntimeEngine, read_card
from engines.model import Head, ModelCard, Precision
from engines.precision import convert, save_model
from shadowline.errors import StationError
from training.confidence import conformal_threshold, fit_temperature, label_floors
from training.data import Split
from training.evaluate import evaluate_crops
from training.evaluation import Evaluation
from training.graph import attach_novelty, run_graph, to_onnx
from training.networks import Ensemble, Network, Serving, logits_of
from training.novelty import novelty_limit, vouched_rate
from training.recipe import Recipe
from training.runs import Run, check_tree, full_disk_told, write_whole
from training.samples import Sampler, Samples, exact_crops, like_serving, pictures_of, sources_of
from training.scores import choose_floor, score, score_multi_label

__all__ = ["Exported", "export", "export_graph"]

_PARITY = 1e-4
_KNOWN_CROPS = 4096
_CALIBRATION_CROPS = 512
_FLOOR_CAUGHT = 0.5
_TIMED_BATCH, _TIMED_REPEATS = 8, 15
_MEASURED: tuple[Split, ...] = ("val", "test")

_Sides: TypeAlias = dict[Split, dict[str, Samples]]


@dataclass(frozen=True, slots=True)
class Exported:
    """A written model file: its card, what it answered by side and source (`test/whole`), and its time a crop."""

    card: ModelCard
    evaluations: dict[str, Evaluation]
    us_per_crop: float
    """One thread, batches of 8, median."""


def export(run: Run, data: Path, out: Path, precision: Precision = "int8", keep_fp32: Path | None = None) -> Exported:
    """Write the model of `run` to `out`, and the fp32 file that it was made from to `keep_fp32`.

    Temperature, floors and novelty limit are chosen on the validation side, novelty is fitted and INT8 ranges are
    measured on the training side, the test side is only measured. Raises `StationError` when the data is not the
    run's, or the exported graph does not answer like the network.
    """
    recipe, manifest = run.recipe, run.manifest
    tree = pictures_of(recipe, data)
    check_tree(tree, manifest, run.paths.manifest)
    sides: _Sides = {
        side: {name: part for name, part in sources_of(recipe, tree, manifest, data, side).items() if len(part)}
        for side in get_args(Split)
    }
    network = run.network
    if not isinstance(network, Network | Ensemble):
        raise StationError(f"{run.paths.folder}: its network is of no known kind")
    serving = _serving(network.folded(), recipe, _chosen_crops(sides["val"], recipe))
    known = _known_crops(sides["train"], recipe)
    card = ModelCard(
        name=recipe.name,
        labels=manifest.labels,
        crop=recipe.crop,
        head=recipe.head,
        temperature=1 / serving.sharpness,
        data_sha256=manifest.sha256(),
        config_sha256=recipe.sha256(),
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
        licence=recipe.licence,
        not_for=recipe.not_for,
    )
    with tempfile.TemporaryDirectory() as temporary:
        plain, final = Path(temporary) / "fp32.onnx", Path(temporary) / "final.onnx"
        export_graph(serving, card, plain)
        _check_parity(serving, np.concatenate([exact_crops(s, recipe.crop) for s in sides["val"].values()]), plain)
        convert(plain, final, precision, _calibration_crops(sides["train"], known, recipe))
        attach_novelty((plain, final), known.crops, known.targets.argmax(1))
        if keep_fp32 is not None:
            _complete(plain, sides, recipe)
        exported = _complete(final, sides, recipe, None if precision == "fp32" else plain)
        for source, target in ((plain, keep_fp32), (final, out)):
            if target is not None:
                with full_disk_told(target.parent):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    write_whole(target, partial(shutil.copyfile, source))
    return exported


@dataclass(frozen=True, slots=True)
class _Crops:
    """Crops [n,1,S,S] with their targets [n,C]."""

    crops: NDArray[np.uint8]
    targets: NDArray[np.float32]


def _known_crops(train: Mapping[str, Samples], recipe: Recipe) -> _Crops:
    """Return training crops as serving cuts them, up to `_KNOWN_CROPS`, as many of each source."""
    rng = np.random.default_rng(recipe.seed)
    parts = []
    for samples in train.values():
        rows = rng.permutation(len(samples))[: _KNOWN_CROPS // len(train)]
        parts.append(_Crops(exact_crops(samples, recipe.crop)[rows], samples.targets[rows]))
    return _joined(parts)


def _calibration_crops(train: Mapping[str, Samples], known: _Crops, recipe: Recipe) -> NDArray[np.uint8]:
    """Return training crops, half as serving cuts them and half augmented, so that ranges hold for bad pictures."""
    half = _CALIBRATION_CROPS // 2
    augmented, _ = Sampler(train, recipe).batch(half, np.random.default_rng(recipe.seed))
    return np.concatenate([known.crops[:: max(1, len(known.crops) // half)][:half], augmented])


def _chosen_crops(val: Mapping[str, Samples], recipe: Recipe) -> _Crops:
    """Return the validation crops to choose by."""
    return _joined([_Crops(exact_crops(val[name], recipe.crop), val[name].targets) for name in like_serving(val)])


def _joined(parts: list[_Crops]) -> _Crops:
    return _Crops(np.concatenate([p.crops for p in parts]), np.concatenate([p.targets for p in parts]))


def _serving(network: Network | Ensemble, recipe: Recipe, val: _Crops) -> Serving:
    """Return the graph with its temperature, fitted on the validation side."""
    logits = logits_of(network, torch.from_numpy(val.crops)).numpy()
    serving: Serving = Serving(network, recipe.head, fit_temperature(logits, val.targets, recipe.head)).eval()
    return serving


def _complete(model: Path, sides: _Sides, recipe: Recipe, plain: Path | None = None) -> Exported:
    """Choose the limits of a model file on the validation side, measure it, and write both into its card.

    `plain` is the fp32 file that a converted one is compared with.
    """
    with OnnxRuntimeEngine(model) as engine:
        labels = engine.card.labels
        evaluations = {
            f"{side}/{name}": evaluate_crops(engine, part.names, exact_crops(part, recipe.crop), part.targets)
            for side in _MEASURED
            for name, part in sides[side].items()
        }
        us_per_crop = _time(engine, evaluations["test/whole"].crops)
    chosen = [evaluations[f"val/{name}"] for name in like_serving(sides["val"])]
    probabilities = np.concatenate([part.probabilities for part in chosen])
    classes = np.concatenate([part.classes for part in chosen])
    metrics = {name: _figures(part, labels, recipe.head) for name, part in evaluations.items()}
    card = read_card(model).model_dump()
    if plain is not None:
        metrics["val/against_fp32"] = _against(plain, evaluations)
        card["made_from"] = hashlib.sha256(plain.read_bytes()).hexdigest()
    card |= {
        "confidence_floor": choose_floor(probabilities, classes, _FLOOR_CAUGHT),
        "label_floors": label_floors(recipe.costs),
        "novelty_limit": novelty_limit(np.concatenate([_novelty(part) for part in chosen]), recipe.false_unknown),
        "false_unknown": vouched_rate(len(classes), recipe.false_unknown),
        "conformal": {f"{rate:g}": conformal_threshold(probabilities, classes, rate) for rate in recipe.conformal},
        "metrics": metrics,
    }
    final = ModelCard.model_validate(card)
    save_model(onnx.load(model), final, model)
    return Exported(final, evaluations, us_per_crop)


def _novelty(part: Evaluation) -> NDArray[np.float32]:
    if part.novelty is None:
        raise StationError("the model file tells no novelty")
    return part.novelty


def _time(engine: OnnxRuntimeEngine, crops: NDArray[np.uint8]) -> float:
    """Return microseconds a crop on one thread: the median of batches."""
    batch = np.resize(crops, (_TIMED_BATCH, *crops.shape[1:]))
    times_ns = []
    for _ in range(_TIMED_REPEATS):
        start_ns = time.perf_counter_ns()
        engine.classify(batch)
        times_ns.append(time.perf_counter_ns() - start_ns)
    return float(np.median(times_ns)) / 1000 / _TIMED_BATCH


def export_graph(serving: nn.Module, card: ModelCard, path: Path) -> None:
    """Write `serving` as the fp32 model file `path`.

    It takes uint8 crops [N,1,S,S] and returns probabilities float32 [N,C], alone or with what stands under the name of
    novelty: depths [N,M] until `attach_novelty` makes one number a crop of them.
    """
    example = torch.zeros(2, 1, card.crop.size_px, card.crop.size_px, dtype=torch.uint8)
    with torch.inference_mode():
        answers = serving(example)
    outputs = ["probabilities", "novelty"][: len(answers) if isinstance(answers, tuple) else 1]
    save_model(to_onnx(serving, example, "crops", outputs), card, path)


def _check_parity(serving: Serving, crops: NDArray[np.uint8], model: Path) -> None:
    with torch.inference_mode():
        expected = torch.cat(
            [serving(torch.from_numpy(part))[0] for part in np.array_split(crops, len(crops) // 64 + 1)]
        )
    difference = float(np.abs(run_graph(model, "probabilities", crops) - expected.numpy()).max())
    if difference > _PARITY:
        raise StationError(f"the exported graph differs from torch by {difference:.2g}, more than {_PARITY:g}")


def _against(plain: Path, evaluations: Mapping[str, Evaluation]) -> dict[str, float]:
    """Return how a converted file compares with the fp32 one it was made of, over all validation crops."""
    parts = [part for name, part in evaluations.items() if name.startswith("val/")]
    classes = np.concatenate([part.classes for part in parts])
    answers = np.concatenate([part.probabilities for part in parts])
    with OnnxRuntimeEngine(plain) as engine:
        reference = engine.classify(np.concatenate([part.crops for part in parts])).probabilities
    return {
        "n": len(classes),
        "agreement": float((answers.argmax(1) == reference.argmax(1)).mean()),
        "largest_difference": float(np.abs(answers - reference).max()),
        "fp32_accuracy": float((reference.argmax(1) == classes).mean()),
        "accuracy": float((answers.argmax(1) == classes).mean()),
    }


def _figures(part: Evaluation, labels: tuple[str, ...], head: Head) -> dict[str, float]:
    if head == "multi_label":
        scores = score_multi_label(part.probabilities, part.targets, labels)
    else:
        scores = score(part.probabilities, part.classes, labels)
    figures = {"n": scores.n, "accuracy": scores.accuracy, "macro_f1": scores.macro_f1, "ece": scores.ece}
    if scores.mean_average_precision is not None:
        figures["mean_average_precision"] = scores.mean_average_precision
    return figures
