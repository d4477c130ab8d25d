from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as some

from station.journal.batch import ROW_BYTES, Batch, Queued, cut, merge


def queued(event: int, size: int = 20) -> Queued:
    return Queued(event, event * 10, b"%d".ljust(size) % event)


@given(some.lists(some.integers(1, 200), unique=True).map(sorted), some.integers(1, ROW_BYTES))
def test_batches_have_no_hole_and_hold_everything_once(numbers: list[int], size: int) -> None:
    batches = list(cut([queued(number, size) for number in numbers]))
    for batch in batches:
        lines = batch.lines.split(b"\n")
        assert [int(line) for line in lines] == list(range(batch.first, batch.last + 1))
        assert sum(map(len, lines[:-1])) < ROW_BYTES
        assert batch.published_ns == batch.last * 10
    assert [number for batch in batches for number in range(batch.first, batch.last + 1)] == numbers
    assert all(len(one.lines) >= ROW_BYTES for one, next_one in pairwise(batches) if next_one.first == one.last + 1)


def test_a_part_is_what_was_asked_for() -> None:
    (batch,) = cut([queued(number) for number in range(10, 20)])
    assert batch.part(0, 100) is batch.lines
    assert [int(line) for line in batch.part(12, 14).split(b"\n")] == [12, 13, 14]
    assert [int(line) for line in batch.part(18, 99).split(b"\n")] == [18, 19]
    assert [int(line) for line in batch.part(1, 10).split(b"\n")] == [10]


def test_merged_batches_are_one() -> None:
    apart = [next(cut([queued(number)])) for number in (1, 2, 3)]
    assert merge(apart) == next(cut([queued(number) for number in (1, 2, 3)]))


def test_the_checksum_covers_lines_and_numbers() -> None:
    batch = Batch(1, 2, 0, b"a\nb")
    others = [Batch(1, 3, 0, b"a\nb"), Batch(0, 2, 0, b"a\nb"), Batch(1, 2, 0, b"a\nc")]
    assert batch.crc == Batch(1, 2, 9, b"a\nb").crc
    assert all(batch.crc != other.crc for other in others)
