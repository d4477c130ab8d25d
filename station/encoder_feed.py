"""Tells the odometer what the line's counter shows. The encoder thread owns it.

A counter that is away never stops the station: it is waited for, and meanwhile there are no positions.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Literal, NamedTuple

from station.clock import Clock
from station.config import ModbusEncoder, ZeroMqEncoder
from station.encoders.base import Fault, Heard, News, Source
from station.encoders.modbus import registers
from station.encoders.zeromq import subscription
from station.odometer import Odometer
from station.security.keys import ClientKeys, check_key, read_station_pair

__all__ = ["EncoderFeed", "FeedState"]

logger = logging.getLogger(__name__)

_MAX_TIMEOUT_S = 1.0


class FeedState(NamedTuple):
    """Whether the counter is heard, and what is wrong where it is not."""

    name: Literal["starting", "online", "offline"]
    detail: str


class EncoderFeed:
    """Runs in a `Worker`; feeds the odometer until stopped.

    `state` is `offline` while the counter was not heard for `stale_after_s`, which is when there are no positions.
    `faults` counts messages that were ignored, readings that failed and connections that were lost.
    """

    def __init__(
        self,
        config: ModbusEncoder | ZeroMqEncoder,
        stale_after_s: float,
        odometer: Odometer,
        clock: Clock,
        key_folder: Path | None = None,
    ) -> None:
        """`key_folder` holds the station's own keys, for a publisher that is known by its key."""
        self.state = FeedState("starting", "")
        self.faults = 0
        self._config = config
        self._stale_after_s = stale_after_s
        self._odometer = odometer
        self._clock = clock
        self._key_folder = key_folder
        self._stopping = threading.Event()
        self._heard_ns = clock.tick_ns()
        self._trouble = ""
        self._coil: str | None = None

    def run(self, ready: Callable[[], None]) -> None:
        """Feed the odometer; wait for a counter that is not there.

        Raises `MissingExtra`, `ConfigError` for what is no endpoint, and `KeysError` for keys that can't be used.
        """
        with closing(self._source()) as source:
            next(source)
            ready()
            for item in source:
                self._take(item)
                self._watch_silence()

    def stop(self) -> None:
        """Let the thread end within its poll, or the time-out of a reading. Any thread."""
        self._stopping.set()

    def _source(self) -> Source:
        match self._config:
            case ModbusEncoder():
                timeout_s = min(self._stale_after_s / 2, _MAX_TIMEOUT_S)
                return registers(self._config, timeout_s, self._clock, self._stopping)
            case ZeroMqEncoder():
                return subscription(self._config, self._keys_for(self._config), self._clock, self._stopping)

    def _keys_for(self, config: ZeroMqEncoder) -> ClientKeys | None:
        if config.publisher_key is None or self._key_folder is None:
            return None
        check_key(config.publisher_key, "[line.encoder] publisher_key")
        return ClientKeys(read_station_pair(self._key_folder), config.publisher_key)

    def _take(self, item: News) -> None:
        match item:
            case Heard():
                self._tell(item)
            case Fault():
                self.faults += 1
                self._trouble = item.text

    def _tell(self, heard: Heard) -> None:
        self._heard_ns, self._trouble = heard.tick_ns, ""
        self._odometer.read(heard.count, heard.tick_ns)
        if heard.coil is not None and heard.coil != self._coil:
            self._coil = heard.coil
            self._odometer.begin_coil(heard.coil, heard.tick_ns)
        self._change(FeedState("online", ""))

    def _watch_silence(self) -> None:
        if self._clock.tick_ns() - self._heard_ns > self._stale_after_s * 1e9:
            self._change(FeedState("offline", self._trouble or f"no count for {self._stale_after_s:g} s"))

    def _change(self, state: FeedState) -> None:
        if state.name != self.state.name:
            level = logging.WARNING if state.name == "offline" else logging.INFO
            logger.log(level, "encoder is %s%s", state.name, f": {state.detail}" if state.detail else "")
        self.state = state
