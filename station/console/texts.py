"""Every word that the console shows, in each language, from `texts/LANGUAGE/PART.json`. Pure, read once."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from station.console.people import LANGUAGES

__all__ = ["Texts", "read_texts"]

_FOLDER = Path(__file__).parent / "texts"


class Texts:
    """The texts of one language: call it with a key, as `live.stale`, and the values of the braces in it."""

    def __init__(self, language: str, texts: Mapping[str, str]) -> None:
        self.language = language
        self._texts = texts

    def __call__(self, key: str, **values: object) -> str:
        """Return the text of `key`. Raises `KeyError` for one that is not there."""
        text = self._texts[key]
        return text.format_map(values) if values else text

    def within(self, prefixes: Sequence[str]) -> dict[str, str]:
        """Return the texts whose keys begin with one of `prefixes`, for a script."""
        return {key: text for key, text in self._texts.items() if key.startswith(tuple(prefixes))}


def read_texts(folder: Path = _FOLDER) -> Mapping[str, Texts]:
    """Return the texts of each language; a file `live.json` has keys that begin with `live.`."""
    return MappingProxyType({language: Texts(language, _read(folder / language)) for language in LANGUAGES})


def _read(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.json")):
        found |= json.loads(path.read_text(encoding="utf-8"))
    return found
