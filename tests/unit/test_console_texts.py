"""Every language has every text, in the file of its part, with the same values in it."""

import json
import re
from pathlib import Path

import pytest

from station.console import texts
from station.console.people import LANGUAGES

FOLDER = Path(texts.__file__).parent / "texts"
PARTS = sorted(path.name for path in (FOLDER / "en").glob("*.json"))


def read(language: str, part: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((FOLDER / language / part).read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_every_part(language: str) -> None:
    assert sorted(path.name for path in (FOLDER / language).iterdir()) == PARTS


@pytest.mark.parametrize("part", PARTS)
def test_every_text_is_there_in_each_language(part: str) -> None:
    english = read("en", part)
    assert all(key.startswith(f"{part.removesuffix('.json')}.") for key in english)
    for language in LANGUAGES:
        other = read(language, part)
        assert sorted(other) == sorted(english)
        for key, text in english.items():
            assert other[key].strip(), key
            assert sorted(re.findall(r"\{\w+\}", other[key])) == sorted(re.findall(r"\{\w+\}", text)), key


def test_a_text_takes_values_and_scripts_get_their_own() -> None:
    german = texts.read_texts()["de"]
    assert german("people.sure", name="ben").startswith("ben entfernen?")
    assert set(german.within(("people.role_v",))) == {"people.role_viewer"}
    with pytest.raises(KeyError):
        german("base.nonsense")


@pytest.mark.parametrize("template", sorted((FOLDER.parent / "templates").glob("*.html")), ids=lambda path: path.name)
def test_a_template_names_texts_that_are_there(template: Path) -> None:
    english = texts.read_texts()["en"].within([""])
    keys = re.findall(r"""\bt\("([\w.]+)"[,)]""", template.read_text(encoding="utf-8"))
    assert [key for key in keys if key not in english] == []
