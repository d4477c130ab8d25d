from station.event import Origin, StateEvent
from station.outbox import Outbox

ORIGIN = Origin("line", "run", "", "")


def state() -> StateEvent:
    return StateEvent(0, ORIGIN, "top", "online", "", 0, 0)


def test_numbers_without_a_gap_and_keeps_order() -> None:
    outbox = Outbox(10)
    for _ in range(3):
        outbox.put(state())
    assert [message.event for message in outbox.take(1)] == [1, 2, 3]
    assert outbox.take(0) == []


def test_a_full_outbox_keeps_the_oldest_and_counts_what_it_drops() -> None:
    outbox = Outbox(2)
    for _ in range(5):
        outbox.put(state())
    assert [message.event for message in outbox.take(1)] == [1, 2]
    assert (outbox.dropped, outbox.last_event) == (3, 5)
    outbox.put(state())
    assert [message.event for message in outbox.take(1)] == [6]


def test_is_finished_only_when_closed_and_empty() -> None:
    outbox = Outbox(2)
    outbox.put(state())
    outbox.close()
    assert not outbox.finished
    outbox.take(0)
    assert outbox.finished


def test_numbers_go_on_where_a_journal_says_and_each_is_marked_also_a_dropped_one() -> None:
    outbox, marked = Outbox(2), []
    outbox.resume(41, marked.append)
    for _ in range(3):
        outbox.put(state())
    assert [message.event for message in outbox.take(1)] == [42, 43]
    assert marked == [42, 43, 44]
