"""How the doctor's checks look on a terminal. Pure."""

import textwrap
from collections.abc import Sequence

from rich.text import Text

from station.doctor.base import Check, Level, worst

__all__ = ["draw", "draw_sum"]

_STYLES: dict[Level, str] = {"ok": "green", "warning": "yellow", "fault": "bold red"}
_LEVEL_WIDTH = 7
_NAME_WIDTH = 14
_INDENT = " " * (_LEVEL_WIDTH + _NAME_WIDTH + 4)
_NARROWEST = 30


def draw(check: Check, width: int) -> Text:
    """Return `check` for a terminal of `width` columns; a mending command is never broken, so that it can be copied."""
    room = max(width - len(_INDENT), _NARROWEST)
    lines = [
        line
        for paragraph in check.found.splitlines()
        for line in textwrap.wrap(paragraph, room, break_long_words=False, break_on_hyphens=False)
    ]
    text = Text()
    text.append(f"{check.level:<{_LEVEL_WIDTH}}", _STYLES[check.level])
    text.append(f"  {check.name:<{_NAME_WIDTH}}  ")
    text.append(f"\n{_INDENT}".join(lines))
    for command in check.mend.splitlines():
        text.append(f"\n{_INDENT}")
        text.append(f"→ {command}", "dim" if check.level == "ok" else "bold")
    return text


def draw_sum(checks: Sequence[Check]) -> Text:
    """Return the last line: how many faults and warnings there are."""
    counts = {level: sum(check.level == level for check in checks) for level in ("fault", "warning")}
    words = [f"{count} {level}{'s' if count > 1 else ''}" for level, count in counts.items() if count]
    return Text(", ".join(words) or "all is well", _STYLES[worst(checks)])
