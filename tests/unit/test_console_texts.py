"""Every language has every text, in the file of its part, with the same values in it."""

import ast
import json
import re
from pathlib import Path

import pytest

from station.console import texts
from station.console.people import LANGUAGES

FOLDER = Path(texts.__file__).parent / "texts"
CODE = [*FOLDER.parent.rglob("*.py"), *(FOLDER.parents[1] / name for name in ("control_protocol.py", "reload.py"))]
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


def test_an_error_line_is_told_in_the_language_of_whoever_asks() -> None:
    known = texts.read_texts()
    assert known["de"].fault("anna is the last engineer: make another one first").startswith("anna ist der letzte")
    assert known["en"].fault("anna is nobody here") == "anna is nobody here"
    assert known["zh"].fault("{key}: there is one already").startswith("{key}")
    assert known["de"].fault("a line of the layers below") == "a line of the layers below"


@pytest.fixture(scope="module")
def said() -> list[re.Pattern[str]]:
    """Return what the strings in the code look like, with anything where an f-string has a value."""
    nodes = [node for path in CODE for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    plain = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    parts = [node.values for node in nodes if isinstance(node, ast.JoinedStr)]
    made = ["".join(re.escape(str(one.value)) if isinstance(one, ast.Constant) else ".+" for one in of) for of in parts]
    return [re.compile(one) for one in [*map(re.escape, plain), *made] if len(one) > 12]


@pytest.mark.parametrize("key", sorted(read("en", "fault.json")))
def test_an_error_line_is_one_that_the_code_says(key: str, said: list[re.Pattern[str]]) -> None:
    assert any(one.fullmatch(read("en", "fault.json")[key]) for one in said)


@pytest.mark.parametrize("template", sorted((FOLDER.parent / "templates").glob("*.html")), ids=lambda path: path.name)
def test_a_template_names_texts_that_are_there(template: Path) -> None:
    english = texts.read_texts()["en"].within([""])
    keys = re.findall(r"""\bt\("([\w.]+)"[,)]""", template.read_text(encoding="utf-8"))
    assert [key for key in keys if key not in english] == []
