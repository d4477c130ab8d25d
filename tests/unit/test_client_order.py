"""One stream of what was heard live and what the journal gives: in order, each once, no loss untold."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from station.client import Gap, Item, Renumbered
from station.client.order import Order
from station.event import EngineRecord, Heartbeat, InspectionEvent, JournalRecord, Origin
from station.journal.protocol import Page, Read
from tests.journal_double import JournalDouble, inspection


def beat(journal: JournalDouble | None, run: str = "run1", last_event: int = 0) -> Heartbeat:
    record = JournalRecord(journal.id, journal.first, journal.last, 0, "online") if journal else None
    return Heartbeat(Origin("line", run, "", ""), 0, 1.0, last_event, {}, EngineRecord("", (), ""), {}, journal=record)


def hear(order: Order, *events: int, run: str = "run1") -> None:
    for event in events:
        order.hear(inspection(event, run), 100)


def read(order: Order, journal: JournalDouble) -> bool:
    """Read what is wanted, once; whether anything was."""
    want = order.wanted()
    if want is None:
        return False
    page, _ = journal.answer(Read(1, *want))
    assert isinstance(page, Page)
    order.read(page, [one for one in journal.kept if want[0] <= one.event < page.next])
    return True


def taken(order: Order) -> list[object]:
    """Take what is ready: numbers of messages, and what else there is."""
    items = [item.event if isinstance(item, InspectionEvent) else item for item in order.ready]
    order.ready.clear()
    return items


def kept(*events: int, **how: object) -> JournalDouble:
    return JournalDouble([inspection(event) for event in events], **how)  # type: ignore[arg-type]


@pytest.fixture
def order() -> Order:
    return Order(replays=True, max_bytes=10_000)


def test_live_messages_are_ready_at_once_though_not_on_disk(order: Order) -> None:
    hear(order, 7, 8, 9)
    assert taken(order) == [7, 8, 9]
    assert order.wanted() is None


def test_a_gap_of_the_live_ones_is_filled_from_the_journal_in_its_place(order: Order) -> None:
    hear(order, 1, 2, 5, 6)
    assert taken(order) == [1, 2]
    assert order.wanted() == (3, 4)
    read(order, kept(1, 2, 3, 4, 5))
    assert taken(order) == [3, 4, 5, 6]


def test_what_is_not_on_disk_yet_is_waited_for(order: Order) -> None:
    hear(order, 1, 3)
    for disk in (kept(1), JournalDouble()):
        read(order, disk)
        assert taken(order) in ([1], [])
    assert order.wanted() == (2, 2)
    read(order, kept(1, 2))
    assert taken(order) == [2, 3]


def test_what_the_journal_lacks_is_told_in_its_place_with_the_reason(order: Order) -> None:
    hear(order, 1, 3, 6)
    taken(order)
    read(order, kept(1, 3, 6))
    read(order, kept(1, 3, 6))
    assert taken(order) == [
        *(Gap(2, 2, "never reached the journal"), 3),
        *(Gap(4, 5, "never reached the journal"), 6),
    ]


def test_what_the_journal_has_dropped_is_told_as_such(order: Order) -> None:
    order.begin(3, "journal1")
    read(order, kept(10, 11))
    assert taken(order) == [Gap(3, 9, "no longer in the journal"), 10, 11]


def test_a_heard_message_that_never_reached_the_journal_is_given_out_once(order: Order) -> None:
    hear(order, 1, 3, 4)
    disk = kept(1)
    disk.last = 20  # killed before 2 to 4 were on disk; numbers go on behind a reserve
    read(order, disk)
    hear(order, 21, run="run2")
    assert taken(order) == [1, Gap(2, 2, "never reached the journal"), 3, 4]
    disk.keep(inspection(21, "run2"))
    read(order, disk)
    assert taken(order) == [Gap(5, 20, "never reached the journal"), 21]


def test_numbers_that_go_on_over_a_restart_are_one_stream(order: Order) -> None:
    disk = kept(1, 2, 3)
    hear(order, 1, 2, 3)
    order.hear_heartbeat(beat(disk))
    hear(order, 4, 5, run="run2")
    assert taken(order) == [1, 2, 3], "first it must be sure that the journal is the same"
    order.hear_heartbeat(beat(disk, "run2"))
    assert taken(order) == [4, 5]


def test_another_journal_is_told_and_read_from_its_oldest_message(order: Order) -> None:
    hear(order, 1, 2, 4)
    order.hear_heartbeat(beat(kept(1, 2)))
    taken(order)
    hear(order, 5, run="run2")
    fresh = kept(1, 2, 3, 4, 5, id="journal2")
    read(order, fresh)
    assert taken(order) == [
        *(Gap(3, 3, "the station keeps another journal"), 4),
        Renumbered("the station keeps another journal"),
    ]
    read(order, fresh)
    assert taken(order) == [1, 2, 3, 4, 5]


def test_numbers_that_go_back_in_the_same_journal_are_told(order: Order) -> None:
    disk = kept(*range(1, 11))
    hear(order, *range(8, 11))
    order.hear_heartbeat(beat(disk))
    taken(order)
    older = kept(1, 2, 3)
    hear(order, 4, run="run2")
    assert read(order, older)
    order.hear_heartbeat(beat(older, "run2"))
    assert taken(order)[:4] == [Renumbered("the station's numbers went back"), 1, 2, 3]


def test_a_consumer_of_another_journal_is_told_before_anything_else(order: Order) -> None:
    order.begin(50, "journal0")
    read(order, kept(1, 2))
    read(order, kept(1, 2))
    assert taken(order) == [Renumbered("the station keeps another journal"), 1, 2]


def test_a_heartbeat_tells_of_what_was_lost_at_the_end(order: Order) -> None:
    hear(order, 1)
    order.hear_heartbeat(beat(kept(1, 2, 3)))
    assert order.wanted() == (2, None)
    read(order, kept(1, 2, 3))
    assert taken(order) == [1, 2, 3]


def test_beyond_the_bound_live_messages_are_left_to_the_journal() -> None:
    order = Order(replays=True, max_bytes=250)
    hear(order, 1, 3, 4, 5, 6)
    disk = kept(*range(1, 7))
    read(order, disk)
    assert taken(order) == [1, 2, 3, 4]
    hear(order, 7)
    disk.keep(inspection(7))
    read(order, disk)
    assert taken(order) == [5, 6, 7]


def test_a_page_beyond_what_the_journal_says_it_has_is_not_believed(order: Order) -> None:
    order.begin(1, "")
    order.read(Page(1, "journal1", 1, 3, 10**18), [inspection(1), inspection(9)])
    assert taken(order) == [1, Gap(2, 3, "never reached the journal")]


def test_what_can_not_be_read_is_a_gap_with_that_reason(order: Order) -> None:
    order.begin(1, "")
    order.read(Page(1, "journal1", 1, 3, 4), [inspection(1), inspection(3)], "unreadable")
    assert taken(order) == [1, Gap(2, 2, "unreadable"), 3]


def test_without_a_journal_gaps_are_told_at_once_and_at_the_next_heartbeat_but_one() -> None:
    order = Order(replays=False, max_bytes=0)
    unheard = "not heard, and there is no journal to read it from"
    hear(order, 4, 7)
    assert taken(order) == [4, Gap(5, 6, unheard), 7]
    order.hear_heartbeat(beat(None, last_event=9))
    assert taken(order) == [], "it may be on its way"
    order.hear_heartbeat(beat(None, last_event=9))
    assert taken(order) == [Gap(8, 9, unheard)]


def test_without_a_journal_numbers_begin_anew_with_each_run() -> None:
    order = Order(replays=False, max_bytes=0)
    hear(order, 1, 2)
    hear(order, 5, run="run2")
    assert taken(order) == [
        *(1, 2, Renumbered("the station keeps no journal, and counts anew at each start")),
        *(Gap(1, 4, "not heard, and there is no journal to read it from"), 5),
    ]


def test_without_its_endpoint_a_journal_still_carries_numbers_over_a_restart() -> None:
    order = Order(replays=False, max_bytes=0)
    order.hear_heartbeat(beat(kept(1)))
    hear(order, 1)
    hear(order, 2, run="run2")
    assert taken(order) == [1, 2]


def test_a_journal_that_is_switched_off_leaves_nothing_waiting(order: Order) -> None:
    hear(order, 1, 3)
    order.hear_heartbeat(beat(kept(1)))
    hear(order, 1, run="run2")
    order.hear_heartbeat(beat(None, "run2"))
    assert order.wanted() is None
    assert [item for item in taken(order) if isinstance(item, int)] == [1, 3, 1]


@dataclass
class World:
    """A station, its disk, and a wire on which messages may be late."""

    order: Order
    disk: JournalDouble = field(default_factory=lambda: JournalDouble(page_messages=5))
    run: int = 1
    number: int = 0
    pending: list[InspectionEvent] = field(default_factory=list)
    wire: deque[InspectionEvent | Heartbeat] = field(default_factory=deque)
    heard: list[InspectionEvent] = field(default_factory=list)
    last_run: str = ""
    stream: list[Item] = field(default_factory=list)

    def emit(self, sent: bool, written: bool) -> None:
        self.number += 1
        message = inspection(self.number, f"run{self.run}")
        if written:
            self.pending.append(message)
        if sent:
            self.wire.append(message)

    def beat(self) -> None:
        self.wire.append(beat(self.disk, f"run{self.run}", self.number))

    def deliver(self, count: int) -> None:
        for _ in range(min(count, len(self.wire))):
            message = self.wire.popleft()
            self.last_run = message.origin.run
            if isinstance(message, Heartbeat):
                self.order.hear_heartbeat(message)
            else:
                self.heard.append(message)
                self.order.hear(message, 100)

    def repeat(self, count: int) -> None:
        for message in self.heard[-count:]:
            if message.origin.run == self.last_run:
                self.order.hear(message, 100)

    def commit(self, count: int) -> None:
        written, self.pending = self.pending[:count], self.pending[count:]
        if written:
            self.disk.keep(*written)
        if not self.pending:
            self.disk.last = self.number

    def restart(self, reserve: int, another: bool) -> None:
        self.pending.clear()
        self.run += 1
        self.number += reserve
        self.disk.last = self.number
        if another:
            self.number = 0
            self.disk = JournalDouble(id=f"journal{self.run}", page_messages=5)
        self.beat()

    def prune(self, count: int) -> None:
        del self.disk.kept[:count]

    def read(self) -> None:
        read(self.order, self.disk)

    def collect(self) -> None:
        """Take what is ready; nothing that the journal has may be told as lost."""
        on_disk = {message.event for message in self.disk.kept}
        for item in self.order.ready:
            if isinstance(item, Gap) and self.order.journal == self.disk.id and "another" not in item.reason:
                assert not on_disk & set(range(item.first, item.last + 1)), item
        self.stream += self.order.ready
        self.order.ready.clear()


Deed = tuple[str, tuple[int | bool, ...]]

few = st.integers(1, 12)
deeds: st.SearchStrategy[list[Deed]] = st.lists(
    st.one_of(
        st.tuples(st.just("emit"), st.tuples(st.booleans(), st.booleans())),
        st.tuples(st.just("emit"), st.tuples(st.just(True), st.just(True))),
        st.tuples(st.just("commit"), st.tuples(few)),
        st.tuples(st.just("read"), st.tuples()),
        st.tuples(st.just("beat"), st.tuples()),
        st.tuples(st.just("deliver"), st.tuples(few)),
        st.tuples(st.just("deliver"), st.tuples(few)),
        st.tuples(st.just("repeat"), st.tuples(few)),
        st.tuples(st.just("prune"), st.tuples(few)),
        st.tuples(st.just("restart"), st.tuples(st.integers(0, 3), st.just(False))),
        st.tuples(st.just("restart"), st.tuples(st.integers(0, 3), st.booleans())),
    ),
    max_size=120,
)


def live_through(world: World, what: Sequence[Deed]) -> None:
    for name, values in what:
        getattr(world, name)(*values)
        world.collect()
    world.commit(len(world.pending))
    world.beat()
    world.deliver(len(world.wire))
    for _ in range(world.disk.last + 5):
        world.read()
        world.collect()
    assert world.order.wanted() is None


@settings(max_examples=400, deadline=None)
@given(deeds, st.sampled_from([0, 300, 100_000]))
def test_whatever_happens_every_number_comes_once_in_order_or_is_told_as_lost(what: list[Deed], room: int) -> None:
    world = World(Order(replays=True, max_bytes=room))
    world.order.begin(1, world.disk.id)
    live_through(world, what)
    position = 0
    for item in world.stream:
        if isinstance(item, Renumbered):
            position = 0
        elif isinstance(item, Gap):
            assert (item.first, item.first <= item.last) == (position + 1, True)
            position = item.last
        else:
            assert isinstance(item, InspectionEvent)
            assert item.event == position + 1
            position = item.event
    assert position == world.disk.last
    if not any(name == "restart" and values[1] for name, values in what):
        assert not any(isinstance(item, Renumbered) for item in world.stream)
    ends = [number for number, item in enumerate(world.stream) if isinstance(item, Renumbered)]
    given_out = {item.event for item in world.stream[max(ends, default=-1) + 1 :] if isinstance(item, InspectionEvent)}
    assert {message.event for message in world.disk.kept} <= given_out
