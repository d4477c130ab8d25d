"""What the PLC says, as far as it can be relied on: alive, read twice alike, and not half written. Pure."""

from collections.abc import Sequence
from typing import Final

from station.gateways.plc.area import Value
from station.gateways.plc.key import Key
from station.gateways.plc.registers import CONTROL

__all__ = ["Listening"]

_MOVES: Final = 2
"""Between two moves of the heartbeat a PLC has written every word, in whatever order it writes."""
_ENCODER: Final = slice(CONTROL.places["encoder"], CONTROL.places["part_id"])


class Listening:
    """Takes the control words as they are read, one session long."""

    def __init__(self, silent_s: float, low_word_first: bool) -> None:
        """A PLC whose heartbeat stands for `silent_s` is not alive, and what it wants stays as it was."""
        self._silent_s, self._low_word_first = silent_s, low_word_first
        self._heartbeat: int | None = None
        self._moves = 0
        self._moved_s = 0.0
        self._wants: list[int] = []
        self.control: dict[str, Value] = CONTROL.unpack([0] * CONTROL.words)
        """What it wants, as it was read twice alike."""
        self.ack: Key | None = None
        """What it acknowledges; None where that was read half written."""
        self.alive = False

    def hear(self, words: Sequence[int], now_s: float) -> None:
        """Take what was read at a time of the steady clock."""
        values = CONTROL.unpack(words, self._low_word_first)
        self._beat(int(values["plc_heartbeat"]), now_s)
        self.ack = Key.read(values, "ack")
        wants = [*words[: _ENCODER.start], *words[_ENCODER.stop : CONTROL.places["ack_numbering"]]]
        if self.alive and wants == self._wants:
            self.control = values
        self._wants = wants

    def _beat(self, heartbeat: int, now_s: float) -> None:
        if self._heartbeat is not None and heartbeat != self._heartbeat:
            self._moves += 1
            self._moved_s = now_s
        self._heartbeat = heartbeat
        self.alive = self._moves >= _MOVES and now_s - self._moved_s < self._silent_s
