"""Every word that the console shows, in each language, from `texts/LANGUAGE/PART.json`. Pure, read once."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from station.console.people import LANGUAGES

__all__ = ["Texts", "read_texts"]

_FOLDER = Path(__file__).parent / "texts"


class Texts:
    """The texts of one language: call it with a key, as `live.stale`, and the values of the braces in it.

    `faults` are the error lines that the code says in English: what they look like, and their keys.
    """

    def __init__(self, language: str, texts: Mapping[str, str], faults: Mapping[re.Pattern[str], str]) -> None:
        self.language = language
        self._texts = texts
        self._faults = faults

    def __call__(self, key: str, /, **values: object) -> str:
        """Return the text of `key`. Raises `KeyError` for one that is not there."""
        text = self._texts[key]
        return text.format_map(values) if values else text

    def __contains__(self, key: str) -> bool:
        """Whether there is a text of `key`."""
        return key in self._texts

    def fault(self, english: str) -> str:
        """Return an error line in this language, or as it is where it is not among the texts `fault.…`."""
        for pattern, key in self._faults.items():
            if found := pattern.fullmatch(english):
                return self(key, **found.groupdict())
        return english

    def within(self, prefixes: Sequence[str]) -> dict[str, str]:
        """Return the texts whose keys begin with one of `prefixes`, for a script."""
        return {key: text for key, text in self._texts.items() if key.startswith(tuple(prefixes))}


def read_texts(folder: Path = _FOLDER) -> Mapping[str, Texts]:
    """Return the texts of each language; a file `live.json` has keys that begin with `live.`."""
    read = {language: _read(folder / language) for language in LANGUAGES}
    faults = {_pattern(text): key for key, text in read["en"].items() if key.startswith("fault.")}
    return MappingProxyType({language: Texts(language, texts, faults) for language, texts in read.items()})


def _read(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.json")):
        found |= json.loads(path.read_text(encoding="utf-8"))
    return found


def _pattern(text: str) -> re.Pattern[str]:
    """Return what lines look like that `text` becomes with values in its braces."""
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.*)", re.escape(text)))
