"""What the documents promise stands in the code."""

import re
import tomllib
from pathlib import Path

from station.command.inspect import TEXTURE
from station.config import RegionsConfig
from station.frame import InvalidReason

ROOT = Path(__file__).parents[2]


def test_the_settings_for_pictures_are_those_of_the_document() -> None:
    text = (ROOT / "docs" / "regions.md").read_text()
    table = re.search(r"Settings `texture`.*?```toml\n(.*?)```", text, re.DOTALL)
    assert table
    assert RegionsConfig(**tomllib.loads(table[1])["regions"]) == TEXTURE


def test_the_readme_explains_every_reason() -> None:
    text = (ROOT / "README.md").read_text()
    for reason in InvalidReason:
        assert f"`{reason}`" in text, reason
