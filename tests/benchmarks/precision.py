"""What fp16 and INT8 cost and gain: label flips on real pictures, crops a second, TensorRT builds. Main thread.

    python -m tests.benchmarks.precision --data FOLDER --split runs/neu-compact/manifest.json --write docs/precision.md

`--data` is the folder that the shipped recipe's `pictures` are below. Other networks than the shipped one have random
weights: they show time, not accuracy. Times are medians taken in turns, so that a busy moment strikes all precisions.
"""

import argparse
import datetime
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import torchvision
from numpy.typing import NDArray
from torch import Tensor, nn

from engines import CropCut, Engine, ModelCard, OnnxRuntimeEngine, read_card, shipped_model
from engines.border import border_of
from engines.compile import compile_plan
from engines.flavour import load_flavour
from engines.model import Precision
from engines.plan import ANY, PlanKey, Profile, file_sha256
from engines.precision import convert
from station.crops import cut_crops, whole_image
from tests.ensemble import draw_crops, write_ensemble
from training.data import Manifest, read_grey, read_manifest
from training.export import export_graph
from training.recipe import read_recipe

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
FP32 = shipped_model().with_name("neu-compact-fp32.onnx")
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
BATCH = 8
SECONDS = 4.0
CALIBRATION_CROPS = 128
CAPABILITY = "8.9"
WORKSPACE_MIB = 1024

Models = dict[Precision, Path]


class Serving(nn.Module):
    """A network of `channels` in a model file: grey levels scaled, repeated for each channel, and a softmax behind."""

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network = network
        self.channels = channels

    def forward(self, crops: Tensor) -> Tensor:
        levels = (crops.to(torch.float32) / 255 - 0.449) / 0.226
        return torch.softmax(self.network(levels.expand(-1, self.channels, -1, -1)), 1)


def resnet18(channels: int, classes: int) -> nn.Module:
    network = torchvision.models.resnet18(num_classes=classes)
    network.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    return network


def repvgg_a0(channels: int, classes: int) -> nn.Module:
    """Return the served form of RepVGG-A0 (Ding et al. 2021): a chain of 3×3 convolutions."""
    layers: list[nn.Module] = []
    for width, depth in ((48, 1), (48, 2), (96, 4), (192, 14), (1280, 1)):
        for number in range(depth):
            layers += [nn.Conv2d(channels, width, 3, 1 if number else 2, 1), nn.ReLU()]
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


NETWORKS: dict[str, tuple[Callable[[int, int], nn.Module], int, int]] = {
    "ResNet-18, 1×64×64": (resnet18, 1, 64),
    "ResNet-18, 3×128×128": (resnet18, 3, 128),
    "RepVGG-A0, 3×128×128": (repvgg_a0, 3, 128),
    "MobileNetV2, 3×128×128": (lambda _, classes: torchvision.models.mobilenet_v2(num_classes=classes), 3, 128),
}


def write_network(path: Path, name: str) -> Path:
    """Write one of `NETWORKS` with random weights as an fp32 model file."""
    make, channels, side = NETWORKS[name]
    torch.manual_seed(0)
    crop = CropCut(size_px=side, context=1.5, min_side_px=side)
    card = ModelCard(name=name, labels=("a", "b", "c", "d", "e", "f"), crop=crop)
    export_graph(Serving(make(channels, len(card.labels)), channels).eval(), card, path)
    return path


def in_all_precisions(source: Path, folder: Path) -> Models:
    """Write `source` in each precision, INT8 ranges measured on drawn crops."""
    crops = draw_crops(CALIBRATION_CROPS, 0, read_card(source).crop.size_px)
    models: Models = {precision: folder / f"{source.stem}-{precision}.onnx" for precision in PRECISIONS}
    for precision, target in models.items():
        convert(source, target, precision, crops)
    return models


def shipped(folder: Path) -> Models:
    """Return the shipped files; the fp16 one is made."""
    convert(FP32, folder / "neu-compact-fp16.onnx", "fp16")
    return {"fp32": FP32, "fp16": folder / "neu-compact-fp16.onnx", "int8": shipped_model()}


def classify_pictures(model: Path, manifest: Manifest, folder: Path) -> NDArray[np.float32]:
    """Return the probabilities of each picture of the manifest, taken whole."""
    answers = []
    with OnnxRuntimeEngine(model) as engine:
        side = engine.card.crop.size_px
        for row in manifest.pictures:
            picture = read_grey(folder / row.path)
            crop = cut_crops(picture, whole_image(picture), engine.card.crop, np.empty((1, 1, side, side), np.uint8))
            answers.append(engine.classify(crop).probabilities[0].copy())
    return np.array(answers)


def accuracy_lines(models: Models, manifest: Manifest, folder: Path) -> Iterator[str]:
    labels = read_card(FP32).labels
    truth = np.array([labels.index(row.label) for row in manifest.pictures])
    on_test = np.array([row.split == "test" for row in manifest.pictures])
    answers = {precision: classify_pictures(path, manifest, folder) for precision, path in models.items()}
    exact = answers["fp32"]
    right = {precision: found.argmax(1) == truth for precision, found in answers.items()}
    yield f"Accuracy on the {on_test.sum()} test pictures and on all {len(truth)}, most of them learnt from:"
    yield ""
    yield "| precision | test | all | labels flipped (all) | largest error | mean error |"
    yield "|---|---|---|---|---|---|"
    for precision, found in answers.items():
        error = np.abs(found - exact)
        shares = f"{right[precision][on_test].mean():.2%} | {right[precision].mean():.2%}"
        flips = (found.argmax(1) != exact.argmax(1)).sum()
        yield f"| {precision} | {shares} | {flips} | {error.max():.4f} | {error.mean():.6f} |"
    yield ""
    yield "Every flip, by the label that fp32 gave:"
    yield ""
    for precision in PRECISIONS[1:]:
        for number, label in enumerate(labels):
            yield f"- {precision}, {label}: {_flips(exact, answers[precision], number, manifest, labels)}"


def card_lines() -> Iterator[str]:
    """Yield what the export measured on every kind of crop; it stands in the cards of both shipped files."""
    exact, found = (read_card(path).metrics for path in (FP32, shipped_model()))
    yield "| side and crops | n | fp32 | INT8 | points |"
    yield "|---|---|---|---|---|"
    for name, one in exact.items():
        before, after = one["accuracy"], found[name]["accuracy"]
        yield f"| {name} | {one['n']:.0f} | {before:.2%} | {after:.2%} | {100 * (after - before):+.2f} |"


def _flips(
    exact: NDArray[np.float32], found: NDArray[np.float32], number: int, manifest: Manifest, labels: Sequence[str]
) -> str:
    rows = np.flatnonzero((exact.argmax(1) == number) & (found.argmax(1) != number)).tolist()
    pictures = manifest.pictures
    words = [f"`{pictures[row].path}` ({pictures[row].split}) → {labels[found[row].argmax()]}" for row in rows]
    return "; ".join(words) or "none"


def speed_lines(networks: dict[str, Models]) -> Iterator[str]:
    yield "| network | fp32 µs a crop | fp16 µs | INT8 µs | fp16 × fp32 | INT8 × fp32 |"
    yield "|---|---|---|---|---|---|"
    for name, models in networks.items():
        fp32, fp16, int8 = times_us(list(models.values()))
        yield f"| {name} | {fp32:.0f} | {fp16:.0f} | {int8:.0f} | {fp32 / fp16:.2f} | {fp32 / int8:.2f} |"


def times_us(models: Sequence[Path]) -> list[float]:
    """Return the median microseconds a crop of each model at batch 8 on one thread."""
    with ExitStack() as stack:
        engines = [stack.enter_context(OnnxRuntimeEngine(model, max_batch=BATCH)) for model in models]
        crops = draw_crops(BATCH, 1, engines[0].card.crop.size_px)
        spent: list[list[float]] = [[] for _ in engines]
        end = time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            for engine, times in zip(engines, spent, strict=True):
                times.append(_time_us(engine, crops))
    return [float(np.median(times)) for times in spent]


def _time_us(engine: Engine, crops: NDArray[np.uint8]) -> float:
    start_ns = time.perf_counter_ns()
    engine.classify(crops)
    return (time.perf_counter_ns() - start_ns) / 1e3 / len(crops)


def build_lines(networks: dict[str, Models], folder: Path) -> Iterator[str]:
    yield "| network | fp32 s · MB | fp16 s · MB | INT8 s · MB |"
    yield "|---|---|---|---|"
    for name, models in networks.items():
        built = [_build(path, precision, folder) for precision, path in models.items()]
        yield f"| {name} | " + " | ".join(f"{seconds:.2f} · {size / 1e6:.1f}" for seconds, size in built) + " |"


def _build(model: Path, precision: Precision, folder: Path) -> tuple[float, int]:
    """Return seconds and bytes of a TensorRT-RTX plan."""
    key = PlanKey(
        model_sha256=file_sha256(model),
        precision=precision,
        runtime="tensorrt_rtx",
        version=load_flavour("tensorrt_rtx").__version__,
        driver=ANY,
        gpu=ANY,
        capability=CAPABILITY,
        profile=Profile(),
    )
    start_s = time.perf_counter()
    card = read_card(model)
    border = border_of(card)
    plan = compile_plan(model, card.name, border, key, WORKSPACE_MIB, folder / "timing", lambda part, phase: None)
    return time.perf_counter() - start_s, len(plan)


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def report(data: Path, split: Path) -> Iterator[str]:
    """Yield the lines of the measured part of docs/precision.md."""
    pictures = data / read_recipe(ROOT / "training" / "recipes" / "shipped.toml").pictures
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    rtx = load_flavour("tensorrt_rtx").__version__
    yield f"{today}, {processor()}, one thread, ONNX Runtime {onnxruntime.__version__}, TensorRT-RTX {rtx}."
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = shipped(folder)
        networks = {"neu-compact, 1×96×96": ours}
        for number, network in enumerate(NETWORKS):
            networks[network] = in_all_precisions(write_network(folder / f"{number}.onnx", network), folder)
        write_ensemble(folder / "five.onnx")
        networks["five small networks in one file, 1×64×64"] = in_all_precisions(folder / "five.onnx", folder)
        yield "\n## Accuracy of the shipped model, whole pictures\n"
        yield from accuracy_lines(ours, read_manifest(split), pictures)
        yield "\nAll kinds of crops, from the cards (`docs/training.md` says what they are):\n"
        yield from card_lines()
        yield f"\n## Time on the CPU, batch {BATCH}\n"
        yield from speed_lines(networks)
        yield f"\n## Building with TensorRT-RTX, compute capability {CAPABILITY}, batches 1 to 32\n"
        yield from build_lines(networks, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", type=Path, required=True, help="the manifest.json of the shipped model's run")
    parser.add_argument("--write", type=Path, help="put the result between the marks of this file")
    arguments = parser.parse_args()
    lines = []
    for line in report(arguments.data, arguments.split):
        print(line, flush=True)
        lines.append(line)
    if arguments.write:
        before, _, rest = arguments.write.read_text().partition(BEGIN)
        arguments.write.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
