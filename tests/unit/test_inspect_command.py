"""`station inspect` by a line's file: which recipe its pictures are judged by."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from shadowline.errors import ConfigError
from station.command import app

TOML = """
{start}
[[camera]]
name = "top"
type = "simulated"
[engine]
backend = "fake"
labels = ["dent"]
[recipe.lenient]
verdict = {{ default = {{ action = "accept" }} }}
[recipe.coarse.regions]
min_area_px = 1000
"""


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    image = np.random.default_rng(1).normal(128, 3, (256, 256)).clip(0, 255).astype(np.uint8)
    image[100:120, 100:130] = 30
    cv2.imwrite(str(tmp_path / "dent.png"), image)
    return tmp_path / "dent.png"


def judged(picture: Path, start: str, *words: str) -> tuple[str, int]:
    """Return the verdict, and how many defects there are."""
    file = picture.with_name("config.toml")
    file.write_text(TOML.format(start=start))
    arguments = ["inspect", str(picture), "--config", str(file), "--json", *words]
    done: dict[str, Any] = json.loads(CliRunner().invoke(app, arguments, catch_exceptions=False).stdout)
    return done["verdict"], len(done["defects"])


@pytest.mark.parametrize(
    ("start", "words", "expected"),
    [
        ("", (), ("reject", 1)),
        ('[station]\nrecipe = "lenient"', (), ("accept", 1)),
        ('[station]\nrecipe = "lenient"', ("--recipe", "coarse"), ("accept", 0)),
        ('[station]\nrecipe = "lenient"', ("--recipe", "default"), ("reject", 1)),
    ],
)
def test_pictures_are_judged_by_the_recipe(
    picture: Path, start: str, words: tuple[str, ...], expected: tuple[str, int]
) -> None:
    assert judged(picture, start, *words) == expected


def test_a_recipe_that_is_not_there_and_one_of_no_line_are_refused(picture: Path) -> None:
    with pytest.raises(ConfigError, match=r"no \[recipe.corase\]; there are coarse, lenient"):
        judged(picture, "", "--recipe", "corase")
    with pytest.raises(ConfigError, match="--recipe coarse: recipes are a line's: name its file by --config"):
        CliRunner().invoke(app, ["inspect", str(picture), "--recipe", "coarse"], catch_exceptions=False)
