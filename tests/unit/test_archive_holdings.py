import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from station.archive.guard import DiskGuard
from station.archive.holdings import Holdings
from station.archive.index import Filter, read_index
from station.archive.shelf import read_entry
from station.clock import ManualClock
from tests.evidence import DAY_NS, NOON_NS, fill, make_event


@contextmanager
def holding(
    folder: Path, max_bytes: int = 10**9, max_days: float = 90, clock: ManualClock | None = None
) -> Iterator[Holdings]:
    clock = clock or ManualClock(NOON_NS)
    guard = DiskGuard(folder, 0, 0, clock, lambda state, detail: None)
    with Holdings(folder, max_bytes, round(max_days * DAY_NS), guard, clock) as holdings:
        yield holdings


def settle(holdings: Holdings) -> None:
    while holdings.tend():
        pass


def events_in(folder: Path) -> list[int]:
    """Return the events that the files have."""
    return sorted(int(path.parent.name[:12]) for path in folder.glob("2*/*/*/*/event.json"))


def events_of(folder: Path) -> list[int]:
    """Return the events that the index has."""
    with read_index(folder) as index:
        return sorted(entry.event for entry in index.find(Filter()))


def put(holdings: Holdings, number: int, label: str, kept_ns: int = NOON_NS) -> None:
    """Put evidence away and enter it, as the archive thread does."""
    (place,) = fill(holdings.folder, [make_event(number, (label,), captured_ns=kept_ns)])
    entry = read_entry(holdings.folder, str(place.parent.relative_to(holdings.folder)), place.name)
    assert entry is not None
    holdings.enter(entry)


def remove_index(folder: Path) -> None:
    for path in folder.glob("index.db*"):
        path.unlink()


def spoil_index(folder: Path) -> None:
    (folder / "index.db").write_bytes(b"no database" * 1000)


def truncate_index(folder: Path) -> None:
    content = (folder / "index.db").read_bytes()
    (folder / "index.db").write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


@pytest.mark.parametrize("lose", [remove_index, spoil_index, truncate_index])
def test_no_picture_goes_for_want_of_an_index_and_it_is_made_anew(tmp_path: Path, lose: Callable[[Path], None]) -> None:
    fill(tmp_path, [make_event(number, captured_ns=NOON_NS - DAY_NS) for number in range(1, 30)])
    with holding(tmp_path) as holdings:
        settle(holdings)
    lose(tmp_path)
    with holding(tmp_path) as holdings:
        settle(holdings)
        settle(holdings)
    assert events_in(tmp_path) == events_of(tmp_path) == list(range(1, 30))


def test_nothing_goes_before_all_files_were_looked_through(tmp_path: Path) -> None:
    fill(tmp_path, [make_event(number) for number in range(1, 20)])
    with holding(tmp_path, max_bytes=1) as holdings:
        for _ in range(15):
            assert holdings.tend()
        assert len(events_in(tmp_path)) == 19
        settle(holdings)
        assert events_in(tmp_path) == []


def test_what_nobody_entered_is_entered_and_what_somebody_removed_struck_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, _ = fill(
        tmp_path, [make_event(number, captured_ns=NOON_NS + number * 10**12) for number in range(3)]
    )
    with holding(tmp_path) as holdings:
        settle(holdings)
    shutil.rmtree(first.parent)
    (second / "event.json").unlink()
    shutil.rmtree(second)
    fill(tmp_path, [make_event(9)])
    (cut,) = fill(tmp_path, [make_event(10)])
    (cut / "crop-000.png").write_bytes(b"")
    with caplog.at_level(logging.INFO), holding(tmp_path) as holdings:
        settle(holdings)
        assert set(holdings.sizes) == {"scratches", "damaged"}
    assert events_of(tmp_path) == [2, 9, 10]
    assert "2 pieces entered from the files, 1 of them damaged; 2 struck out" in caplog.text


def test_the_oldest_of_what_takes_most_goes_first(tmp_path: Path) -> None:
    with holding(tmp_path, max_bytes=10 * 12_288) as holdings:
        settle(holdings)
        put(holdings, 1, "inclusion", NOON_NS - DAY_NS)
        for number in range(2, 40):
            put(holdings, number, "crazing", NOON_NS + number * 10**9)
            settle(holdings)
        put(holdings, 50, "patches")
        settle(holdings)
        assert holdings.sizes == {"inclusion": 12_288, "crazing": 8 * 12_288, "patches": 12_288}
    assert events_in(tmp_path) == events_of(tmp_path) == [1, *range(32, 40), 50]


def test_of_several_labels_the_scarcest_counts(tmp_path: Path) -> None:
    with holding(tmp_path) as holdings:
        settle(holdings)
        put(holdings, 1, "crazing")
        assert holdings.scarcest(["crazing", "inclusion"]) == "inclusion"


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    clock = ManualClock(NOON_NS)
    with holding(tmp_path, max_days=2, clock=clock) as holdings:
        settle(holdings)
        for day in range(5):
            put(holdings, day + 1, "patches", holdings.now_ns())
            clock.sleep(86_400)
            settle(holdings)
    assert events_in(tmp_path) == events_of(tmp_path) == [4, 5]


@pytest.mark.parametrize("lose", [lambda folder: None, remove_index])
def test_no_step_of_the_clock_makes_evidence_old(tmp_path: Path, lose: Callable[[Path], None]) -> None:
    clock = ManualClock(NOON_NS)
    with holding(tmp_path, max_days=90, clock=clock) as holdings:
        settle(holdings)
        put(holdings, 1, "patches", holdings.now_ns())
        clock.step_utc(-3600)
        settle(holdings)
        clock.step_utc(10 * 365 * 86_400)
        clock.sleep(86_400)
        settle(holdings)
    lose(tmp_path)
    with holding(tmp_path, max_days=90, clock=ManualClock(clock.utc_ns())) as holdings:
        settle(holdings)
        settle(holdings)
    assert events_in(tmp_path) == [1]


def test_an_index_that_breaks_under_way_is_made_anew(tmp_path: Path) -> None:
    with holding(tmp_path) as holdings:
        settle(holdings)
        put(holdings, 1, "patches")
        with closing(sqlite3.connect(tmp_path / "index.db")) as stranger:
            stranger.execute("DROP TABLE evidence")
        put(holdings, 2, "patches")
        settle(holdings)
        put(holdings, 3, "patches")
        settle(holdings)
        settle(holdings)
    assert events_in(tmp_path) == events_of(tmp_path) == [1, 2, 3]
