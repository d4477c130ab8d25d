import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from shadowline.errors import PeerLost
from station.client import Gap, Renumbered
from station.event import CameraLedger, DefectRecord, EngineRecord, Heartbeat, Origin, StateEvent
from station.gateways.base import Expired, View
from station.gateways.mqtt.base import Publication
from station.gateways.mqtt.metrics import CAMERA, NODE
from station.gateways.mqtt.payload import DataType, Metric, Payload, encode
from station.gateways.mqtt.sparkplug import SparkplugNode
from tests.journal_double import inspection
from tests.sparkplug_schema import TYPES, read, values

ORIGIN = Origin("line", "run1", "model", "config")
REBIRTH = encode(Payload(1, (Metric("Node Control/Rebirth", DataType.BOOLEAN, True, 1),)))


def beat(last_event: int = 0, **cameras: str) -> Heartbeat:
    ledger = {name: CameraLedger(0, 0, {}, 0, state) for name, state in (cameras or {"top": "online"}).items()}  # type: ignore[arg-type]
    return Heartbeat(ORIGIN, 0, 1.0, last_event, ledger, EngineRecord("fake", (), ""), {})


def view(online: bool = True, heartbeat: Heartbeat | None = None, expired: int = 0) -> View:
    return View("line", online, heartbeat or beat(), 0, "journal1", "online", "", 0, expired, 0, 0, True)


def state(event: int, state: str, camera: str = "top") -> StateEvent:
    return StateEvent(event, ORIGIN, camera, state, "unplugged", 5, 6)  # type: ignore[arg-type]


def kinds(said: Sequence[Publication]) -> list[str]:
    """Return verb and device of each."""
    return [" ".join(one.topic.split("/")[2::2]) for one in said]


def node(**settings: Any) -> SparkplugNode:
    one = SparkplugNode("plant", "line", now_ns=lambda: 1_700_000_000_000_000_000, **settings)
    one.begin()
    return one


class Host:
    """A host application: follows births, aliases and the sequence, and does not forgive."""

    def __init__(self) -> None:
        self.names: dict[str, dict[int, str]] = {}
        self.seq: int | None = None
        self.live: dict[str, dict[str, Any]] = {}
        self.past: list[dict[str, Any]] = []

    def take(self, *said: Publication) -> None:
        for one in said:
            assert (one.qos, one.retain) == (0, False)
            _, group, verb, station, *device = one.topic.split("/")
            assert (group, station) == ("plant", "line")
            self._sequence(verb, read(one.payload))
            self._take(verb, "".join(device), one.payload)

    def _sequence(self, verb: str, payload: Any) -> None:
        assert payload.timestamp == 1_700_000_000_000
        assert payload.seq == (0 if verb == "NBIRTH" or self.seq is None else (self.seq + 1) % 256)
        self.seq = payload.seq

    def _take(self, verb: str, device: str, payload: bytes) -> None:
        metrics = read(payload).metrics
        if verb == "NBIRTH":
            self.names, self.live = {}, {}
        if verb.endswith("BIRTH"):
            assert all(
                metric.name and metric.HasField("datatype") and metric.HasField("timestamp") for metric in metrics
            )
            self.names[device] = {metric.alias: metric.name for metric in metrics if metric.HasField("alias")}
            self.live[device] = values(payload)
            aliases = [alias for names in self.names.values() for alias in names]
            assert len(aliases) == len(set(aliases))
        elif verb.endswith("DEATH"):
            assert not metrics
            del self.names[device], self.live[device]
        else:
            assert all(metric.HasField("timestamp") for metric in metrics)
            found = values(payload, self.names[device])
            if any(metric.is_historical for metric in metrics):
                self.past.append(found)
            else:
                self.live[device] |= found


def test_a_connection_begins_with_the_will_and_births_of_the_same_number() -> None:
    one = SparkplugNode("plant", "line")
    for number in (0, 1):
        begin = one.begin()
        assert begin.will.topic == "spBv1.0/plant/NDEATH/line"
        assert (begin.will.qos, begin.will.retain) == (1, False)
        assert begin.topics == ("spBv1.0/plant/NCMD/line",)
        death = read(begin.will.payload)
        assert not death.HasField("seq")
        assert [(metric.name, metric.datatype, metric.long_value) for metric in death.metrics] == [("bdSeq", 4, number)]
        birth, *devices = one.tell(view())
        assert values(birth.payload)["bdSeq"] == number
        assert values(birth.payload)["Node Control/Rebirth"] is False
        assert read(birth.payload).seq == 0
        assert kinds(devices) == ["DBIRTH top"]


def test_the_number_of_births_begins_again_after_255() -> None:
    one = SparkplugNode("plant", "line")
    numbers = [values(one.begin().will.payload)["bdSeq"] for _ in range(258)]
    assert numbers == [*range(256), 0, 1]


def test_births_tell_every_metric_with_its_type() -> None:
    birth, device = node().tell(view())
    assert {metric.name: TYPES[metric.datatype] for metric in read(birth.payload).metrics} == {
        "bdSeq": "Int64",
        "Node Control/Rebirth": "Boolean",
        **{name: TYPES[kind] for name, kind in NODE.items()},
    }
    assert not any(metric.HasField("alias") for metric in read(birth.payload).metrics[:2])
    assert {metric.name: TYPES[metric.datatype] for metric in read(device.payload).metrics} == {
        name: TYPES[kind] for name, kind in CAMERA.items()
    }


def test_a_result_is_told_with_its_key_and_all_defects() -> None:
    host, one = Host(), node()
    host.take(*one.tell(view()))
    assert host.live["top"]["Reject"] is True
    defects = (DefectRecord("scratch", 0.9, (1, 2, 3, 4), 12, -20.0, position_mm=(5.0, 6.0)),)
    event = inspection(7, captured_ns=1_690_000_000_123_456_789)
    host.take(*one.carry(msgspec.structs.replace(event, defects=defects)))
    assert host.live["top"]["Defects/Table"] == [
        {
            "label": "scratch",
            "confidence": 0.9,
            "x": 1,
            "y": 2,
            "width": 3,
            "height": 4,
            "area_px": 12,
            "start_mm": 5.0,
            "end_mm": 6.0,
        }
    ]
    assert host.live["top"]["Captured"] == 1_690_000_000_123
    told = {name: host.live["top"][name] for name in ("Event/Run", "Event/Number", "Verdict", "Reject", "Coil")}
    assert told == {"Event/Run": "run1", "Event/Number": 7, "Verdict": "accept", "Reject": False, "Coil": None}


@pytest.mark.parametrize("verdict", ["reject", "invalid"])
def test_what_is_no_accept_rejects(verdict: str) -> None:
    host, one = Host(), node()
    host.take(*one.tell(view()), *one.carry(msgspec.structs.replace(inspection(7), verdict=verdict)))
    assert host.live["top"]["Reject"] is True


def test_what_was_recorded_before_the_birth_is_historical() -> None:
    host, one = Host(), node()
    host.take(*one.tell(view(heartbeat=beat(5))))
    for number in (4, 5, 6):
        host.take(*one.carry(inspection(number)))
    assert [past["Event/Number"] for past in host.past] == [4, 5]
    assert host.live["top"]["Event/Number"] == 6


def test_new_numbers_are_live_though_they_are_low() -> None:
    host, one = Host(), node()
    host.take(
        *one.tell(view(heartbeat=beat(500))), *one.carry(Renumbered("another journal")), *one.carry(inspection(1))
    )
    assert host.live["top"]["Event/Number"] == 1
    assert host.live[""]["Missing/Reason"] == "renumbered: another journal"


def test_the_sequence_has_no_gap_over_a_thousand_messages() -> None:
    host, one = Host(), node()
    host.take(*one.tell(view()))
    for number in range(1, 1000):
        host.take(*one.carry(inspection(number, camera=f"camera{number % 3}")))
    assert host.live["camera0"]["Event/Number"] == 999


def test_a_camera_that_goes_dies_and_is_born_with_its_next_word() -> None:
    host, one = Host(), node()
    host.take(*one.tell(view()))
    gone = one.carry(state(1, "offline"))
    assert kinds(gone) == ["DDATA top", "DDEATH top"]
    assert not one.carry(state(2, "ended"))
    back = one.carry(state(3, "online"))
    assert kinds(back) == ["DBIRTH top", "DDATA top"]
    host.take(*gone, *back)
    assert host.live["top"]["State"] == "online"
    assert host.live["top"]["Reject"] is True


def test_a_silent_station_lets_its_cameras_die_and_reject() -> None:
    host, one = Host(), node()
    host.take(*one.tell(view()), *one.carry(inspection(1)))
    assert host.live["top"]["Reject"] is False
    silent = one.tell(view(online=False))
    assert kinds(silent) == ["NDATA ", "DDEATH top"] or kinds(silent) == ["NDATA", "DDEATH top"]
    host.take(*silent)
    assert host.live[""]["Station/Heard"] is False
    host.take(*one.carry(inspection(2)), *one.tell(view(online=False)))
    assert host.live["top"]["Reject"] is True
    assert [past["Event/Number"] for past in host.past] == [2]
    host.take(*one.tell(view(heartbeat=beat(2))), *one.carry(inspection(3)))
    assert host.live["top"]["Reject"] is False


def test_only_cameras_that_are_carried_and_there_are_born() -> None:
    one = node(cameras=("top", "side"))
    said = one.tell(view(heartbeat=beat(top="online", bottom="online", side="offline")))
    assert kinds(said)[1:] == ["DBIRTH top"]


def test_a_rebirth_tells_all_again_with_the_last_values() -> None:
    host, one = Host(), node()
    host.take(*one.tell(view()), *one.carry(inspection(9)))
    one.hear("spBv1.0/plant/NCMD/line", REBIRTH)
    said = one.tell(view())
    assert [kind.split()[0] for kind in kinds(said)] == ["NBIRTH", "DBIRTH"]
    host.take(*said)
    assert host.live["top"]["Event/Number"] == 9
    assert values(said[0].payload)["bdSeq"] == 0
    assert not one.tell(view())


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff" * 40,
        encode(Payload(1, (Metric("Node Control/Rebirth", DataType.BOOLEAN, False, 1),))),
        encode(Payload(1, (Metric("Node Control/Reboot", DataType.BOOLEAN, True, 1),))),
        encode(Payload(1, (Metric("Node Control/Rebirth", DataType.STRING, "true", 1),))),
    ],
)
def test_commands_that_are_none_do_nothing(payload: bytes) -> None:
    one = node()
    one.tell(view())
    one.hear("spBv1.0/plant/NCMD/line", payload)
    assert not one.tell(view())


def test_what_is_missing_is_told_by_the_node() -> None:
    host, one = Host(), node()
    host.take(*one.tell(view()), *one.carry(Gap(5, 9, "no longer kept")))
    assert [host.live[""][f"Missing/{name}"] for name in ("First", "Last", "Reason")] == [5, 9, "no longer kept"]
    host.take(*one.carry(Expired(10, 20, 7)))
    assert [host.live[""][f"Missing/{name}"] for name in ("First", "Last", "Reason")] == [10, 20, "expired, 7 results"]


def test_totals_are_told_when_they_change() -> None:
    host, one = Host(), node()
    host.take(*one.tell(view()))
    assert not one.tell(view())
    host.take(*one.tell(view(expired=3)))
    assert host.live[""]["Station/Expired Results"] == 3


class TestPrimaryHost:
    TOPIC = "spBv1.0/STATE/scada"

    def one(self) -> SparkplugNode:
        one = SparkplugNode("plant", "line", primary_host="scada")
        assert one.begin().topics == ("spBv1.0/plant/NCMD/line", self.TOPIC)
        assert not one.tell(view())
        return one

    def say(self, one: SparkplugNode, online: bool, timestamp: int) -> None:
        one.hear(self.TOPIC, json.dumps({"online": online, "timestamp": timestamp}).encode())

    def test_births_wait_for_it(self) -> None:
        one = self.one()
        self.say(one, True, 1000)
        assert kinds(one.tell(view()))[1:] == ["DBIRTH top"]

    def test_while_it_is_offline_nothing_is_said(self) -> None:
        one = self.one()
        self.say(one, False, 1000)
        with pytest.raises(PeerLost, match="primary host scada is offline"):
            one.tell(view())

    def test_an_older_word_of_it_is_not_believed(self) -> None:
        one = self.one()
        self.say(one, True, 1000)
        self.say(one, False, 999)
        assert one.tell(view())
        self.say(one, False, 1001)
        with pytest.raises(PeerLost, match="offline"):
            one.tell(view())

    @pytest.mark.parametrize("payload", [b"ONLINE", b"{}", b'{"online":1,"timestamp":1}', b"[" * 100_000, b"\xff"])
    def test_what_is_no_word_of_it_is_passed_over(self, payload: bytes) -> None:
        one = self.one()
        one.hear(self.TOPIC, payload)
        assert not one.tell(view())

    def test_a_broker_without_its_word_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        one = self.one()
        monkeypatch.setattr("station.gateways.mqtt.sparkplug._HOST_S", -1.0)
        with pytest.raises(PeerLost, match="no word of primary host scada"):
            one.tell(view())
