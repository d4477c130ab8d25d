"""What the outlet makes of numbers, with a connection that a test acknowledges for."""

from collections import Counter, deque

import pytest

from shadowline.errors import PeerLost
from station.client import Gap, Renumbered
from station.config import Config
from station.config.gateways import MqttConfig
from station.gateways.base import Expired, Turn
from station.gateways.mqtt import outlet as module
from station.gateways.mqtt.base import Begin, Publication
from station.gateways.mqtt.outlet import MqttOutlet
from tests.journal_double import inspection
from tests.unit.test_mqtt_sparkplug import view


class ConnectionDouble:
    """Keeps what was said; a test takes ids out of `waiting`."""

    made: "list[ConnectionDouble]"

    def __init__(self, config: MqttConfig, client_id: str, begin: Begin, counts: Counter[str]) -> None:
        self.client_id, self.begin = client_id, begin
        self.heard: deque[tuple[str, bytes]] = deque()
        self.waiting: dict[int, str] = {}
        self.window, self.most_bytes = 5, 100_000
        self.said: list[Publication] = []
        self.marks: list[int] = []
        self.closed: list[bool] = []
        self.made.append(self)

    def open(self) -> None: ...

    def publish(self, publication: Publication) -> int | None:
        self.said.append(publication)
        return self._expect() if publication.qos else None

    def mark(self) -> int:
        self.marks.append(self._expect())
        return self.marks[-1]

    def serve(self, wait_ms: int = 0) -> None: ...

    def close(self, say_will: bool) -> None:
        self.closed.append(say_will)

    def _expect(self) -> int:
        number = len(self.said) + 1000 * len(self.marks)
        self.waiting[number] = ""
        return number


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[ConnectionDouble]:
    monkeypatch.setattr(ConnectionDouble, "made", [], raising=False)
    monkeypatch.setattr(module, "Connection", ConnectionDouble)
    return ConnectionDouble.made


def opened(made: list[ConnectionDouble], format: str = "json") -> tuple[MqttOutlet, ConnectionDouble]:
    config = Config.model_validate({"camera": [{"name": "top", "type": "simulated"}]})
    outlet = MqttOutlet("mes", MqttConfig.model_validate({"type": "mqtt", "format": format}), config)
    outlet.open()
    return outlet, made[-1]


def acknowledge(outlet: MqttOutlet, connection: ConnectionDouble, *numbers: int) -> Turn:
    for number in numbers or tuple(connection.waiting):
        del connection.waiting[number]
    return outlet.turn(view())


def test_nothing_is_put_before_the_birth(made: list[ConnectionDouble]) -> None:
    outlet, connection = opened(made)
    assert connection.client_id == "shadowline-line-mes"
    assert outlet.turn(view()).room == 4
    assert [one.topic for one in connection.said] == ["shadowline/line/status", "shadowline/line/heartbeat"]


def test_entries_are_settled_in_order_whatever_is_acknowledged_first(made: list[ConnectionDouble]) -> None:
    outlet, connection = opened(made)
    outlet.turn(view())
    acknowledge(outlet, connection)
    for number in (11, 12, 13):
        outlet.put(inspection(number))
    first, second, third = connection.waiting
    assert acknowledge(outlet, connection, second).done == 0
    assert acknowledge(outlet, connection, first).done == 12
    last = acknowledge(outlet, connection, third)
    assert (last.done, last.room) == (13, 5)


def test_no_more_is_taken_than_the_broker_has_room_for(made: list[ConnectionDouble]) -> None:
    outlet, connection = opened(made)
    outlet.turn(view())
    for number in range(acknowledge(outlet, connection).room):
        outlet.put(inspection(1 + number))
    assert outlet.turn(view()).room == 0
    assert len(connection.waiting) == connection.window


def test_what_is_missing_is_settled_by_its_last_number(made: list[ConnectionDouble]) -> None:
    outlet, connection = opened(made)
    outlet.turn(view())
    outlet.put(Gap(1, 7, "gone"))
    outlet.put(Expired(8, 9, 2))
    assert acknowledge(outlet, connection).done == 9


def test_the_old_numbers_hold_until_something_new_is_put(made: list[ConnectionDouble]) -> None:
    outlet, connection = opened(made)
    outlet.turn(view())
    outlet.put(inspection(500))
    outlet.put(Renumbered("another journal"))
    assert acknowledge(outlet, connection).done == 500
    outlet.put(inspection(1))
    assert outlet.turn(view()).done == 0
    assert acknowledge(outlet, connection).done == 1


def test_what_has_no_acknowledgement_is_followed_by_a_mark(made: list[ConnectionDouble]) -> None:
    outlet, connection = opened(made, "sparkplug")
    outlet.turn(view())
    assert not connection.marks
    outlet.put(inspection(1))
    outlet.put(inspection(2))
    assert outlet.turn(view()).done == 0
    assert len(connection.marks) == 1
    assert acknowledge(outlet, connection).done == 2
    assert len(connection.marks) == 1


def test_a_new_connection_begins_with_what_was_done(made: list[ConnectionDouble]) -> None:
    outlet, connection = opened(made)
    outlet.turn(view())
    outlet.put(inspection(1))
    acknowledge(outlet, connection)
    outlet.put(inspection(2))
    outlet.close()
    assert connection.closed == [True]
    with pytest.raises(PeerLost, match="no connection"):
        outlet.turn(view())
    outlet.open()
    assert outlet.turn(view()).done == 1
    outlet.put(inspection(2))
    assert acknowledge(outlet, made[-1]).done == 2


def test_what_was_not_begun_says_no_will(made: list[ConnectionDouble]) -> None:
    outlet, connection = opened(made)
    outlet.close()
    outlet.close()
    assert connection.closed == [False]


def test_what_is_too_long_is_told_as_a_gap(made: list[ConnectionDouble]) -> None:
    outlet, connection = opened(made)
    outlet.turn(view())
    connection.most_bytes = 700
    outlet.put(inspection(4))
    assert connection.said[-1].topic == "shadowline/line/gap"
    turn = acknowledge(outlet, connection)
    assert (turn.done, turn.counts["too_long"]) == (4, 1)
