"""A PLC as a model: the program of docs/plc.md, a word a step, and the memory that it shares with a gateway."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from shadowline.errors import PeerLost
from station.gateways.plc.memory import Memory
from station.gateways.plc.registers import CONTROL, HEAD, OUTPUT, RESULT, STATUS_WORDS, TAIL

__all__ = ["PlcModel", "SharedMemory", "read_status"]

KEY = ("numbering", "inspection", "check")


@dataclass
class SharedMemory:
    """Words of both areas. `between` is called before every access to a word, by the gateway's side."""

    control: list[int] = field(default_factory=lambda: [0] * CONTROL.words)
    status: list[int] = field(default_factory=lambda: [0] * STATUS_WORDS)
    coil: bool | None = None
    away: bool = False
    between: Callable[[], None] = lambda: None
    writes: list[tuple[int, int]] = field(default_factory=list)
    """Place and length of what was written since the test looked."""

    @contextmanager
    def opening(self) -> Iterator[Memory]:
        self._reach()
        yield self

    def read_control(self) -> Sequence[int]:
        self._reach()
        return [self._word(place) for place in range(CONTROL.words)]

    def write_status(self, place: int, words: Sequence[int]) -> None:
        self._reach()
        self.writes.append((place, len(words)))
        for at, word in enumerate(words, place):
            self.between()
            self.status[at] = word

    def write_reject(self, reject: bool) -> None:
        self._reach()
        self.coil = reject

    def _word(self, place: int) -> int:
        self.between()
        return self.control[place]

    def _reach(self) -> None:
        if self.away:
            raise PeerLost("away")


class PlcModel:
    """Runs the program; `step` is one word read or written, so that everything can happen between two of them."""

    def __init__(self, memory: SharedMemory, acknowledges: bool = True) -> None:
        self.memory, self._acknowledges = memory, acknowledges
        self.wants: dict[str, int | str] = {"newest_only": 0}
        self.taken: dict[str, Any] = dict.fromkeys(KEY, 0)
        """In memory that is kept (RETAIN)."""
        self.heartbeat = 0
        self.results: list[dict[str, Any]] = []
        """What it took, in order."""
        self._program = self._scan()

    def step(self, count: int = 1) -> None:
        """Go on by so many accesses."""
        for _ in range(count):
            if next(self._program, "ended") == "ended":
                self._program = self._scan()

    def scan(self) -> None:
        """Run one cycle to its end."""
        while next(self._program, "ended") != "ended":
            pass
        self._program = self._scan()

    def restart(self, kept: bool) -> None:
        """Lose power in mid-cycle; without `kept` everything is forgotten."""
        self._program = self._scan()
        self.heartbeat = 0
        if not kept:
            self.taken = dict.fromkeys(KEY, 0)

    def _scan(self) -> Iterator[None]:
        words: list[int] = []
        for place in range(STATUS_WORDS):
            words.append(self.memory.status[place])
            yield
        values = read_status(words)
        head = {part: values[f"head_{part}"] for part in KEY}
        tail = {part: values[f"tail_{part}"] for part in KEY}
        if head == tail and any(head.values()) and head != self.taken:
            self.results.append(values)
            self.taken = head
        self.heartbeat = (self.heartbeat + 1) % 2**16
        ack = {f"ack_{part}": value for part, value in self.taken.items()} if self._acknowledges else {}
        control = CONTROL.pack(self.wants | ack | {"plc_heartbeat": self.heartbeat})
        for place, word in enumerate(control):
            self.memory.control[place] = word
            yield


def read_status(words: Sequence[int]) -> dict[str, Any]:
    """Return all that the station shows; the output is `outputs_reject`."""
    values: dict[str, Any] = {"outputs_reject": words[0] & 1}
    place = OUTPUT.words
    for area in (HEAD, RESULT, TAIL):
        values.update(area.unpack(words[place : place + area.words]))
        place += area.words
    return values
