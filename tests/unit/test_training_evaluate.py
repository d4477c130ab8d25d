"""`station train`: evaluation of a model file, and a tiny training from pictures to a measured model file."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from engines import read_card, shipped_model
from shadowline.errors import StationError
from training.command import app
from training.compare import compare
from training.data import make_manifest, read_tree
from training.evaluate import evaluate, parse_split
from training.networks import settle
from training.recipe import read_recipe
from training.report import read_metrics
from training.scores import choose_floor, score

runner = CliRunner()
SHIPPED_RECIPE = Path(__file__).parents[2] / "training" / "recipes" / "shipped.toml"


def stripes(seed, upright, side=40):
    """Return a noisy picture of upright or lying stripes."""
    rng = np.random.default_rng(seed)
    wave = 60 * np.sign(np.sin(np.arange(side) * rng.uniform(0.5, 0.9) + rng.uniform(0, 6)))
    picture = 128 + (wave[None, :] if upright else wave[:, None]) + rng.normal(0, 25, (side, side))
    return np.clip(picture, 0, 255).astype(np.uint8)


def blobs(seed, side=40):
    """Return a noisy picture of one dark disc."""
    rng = np.random.default_rng(seed)
    picture = np.full((side, side), 170, np.float32)
    cv2.circle(picture, tuple(int(c) for c in rng.integers(12, side - 12, 2)), int(rng.integers(6, 11)), 40, -1)
    return np.clip(picture + rng.normal(0, 12, (side, side)), 0, 255).astype(np.uint8)


def write_tree(root, first, count, labels=("scratches", "patches")):
    for number, label in enumerate(labels):
        (root / label).mkdir(parents=True)
        for seed in range(first, first + count):
            image = stripes(seed, upright=bool(seed % 2)) if number == 0 else blobs(seed)
            cv2.imwrite(str(root / label / f"{seed}.png"), image)
    return root


def run(*arguments):
    return runner.invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def test_json_has_every_figure_and_the_counts_agree(tmp_path):
    tree = write_tree(tmp_path / "tree", 0, 3)
    result = run("evaluate", "--model", shipped_model(), "--data", tree, "--json")
    figures = json.loads(result.stdout)
    assert set(figures) >= {"n", "accuracy", "macro_f1", "ece", "per_class", "confusion", "labels"}
    assert figures["n"] == 6
    assert figures["labels"] == list(read_card(shipped_model()).labels)
    confusion = np.array(figures["confusion"])
    assert confusion.sum() == 6
    assert figures["accuracy"] == pytest.approx(np.trace(confusion) / 6)
    assert figures["per_class"]["patches"]["n"] == 3


def test_the_table_names_every_label(tmp_path):
    tree = write_tree(tmp_path / "tree", 0, 1)
    result = runner.invoke(
        app, ["evaluate", "--model", str(shipped_model()), "--data", str(tree)], env={"COLUMNS": "240"}
    )
    assert result.exit_code == 0
    assert all(label in result.stdout for label in read_card(shipped_model()).labels)


def test_a_model_file_is_compared_as_if_it_were_a_run_of_that_split(tmp_path):
    tree = write_tree(tmp_path / "tree", 0, 10, ("scratches", "no label of the model"))
    manifest = make_manifest(read_tree(tree), 1, {"train": 0.5, "test": 0.5})
    (tmp_path / "manifest.json").write_text(manifest.model_dump_json())
    for name in ("one", "other"):
        split = f"{tmp_path / 'manifest.json'}:test"
        words = ("--model", shipped_model(), "--data", tree, "--split", split, "--report", tmp_path / name)
        assert run("evaluate", *words).exit_code == 0
    metrics = read_metrics(tmp_path / "one" / "report" / "metrics.json")
    assert metrics.labels == ("no label of the model", "scratches")
    assert metrics.sides["test"].n == len(manifest.of("test"))
    assert metrics.sides["test"].scores.per_class["no label of the model"].recall <= 1 / 2
    first, second = compare([tmp_path / "one", tmp_path / "other"]).entries
    assert (first.not_comparable, second.not_comparable) == ("", "")
    assert second.behind.value == 0


def test_a_report_without_a_split_is_refused(tmp_path):
    with pytest.raises(StationError, match="--report needs the --split"):
        run("evaluate", "--model", shipped_model(), "--data", tmp_path, "--report", tmp_path / "one")


def test_unreadable_pictures_are_told_on_stderr_and_left_out(tmp_path):
    tree = write_tree(tmp_path / "tree", 0, 2)
    (tree / "patches" / "damaged.png").write_bytes(b"not a picture")
    result = run("evaluate", "--model", shipped_model(), "--data", tree, "--json")
    assert json.loads(result.stdout)["n"] == 4
    assert "skipped patches/damaged.png" in result.stderr


def test_a_folder_that_is_no_label_is_one_clear_error(tmp_path):
    tree = write_tree(tmp_path / "tree", 0, 1, labels=("scratches", "rust"))
    with pytest.raises(StationError, match="class folder rust is no label of neu-compact: crazing") as caught:
        run("evaluate", "--model", shipped_model(), "--data", tree)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["manifest.json", ":test", "manifest.json:half"])
def test_a_split_that_is_none_is_refused(text):
    with pytest.raises(StationError, match="expected MANIFEST:"):
        parse_split(text)


def test_evaluating_loads_neither_torch_nor_onnx(tmp_path):
    tree = write_tree(tmp_path / "tree", 0, 1)
    code = (
        "import sys; sys.modules['torch'] = sys.modules['onnx'] = None\n"
        "from training.command import app\n"
        f"app(['evaluate', '--model', {str(shipped_model())!r}, '--data', {str(tree)!r}, '--json'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["n"] == 2


def test_without_torch_fitting_says_what_to_install():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from shadowline.errors import MissingExtra\n"
        "from training.command import app\n"
        "words = ['fit', 'pictures']\n"
        "try:\n    app(words, standalone_mode=False)\nexcept MissingExtra as fault:\n    print(fault)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "torch is not installed: pip install 'shadowline[training]'"


def test_the_shipped_card_says_what_its_recipe_and_the_real_pictures_give(tmp_path, data):
    recipe = read_recipe(SHIPPED_RECIPE)
    tree = read_tree(data / recipe.pictures)
    manifest = make_manifest(
        tree, recipe.split_seed, dict(zip(("train", "val", "test"), recipe.fractions, strict=True)), fold=recipe.fold
    )
    path = tmp_path / "manifest.json"
    path.write_text(manifest.model_dump_json())
    card = read_card(shipped_model())
    scores, skipped = evaluate(shipped_model(), data / recipe.pictures, (path, "test"))
    assert card.data_sha256 == manifest.sha256()
    assert card.config_sha256 == settle(recipe, len(manifest.of("train"))).sha256()
    assert not skipped
    assert scores.n == card.metrics["test/whole"]["n"]
    assert scores.accuracy == pytest.approx(card.metrics["test/whole"]["accuracy"], abs=0.005)
    assert scores.accuracy >= 0.985
    assert scores.macro_f1 >= 0.985


def test_scores_of_a_known_table():
    probabilities = np.array([[0.9, 0.1, 0], [0.6, 0.4, 0], [0.2, 0.8, 0], [0.3, 0.7, 0]], np.float32)
    scores = score(probabilities, np.array([0, 1, 1, 1]), ("a", "b", "c"))
    assert scores.accuracy == 0.75
    assert scores.confusion == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]
    assert scores.per_class["b"].recall == pytest.approx(2 / 3)
    assert scores.macro_f1 == pytest.approx((2 / 3 + 0.8) / 2)
    assert scores.ece == pytest.approx((0.1 + 0.6 + 0.2 + 0.3) / 4, abs=1e-6)


def test_the_floor_catches_its_share_of_the_wrong_answers():
    confidence = np.array([0.52, 0.62, 0.72, 0.81, 0.97, 0.98], np.float32)
    probabilities = np.stack([confidence, 1 - confidence], 1)
    truth = np.array([1, 1, 1, 0, 0, 0])
    floor = choose_floor(probabilities, truth, 0.5)
    assert floor == pytest.approx(0.63)
    assert (confidence[truth == 1] < floor).mean() >= 0.5
    assert choose_floor(probabilities, np.zeros(6, np.int64), 0.5) == 0.5
    assert choose_floor(probabilities, np.ones(6, np.int64), 1.0) == 0.9
