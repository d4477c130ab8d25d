"""What must be known at once: whether the station lives, and what is under the reject gate. The pulse thread.

It hears the station live and never waits for what was missed; the record comes another way (`gateway.py`).
"""

import logging
import threading
from collections.abc import Callable

from shadowline.errors import ConfigError, KeysError, StationError
from station.client import Client, Gap, Item, Peer, Renumbered, Silence
from station.event import Heartbeat, InspectionEvent
from station.gateways.age import Ages
from station.gateways.gate import RejectGate
from station.gateways.place import Place

__all__ = ["Pulse"]

logger = logging.getLogger(__name__)

_JOIN_S = 0.5
_AGAIN_S = 0.2
_LOOK_S = 0.1


class Pulse:
    """Runs in a `Worker`; the gateway's thread asks for `beat`, `online`, `late` and `rejects`."""

    def __init__(self, peer: Peer, ages: Ages, gate: RejectGate | None = None, place: Place | None = None) -> None:
        """Without a gate and its place everything is rejected."""
        self.beat: Heartbeat | None = None
        self.online = False
        """The station is heard. A station that is not means reject."""
        self._peer, self._ages = peer, ages
        self._gate, self._place = gate, place
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def run(self, ready: Callable[[], None]) -> None:
        """Listen until stopped; wait for a station that is not there. Raises `ConfigError` and `KeysError`."""
        ready()
        while not self._stopping.is_set():
            try:
                with Client(self._peer, heartbeats=True, timeout_s=_JOIN_S) as client:
                    while not self._stopping.is_set():
                        self._take(client.receive(_LOOK_S))
            except (ConfigError, KeysError):
                raise
            except StationError as fault:
                logger.debug("%s", fault)
                self._stopping.wait(_AGAIN_S)

    def stop(self) -> None:
        """Let the thread end. Any thread."""
        self._stopping.set()

    @property
    def late(self) -> int:
        """Verdicts that came when their part had reached the gate. Any thread."""
        return self._gate.late if self._gate is not None else 0

    def rejects(self) -> bool:
        """Return the output of the gate now. Any thread."""
        if self._gate is None or self._place is None or not self.online:
            return True
        with self._lock:
            here = self._place.here()
            return here is None or self._gate.rejects(here)

    def _take(self, item: Item | None) -> None:
        match item:
            case Heartbeat():
                self._ages.hear(item)
                if self.beat is None or self.beat.origin.run != item.origin.run:
                    self._forget()
                self.beat = item
                if not self.online:
                    logger.info("station %s is heard", item.origin.station)
                self.online = True
            case InspectionEvent():
                self._judge(item)
            case Silence():
                self.online = False
                self._forget()
                logger.warning("%s: nothing for %.1f s: everything is rejected", item.endpoint, item.seconds)
            case Gap() | Renumbered() | None:
                pass
            case _:
                pass

    def _judge(self, event: InspectionEvent) -> None:
        if self._gate is None or self._place is None:
            return
        with self._lock:
            here, stretch = self._place.here(), self._place.of(event)
            if here is not None and stretch is not None:
                self._gate.tell(event.camera, stretch, here)

    def _forget(self) -> None:
        """Forget what is on its way to the gate: nobody knows any more where it is."""
        if self._gate is not None:
            with self._lock:
                self._gate.clear()
