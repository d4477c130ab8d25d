import json
from typing import Any

import pytest

from station.client import Gap, Renumbered
from station.event import (
    CoverageEvent,
    LossEvent,
    ModelEvent,
    Numbered,
    Origin,
    PositionRecord,
    ServiceEvent,
    StateEvent,
    decode,
)
from station.gateways.base import Entry, Expired
from station.gateways.mqtt.plain_json import PlainJson
from tests.journal_double import inspection
from tests.unit.test_mqtt_sparkplug import beat, view

ORIGIN = Origin("line", "run1", "model", "config")
MESSAGES: dict[str, tuple[Numbered, bool]] = {
    "inspection/top": (inspection(7), False),
    "state/top": (StateEvent(1, ORIGIN, "top", "offline", "unplugged", 5, 6), True),
    "coverage/top": (CoverageEvent(2, ORIGIN, "top", "coil", 0.0, 9.0, "", False, 6), False),
    "model": (ModelEvent(3, ORIGIN, "swapped", "other", "", 5, 6), True),
    "service/journal": (ServiceEvent(4, ORIGIN, "journal", "degraded", "full", 5, 6), True),
    "loss": (LossEvent(5, ORIGIN, 1, 2, "killed", 5, 6), False),
}


@pytest.fixture
def language() -> PlainJson:
    return PlainJson("plant/line", "line")


@pytest.mark.parametrize("topic", MESSAGES)
def test_messages_go_out_as_they_are(language: PlainJson, topic: str) -> None:
    message, retain = MESSAGES[topic]
    said = language.carry(message)[0]
    assert (said.topic, said.qos, said.retain) == (f"plant/line/{topic}", 1, retain)
    assert decode(said.payload) == message


def test_only_results_are_for_the_record_and_perish(language: PlainJson) -> None:
    said = [language.carry(message)[0] for message, _ in MESSAGES.values()]
    assert [one.topic for one in said if one.result or one.perishable] == ["plant/line/inspection/top"]


def test_a_result_has_a_flat_verdict_beside_it(language: PlainJson) -> None:
    event = inspection(7, captured_ns=5)
    event.part = "part 3"
    event.position = PositionRecord(12.5, None, None, "coil 7", False)
    _, verdict = language.carry(event)
    assert (verdict.topic, verdict.qos, verdict.retain) == ("plant/line/verdict/top", 0, True)
    told = json.loads(verdict.payload)
    assert not [value for value in told.values() if isinstance(value, dict | list)]
    assert told["schema"] == "shadowline.mqtt-verdict/1"
    assert (told["run"], told["event"], told["verdict"], told["defects"]) == ("run1", 7, "accept", 0)
    assert (told["part"], told["job"], told["recipe"]) == ("part 3", "", "")
    assert (told["coil"], told["position_mm"], told["captured_ns"]) == ("coil 7", 12.5, 5)


@pytest.mark.parametrize(
    ("entry", "topic", "told"),
    [
        (Gap(5, 9, "no longer kept"), "gap", {"first": 5, "last": 9, "reason": "no longer kept"}),
        (Expired(5, 9, 3), "expired", {"first": 5, "last": 9, "inspections": 3}),
        (Renumbered("another journal"), "renumbered", {"reason": "another journal"}),
    ],
)
def test_what_is_missing_is_told(language: PlainJson, entry: Entry, topic: str, told: dict[str, Any]) -> None:
    (said,) = language.carry(entry)
    assert said.topic == f"plant/line/{topic}"
    assert json.loads(said.payload) == {"schema": f"shadowline.mqtt-{topic}/1", **told}


def test_the_status_is_told_at_the_begin_and_when_it_changes(language: PlainJson) -> None:
    will = language.begin().will
    assert (will.topic, will.qos, will.retain) == ("plant/line/status", 1, True)
    assert json.loads(will.payload)["gateway"] == "offline"
    status, heartbeat = language.tell(view())
    assert (status.topic, status.retain) == ("plant/line/status", True)
    assert json.loads(status.payload)["gateway"] == "online"
    assert json.loads(status.payload)["station_heard"] is True
    assert (heartbeat.topic, heartbeat.qos) == ("plant/line/heartbeat", 0)
    (silent,) = language.tell(view(online=False, heartbeat=None))[:1]
    assert json.loads(silent.payload)["station_heard"] is False
    language.begin()
    assert language.tell(view(online=False))[0].topic == "plant/line/status"


def test_each_heartbeat_is_told_once(language: PlainJson) -> None:
    one = beat()
    assert [said.topic for said in language.tell(view(heartbeat=one))] == ["plant/line/status", "plant/line/heartbeat"]
    assert not language.tell(view(heartbeat=one))
    assert [said.topic for said in language.tell(view(heartbeat=beat()))] == ["plant/line/heartbeat"]
