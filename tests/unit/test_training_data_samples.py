"""From pictures to crops: each side keeps to its own pictures and strips, and a seed gives the same batches again."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from engines import CropCut
from training.data import make_manifest, read_tree
from training.recipe import Renders, read_recipe
from training.samples import Sampler, exact_crops, render_samples, whole_samples

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
RECIPE = Path(__file__).parents[2] / "training" / "recipes" / "shipped.toml"
LABELS = ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches")


@pytest.fixture
def tree(tmp_path):
    """Two classes of 20 pictures."""
    for row in range(40):
        folder = tmp_path / "ab"[row // 20]
        folder.mkdir(exist_ok=True)
        pixels = np.random.default_rng(row).integers(0, 256, (48, 48), np.uint8)
        cv2.imwrite(str(folder / f"{row}.png"), pixels)
    return read_tree(tmp_path)


def test_renders_of_two_sides_come_from_different_strips():
    renders = Renders(strips=(1, 1, 1), frames=1, side_px=320, defects_per_frame=3.0)
    sides = [render_samples(renders, LABELS, split)["render"] for split in ("train", "val", "test")]
    frames = [side.images[0] for side in sides if len(side)]
    assert len(frames) >= 2
    assert all(not np.array_equal(one, other) for i, one in enumerate(frames) for other in frames[i + 1 :])


def test_training_crops_come_from_the_training_side_only(tree):
    manifest = make_manifest(tree, 2, SHARES)
    for row, image in enumerate(tree.images):
        image[:] = 20 + row  # each picture is one level, so a crop without relighting tells where it comes from
    crops = exact_crops(whole_samples(tree, manifest, "train"), CropCut(size_px=16, context=1.0, min_side_px=16))
    rows = set((crops.mean((1, 2, 3)) - 20).astype(int).tolist())
    assert {tree.paths[row] for row in rows} == {p.path for p in manifest.of("train")}


def test_a_sampler_repeats_itself_by_seed_and_keeps_classes_and_shape(tree):
    sources = {"whole": whole_samples(tree, make_manifest(tree, 2, SHARES), "train")}
    recipe = read_recipe(RECIPE)
    crops, targets = Sampler(sources, recipe).batch(64, np.random.default_rng(3))
    again, _ = Sampler(sources, recipe).batch(64, np.random.default_rng(3))
    assert np.array_equal(crops, again)
    assert crops.shape == (64, 1, recipe.crop.size_px, recipe.crop.size_px)
    assert 16 <= targets[:, 0].sum() <= 48
