"""One line of the doctor: what was looked at, how it is, and what mends it. Pure."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from shlex import quote
from typing import Any, Literal, TypeAlias

from shadowline.errors import StationError

__all__ = ["PYTHON", "Check", "Level", "as_table", "guarded", "split_message", "worst"]

Level: TypeAlias = Literal["ok", "warning", "fault"]

_LEVELS: tuple[Level, ...] = ("ok", "warning", "fault")

PYTHON = quote(sys.executable)
"""This interpreter in a command line: what is installed belongs into its environment and no other."""


@dataclass(frozen=True, slots=True)
class Check:
    """What one look found. `fault`: the station does not run as configured; `warning`: it is not at its best."""

    level: Level
    name: str
    found: str
    mend: str = ""
    """Command lines to type as they stand, one a line; where no command helps, what to do. `ok` may have one too."""


def worst(checks: Iterable[Check]) -> Level:
    """Return the worst level among `checks`; `ok` when there are none."""
    return max((check.level for check in checks), key=_LEVELS.index, default="ok")


def as_table(checks: Sequence[Check]) -> dict[str, Any]:
    """Return the checks as the JSON document that scripts read."""
    return {"level": worst(checks), "checks": [asdict(check) for check in checks]}


def guarded(name: str, look: Callable[[], Iterable[Check]]) -> tuple[Check, ...]:
    """Return what `look` finds; where it can't look (an unreadable /proc, say) that is one warning."""
    try:
        return tuple(look())
    except (StationError, OSError, ValueError, ImportError) as fault:
        return (Check("warning", name, f"could not be looked at: {fault}"),)


def split_message(error: StationError) -> tuple[str, str]:
    """Return what is wrong and what to do, the two halves of an error message of ours."""
    wrong, _, to_do = str(error).partition(": ")
    return wrong, to_do
