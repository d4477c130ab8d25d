"""What all gateways share: entries, what they tell of the station, and the outlet that carries both to a peer. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from station.client import Gap, Renumbered
from station.control_protocol import Request
from station.event import Heartbeat, Numbered

__all__ = ["Ask", "Entry", "Expired", "GatewayState", "Outlet", "Turn", "View"]


@dataclass(frozen=True, slots=True)
class Expired:
    """Messages `first` to `last` were too old when the peer could have had them, `inspections` results among them."""

    first: int
    last: int
    inspections: int


Entry: TypeAlias = Numbered | Gap | Expired | Renumbered
"""What an outlet is given, in order. After `Renumbered`, numbers begin anew."""

GatewayState: TypeAlias = Literal["starting", "online", "retrying", "offline"]
"""`retrying` after a loss, `offline` when the breaker is open."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that the peer made: `number` names it to the outlet, for its answer in `View.answers`."""

    number: int
    request: Request


@dataclass(frozen=True, slots=True)
class View:
    """The station as its gateway knows it now."""

    station: str
    online: bool
    """It is heard, and its journal is; otherwise everything means reject."""
    beat: Heartbeat | None
    """Its last heartbeat."""
    now_ns: int
    """UTC, of this computer."""
    journal: str
    """The id of the journal that numbers count in, where known."""
    state: GatewayState
    detail: str
    waiting: int
    """Messages known to be on their way to the peer."""
    expired: int
    """Results that were too old, in all."""
    lost: int
    """Messages that never reached the gateway, in all."""
    late: int
    """Results that came after their part had passed the gate, in all."""
    reject: bool
    """Output of the gate, True where no gate is configured or nothing is known: reject."""
    answers: Mapping[int, str] = field(default_factory=dict)
    """Since the last view: the number of an `Ask`, and why the station refused; empty where it did as asked."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What an outlet says after a turn."""

    room: int
    """So many entries may be put before the next turn."""
    done: int
    """All up to this number is settled with the peer: acknowledged by it, or given up for a reason that was told."""
    asks: tuple[Ask, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    """Totals of the outlet's own, by name: `station_gateway_events_total{what}`."""


class Outlet(Protocol):
    """Carries entries to one peer. The gateway's one thread owns it; threads of a library stay inside it.

    After every `open`, all entries behind `Turn.done` are put again, in order: an outlet knows by their numbers which
    of them its peer has already.
    """

    def open(self) -> None:
        """Connect, or begin to listen. Raises `PeerLost`; `ConfigError` and `MissingExtra` end the gateway."""

    def put(self, entry: Entry) -> None:
        """Take an entry, for which there was room. Raises `PeerLost`."""

    def turn(self, view: View) -> Turn:
        """Do what is due, a few milliseconds long: show `view`, send, read what the peer has to say.

        Raises `PeerLost`.
        """

    def close(self) -> None:
        """End the session within a second and free everything; at any time, and never fails."""
