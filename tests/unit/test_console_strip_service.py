"""What of the strip map lives as long as the console: searches that are made again, but not for every browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from station.console.strip import service
from station.console.strip.coils import read_coil
from station.console.strip.errands import Errands
from station.console.strip.intake import Intake
from station.console.strip.repeats import Found, Task
from tests.console_app import ConsoleApp, console_app
from tests.strip_talk import FRAME_MM, StripTalk, defect


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ConsoleApp]:
    with console_app(tmp_path) as site:
        yield site


class Line:
    """A coil with a mark in every frame, which goes on, and what is searched of it."""

    def __init__(self, site: ConsoleApp, monkeypatch: pytest.MonkeyPatch) -> None:
        self.searched: list[int] = []
        self._site, self._talk = site, StripTalk()
        monkeypatch.setattr(service, "search", self._search)

    def run(self, frames: int) -> None:
        before = len(self._talk.said)
        for number in range(before, before + frames):
            self._talk.frame(number * FRAME_MM, defects=(defect("patches", 700, 100),))
        with self._site.console.database.write() as db:
            intake = Intake(db)
            for message in self._talk.said[before:]:
                intake.take(message, "j1")
            intake.save()

    def _search(self, errands: Errands, tasks: list[Task]) -> list[Found]:
        self.searched.append(len(tasks[0].along_mm))
        return []

    def ask(self) -> int:
        """Return up to which message it is known what comes again."""
        with self._site.console.database.read() as db:
            coil = read_coil(db, 1)
        assert coil is not None
        searched: service.Searched = self._site.app.state.strip.repeats(coil)
        return searched.last_event


def test_a_coil_that_runs_is_not_searched_for_every_browser(site: ConsoleApp, monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(site, monkeypatch)
    line.run(10)
    assert (line.ask(), line.searched) == (10, [10])
    line.run(5)
    assert (line.ask(), line.searched) == (10, [10])


def test_after_a_while_it_is_searched_again_where_there_is_news(
    site: ConsoleApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(site, monkeypatch)
    monkeypatch.setattr(service, "_SEARCH_AGAIN_S", 0.0)
    monkeypatch.setattr(service, "_SEARCH_PART", 1e9)
    line.run(10)
    assert [line.ask(), line.ask()] == [10, 10]
    line.run(5)
    assert [line.ask(), line.ask()] == [15, 15]
    assert line.searched == [10, 15]
