"""A request for a reload handed from one thread to another."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shadowline.errors import StationError
from station import reload_desk
from station.control_protocol import Reloaded
from station.reload_desk import ReloadDesk


def test_who_asks_gets_what_came_of_it() -> None:
    desk = ReloadDesk()
    assert desk.take() is None
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(desk.ask)
        while (asked := desk.take()) is None:
            pass
        asked.set_result(Reloaded("taken", "abc", "nothing has changed"))
        assert asking.result().outcome == "taken"


def test_a_request_that_nobody_took_in_time_is_no_longer_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload_desk, "_WAIT_S", 0.01)
    desk = ReloadDesk()
    with pytest.raises(StationError, match="send SIGHUP"):
        desk.ask()
    assert desk.take() is None
