"""What is said on a broker, and the languages that a station's messages are said in. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from station.gateways.base import Entry, View

__all__ = ["Begin", "Language", "Publication"]


@dataclass(frozen=True, slots=True)
class Publication:
    """A message on its way to the broker."""

    topic: str
    payload: bytes
    qos: Literal[0, 1] = 1
    retain: bool = False
    perishable: bool = False
    """It is worthless once it is older than `max_age_s`: the broker need not keep it longer for anybody."""
    result: bool = False
    """It is for the record: somebody should have subscribed to it."""


@dataclass(frozen=True, slots=True)
class Begin:
    """What a connection begins with."""

    will: Publication
    """What the broker says when the gateway is gone, and the gateway before it goes."""
    topics: tuple[str, ...]
    """What the gateway listens to."""


class Language(Protocol):
    """Puts entries into messages. State is of one connection and begins anew with `begin`."""

    def begin(self) -> Begin:
        """Begin a connection."""

    def hear(self, topic: str, payload: bytes) -> None:
        """Take what came on one of the topics; nothing of it is believed."""

    def tell(self, view: View) -> Sequence[Publication]:
        """Return what is to be said of the station now. Once it was something, entries may be carried.

        Raises `PeerLost` where nobody is there to hear it.
        """

    def carry(self, entry: Entry) -> Sequence[Publication]:
        """Return an entry as messages."""
