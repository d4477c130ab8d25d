"""The outlet to an MQTT broker. The gateway's one thread owns it.

An entry is settled when the broker has acknowledged it and all before it.
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from shadowline.errors import PeerLost
from station.client import Gap, Renumbered
from station.config import Config
from station.config.gateways import MqttConfig
from station.gateways.base import Entry, Expired, Turn, View
from station.gateways.mqtt.base import Language, Publication
from station.gateways.mqtt.connection import Connection
from station.gateways.mqtt.plain_json import PlainJson
from station.gateways.mqtt.sparkplug import SparkplugNode

__all__ = ["MqttOutlet"]

_FULL_MS = 2
_HEADER_BYTES = 512
"""What a message takes beside its payload, its topic among it."""


@dataclass(slots=True)
class _Carried:
    last: int | None
    """All up to this number is settled with it; None for the news that numbers begin anew."""
    awaits: set[int]
    """What the broker has to acknowledge; empty until something is sent that it does."""


class MqttOutlet:
    """Says entries in a language, over one connection at a time."""

    def __init__(self, name: str, settings: MqttConfig, config: Config) -> None:
        """`name` is the gateway's."""
        station = config.station.name
        self._settings = settings
        self._client_id = settings.client_id or f"shadowline-{station}-{name}"
        self._language = _language(settings, station)
        self._connection: Connection | None = None
        self._carried: deque[_Carried] = deque()
        self._done = 0
        self._begun = self._anew = False
        self._counts = Counter(messages=0, unheard=0, too_long=0)

    def open(self) -> None:
        """Connect. Raises `PeerLost`; `ConfigError`, `KeysError` and `MissingExtra` end the gateway."""
        self._carried.clear()
        self._begun = False
        self._connection = Connection(self._settings, self._client_id, self._language.begin(), self._counts)
        self._connection.open()

    def put(self, entry: Entry) -> None:
        """Say an entry. Raises `PeerLost`."""
        if self._anew:
            self._done = 0
        self._anew = isinstance(entry, Renumbered)
        self._carried.append(_Carried(_last(entry), self._say(self._fitting(entry))))

    def turn(self, view: View) -> Turn:
        """Send, read, and say what has changed of the station. Raises `PeerLost`."""
        connection = self._connected()
        connection.serve()
        while connection.heard:
            self._language.hear(*connection.heard.popleft())
        if said := self._language.tell(view):
            self._say(said)
            self._begun = True
        self._mark()
        if not self._room():
            connection.serve(_FULL_MS)
        self._settle()
        return Turn(self._room() if self._begun else 0, self._done, counts=dict(self._counts))

    def close(self) -> None:
        """End the session: what was begun ends with its will, and nothing is left."""
        if self._connection is not None:
            self._connection.close(say_will=self._begun)
            self._connection = None

    def _connected(self) -> Connection:
        if self._connection is None:
            raise PeerLost("there is no connection")
        return self._connection

    def _fitting(self, entry: Entry) -> Sequence[Publication]:
        """Return an entry's messages; where the broker takes none that long, the news of its loss."""
        said = self._language.carry(entry)
        most = self._connected().most_bytes - _HEADER_BYTES
        last = _last(entry)
        if last is None or max((len(one.payload) for one in said), default=0) <= most:
            return said
        self._counts["too_long"] += 1
        return self._language.carry(Gap(last, last, f"longer than the {most} bytes that the broker takes"))

    def _say(self, publications: Sequence[Publication]) -> set[int]:
        """Send, and return what is to be acknowledged."""
        numbers = {self._connected().publish(one) for one in publications}
        self._counts["messages"] += len(publications)
        return {number for number in numbers if number is not None}

    def _mark(self) -> None:
        """Let the broker acknowledge what has no acknowledgement of its own."""
        unmarked = [carried for carried in self._carried if not carried.awaits]
        if unmarked:
            number = self._connected().mark()
            for carried in unmarked:
                carried.awaits.add(number)

    def _settle(self) -> None:
        waiting = self._connected().waiting.keys()
        while self._carried and self._carried[0].awaits and self._carried[0].awaits.isdisjoint(waiting):
            last = self._carried.popleft().last
            self._done = self._done if last is None else last

    def _room(self) -> int:
        connection = self._connected()
        return max(0, connection.window - max(len(connection.waiting), len(self._carried)))


def _language(settings: MqttConfig, station: str) -> Language:
    if settings.format == "sparkplug":
        return SparkplugNode(settings.group or "shadowline", station, settings.cameras, settings.primary_host)
    return PlainJson(settings.topic or f"shadowline/{station}", station)


def _last(entry: Entry) -> int | None:
    match entry:
        case Gap() | Expired():
            return entry.last
        case Renumbered():
            return None
        case _:
            return entry.event
