"""The report of a coil from its messages: coverage, counts, repeats and the three files."""

import csv
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest

from calibration.periodic import Roll
from shadowline.errors import ConfigError
from station.config_file import parse
from station.event import (
    CameraLedger,
    CoverageEvent,
    DefectRecord,
    EngineRecord,
    Heartbeat,
    InspectionEvent,
    Message,
    Origin,
    Outage,
    PositionRecord,
    StageTimes,
    StateEvent,
    encode,
)
from station.report import CoilRecord, CoilReport, make_report, read_messages, write_report

PITCH_MM, ROWS, FRAME_MM, WIDTH = 0.5, 400, 200.0, 1000
SECOND = 1_000_000_000
ORIGIN = Origin("line", "run", "model abc", "0123456789ab", "fedcba987654")
ROLLS = [Roll("work roll", 200.0), Roll("bridle", 400.0)]


class Talk:
    """A station that numbers what it says."""

    def __init__(self, origin: Origin = ORIGIN) -> None:
        self.said: list[Message] = []
        self._origin = origin
        self._sequences: dict[str, int] = {}
        self._events = 0

    def frame(
        self,
        mm: float | None,
        reason: str = "",
        defects: tuple[DefectRecord, ...] = (),
        coil: str = "A-17",
        camera: str = "top",
        reversed: bool = False,
    ) -> None:
        self._events += 1
        self._sequences[camera] = sequence = self._sequences.get(camera, 0) + 1
        self.said.append(
            InspectionEvent(
                event=self._events,
                origin=self._origin,
                camera=camera,
                sequence=sequence,
                captured_ns=1_700_000_000 * SECOND + self._events * SECOND,
                clock="host",
                published_ns=0,
                verdict="invalid" if reason else "reject" if defects else "accept",
                reason=reason,
                late=sequence % 5 == 0,
                budget_ms=20.0,
                latency_ms=3.0,
                size_px=None if mm is None else (WIDTH, ROWS),
                defects=defects,
                stages_us=StageTimes(0, 0, 0, 0, 0),
                position=None if mm is None else PositionRecord(mm, PITCH_MM, None, coil, reversed),
            )
        )

    def state(self, state: str, outage: Outage | None = None, camera: str = "top") -> None:
        self._events += 1
        now_ns = 1_700_000_000 * SECOND + self._events * SECOND
        self.said.append(StateEvent(self._events, self._origin, camera, state, "", now_ns, 0, outage))  # type: ignore[arg-type]

    def heartbeat(self, *cameras: str) -> None:
        ledger = {camera: CameraLedger(0, 0, {}, 0, "online") for camera in cameras}
        self.said.append(Heartbeat(self._origin, 0, 1.0, self._events, ledger, EngineRecord("e", (), ""), {}))


def defect(mm: float, x_px: int = 500, label: str = "pit", area_px: int = 90, goes_on: bool = False) -> DefectRecord:
    return DefectRecord(label, 0.9, (x_px, 10, 20, 12), area_px, -20.0, None, (mm - 3, mm + 3), goes_on)


def record_of(*talks: Talk, coil: str = "A-17") -> CoilRecord:
    record = CoilRecord(coil)
    for talk in talks:
        for message in talk.said:
            record.take(message)
    return record


@pytest.fixture
def talk() -> Talk:
    """Two kilometres of random defects, a roll's marks from 300 m on, some frames lost, and then the next coil."""
    rng = np.random.default_rng(3)
    random = sorted(zip(rng.uniform(0, 2e6, 400), rng.integers(0, WIDTH - 20, 400), strict=True))
    marks = [(300_000 + 628.3 * n + rng.uniform(-2, 2), 700) for n in range(20)]
    places: Iterator[tuple[float, int]] = iter(sorted([*random, *marks]))
    talk, place = Talk(), next(places)
    for number in range(10_000):
        mm, defects = number * FRAME_MM, []
        while place[0] < mm + FRAME_MM:
            label = "roll mark" if place[1] == 700 else "<scratch>"
            defects.append(defect(float(place[0]), int(place[1]), label, area_px=int(rng.integers(20, 900))))
            place = next(places, (9e9, 0))
        if number % 1000 == 7:
            talk.frame(None, "lost")
        else:
            talk.frame(mm, "dark" if number == 5000 else "", () if number == 5000 else tuple(defects))
    talk.frame(FRAME_MM, coil="A-18")
    return talk


def test_the_figures_of_a_coil(talk: Talk) -> None:
    report = make_report(record_of(talk), ROLLS)
    top = report.cameras["top"]
    assert report.length_mm == 2e6
    assert top.inspected_mm + sum(top.not_inspected_mm.values()) == report.length_mm
    assert top.not_inspected_mm == {"lost": 10 * FRAME_MM, "dark": FRAME_MM}
    assert report.inspected_mm == top.inspected_mm
    assert top.verdicts["invalid"] == 11
    assert top.frames == sum(top.verdicts.values()) == 10_000
    assert top.late == 2000
    assert report.models == ("model abc",)
    assert report.calibrations == ("fedcba987654",)
    assert report.notes == ()


def test_the_roll_that_prints_is_named(talk: Talk) -> None:
    (repeat,) = make_report(record_of(talk), ROLLS).repeats
    assert repeat.rolls == ("work roll",)
    assert abs(repeat.distance_mm - 628.3) < 0.5
    assert repeat.labels["roll mark"] >= 18
    assert abs(repeat.start_mm - 300_000) < 1500
    assert repeat.false_alarm < 1e-6


def test_the_files_hold_all_of_it(talk: Talk, tmp_path: Path) -> None:
    record = record_of(talk)
    report = make_report(record, ROLLS)
    page, table, figures = write_report(report, {"top": record.cameras["top"].defects}, tmp_path / "new")
    assert [path.name for path in (page, table, figures)] == ["coil-A-17.html", "coil-A-17.csv", "coil-A-17.json"]
    assert msgspec.json.decode(figures.read_bytes(), type=CoilReport) == report
    assert json.loads(figures.read_text())["schema"] == "shadowline.coil-report/1"
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == len(record.cameras["top"].defects)
    assert {row["label"] for row in rows} == {"<scratch>", "roll mark"}
    assert sorted(path.name for path in page.parent.iterdir()) == sorted(path.name for path in (page, table, figures))


class Reader(HTMLParser):
    """Checks that every element that was opened is closed, and keeps what would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_asks_for_nothing(talk: Talk, tmp_path: Path) -> None:
    record = record_of(talk)
    report = make_report(record, ROLLS)
    text = write_report(report, {"top": record.cameras["top"].defects}, tmp_path)[0].read_text()
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    assert not reader.fetched
    assert not re.search(r"url\(|@import|https?://", text)
    assert reader.seen.count("circle") == len(record.cameras["top"].defects) + len(report.defects)
    assert "&lt;scratch&gt;" in text
    assert "<scratch>" not in text
    for word in ("A-17", "work roll", "lost", "dark", "model abc", "0123456789ab", "fedcba987654", "2000.000 m"):
        assert word in text


def test_a_defect_counts_once() -> None:
    talk = Talk()
    talk.frame(0, defects=(defect(190),))
    talk.frame(190, defects=(defect(190, goes_on=True), defect(300)))
    talk.frame(100, defects=(defect(190),), reversed=True)
    report = make_report(record_of(talk))
    assert report.defects == {"pit": 2}
    assert report.cameras["top"].seen_before == 1


def test_each_camera_is_held_to_the_whole_coil() -> None:
    """One camera is lost for good; another has no pitch, so nobody knows what it saw; of a third nothing is heard."""
    talk = Talk()
    talk.heartbeat("top", "below", "aside")
    for number in range(10):
        talk.frame(number * FRAME_MM)
        if number < 4:
            talk.frame(number * FRAME_MM, camera="below")
    talk.state("offline", camera="below")
    report = make_report(record_of(talk))
    assert report.length_mm == 10 * FRAME_MM
    assert report.cameras["top"].not_inspected_mm == {}
    assert report.cameras["below"].not_inspected_mm == {"offline": 6 * FRAME_MM}
    assert report.cameras["aside"].not_inspected_mm == {"gap": 10 * FRAME_MM}
    assert report.inspected_mm == 0
    assert report.notes == ("The record ends before the coil does.",)


def test_an_outage_is_listed_and_covered() -> None:
    talk = Talk()
    talk.frame(0)
    talk.state("offline")
    talk.state("online", Outage(2.0, 800.0))
    talk.frame(1000)
    talk.frame(FRAME_MM, coil="B")
    top = make_report(record_of(talk)).cameras["top"]
    assert top.not_inspected_mm == {"offline": 800.0}
    assert [(outage.seconds, outage.mm) for outage in top.outages] == [(2.0, 800.0)]


def test_a_coil_ends_with_another_one_or_with_the_pictures_and_not_in_an_outage() -> None:
    talk = Talk()
    talk.frame(0)
    talk.state("offline")
    assert not record_of(talk).ended
    talk.state("online", Outage(2.0, 800.0))
    talk.frame(1000)
    assert not record_of(talk).ended
    talk.frame(0, camera="below")
    talk.state("ended")
    assert not record_of(talk).ended, "the other camera still shows it"
    talk.frame(0, coil="B", camera="below")
    assert record_of(talk).ended


def test_only_the_last_run_of_a_coil_is_reported() -> None:
    first, second = Talk(), Talk(Origin("line", "another", "model", "config"))
    for talk, frames in ((first, 3), (second, 5)):
        for number in range(frames):
            talk.frame(number * FRAME_MM)
    report = make_report(record_of(first, second))
    assert report.length_mm == 5 * FRAME_MM
    assert report.runs == ("another",)
    assert "began anew" in report.notes[0]


class Run(Talk):
    """A run of the station after `before`: numbers, counter and time go on, the zero is at `zero_mm` of the coil."""

    def __init__(self, before: Talk | None = None, zero_mm: float = 0.0, counts: bool = True) -> None:
        super().__init__(Origin("line", "first" if before is None else "second", "model", "config"))
        self._zero_mm = zero_mm
        self._counts = counts
        self._events = before._events if before else 0

    def see(self, *places_mm: float, coil: str = "", defects: tuple[DefectRecord, ...] = ()) -> None:
        """Tell of frames at these millimetres of the coil, at 100 mm/s and 10 counts a millimetre."""
        for mm in places_mm:
            self.frame(mm - self._zero_mm, coil=coil, defects=defects)
            frame = self.said[-1]
            assert isinstance(frame, InspectionEvent)
            assert frame.position is not None
            frame.captured_ns = 1_700_000_000 * SECOND + round(mm * SECOND / 100)
            if self._counts:
                frame.position = msgspec.structs.replace(frame.position, count=5000 + round(mm * 10))

    def cover(self, start_mm: float, end_mm: float, coil: str, ends_coil: bool) -> None:
        self._events += 1
        self.said.append(CoverageEvent(self._events, self._origin, "top", coil, start_mm, end_mm, "", ends_coil, 0))


@pytest.mark.parametrize("counts", [True, False], ids=["counter", "kept speed"])
def test_a_coil_goes_on_over_a_restart_with_what_went_by_as_a_hole(counts: bool) -> None:
    first = Run(counts=counts)
    first.see(0, 200, 400, 600, coil="A-17")
    second = Run(first, zero_mm=1130, counts=counts)
    second.see(1200, 1400, defects=(defect(1250 - 1130),))
    second.frame(FRAME_MM, coil="B")
    report = make_report(record := record_of(first, second))
    spans = [(span.start_mm, span.end_mm, span.reason) for span in report.cameras["top"].spans]
    assert spans == [(0, 800, ""), (800, 1200, "restart"), (1200, 1600, "")]
    assert report.runs == ("first", "second")
    assert [one.defect.position_mm for one in record.cameras["top"].defects] == [(1247, 1253)] * 2
    assert report.notes == ("The station began anew 1 times; what went by meanwhile counts as not inspected.",)


def test_a_coil_that_is_named_again_after_the_restart_is_the_same_coil() -> None:
    first = Run()
    first.see(0, 200, coil="A-17")
    second = Run(first, zero_mm=500)
    second.see(500, 700)
    named = Run(second, zero_mm=900)
    named.see(900, 1100, coil="A-17")
    named.frame(FRAME_MM, coil="B")
    spans = make_report(record_of(first, second, named)).cameras["top"].spans
    assert [(span.start_mm, span.end_mm, span.reason) for span in spans] == [
        *((0, 400, ""), (400, 500, "restart"), (500, 1300, "")),
    ]


def test_stretches_that_were_told_before_a_restart_do_not_end_the_coil() -> None:
    first = Run()
    first.see(0, 200, coil="A-17")
    first.cover(0, 400, "A-17", ends_coil=True)
    second = Run(first, zero_mm=600)
    second.see(600)
    second.cover(0, 200, "", ends_coil=True)
    report = make_report(record_of(first, second))
    assert (report.length_mm, report.inspected_mm) == (800, 600)


def test_a_counter_that_was_set_back_leaves_out_what_was_before() -> None:
    first = Run()
    first.see(1000, 1200, coil="A-17")
    second = Run(first, zero_mm=0)
    second.see(0, 200, 400, coil="A-17")
    report = make_report(record_of(first, second))
    assert (report.length_mm, report.runs) == (600, ("second",))
    assert "left out" in report.notes[0]


def test_a_restart_after_the_coil_changes_nothing_of_it() -> None:
    first = Run()
    first.see(0, 200, coil="A-17")
    first.frame(FRAME_MM, coil="B")
    second = Run(first, zero_mm=5000)
    second.see(5000, 5200)
    report = make_report(record_of(first, second))
    assert (report.length_mm, report.runs, report.notes) == (400, ("first",), ())


def test_messages_that_are_missing_are_told(talk: Talk) -> None:
    del talk.said[1000:1010]
    report = make_report(record_of(talk))
    assert report.cameras["top"].not_inspected_mm["unheard"] == 10 * FRAME_MM
    assert "10 messages" in report.notes[0]


def test_a_file_of_lines_is_read(talk: Talk, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = [encode(message) for message in talk.said[:50]]
    path.write_bytes(b"\n".join([*lines[:20], b"not JSON", b'{"schema": "another"}', b"", *lines[20:], lines[0][:30]]))
    record = CoilRecord("A-17")
    for message in read_messages(path):
        record.take(message)
    assert record.cameras["top"].verdicts.total() == 50
    assert record.foreign == 3
    assert "3 lines are no messages" in make_report(record).notes[0]


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no frame of it"):
        make_report(CoilRecord("B"))
    with pytest.raises(ConfigError, match="can't read the events: No such file"):
        list(read_messages(tmp_path / "none"))
    talk = Talk()
    talk.frame(0)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="can't write the report"):
        write_report(make_report(record_of(talk)), {}, tmp_path / "file")


def test_rolls_have_names_of_their_own(tmp_path: Path) -> None:
    rolls = [{"name": "bridle", "diameter_mm": 800.0}, {"name": "bridle", "diameter_mm": 400.0}]
    values = {"camera": [{"name": "top", "type": "simulated"}], "line": {"rolls": rolls}}
    with pytest.raises(ConfigError, match=r"\[\[line.rolls\]\] name: bridle is used twice"):
        parse(values, tmp_path / "config.toml")
    values["line"] = {"rolls": rolls[:1]}
    assert parse(values, tmp_path / "config.toml").line.rolls[0].diameter_mm == 800.0


def test_parts_jobs_and_recipes_of_a_coil(tmp_path: Path) -> None:
    talk = Talk(msgspec.structs.replace(ORIGIN, recipe="thick"))
    for number, found in enumerate([(), (defect(250.0),), ()]):
        for camera in ("top", "bottom"):
            talk.frame(number * FRAME_MM, defects=found if camera == "top" else (), camera=camera)
            event = talk.said[-1]
            assert isinstance(event, InspectionEvent)
            event.part, event.job = ("P1", "<P2>", "P3")[number], "4711"
    record = record_of(talk)
    report = make_report(record)
    assert (report.recipes, report.jobs) == (("thick",), ("4711",))
    assert report.parts == {"P1": {"accept": 2}, "<P2>": {"accept": 1, "reject": 1}, "P3": {"accept": 2}}
    defects = {name: camera.defects for name, camera in record.cameras.items()}
    page, table, _ = (path.read_text() for path in write_report(report, defects, tmp_path))
    assert "1 of 3 parts have a frame that was not accepted" in page
    assert "<td>&lt;P2&gt;</td><td>1</td><td>1</td><td>0</td>" in page
    assert [row["part"] for row in csv.DictReader(table.splitlines())] == ["<P2>"]
