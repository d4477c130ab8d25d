"""What a few labels are worth: grow them over unlabelled pictures, fit on the grown set, test on what neither has seen.

python tests/benchmarks/few_labels.py PICTURES RUN/manifest.json OUT --labels 10 --seed 0 --epochs 8   # one JSON line

The test side of the manifest is only tested; of its other sides `--labels` pictures a class keep their label.
"""

import argparse
import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from training.data import Picture, read_manifest


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("pictures", "manifest", "out"):
        parser.add_argument(name, type=Path)
    for name, default in (("--labels", 10), ("--seed", 0), ("--epochs", 8), ("--threads", 1)):
        parser.add_argument(name, type=int, default=default)
    given = parser.parse_args()
    true = lay_out(given.pictures, given.manifest, given.out, given.labels, given.seed)
    run("grow", given.out / "labelled", given.out / "unlabelled", given.out / "grown")
    run(
        "fit",
        given.out / "grown",
        "--set",
        f"epochs={given.epochs}",
        "--threads",
        given.threads,
        "--run",
        given.out / "run",
    )
    scores = json.loads(
        run("evaluate", "--model", given.out / "run" / "model.onnx", "--data", given.out / "test", "--json")
    )
    right = grown_right(given.out / "grown" / "grown.csv", true)
    print(
        json.dumps(
            {"labels": given.labels, "seed": given.seed, "grown": len(right), "grown_right": float(np.mean(right))}
            | {key: scores[key] for key in ("n", "accuracy", "macro_f1")}
        )
    )


def lay_out(pictures: Path, manifest: Path, out: Path, labels: int, seed: int) -> dict[str, str]:
    """Copy labelled, unlabelled and test pictures below `out` and return the true label of each unlabelled one."""
    rng, true = np.random.default_rng(seed), {}
    whole = read_manifest(manifest)
    for label in whole.labels:
        known = [p for p in whole.pictures if p.label == label]
        pool = [p for p in known if p.split != "test"]
        order = rng.permutation(len(pool))
        for place, row in enumerate(order.tolist()):
            copy(pictures, pool[row], out / "labelled" / label if place < labels else out / "unlabelled")
            true[Path(pool[row].path).name] = label
        for picture in known:
            if picture.split == "test":
                copy(pictures, picture, out / "test" / label)
    return true


def copy(pictures: Path, picture: Picture, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(pictures / picture.path, folder / Path(picture.path).name)


def grown_right(table: Path, true: dict[str, str]) -> list[bool]:
    """Return for each picture that got a label whether it is the true one."""
    with table.open() as stream:
        rows = [(Path(row["picture"]).parts[0], Path(row["source"]).name) for row in csv.DictReader(stream)]
    return [label == true[name] for label, name in rows if not label.startswith(".")]


def run(*words: object) -> str:
    command = [sys.executable, "-m", "station", "train", *(str(word) for word in words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
