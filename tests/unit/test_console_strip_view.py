"""What of a coil is drawn: filters, thinning that keeps rare classes, and the bytes that a browser reads."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from station.console.database import Database
from station.console.strip.columns import ColumnCache, Columns, read_columns
from station.console.strip.intake import Intake
from station.console.strip.tables import TABLES
from station.console.strip.view import Lane, encode, thin
from station.console.strip.wanted import View, Wanted
from tests.strip_talk import FRAME_MM, WIDTH_PX, StripTalk, defect


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


def crowd(frames: int = 100, each: int = 40) -> StripTalk:
    """Return thousands of one class, of which one frame has a defect of another."""
    random = np.random.default_rng(1)
    talk = StripTalk()
    for frame in range(frames):
        marks = [
            defect(
                "crazing", int(random.integers(1900)), int(random.integers(380)), area_px=int(random.integers(20, 900))
            )
            for _ in range(each)
        ]
        rare = [defect("hole", 1000, 100, area_px=25)] if frame == 50 else []
        talk.frame(frame * FRAME_MM, defects=(*marks, *rare))
    return talk


def columns_of(database: Database) -> Columns:
    with database.read() as db:
        return read_columns(db, 1)


def lanes_of(columns: Columns) -> list[Lane]:
    return [Lane(int(camera), WIDTH_PX) for camera in np.unique(columns.camera)]


def test_few_are_drawn_as_they_are(database: Database) -> None:
    fill(database, crowd(3, 5))
    columns = columns_of(database)
    thinned = thin(columns, View(begin=0, end=3 * FRAME_MM), lanes_of(columns))
    assert len(thinned.rows) == thinned.total == len(columns) == 15
    assert thinned.counts.tolist() == [1] * 15


def test_of_many_the_largest_of_a_cell_stands_for_the_others(database: Database) -> None:
    fill(database, crowd())
    columns = columns_of(database)
    thinned = thin(columns, View(begin=0, end=100 * FRAME_MM), lanes_of(columns), most=500)
    assert len(thinned.rows) <= 500
    assert thinned.counts.sum() == thinned.total == 4001
    assert columns.area_px[thinned.rows].mean() > 1.3 * columns.area_px.mean()
    assert columns.area_px.argmax() in thinned.rows or columns.area_px[thinned.rows].max() == columns.area_px.max()


def test_a_rare_class_stays_and_is_drawn_last(database: Database) -> None:
    fill(database, crowd())
    columns = columns_of(database)
    thinned = thin(columns, View(begin=0, end=100 * FRAME_MM), lanes_of(columns), most=50)
    with database.read() as db:
        hole = db.execute("SELECT id FROM strip_names WHERE name = 'hole'").fetchone()[0]
    assert columns.label[thinned.rows].tolist().count(hole) == 1
    assert columns.label[thinned.rows[-1]] == hole


def test_what_is_drawn_does_not_change_while_one_pans(database: Database) -> None:
    fill(database, crowd())
    columns, lanes = columns_of(database), lanes_of(columns_of(database))
    length = 60 * FRAME_MM
    drawn = []
    for begin in (0.0, 3.7 * FRAME_MM, 20.1 * FRAME_MM):
        thinned = thin(columns, View(begin=begin, end=begin + length), lanes, most=400)
        along = columns.along[thinned.rows]
        drawn.append(set(thinned.rows[(along > 25 * FRAME_MM) & (along < 55 * FRAME_MM)].tolist()))
    assert drawn[0] == drawn[1] == drawn[2] != set()


def test_of_a_part_across_only_that_is_drawn_and_more_of_it(database: Database) -> None:
    talk = crowd()
    for frame in range(20):
        talk.frame(frame * FRAME_MM, camera="bottom", defects=(defect("hole", 100, 100), defect("hole", 1800, 100)))
    fill(database, talk)
    columns, lanes = columns_of(database), lanes_of(columns_of(database))
    end = 100 * FRAME_MM
    whole = thin(columns, View(begin=0, end=end), lanes, most=300)
    part = thin(columns, View(begin=0, end=end, top=0.2, bottom=0.3), lanes, most=300)
    places = (columns.x_px[part.rows] / WIDTH_PX + columns.camera[part.rows] - lanes[0].camera) / 2
    assert 0.2 <= places.min() < places.max() <= 0.3
    drawn = columns.x_px[whole.rows] / WIDTH_PX / 2
    assert len(part.rows) > ((drawn >= 0.2) & (drawn <= 0.3)).sum()
    right = thin(columns, View(begin=0, end=end, top=0.9, bottom=1.0), lanes)
    assert columns.x_px[right.rows].tolist() == [1820.0] * 20


def test_filters(database: Database) -> None:
    fill(database, crowd())
    columns = columns_of(database)
    assert Wanted().fits(columns).all()
    assert Wanted(labels=[0]).fits(columns).sum() == 0
    assert Wanted(verdicts=["accept"]).fits(columns).sum() == 0
    assert Wanted(verdicts=["reject"]).fits(columns).all()
    between = Wanted(least_px=100, most_px=200).fits(columns)
    assert columns.area_px[between].min() >= 100
    assert columns.area_px[between].max() <= 200
    with database.read() as db:
        tests, values = Wanted(least_px=100, most_px=200, verdicts=["reject"]).as_sql()
        assert db.execute(f"SELECT count(*) FROM strip_defects WHERE {tests}", values).fetchone()[0] == between.sum()


@pytest.mark.parametrize(
    "bad",
    [
        {"begin": 5, "end": 5},
        {"begin": 0, "end": 1, "width": 10**9},
        {"begin": "nan", "end": 1},
        {"begin": 0, "end": 1, "top": 0.5, "bottom": 0.5},
        {"begin": 0, "end": 1, "top": -0.5},
    ],
)
def test_views_that_are_none(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        View.model_validate(bad)


def test_the_bytes(database: Database) -> None:
    talk = StripTalk()
    talk.frame(0.0, defects=(defect("crazing", 480, 100, area_px=77),))
    talk.frame(0.0, camera="bottom", defects=(defect("hole", 1980, 0),))
    fill(database, talk)
    columns = columns_of(database)
    lanes = lanes_of(columns)
    view = View(begin=10.0, end=100.0)
    content = encode(columns, thin(columns, view, lanes), view, lanes, spans=[[1, 2.0, 3.0, "gap"]])
    length = int.from_bytes(content[:4], "little")
    header = json.loads(content[4 : 4 + length])
    assert (header["begin"], header["points"], header["total"], header["spans"][0][3]) == (10.0, 1, 1, "gap")
    at, found = 4 + length, {}
    for name, kind in header["columns"]:
        assert at % 8 == 0
        found[name] = np.frombuffer(content, f"<{kind}", header["points"], at)
        at += -(-found[name].nbytes // 8) * 8
    assert at == len(content)
    assert (found["event"][0], found["area"][0], found["lane"][0], found["verdict"][0]) == (1, 77, 0, 1)
    assert found["along"][0] == pytest.approx(55 - 10)
    assert found["across"][0] == pytest.approx(500 / WIDTH_PX)


def test_defects_without_a_place_are_not_drawn(database: Database) -> None:
    talk = StripTalk()
    talk.frame(0.0, defects=(defect("crazing", 480, 100),))
    talk.frame(None, defects=(defect("crazing", 480, 100, placed=False),))
    fill(database, talk)
    columns = columns_of(database)
    assert len(columns) == 2
    assert thin(columns, View(begin=-1e9, end=1e9), lanes_of(columns)).total == 1


def test_columns_of_a_coil_that_runs_are_read_on(database: Database) -> None:
    cache, talk = ColumnCache(database), StripTalk()
    assert len(cache.of(1)) == 0
    for number in range(4):
        talk.frame((3 - number) * FRAME_MM, defects=(defect("crazing", 480, 100),))
        fill(database, talk)
        columns = cache.of(1)
        assert columns.event.tolist() == list(range(number + 1, 0, -1))
    assert cache.of(1) is columns
    assert not columns.along.flags.writeable
