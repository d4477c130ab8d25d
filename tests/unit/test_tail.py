"""`station tail` against a station's two sockets, of which the journal answers from a list."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from shadowline.errors import ConfigError, StationError
from station.command.tail import tail
from tests.journal_double import JournalDouble, StationDouble, inspection, standing


@pytest.fixture
def journal() -> JournalDouble:
    return JournalDouble([inspection(event) for event in (1, 2, 3, 6, 7)])


@pytest.fixture
def double(tmp_path: Path, journal: JournalDouble, monkeypatch: pytest.MonkeyPatch) -> Iterator[StationDouble]:
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    with standing(tmp_path, journal) as double:
        yield double


def print_past(double: StationDouble, **how: object) -> None:
    tail(**{"follow": False, "endpoint": double.live, "journal": double.replay} | how)  # type: ignore[arg-type]


def test_a_line_a_message_and_losses_apart(double: StationDouble, capsys: pytest.CaptureFixture[str]) -> None:
    print_past(double, start="2")
    printed = capsys.readouterr()
    assert [line.split()[:2] for line in printed.out.splitlines()] == [[number, "top"] for number in "2367"]
    assert printed.err == "messages 4 to 5 are lost: never reached the journal\n"


def test_json_lines_for_programs(double: StationDouble, capsys: pytest.CaptureFixture[str]) -> None:
    print_past(double, start="start", as_json=True)
    assert [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()] == [1, 2, 3, 6, 7]


def test_a_consumer_gets_the_rest(
    double: StationDouble, journal: JournalDouble, capsys: pytest.CaptureFixture[str]
) -> None:
    print_past(double, start="start", consumer="mes")
    assert journal.cursors == {"mes": 7}
    journal.keep(inspection(8))
    capsys.readouterr()
    print_past(double, consumer="mes")
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["8"]


def test_another_journal_is_told(
    double: StationDouble, journal: JournalDouble, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, asked = journal.answer, iter("aabbbbbb")

    def exchange(request: object) -> object:
        journal.id = next(asked)
        return answer(request)  # type: ignore[arg-type]

    monkeypatch.setattr(journal, "answer", exchange)
    journal.page_messages = 2
    print_past(double, start="start")
    assert "numbers begin anew: the station keeps another journal" in capsys.readouterr().err


def test_a_journal_that_gives_no_more_ends_it_with_one_line(double: StationDouble, journal: JournalDouble) -> None:
    journal.mute = True
    with pytest.raises(StationError, match=r"nothing came for .* is the station still there\?"):
        print_past(double, start="1")


@pytest.mark.parametrize(
    ("how", "fault"),
    [
        ({"start": "now"}, "say where to begin"),
        ({"start": "0"}, "give a number from 1 on, start or now"),
        ({"start": "-3"}, "give a number from 1 on, start or now"),
        ({"start": "²"}, "give a number from 1 on, start or now"),
        ({"start": "first"}, "give a number from 1 on, start or now"),
    ],
)
def test_what_makes_no_sense_is_refused(double: StationDouble, how: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        print_past(double, **how)
