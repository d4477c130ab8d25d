"""The gateway's loop without a station: puts what is not settled, and puts it again after every loss."""

import time
from collections.abc import Sequence

from shadowline.errors import PeerLost
from station.event import Heartbeat
from station.gateways.base import Entry, Outlet, Turn, View

__all__ = ["Carrying"]


class Carrying:
    """Carries `entries`, which may grow, by an outlet; `numbers` are what they stand for."""

    def __init__(
        self, outlet: Outlet, entries: Sequence[tuple[int, Entry]] = (), beat: Heartbeat | None = None
    ) -> None:
        self.outlet = outlet
        self.entries = list(entries)
        self.beat = beat
        self.online = True
        self.faults: list[str] = []
        """Every reason for which the peer was lost."""
        self.done = 0
        self.last = Turn(0, 0)
        self._put = 0
        self._is_open = False

    def step(self) -> None:
        """Do one turn; after a loss begin again behind what is done."""
        try:
            if not self._is_open:
                self.outlet.open()
                self._is_open = True
                self._put = sum(number <= self.done for number, _ in self.entries)
                self._look()
            for _, entry in self.entries[self._put : self._put + self.last.room]:
                self.outlet.put(entry)
                self._put += 1
            self._look()
        except PeerLost as fault:
            self.close()
            self.faults.append(str(fault))

    def close(self) -> None:
        """Close; the next step opens anew."""
        self.outlet.close()
        self._is_open = False
        self.last = Turn(0, self.done)

    @property
    def is_done(self) -> bool:
        """Whether all entries are settled."""
        return not self.entries or self.done >= self.entries[-1][0]

    def _look(self) -> None:
        self.last = self.outlet.turn(
            View("line", self.online, self.beat, time.time_ns(), "journal1", "online", "", 0, 0, 0, 0, True)
        )
        self.done = self.last.done
