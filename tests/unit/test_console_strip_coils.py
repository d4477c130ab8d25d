"""Figures of coils and shifts, exports, and work in processes beside the console."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from shadowline.errors import StationError
from station.config_file import parse
from station.console.database import Database
from station.console.strip.coils import count_labels, find_coils, read_coil, read_spans, read_ways
from station.console.strip.columns import read_columns
from station.console.strip.defects import as_csv, as_json, read_defect, read_defects
from station.console.strip.errands import Errands
from station.console.strip.intake import Intake
from station.console.strip.repeats import make_tasks, search
from station.console.strip.shift import make_shift, shift_table
from station.console.strip.tables import TABLES
from station.console.strip.wanted import Wanted
from tests.strip_talk import FRAME_MM, HOUR_NS, ZERO_NS, StripTalk, defect


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "console.db") as opened:
        opened.prepare("strip", TABLES)
        yield opened


def fill(database: Database, talk: StripTalk) -> None:
    with database.write() as db:
        intake = Intake(db)
        for message in talk.said:
            intake.take(message, "j1")
        intake.save()


def test_figures_of_a_coil(database: Database) -> None:
    talk = StripTalk()
    for number in range(10):
        talk.frame(number * FRAME_MM, "dark" if number == 9 else "", (defect("crazing", 1, 1),) if number < 3 else ())
    talk.span(0, 5 * FRAME_MM, "")
    talk.span(5 * FRAME_MM, 6 * FRAME_MM, "gap")
    fill(database, talk)
    with database.read() as db:
        coil = read_coil(db, 1)
        assert coil is not None
        assert coil.frames == {"accept": 6, "reject": 3, "invalid": 1, "late": 2}
        assert coil.reject_share == pytest.approx(0.4)
        assert coil.missed == 5 * FRAME_MM, "the gap, and what is not settled and was dark last"
        assert (coil.rate_unit, coil.rate) == ("m", pytest.approx(3 / 1.0))
        assert [span.reason for span in read_spans(db, 1, 0, 1e9)] == ["gap", "dark"]
        assert [way.name for way in read_ways(db, [1])[1]] == ["top"]
        assert count_labels(db, [1]) == {1: {"crazing": 3}}
        assert read_coil(db, 2) is None


def test_density_by_the_square_metre_where_the_camera_is_calibrated(database: Database) -> None:
    talk = StripTalk()
    known = msgspec.structs.replace(defect("crazing", 0, 0), box_mm=(0.0, 0.0, 20.0, 10.0), area_mm2=75.0)
    for number in range(10):
        talk.frame(number * FRAME_MM, defects=(known,))
    fill(database, talk)
    with database.read() as db:
        coil = read_coil(db, 1)
        assert coil is not None
        assert (coil.rate_unit, coil.rate) == ("m2", pytest.approx(10 / (2.0 * 1.0)))


def test_the_newest_coils_page_by_page(database: Database) -> None:
    talk = StripTalk()
    for number in range(5):
        talk.frame(0.0, coil=f"C{number}")
    fill(database, talk)
    with database.read() as db:
        assert [coil.name for coil in find_coils(db, 2)] == ["C4", "C3"]
        assert [coil.name for coil in find_coils(db, 2, before=4)] == ["C2", "C1"]
        assert [coil.name for coil in find_coils(db, 9, search="c2")] == ["C2"]


def test_a_shift(database: Database) -> None:
    talk = StripTalk(every_ns=60 * 10**9)
    for number in range(120):
        talk.frame(
            number * FRAME_MM, defects=(defect("crazing", 1, 1),) * (number % 2), coil="A" if number < 80 else "B"
        )
    fill(database, talk)
    with database.read() as db:
        first = make_shift(db, ZERO_NS, ZERO_NS + HOUR_NS)
        whole = make_shift(db, ZERO_NS, ZERO_NS + 9 * HOUR_NS)
        empty = make_shift(db, 0, 60)
    assert [share.name for share in first.coils] == ["A"]
    assert sum(first.total.frames[verdict] for verdict in ("accept", "reject", "invalid")) == 59
    assert (first.first, first.last) == ("2023-11-14T22:00:00Z", "2023-11-14T23:00:00Z")
    assert {share.name: share.defects for share in whole.coils} == {"A": {"crazing": 40}, "B": {"crazing": 20}}
    assert whole.cameras == {"top": {"accept": 60, "reject": 60, "invalid": 0, "late": 24}}
    assert (empty.coils, empty.total.defects) == ((), {})
    rows = list(csv.DictReader(shift_table(whole).splitlines()))
    assert [(row["coil"], row["frames"], row["crazing"]) for row in rows] == [
        ("A", "80", "40"),
        ("B", "40", "20"),
        ("total", "120", "60"),
    ]


def test_exports(database: Database) -> None:
    talk = StripTalk()
    for number in range(3000):
        marks = (defect("crazing", number % 1900, 1), defect("=HYPERLINK()", 1, 1, area_px=20 + number % 2))
        talk.frame(number * FRAME_MM, defects=marks)
    fill(database, talk)
    everything = json.loads("".join(as_json(read_defects(database.read, 1, Wanted()))))
    assert [(row["event"], row["number"]) for row in everything] == [(n, m) for n in range(1, 3001) for m in (0, 1)]
    rows = list(csv.DictReader("".join(as_csv(read_defects(database.read, 1, Wanted(most_px=20)))).splitlines()))
    assert len(rows) == 1500
    assert {row["label"] for row in rows} == {"'=HYPERLINK()"}
    assert list(as_json(read_defects(database.read, 7, Wanted()))) == ["[]\n"]
    with database.read() as db:
        one = read_defect(db, 1, 3, 1)
        assert one is not None
        assert (one["label"], one["verdict"], one["counts"]) == ("=HYPERLINK()", "reject", True)
        assert read_defect(db, 1, 3, 2) is None


def test_what_comes_again_is_found_by_a_process_beside(database: Database) -> None:
    talk, random = StripTalk(), np.random.default_rng(3)
    turn_mm = 628.3
    for number in range(300):
        begin = number * FRAME_MM
        marks = [defect("crazing", int(random.integers(1900)), int(random.integers(380)))]
        mark_mm = -begin % turn_mm
        if mark_mm < FRAME_MM - 10:
            marks.append(defect("patches", 800, int(mark_mm / 0.5)))
        talk.frame(begin, defects=tuple(marks))
    fill(database, talk)
    rolls = [{"name": "work roll", "diameter_mm": 200.0}]
    config = parse({"camera": [{"name": "top", "type": "simulated"}], "line": {"rolls": rolls}}, Path("config.toml"))
    with database.read() as db:
        columns, ways = read_columns(db, 1), read_ways(db, [1])[1]
        patches = db.execute("SELECT id FROM strip_names WHERE name = 'patches'").fetchone()[0]
    with Errands() as errands:
        found = search(errands, make_tasks(columns, ways, config))
    assert [(one.rolls, one.labels.get(patches, 0) > 80) for one in found] == [(("work roll",), True)]
    assert found[0].distance_mm == pytest.approx(turn_mm, abs=1)
    assert found[0].marks == sorted(found[0].marks)


def test_an_errand_that_fails_says_its_last_line() -> None:
    with Errands() as errands:
        assert b"better than ugly" in errands.run(["this"])
        with pytest.raises(StationError, match="No module named no_such_module"):
            errands.run(["no_such_module"])
    with pytest.raises(StationError, match="ends"):
        errands.run(["this"])
