"""How a model bears blur, noise and light: accuracy on whole pictures that were changed before the crop is cut.

python tests/benchmarks/robustness.py MODEL.onnx MANIFEST.json FOLDER   # the test side of the manifest; Markdown
"""

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import OnnxRuntimeEngine
from station.crops import cut_crops, whole_image
from training.data import read_grey, read_manifest
from training.scores import score

STATED = (
    "Gaussian blur, sigma 2 px",
    "noise, sigma 15 levels",
    "light × 0.6, clipped",
    "light × 1.4, clipped",
    "level -30, clipped",
    "level +30, clipped",
    "JPEG, quality 30",
)
"""What the mean at the end is taken over."""

Change = Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]]

CHANGES: dict[str, Change] = {
    "as it is": lambda picture, random: picture,
    **{
        f"Gaussian blur, sigma {sigma} px": lambda picture, random, s=sigma: cv2.GaussianBlur(picture, (0, 0), s)
        for sigma in (1, 2, 3)
    },
    **{
        f"noise, sigma {sigma} levels": lambda picture, random, s=sigma: picture + random.normal(0, s, picture.shape)
        for sigma in (8, 15, 25)
    },
    **{f"light × {factor}, clipped": lambda picture, random, f=factor: picture * f for factor in (0.4, 0.6, 1.4, 2)},
    **{f"level {level:+d}, clipped": lambda picture, random, v=level: picture + v for level in (-30, 30)},
    "JPEG, quality 30": lambda picture, random: _jpeg(picture, 30),
    **{f"gamma {gamma}": lambda picture, random, g=gamma: 255 * (picture / 255) ** g for gamma in (0.5, 2)},
    "light from × 0.6 at one side to × 1.4 at the other": lambda picture, random: (
        picture * np.linspace(0.6, 1.4, picture.shape[1], dtype=np.float32)
    ),
}


def _jpeg(picture: NDArray[np.float32], quality: int) -> NDArray[np.float32]:
    _, data = cv2.imencode(".jpg", picture.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE).astype(np.float32)


def main(model: Path, manifest: Path, folder: Path) -> None:
    files = [row for row in read_manifest(manifest).pictures if row.split == "test"]
    accuracies = {}
    print("| change | accuracy | macro-F1 | ECE |\n|---|---|---|---|")
    with OnnxRuntimeEngine(model) as engine:
        labels, side = engine.card.labels, engine.card.crop.size_px
        truth = np.array([labels.index(row.label) for row in files])
        for name, change in CHANGES.items():
            random, answers = np.random.default_rng(0), []
            for row in files:
                picture = read_grey(folder / row.path).astype(np.float32)
                changed = np.clip(np.rint(change(picture, random)), 0, 255).astype(np.uint8)
                crop = np.empty((1, 1, side, side), np.uint8)
                cut_crops(changed, whole_image(changed), engine.card.crop, crop)
                answers.append(engine.classify(crop).probabilities[0].copy())
            result = score(np.array(answers), truth, labels)
            accuracies[name] = result.accuracy
            print(f"| {name} | {100 * result.accuracy:.1f} % | {result.macro_f1:.3f} | {result.ece:.3f} |")
    mean = np.mean([accuracies[name] for name in STATED])
    print(f"| mean of the stated ones ({', '.join(STATED)}) | {100 * mean:.2f} % | | |")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
