"""What came to the doors and was not let through: counted by reason, told when it begins and ends. Any thread."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from station.security.clients import Domain

__all__ = ["Tally"]

logger = logging.getLogger(__name__)

_CALM_NS = 60_000_000_000


@dataclass(slots=True)
class _Trouble:
    """A stretch of time without a calm minute."""

    since_ns: int
    last_ns: int
    refused: int = 1


class Tally:
    """Counts since the start; the first refusal after a calm minute is logged, and the sum when it is calm again."""

    def __init__(self, tick_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.refused: Counter[tuple[Domain, str]] = Counter()
        self.connections: Counter[tuple[Domain, str]] = Counter()
        """Accepted, admitted (they kept to the protocol, and to the keys where these are asked for) and ended ones."""
        self._tick_ns = tick_ns
        self._troubles: dict[Domain, _Trouble] = {}
        self._lock = threading.Lock()

    def note(self, domain: Domain, event: str) -> None:
        """Count what happened to a connection. Gate thread."""
        self.connections[domain, event] += 1

    def refuse(self, domain: Domain, reason: str, who: str) -> None:
        """Count a refusal for `reason`; `who` is told where it is the first."""
        tick_ns = self._tick_ns()
        with self._lock:
            self.refused[domain, reason] += 1
            trouble = self._troubles.get(domain)
            if trouble is None:
                self._troubles[domain] = _Trouble(tick_ns, tick_ns)
            else:
                trouble.last_ns = tick_ns
                trouble.refused += 1
        if trouble is None:
            logger.warning("%s: refused %s: %s; more is counted and told when it is over", domain, who, reason)

    def calm(self) -> None:
        """Tell what is over. Gate thread."""
        tick_ns = self._tick_ns()
        with self._lock:
            over = {name: one for name, one in self._troubles.items() if tick_ns - one.last_ns > _CALM_NS}
            for domain in over:
                del self._troubles[domain]
        for domain, trouble in over.items():
            seconds = (trouble.last_ns - trouble.since_ns) / 1e9
            logger.info("%s: refused %d in %.0f s, and none for a minute", domain, trouble.refused, seconds)
