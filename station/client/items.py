"""What a client yields beside the station's own messages. Pure."""

from dataclasses import dataclass
from typing import TypeAlias

from station.event import Message

__all__ = ["Gap", "Item", "Renumbered", "Silence"]


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers `first` to `last` are not to be had any more."""

    first: int
    last: int
    reason: str


@dataclass(frozen=True, slots=True)
class Renumbered:
    """The station counts anew, in another journal or in none; what follows begins with the oldest that there is.

    Of the old numbers, whatever came after the last one that was given out is lost.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing came from `endpoint` for three heartbeats; told once, until something comes again.

    At the live endpoint it means: treat every part as reject. At the journal's: what is missing still does not come.
    """

    endpoint: str
    seconds: float


Item: TypeAlias = Message | Gap | Renumbered | Silence
