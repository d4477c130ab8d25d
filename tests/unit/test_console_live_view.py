import json
from types import MappingProxyType
from typing import Any

from station.console.feed import Arrived, FeedState
from station.console.live.gateways import GatewayView
from station.console.live.pictures import Picture
from station.console.live.view import encode_line, view_line
from station.event import CameraLedger, EngineRecord, Heartbeat, JournalRecord, ServiceEvent, StateEvent
from tests.evidence import make_event

NOW_NS = 10**12
LEDGER = CameraLedger(100, 90, {"dark": 5, "overrun": 2}, 1, "degraded")
ORIGIN = make_event(1).origin
BEAT = Heartbeat(
    ORIGIN,
    1,
    1.0,
    99,
    {"top": LEDGER},
    EngineRecord("tensor_rt", ("scratches",), "abc", "the best there is"),
    {"zeromq": 3},
    "online",
    JournalRecord("j", 1, 99, 0, "degraded", "little room"),
)


def make_state(**fields: Any) -> FeedState:
    nothing: dict[str, Any] = MappingProxyType({})  # type: ignore[assignment]
    known = {
        "version": 1,
        "online": True,
        "heartbeat": BEAT,
        "heartbeat_age_s": 0.4,
        "inspections": nothing,
        "cameras": nothing,
        "services": nothing,
        "coverage": nothing,
        "model": None,
        "verdicts": (),
    }
    return FeedState(**known | fields)


def tell(state: FeedState, picture: Picture | None = None, archived: bool = True) -> Any:
    """Return what a browser is told."""
    gateways = [GatewayView("plc", "modbus", "online", "")]
    told = encode_line(view_line(state, {"top": picture}, gateways, archived, NOW_NS))
    assert told.startswith(b"event: line\ndata: ")
    assert told.endswith(b"\n\n")
    assert told.count(b"\n") == 3
    return json.loads(told.partition(b"data: ")[2])


def test_before_anything_was_heard_the_cameras_are_there_and_nothing_of_them() -> None:
    told = tell(make_state(online=False, heartbeat=None, heartbeat_age_s=None))
    (camera,) = told["cameras"]
    assert (camera["name"], camera["picture"], camera["newest"], camera["ledger"]) == ("top", None, None, None)
    assert (told["online"], told["silent_s"], told["ticker"]) == (False, None, [])
    assert told["services"] == [{"name": "archive", "state": None, "detail": ""}]


def test_a_picture_has_its_regions_and_its_age() -> None:
    event = make_event(7, ("scratches", "patches"))
    camera = tell(make_state(), Picture("run-7", event, b"", NOW_NS - 250_000_000))["cameras"][0]
    assert camera["picture"] | {"latency_ms": 0} == {
        "event": 7,
        "verdict": "reject",
        "reason": "",
        "late": False,
        "latency_ms": 0,
        "budget_ms": 20.0,
        "size_px": [200, 120],
        "defects": [["scratches", 0.9, [0, 40, 12, 10]], ["patches", 0.9, [20, 40, 12, 10]]],
        "beyond": 0,
        "age_ms": 250.0,
        "version": "run-7",
    }


def test_an_age_that_nobody_knows_is_null() -> None:
    camera = tell(make_state(), Picture("run-7", make_event(7), b"", float("-inf")))["cameras"][0]
    assert camera["picture"]["age_ms"] is None


def test_more_regions_than_can_be_told_apart_are_counted() -> None:
    camera = tell(make_state(), Picture("run-7", make_event(7, ("patches",) * 130), b"", 0.0))["cameras"][0]
    assert (len(camera["picture"]["defects"]), camera["picture"]["beyond"]) == (100, 30)


def test_the_newest_result_is_told_with_and_without_pictures() -> None:
    arrived = Arrived(make_event(8, verdict="accept"), NOW_NS - 40_000_000)
    newest = tell(make_state(inspections={"top": arrived}))["cameras"][0]["newest"]
    assert (newest["event"], newest["verdict"], newest["age_ms"], newest["version"]) == (8, "accept", 41.0, "")


def test_the_ledger_is_told_with_what_is_under_way() -> None:
    (camera,) = tell(make_state())["cameras"]
    assert (camera["state"], camera["under_way"]) == ("degraded", 3)
    assert camera["ledger"]["invalid"] == {"dark": 5, "overrun": 2}


def test_a_cameras_detail_is_of_the_state_that_it_is_in() -> None:
    for state, detail in (("degraded", "blurred"), ("online", "")):
        changed = StateEvent(1, ORIGIN, "top", state, "blurred", 1, 1)  # type: ignore[arg-type]
        assert tell(make_state(cameras={"top": changed}))["cameras"][0]["detail"] == detail


def test_the_ticker_has_the_last_sixty_the_newest_first() -> None:
    verdicts = tuple(make_event(number) for number in range(200, 0, -1))
    ticker = tell(make_state(verdicts=verdicts))["ticker"]
    assert [row[0] for row in ticker] == list(range(200, 140, -1))
    assert ticker[0] == [200, "top", "reject", "", 1.0, False]


def test_journal_and_archive_are_told_where_there_are_any() -> None:
    archive = ServiceEvent(1, ORIGIN, "archive", "offline", "the disk is full", 1, 1)
    assert tell(make_state(services={"archive": archive}))["services"] == [
        {"name": "journal", "state": "degraded", "detail": "little room"},
        {"name": "archive", "state": "offline", "detail": "the disk is full"},
    ]
    assert [one["name"] for one in tell(make_state(), archived=False)["services"]] == ["journal"]


def test_what_runs_is_named() -> None:
    told = tell(make_state(verdicts=(make_event(1),)))
    assert (told["engine"], told["why"], told["model"]) == ("tensor_rt", "the best there is", "tiny 123")
    assert (told["encoder"], told["dropped"], told["gateways"][0]["state"]) == ("online", 3, "online")


def test_of_a_station_that_is_not_heard_nothing_is_said_to_be_well() -> None:
    archive = ServiceEvent(1, ORIGIN, "archive", "online", "", 1, 1)
    changed = StateEvent(1, ORIGIN, "top", "degraded", "blurred", 1, 1)
    told = tell(make_state(online=False, services={"archive": archive}, cameras={"top": changed}))
    assert [one["state"] for one in (*told["cameras"], *told["services"])] == [None, None, None]
    assert (told["cameras"][0]["detail"], told["encoder"]) == ("", "")
    assert told["cameras"][0]["ledger"]["announced"] == 100
