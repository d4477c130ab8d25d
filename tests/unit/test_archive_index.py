import sqlite3
from pathlib import Path

import pytest

from shadowline.errors import StationError
from station.archive.index import Filter, Index, open_index, read_index
from station.archive.shelf import Entry, read_entry
from tests.evidence import DAY_NS, NOON_NS, fill, make_event

EVENTS = [
    make_event(1, ("patches",), captured_ns=NOON_NS, coil="A"),
    make_event(2, ("scratches", "patches"), captured_ns=NOON_NS + DAY_NS, coil="A"),
    make_event(3, ("rolled-in scale",), "accept", captured_ns=NOON_NS + 2 * DAY_NS, camera="bottom"),
    make_event(4, (), "invalid", captured_ns=NOON_NS + 3 * DAY_NS),
]
EVENTS[1].part, EVENTS[1].job, EVENTS[2].job = "P7", "4711", "4711"


def entries(folder: Path) -> list[Entry]:
    places = fill(folder, EVENTS, frame=True)
    found = [read_entry(folder, str(place.parent.relative_to(folder)), place.name) for place in places]
    return [entry for entry in found if entry is not None]


FILTERS = {
    "all, the newest first": (Filter(), [4, 3, 2, 1]),
    "a label among several": (Filter(label="patches"), [2, 1]),
    "no part of a label": (Filter(label="patch"), []),
    "a label with spaces": (Filter(label="rolled-in scale"), [3]),
    "a camera": (Filter(camera="bottom"), [3]),
    "a coil": (Filter(coil="A"), [2, 1]),
    "a verdict": (Filter(verdict="invalid"), [4]),
    "from a day on": (Filter(since="2026-11-23"), [4, 3]),
    "up to a day": (Filter(until="2026-11-22"), [2, 1]),
    "a part": (Filter(part="P7"), [2]),
    "no part": (Filter(part=""), [4, 3, 1]),
    "a job": (Filter(job="4711"), [3, 2]),
    "a range of events": (Filter(first=2, last=3), [3, 2]),
    "several at once": (Filter(label="patches", since="2026-11-22", coil="A"), [2]),
    "SQL is only text": (Filter(label="' OR 1 --"), []),
}


@pytest.fixture
def index(tmp_path: Path):  # type: ignore[no-untyped-def]
    with open_index(tmp_path) as index:
        for entry in entries(tmp_path):
            index.add(entry)
        yield index


@pytest.mark.parametrize(("wanted", "numbers"), FILTERS.values(), ids=FILTERS)
def test_finds(index: Index, wanted: Filter, numbers: list[int]) -> None:
    assert [entry.event for entry in index.find(wanted)] == numbers


def test_gives_back_what_was_entered_also_to_another_reader(index: Index, tmp_path: Path) -> None:
    entered = list(index.find(Filter()))
    assert entered[-1].labels == ("patches",)
    with read_index(tmp_path) as reader:
        assert list(reader.find(Filter(), 2)) == entered[:2]
        assert reader.count() == 4


def test_sums_by_label_and_knows_the_oldest(index: Index) -> None:
    assert set(index.sizes()) == {"patches", "scratches", "rolled-in scale", "invalid"}
    oldest = index.oldest()
    assert oldest is not None
    assert oldest.event == 1
    index.remove(oldest.minute, oldest.name)
    assert index.oldest("patches") is None
    scratches = index.oldest("scratches")
    assert scratches is not None
    assert scratches.event == 2


def test_entering_again_replaces(index: Index) -> None:
    index.add(next(index.find(Filter())))
    assert index.count() == 4


def test_keeps_what_it_has_over_a_reopening(tmp_path: Path) -> None:
    with open_index(tmp_path) as index:
        index.add(entries(tmp_path)[0])
        index.note_clock(5)
    with open_index(tmp_path) as index:
        assert (index.count(), index.clock_ns(), index.newest_ns()) == (1, 5, NOON_NS)


def garbage(path: Path) -> None:
    path.write_bytes(b"no database at all, but long enough for one" * 100)


def newer(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 9")
    database.close()


@pytest.mark.parametrize("spoil", [garbage, newer])
def test_what_is_no_index_of_ours_is_said_to_a_reader_and_begun_anew_by_a_writer(tmp_path: Path, spoil) -> None:  # type: ignore[no-untyped-def]
    with open_index(tmp_path) as index:
        index.add(entries(tmp_path)[0])
    spoil(tmp_path / "index.db")
    with pytest.raises(StationError, match=r"index\.db: .*; station archive index --folder .* makes it"):
        read_index(tmp_path).__enter__()
    with open_index(tmp_path) as index:
        assert index.count() == 0


def test_no_index_is_said(tmp_path: Path) -> None:
    with pytest.raises(StationError, match=r"can't be read: unable to open.*station archive index"):
        read_index(tmp_path).__enter__()
