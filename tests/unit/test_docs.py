"""What the documents promise stands in the code."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from station.command.inspect import TEXTURE
from station.config import RegionsConfig
from station.frame import InvalidReason
from station.reference import config_page, event_page

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("page", "made"), [("config", config_page), ("event", event_page)])
def test_the_reference_is_that_of_the_models(page: str, made: Callable[[], str]) -> None:
    assert (ROOT / "docs" / f"{page}-reference.md").read_text() == made(), "run `make reference`"


def test_the_settings_for_pictures_are_those_of_the_document() -> None:
    text = (ROOT / "docs" / "regions.md").read_text()
    table = re.search(r"Settings `texture`.*?```toml\n(.*?)```", text, re.DOTALL)
    assert table
    assert RegionsConfig(**tomllib.loads(table[1])["regions"]) == TEXTURE


def test_the_readme_explains_every_reason() -> None:
    text = (ROOT / "README.md").read_text()
    for reason in InvalidReason:
        assert f"`{reason}`" in text, reason


def test_links_between_the_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())]
    assert links
    assert not [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()]
