"""The memory that PLC and station share, and the order in which the station writes. The gateway's thread."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol

from station.gateways.plc.area import Values
from station.gateways.plc.registers import HEAD, OUTPUT, RESULT, TAIL

__all__ = ["Memory", "Opening", "StatusWriter"]

_HEAD: Final = OUTPUT.words
_RESULT: Final = _HEAD + HEAD.words
_TAIL: Final = _RESULT + RESULT.words
_KEY: Final = HEAD.places["head_numbering"]


class Memory(Protocol):
    """Words that PLC and station share. Every call may raise `PeerLost`."""

    def read_control(self) -> Sequence[int]:
        """Return the words of `CONTROL`."""

    def write_status(self, place: int, words: Sequence[int]) -> None:
        """Write words of `STATUS`, from the word `place` on."""

    def write_reject(self, reject: bool) -> None:
        """Write the output's own bit, where it has one beside the word `outputs`."""


class Opening(Protocol):
    """Makes a memory that can be used for the length of a `with` block."""

    def __call__(self) -> AbstractContextManager[Memory]: ...


class StatusWriter:
    """Writes areas that have changed, as a whole; all of them after `forget`: a PLC that started anew has lost them."""

    def __init__(self, memory: Memory, low_word_first: bool) -> None:
        self._memory, self._low_word_first = memory, low_word_first
        self._known: dict[int, list[int]] = {}
        self._is_hidden = False
        """The head that was written last has no key."""

    def forget(self) -> None:
        """Take nothing for written."""
        self._known.clear()
        self._is_hidden = False

    def reject(self, reject: bool) -> None:
        """Write the output, alone and at once."""
        if 0 not in self._known or self._known[0][0] != reject:
            self._memory.write_reject(reject)
        self._write(0, OUTPUT.pack({"reject": reject}))

    def result(self, values: Values) -> None:
        """Write a result, the tail with its key first; the head comes after it.

        While the head names no result, nobody reads here, and one request does.
        """
        words, tail = RESULT.pack(values, self._low_word_first), TAIL.pack(values, self._low_word_first)
        if self._is_hidden and words != self._known.get(_RESULT):
            self._memory.write_status(_RESULT, words + tail)
            self._known[_RESULT], self._known[_TAIL] = words, tail
        self._write(_TAIL, tail)
        self._write(_RESULT, words)

    def head(self, values: Values) -> None:
        """Write the head, with the key that says which result is shown."""
        words = HEAD.pack(values, self._low_word_first)
        self._write(_HEAD, words)
        self._is_hidden = not any(words[_KEY:])

    def _write(self, place: int, words: list[int]) -> None:
        if words != self._known.get(place):
            self._known.pop(place, None)
            self._memory.write_status(place, words)
            self._known[place] = words
