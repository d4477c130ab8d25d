"""No sequence of PLC and station steps loses, repeats or misplaces a result.

The whole outlet runs against a model of the PLC's program, one word at a time, while either side is killed, restarted,
cut off, kept waiting or told that numbers begin anew.
"""

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shadowline.errors import PeerLost
from station.client import Renumbered
from station.clock import ManualClock
from station.config import Config
from station.config.gateways import ModbusConfig
from station.event import InspectionEvent
from station.gateways.base import Entry, Expired
from station.gateways.plc.outlet import PlcOutlet
from station.gateways.plc.registers import DEFECTS
from tests.plc_double import PlcModel, SharedMemory
from tests.plc_views import result_of, view_of

MAX_AGE_S = 5000.0
TURN_S = 0.2
SETTINGS = ModbusConfig(type="modbus", role="client", host="127.0.0.1", max_age_s=MAX_AGE_S, silent_s=600.0)
CONFIG = Config.model_validate({"camera": [{"name": "top", "type": "simulated"}]})
HELD = 24

SCAN = 0
INTERRUPTS = st.lists(st.tuples(st.integers(1, 220), st.just(SCAN) | st.integers(1, 250)), max_size=4)
"""At which of the gateway's accesses to a word the PLC makes how many, or ends its cycle."""


class Killed(Exception):
    """The gateway's process ends here."""


@dataclass(frozen=True, order=True)
class Name:
    """Result `event` of the journal's life `era`."""

    era: int
    event: int

    @property
    def part(self) -> str:
        return f"{self.era}-{self.event}"

    @staticmethod
    def of(result: dict[str, Any]) -> "Name":
        """Return which result the PLC has taken; all its words must agree."""
        era, event = map(int, result["result_part_id"].split("-"))
        assert result["head_inspection"] == result["sequence"] == event
        assert {result[f"defect_{number}_x"] for number in range(1, DEFECTS + 1)} == {event % 999}
        return Name(era, event)


class Exchange(RuleBasedStateMachine):
    """A station and its journal, a gateway like `station.gateways.gateway` without the waiting, and a PLC."""

    forgets = False
    """The memory is the gateway's, and goes with it; else the PLC's."""
    buffered = True

    @initialize()
    def begin(self) -> None:
        self.clock, self.memory = ManualClock(), SharedMemory()
        self.plc = PlcModel(self.memory)
        self.plc.wants["newest_only"] = int(not self.buffered)
        self.era, self.journal, self.cursor = 0, "journal", 0
        self.kept: list[InspectionEvent] = []
        self.fenced = self.copied = False
        self.taken: list[Name] = []
        self.settled: set[Name] = set()
        self.excused: set[Name] = set()
        """Need not come: too old, replaced by a newer one, or gone with their journal."""
        self.forgotten: set[Name] = set()
        """May come again: the PLC has lost its memory of them."""
        self.start()

    def start(self) -> None:
        """Start a gateway, from the cursor in the journal."""
        if self.forgets:
            self.memory = self.plc.memory = SharedMemory()
        self.outlet = PlcOutlet("plc", SETTINGS, CONFIG, self.memory.opening, self.clock)
        self.outlet.open()
        self.counts: Mapping[str, int] = {}
        self.settled_here = 0
        """Results that this gateway's process settled, but for those that it found too old by itself."""
        self.held: deque[Entry] = deque([Renumbered("older")] if self.fenced else [])
        self.read, self.put, self.room = self.cursor, 0, 0
        self.gateway_era = self.era - self.fenced

    @rule(count=st.integers(1, 12))
    def inspect(self, count: int) -> None:
        for event in range(len(self.kept) + 1, len(self.kept) + 1 + count):
            self.kept.append(result_of(event, self.clock.utc_ns(), Name(self.era, event).part))

    @rule(steps=st.integers(1, 300))
    def run_plc(self, steps: int) -> None:
        self.plc.step(steps)

    @rule(times=st.integers(1, 4))
    def exchange(self, times: int) -> None:
        for _ in range(times):
            self.plc.scan()
            self.turn()

    @rule(interrupts=INTERRUPTS, more=st.integers(0, 3))
    def turn_interrupted(self, interrupts: list[tuple[int, int]], more: int) -> None:
        self.turn(dict(interrupts))
        for _ in range(more):
            self.turn()

    @rule(interrupts=INTERRUPTS, after=st.integers(1, 250))
    def kill_gateway(self, interrupts: list[tuple[int, int]], after: int) -> None:
        with suppress(Killed):
            self.turn(dict(interrupts), after, Killed())
        if self.fenced and not self.copied:
            self.begin_anew()
        if self.copied and not self.cursor:  # the copy is begun once more
            self.forgotten |= {Name(self.era, event.event) for event in self.kept}
            self.fenced = True
        self.start()

    @rule(interrupts=INTERRUPTS, after=st.integers(1, 250))
    def lose_connection(self, interrupts: list[tuple[int, int]], after: int) -> None:
        with suppress(PeerLost):
            self.turn(dict(interrupts), after, PeerLost("away"))
        self.memory.away = True
        self.outlet.close()
        self.memory.away = False
        self.outlet.open()
        self.put = self.room = 0

    @rule()
    def keep_cursor(self) -> None:
        """The acknowledgement is on disk; a gateway that was killed before begins in front of it."""
        if not self.fenced:
            self.cursor = max((name.event for name in self.settled if name.era == self.era), default=0)

    @rule(kept=st.booleans())
    def restart_plc(self, kept: bool) -> None:
        if not kept:
            self.forgotten |= {name for name in self.taken if name.era < self.era or name.event > self.cursor}
            self.memory.control[:] = [0] * len(self.memory.control)
            if not self.forgets:
                self.memory.status[:] = [0] * len(self.memory.status)
        self.plc.restart(kept)

    @rule()
    def wait(self) -> None:
        """All that there is becomes too old."""
        self.excused |= {Name(self.era, event.event) for event in self.kept}
        self.excused |= {Name(self.gateway_era, one.event) for one in self.held if isinstance(one, InspectionEvent)}
        self.clock.sleep(MAX_AGE_S + 1)

    @precondition(lambda self: not self.fenced and self.era < 3)
    @rule(changed=st.booleans())
    def renumber(self, changed: bool) -> None:
        """The station counts from 1 again, in another journal or in an old copy of this one."""
        self.excused |= {Name(self.era, event.event) for event in self.kept}
        self.copied, self.fenced = not changed, True
        self.journal = f"journal{self.era}" if changed else self.journal
        self.era, self.kept, self.cursor = self.era + 1, [], 0
        self.held.append(Renumbered("anew"))

    def begin_anew(self) -> None:
        self.fenced, self.gateway_era, self.read = False, self.era, 0

    def turn(
        self, due: Mapping[int, int] = MappingProxyType({}), after: int = 0, fault: Exception | None = None
    ) -> None:
        """Let the gateway turn once. At its accesses in `due` the PLC goes on; after so many the fault comes."""
        count = 0

        def between() -> None:
            nonlocal count
            count += 1
            if due.get(count) == SCAN:
                self.plc.scan()
            else:
                self.plc.step(due.get(count, 0))
            if fault is not None and count == after:
                raise fault

        self.clock.sleep(TURN_S)
        self.memory.between = between
        try:
            self.put_entries()
            turn = self.outlet.turn(view_of(self.clock, self.journal))
        finally:
            self.memory.between = lambda: None
        self.room, self.counts = turn.room, turn.counts
        self.settle(turn.done)

    def put_entries(self) -> None:
        if not self.fenced:
            fresh = self.kept[self.read :][: HELD - len(self.held)]
            self.held.extend(fresh)
            self.read += len(fresh)
        while self.room > 0 and self.put < len(self.held):
            entry = self.held[self.put]
            if isinstance(entry, InspectionEvent) and self.clock.utc_ns() - entry.published_ns > MAX_AGE_S * 1e9:
                self.held[self.put] = entry = Expired(entry.event, entry.event, 1)
            self.outlet.put(entry)
            self.put, self.room = self.put + 1, self.room - 1

    def settle(self, done: int) -> None:
        while self.held and self.put:
            entry = self.held[0]
            if isinstance(entry, Renumbered):
                self.begin_anew()
            else:
                number = entry.event if isinstance(entry, InspectionEvent) else entry.last
                if number > done:
                    return
                self.settled.add(Name(self.gateway_era, number))
                self.settled_here += isinstance(entry, InspectionEvent)
            self.held.popleft()
            self.put -= 1

    @invariant()
    def nothing_comes_twice_or_in_another_order(self) -> None:
        for result in self.plc.results[len(self.taken) :]:
            name = Name.of(result)
            before = [one for one in self.taken if one not in self.forgotten]
            assert name in self.forgotten or not before or name > before[-1], f"{name} after {before[-1]}"
            self.taken.append(name)

    @invariant()
    def what_is_settled_is_counted_once(self) -> None:
        counted = [self.counts.get(how, 0) for how in ("taken", "already_taken", "not_acknowledged", "overruns")]
        assert sum(counted) == self.settled_here
        assert counted[0] <= len(self.plc.results)

    @invariant()
    def what_is_settled_was_taken_or_given_up(self) -> None:
        if self.buffered:
            assert self.settled <= {Name.of(result) for result in self.plc.results} | self.excused

    def teardown(self) -> None:
        """In the end, with both sides well, everything that was young enough has come."""
        if not hasattr(self, "read"):
            return
        everything = {Name(self.era, event.event) for event in self.kept}
        for _ in range(40 + 3 * len(self.kept)):
            self.plc.scan()
            self.turn()
            self.nothing_comes_twice_or_in_another_order()
            if everything <= self.settled:
                break
        self.what_is_settled_was_taken_or_given_up()
        assert everything <= self.settled
        if self.kept:
            newest = Name(self.era, len(self.kept))
            assert newest in self.taken or newest in self.excused


class ExchangeInTheGateway(Exchange):
    forgets = True


class ExchangeUnbuffered(Exchange):
    buffered = False


@pytest.mark.parametrize("machine", [Exchange, ExchangeInTheGateway, ExchangeUnbuffered])
def test_no_sequence_of_steps_loses_repeats_or_misplaces_a_result(machine: type[Exchange]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=500,
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
