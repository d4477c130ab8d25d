"""`station report --journal`: a coil from the journal, over a restart of the station."""

import json
from pathlib import Path

import msgspec
import pytest
import typer

from shadowline.errors import ConfigError
from station.command.report import report
from station.event import InspectionEvent, PositionRecord
from tests.journal_double import JournalDouble, inspection, standing

ROWS, PITCH_MM = 32, 1.0


def frame(event: int, mm: float, run: str, coil: str, zero_mm: float = 0.0) -> InspectionEvent:
    """Return a frame at `mm` of the coil, as counted from `zero_mm`."""
    position = PositionRecord(mm - zero_mm, PITCH_MM, round(mm), coil, False)
    seen = inspection(event, run, captured_ns=event)
    return msgspec.structs.replace(seen, sequence=event if run == "run1" else event - 4, position=position)


def make_report(folder: Path, journal: JournalDouble, **options: int) -> dict[str, object]:
    with standing(folder, journal) as double:
        ends = {"endpoint": double.live, "journal_endpoint": double.replay, "config": folder / "none.toml"}
        with pytest.raises(typer.Exit):
            report("A", journal=True, folder=folder, **ends, **options)  # type: ignore[arg-type]
    made: dict[str, object] = json.loads((folder / "coil-A.json").read_text())
    return made


def test_a_coil_comes_whole_from_the_journal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [frame(number, 32.0 * number, "run1", "A") for number in range(1, 4)]
    frames += [frame(number, 32.0 * number, "run2", "", 150.0) for number in range(6, 9)]
    made = make_report(tmp_path, JournalDouble(frames, page_messages=2))
    assert (made["runs"], made["length_mm"]) == (["run1", "run2"], 288.0)
    assert "began anew 1 times" in capsys.readouterr().out


def test_a_part_of_the_journal_is_enough(tmp_path: Path) -> None:
    frames = [frame(number, 32.0 * number, "run1", "A") for number in range(1, 101)]
    frames += [frame(number, 32.0 * number, "run1", "B") for number in range(101, 201)]
    frames += [frame(number, 32.0 * number, "run1", "A") for number in range(201, 301)]
    journal = JournalDouble(frames, page_messages=10)
    made = make_report(tmp_path, journal, first=3, last=110)
    assert made["cameras"]["top"]["frames"] == 98  # type: ignore[index]
    assert made["length_mm"] == 32.0 * 101
    assert journal.asked[0].start == 3  # type: ignore[union-attr]


def test_one_source_is_named(tmp_path: Path) -> None:
    for sources in ({}, {"journal": True, "listen": True}, {"journal": True, "events": tmp_path / "a"}):
        with pytest.raises(ConfigError, match="one of the three"):
            report("A", **sources)  # type: ignore[arg-type]
