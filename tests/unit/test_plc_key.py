"""The names of results: half-written ones are told, numbers wrap."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from station.gateways.plc.area import MASK_32
from station.gateways.plc.key import NO_KEY, Key, numbering_of
from station.gateways.plc.registers import TAIL

NUMBERS = st.integers(1, MASK_32)


@given(NUMBERS, NUMBERS)
def test_a_key_comes_back_and_no_key_is_all_zeros(numbering: int, inspection: int) -> None:
    key = Key(numbering, inspection)
    assert Key.read(TAIL.unpack(TAIL.pack(key.values("tail"))), "tail") == key
    assert TAIL.pack(NO_KEY.values("tail")) == [0] * TAIL.words
    assert Key.read(TAIL.unpack([0] * TAIL.words), "tail") == NO_KEY


@given(NUMBERS, st.integers(0, MASK_32 - 1))
def test_the_next_key_half_written_over_the_last_is_none(numbering: int, number: int) -> None:
    old = TAIL.pack(Key(numbering, number).values("tail"))
    new = TAIL.pack(Key(numbering, number + 1).values("tail"))
    changed = [place for place in range(TAIL.words) if old[place] != new[place]]
    for count in range(1, len(changed)):
        for places in combinations(changed, count):
            mixed = [new[at] if at in places else old[at] for at in range(TAIL.words)]
            assert Key.read(TAIL.unpack(mixed), "tail") is None


def test_a_key_covers_what_came_before_it_in_its_numbering() -> None:
    assert Key(7, 5).covers(Key(7, 5))
    assert Key(7, 5).covers(Key(7, 4))
    assert not Key(7, 5).covers(Key(7, 6))
    assert not Key(7, 5).covers(Key(8, 4))
    assert Key(7, 3).covers(Key(7, MASK_32 - 3))
    assert not NO_KEY.covers(Key(7, 1))


def test_a_journal_and_its_older_copy_are_different_numberings() -> None:
    assert len({numbering_of(journal, era) for journal in ("a", "b") for era in (0, 1, 2)}) == 6
