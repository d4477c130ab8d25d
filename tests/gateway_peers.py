"""A peer of a gateway without a protocol, and how tests run a gateway beside a station's two sockets."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from shadowline.errors import PeerLost
from station.client import Client, Gap, Peer, Renumbered
from station.clock import HostClock
from station.config.gateways import GatewayBase
from station.event import InspectionEvent
from station.gateways.age import Ages
from station.gateways.base import Ask, Entry, Expired, Turn, View
from station.gateways.commander import Commander
from station.gateways.gateway import Gateway
from station.gateways.pulse import Pulse
from station.gateways.tally import Tally
from station.worker import Ready, Worker
from tests.journal_double import StationDouble, inspection

__all__ = ["PeerDouble", "carrying", "fresh"]


class PeerDouble:
    """An outlet and its peer, which has a memory of its own: `got` are the entries that it has taken, in order.

    A test's thread sets what it does next: `away` fails, `mute` takes and does not acknowledge.
    """

    def __init__(self, room: int = 8) -> None:
        self.got: list[Entry] = []
        self.views: list[View] = []
        self.away = self.mute = False
        self.opened = self.closed = 0
        self.asks: list[Ask] = []
        self._room = room
        self._waiting: list[Entry] = []
        self._done = 0

    def open(self) -> None:
        self._look()
        self.opened += 1
        self._waiting.clear()

    def put(self, entry: Entry) -> None:
        self._look()
        if isinstance(entry, Renumbered):
            self._done = 0
            self.got.append(entry)
            return
        assert len(self._waiting) < self._room, "there was no room"
        self._waiting.append(entry)

    def turn(self, view: View) -> Turn:
        self._look()
        self.views = [*self.views[-9:], view]
        if not self.mute:
            for entry in self._waiting:
                if (number := entry.last if isinstance(entry, Gap | Expired) else entry.event) > self._done:
                    self.got.append(entry)
                    self._done = number
            self._waiting.clear()
        asks, self.asks = tuple(self.asks), []
        return Turn(self._room - len(self._waiting), self._done, asks, {"turns": 1})

    def close(self) -> None:
        self.closed += 1

    @property
    def numbers(self) -> list[int]:
        """The numbers of the results that it has."""
        return [entry.event for entry in self.got if isinstance(entry, InspectionEvent)]

    def _look(self) -> None:
        if self.away:
            raise PeerLost("away")


def fresh(first: int, last: int, run: str = "run1", camera: str = "top", age_s: float = 0.0) -> list[InspectionEvent]:
    """Return results that were published so long ago."""
    published_ns = time.time_ns() - round(age_s * 1e9)
    return [
        msgspec.structs.replace(inspection(number, run, camera), published_ns=published_ns)
        for number in range(first, last + 1)
    ]


@contextmanager
def carrying(double: StationDouble, peer: PeerDouble, settings: GatewayBase, name: str = "plc") -> Iterator[Tally]:
    """Run a gateway for the length of a block; its tally is what it counts."""
    clock, stopping = HostClock(), threading.Event()
    ages = Ages(clock)
    pulse, tally = Pulse(Peer(double.live), ages), Tally(name, "test")
    commander = Commander(Peer(f"{double.live}-control"))

    def client() -> Client:
        return Client(double.live, double.replay, consumer=f"gateway-{name}", start="first", timeout_s=0.5)

    gateway = Gateway(settings, client, peer, pulse, commander, ages, tally, clock)

    def run(ready: Ready) -> None:
        ready()
        gateway.run(stopping.is_set, _nothing)

    with (
        Worker("pulse", pulse.run, pulse.stop),
        Worker("commander", commander.run, commander.stop),
        Worker("gateway", run, stopping.set) as worker,
    ):
        yield tally
        if worker.failure is not None:
            raise worker.failure


def _nothing() -> None: ...
