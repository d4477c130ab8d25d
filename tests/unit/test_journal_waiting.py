from station.journal.batch import Queued
from station.journal.waiting import Waiting


def message(event: int) -> Queued:
    return Queued(event, 0, bytes(100))


def put(waiting: Waiting, *events: int) -> list[int]:
    """Put messages of 100 bytes and return which were taken."""
    return [event for event in events if waiting.put(message(event), f"why {event}")]


def test_what_was_taken_comes_again_until_it_is_finished() -> None:
    waiting = Waiting(10_000)
    put(waiting, 1, 2, 3)
    assert waiting.filled.is_set()
    first = [one.event for one in waiting.take(150)]
    put(waiting, 4)
    assert [one.event for one in waiting.take(10_000)] == first == [1, 2]
    assert len(waiting) == 4
    waiting.finish()
    assert [one.event for one in waiting.take(10_000)] == [3, 4]
    waiting.finish()
    assert waiting.take(10_000) == []
    assert len(waiting) == 0


def test_the_newest_give_way_until_half_is_free_again() -> None:
    waiting = Waiting(1000)
    assert put(waiting, *range(1, 15)) == list(range(1, 11))
    waiting.take(100)
    waiting.finish()
    assert put(waiting, 15) == []
    waiting.take(400)
    waiting.finish()
    assert put(waiting, 16) == [16]
    assert waiting.why_missing(11) == "why 11"
    waiting.take(1000)
    waiting.finish()
    assert waiting.why_missing(11) is None
