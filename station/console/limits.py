"""How often a login may be tried, by name and by address, and how much one address may ask. Any thread."""

import time
from collections.abc import Callable
from threading import Lock

from station.security.limits import Shares

__all__ = ["Limits"]

_ADDRESS_SHARE = 3.0


class Limits:
    """Says whether one more is allowed now."""

    def __init__(
        self, logins_per_minute: float, requests_per_s: float, tick_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        per_s, most = logins_per_minute / 60.0, max(1.0, logins_per_minute)
        self._names = Shares(per_s, most)
        self._addresses = Shares(per_s * _ADDRESS_SHARE, most * _ADDRESS_SHARE)
        self._requests = Shares(requests_per_s, max(1.0, requests_per_s * 2))
        self._tick_ns = tick_ns
        self._lock = Lock()

    def may_try(self, name: str, address: str) -> bool:
        """Whether somebody at `address` may try to log in as `name` now."""
        with self._lock:
            tick_ns = self._tick_ns()
            return self._addresses.take(address, tick_ns) and self._names.take(name.strip().lower()[:64], tick_ns)

    def may_ask(self, address: str) -> bool:
        """Whether `address` may send a request now."""
        with self._lock:
            return self._requests.take(address, self._tick_ns())
