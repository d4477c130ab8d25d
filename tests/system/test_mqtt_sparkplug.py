"""The station as a Sparkplug edge node at a real broker, as a host application sees it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from station.config import Config
from station.config.gateways import MqttConfig
from station.event import CameraLedger, EngineRecord, Heartbeat, Origin
from station.gateways.mqtt.outlet import MqttOutlet
from station.gateways.mqtt.payload import DataType, Metric, Payload, encode
from tests.carrying import Carrying
from tests.journal_double import inspection
from tests.mqtt_broker import Heard, broker, listening, until
from tests.sparkplug_schema import read, values

REBIRTH = encode(Payload(1, (Metric("Node Control/Rebirth", DataType.BOOLEAN, True, 1),)))
NODE = "spBv1.0/shadowline/{}/line"
STATE = "spBv1.0/STATE/scada"


def beat(last_event: int) -> Heartbeat:
    ledger = {"top": CameraLedger(0, 0, {}, 0, "online")}
    return Heartbeat(Origin("line", "run1", "m", "c"), 0, 1.0, last_event, ledger, EngineRecord("fake", (), ""), {})


@contextmanager
def carrying(port: int, numbers: Sequence[int], last_event: int = 0, **settings: Any) -> Iterator[Carrying]:
    table = MqttConfig.model_validate(
        {"type": "mqtt", "port": port, "format": "sparkplug", "connect_s": 0.5} | settings
    )
    config = Config.model_validate({"camera": [{"name": "top", "type": "simulated"}]})
    outlet = MqttOutlet("scada", table, config)
    try:
        yield Carrying(outlet, [(number, inspection(number)) for number in numbers], beat(last_event))
    finally:
        outlet.close()


def verbs(heard: Sequence[Heard]) -> list[str]:
    return [one.topic.split("/")[2] for one in heard]


def sequence(heard: Sequence[Heard]) -> list[int]:
    """Return the sequence numbers, for a host that asks whether one is missing."""
    return [read(one.payload).seq for one in heard if "NDEATH" not in one.topic and "STATE" not in one.topic]


def told(heard: Sequence[Heard]) -> list[tuple[int, bool]]:
    """Return the numbers of results, and whether each is historical."""
    names: dict[int, str] = {}
    found = []
    for one in heard:
        message = read(one.payload)
        if "/DBIRTH/" in one.topic:
            names = {metric.alias: metric.name for metric in message.metrics}
        if "/DDATA/" in one.topic:
            found.append((values(one.payload, names)["Event/Number"], message.metrics[0].is_historical))
    return found


def test_a_host_sees_births_data_without_a_gap_and_the_death(tmp_path: Path) -> None:
    with broker(tmp_path) as one, listening(one.port, "spBv1.0/#") as host, carrying(one.port, range(1, 301)) as loop:
        until(lambda: loop.is_done, "the acknowledgement", loop.step)
        loop.outlet.close()
        until(lambda: host.on("NDEATH"), "the death")
        assert verbs(host.heard) == ["NBIRTH", "DBIRTH", *["DDATA"] * 300, "NDEATH"]
        assert sequence(host.heard) == [number % 256 for number in range(302)]
        assert told(host.heard) == [(number, False) for number in range(1, 301)]
        assert values(host.heard[-1].payload) == {"bdSeq": values(host.heard[0].payload)["bdSeq"]}
        assert {(found.qos, found.retain) for found in host.heard[:-1]} == {(0, False)}


def test_a_host_that_missed_something_is_given_all_again(tmp_path: Path) -> None:
    with broker(tmp_path) as one, carrying(one.port, [1, 2]) as loop:
        until(lambda: loop.is_done, "the acknowledgement", loop.step)
        with listening(one.port, "spBv1.0/#") as host:
            host.publish(NODE.format("NCMD"), REBIRTH)
            until(lambda: host.on("DBIRTH"), "the rebirth", loop.step)
            assert verbs(host.heard)[1:] == ["NBIRTH", "DBIRTH"]
            assert sequence(host.heard[1:]) == [0, 1]
            assert values(host.on("DBIRTH")[0].payload)["Event/Number"] == 2
            host.publish(NODE.format("NCMD"), b"\xff" * 100)
            loop.entries.append((3, inspection(3)))
            until(lambda: host.on("DDATA"), "the next result", loop.step)
            assert not loop.faults


def test_the_broker_says_the_death_of_a_node_that_is_cut_off(tmp_path: Path) -> None:
    with broker(tmp_path) as one, listening(one.port, "spBv1.0/#") as host, carrying(one.port, [1]) as loop:
        until(lambda: loop.is_done, "the acknowledgement", loop.step)
        with carrying(one.port, []) as second:  # under the same name: the broker ends the first
            until(lambda: second.last.room, "the second", second.step)
            until(lambda: host.on("NDEATH"), "the death")
        assert values(host.on("NDEATH")[0].payload)["bdSeq"] == values(host.on("NBIRTH")[0].payload)["bdSeq"]


def test_what_a_primary_host_missed_comes_as_historical(tmp_path: Path) -> None:
    def say(online: bool, at: int) -> None:
        host.publish(STATE, json.dumps({"online": online, "timestamp": at}).encode(), retain=True)

    with (
        broker(tmp_path) as one,
        listening(one.port, "spBv1.0/shadowline/#") as host,
        carrying(one.port, range(1, 21), last_event=10, primary_host="scada") as loop,
    ):
        until(lambda: loop.faults, "the wait for the host", loop.step)
        assert "no word of primary host scada" in loop.faults[-1]
        say(False, 1000)
        until(lambda: "primary host scada is offline" in loop.faults[-1], "the offline host", loop.step)
        assert not host.heard
        say(True, 1001)
        until(lambda: loop.is_done, "the acknowledgement", loop.step)
        until(lambda: len(told(host.heard)) == 20, "the last result")
        assert told(host.heard) == [(number, number <= 10) for number in range(1, 21)]
        say(False, 1002)
        faults = len(loop.faults)
        until(lambda: len(loop.faults) > faults, "the loss of the host", loop.step)
        until(lambda: host.on("NDEATH"), "the death")


def test_a_killed_broker_gets_births_and_what_it_may_have_lost(tmp_path: Path) -> None:
    with broker(tmp_path) as one, carrying(one.port, range(1, 101)) as loop:
        until(lambda: loop.done >= 20, "a part", loop.step)
        one.kill()
        until(lambda: loop.faults, "the loss", loop.step)
        done = loop.done
        loop.beat = beat(100)
        one.start()
        with listening(one.port, "spBv1.0/#") as host:
            until(lambda: loop.is_done, "the acknowledgement", loop.step)
            until(lambda: len(told(host.heard)) == 100 - done, "the last result")
            assert told(host.heard) == [(number, True) for number in range(done + 1, 101)]
            assert sequence(host.heard) == [number % 256 for number in range(102 - done)]
            assert values(host.on("NBIRTH")[0].payload)["bdSeq"] >= 1
