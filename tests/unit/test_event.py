import json
from dataclasses import replace

import jsonschema
import msgspec
import numpy as np
import pytest

from station.event import (
    CameraLedger,
    EngineRecord,
    FinderRecord,
    Heartbeat,
    InspectionEvent,
    JournalRecord,
    LossEvent,
    Message,
    ModelEvent,
    Origin,
    ServiceEvent,
    StateEvent,
    decode,
    encode,
    schema,
    topic,
)
from station.frame import Frame, InvalidReason, Missing, Piece
from station.inspection import Inspection, Stages
from station.inspection_event import make_inspection_event
from station.verdict import Defect, Verdict

ORIGIN = Origin("line", "0123456789ab", "model 0123", "4567")
FRAME = Frame("top", 3, np.zeros((20, 30), np.uint8), 5, 6, frame_id=8, encoder=-4, source="a.png")
DEFECT = Defect("scratches", 0.98765, (1, 2, 3, 4), 9, 31.26)
NOVEL = Defect("unknown", 0.5, (1, 2, 3, 4), 9, 31.26, 12.34567891)

MESSAGES: dict[str, Message] = {
    "inspection.top": make_inspection_event(
        Inspection(FRAME, 3, Verdict.REJECT, "scratches", 1_500_000, False, (DEFECT,), Stages(1, 2, 3, 4, 5)),
        ORIGIN,
        20,
    ),
    "inspection.side": make_inspection_event(
        Inspection(Missing("side", 4, InvalidReason.LOST, 5, 6), 4, Verdict.INVALID, "lost", 10, True), ORIGIN, 20
    ),
    "inspection.end": make_inspection_event(
        Inspection(Frame("end", 1, FRAME.image, 5, 6), 1, Verdict.REJECT, "unknown", 10, False, (NOVEL,)), ORIGIN, 20
    ),
    "state.top": StateEvent(1, ORIGIN, "top", "offline", "unplugged", 5, 6),
    "model": ModelEvent(2, ORIGIN, "rolled_back", "other 4567", "late", 5, 6),
    "service.journal": ServiceEvent(3, ORIGIN, "journal", "degraded", "the disk is full", 5, 6),
    "loss": LossEvent(4, ORIGIN, 100, 102, "the station was killed", 5, 6),
    "heartbeat": Heartbeat(
        ORIGIN,
        1,
        1.0,
        7,
        {"top": CameraLedger(3, 1, {"lost": 2}, 0, "online")},
        EngineRecord("fake", ("a",), ""),
        {},
        journal=JournalRecord("0123", 1, 6, 1, "online"),
    ),
}


@pytest.mark.parametrize(("name", "message"), MESSAGES.items(), ids=MESSAGES)
def test_keeps_its_schema_and_comes_back_as_it_was(name: str, message: Message) -> None:
    payload = encode(message)
    jsonschema.validate(json.loads(payload), schema(), cls=jsonschema.Draft202012Validator)
    assert decode(payload) == message
    assert topic(message) == name


def test_the_schema_refuses_what_is_no_message() -> None:
    good = json.loads(encode(MESSAGES["inspection.top"]))
    high = [{**good["defects"][0], "novelty": "high"}]
    wrong = ({"verdict": "perhaps"}, {"schema": "other/1"}, {"sequence": "3"}, {"defects": high})
    for bad in ({**good, **part} for part in wrong):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema(), cls=jsonschema.Draft202012Validator)


def test_who_found_a_defect_is_told_and_older_events_mean_shadows() -> None:
    found = Defect("hole", 0.9, (1, 2, 3, 4), 9, 31.26, found_by="shadow+heatmap", score=0.123456)
    origin = msgspec.structs.replace(ORIGIN, finders=(FinderRecord("heatmap", "heatmap", "0123456789ab", 0.4),))
    inspection = Inspection(FRAME, 3, Verdict.REJECT, "hole", 10, False, (found,))
    message = json.loads(encode(make_inspection_event(inspection, origin, 20)))
    jsonschema.validate(message, schema(), cls=jsonschema.Draft202012Validator)
    defect = message["defects"][0]
    assert (defect["found_by"], defect["score"]) == ("shadow+heatmap", 0.1235)
    assert message["origin"]["finders"] == [
        {"name": "heatmap", "kind": "heatmap", "sha256": "0123456789ab", "threshold": 0.4}
    ]
    del message["origin"]["finders"], defect["found_by"], defect["score"]
    old = decode(json.dumps(message).encode())
    assert isinstance(old, InspectionEvent)
    assert (old.defects[0].found_by, old.defects[0].score, old.origin.finders) == ("shadow", 1.0, ())


def test_a_model_change_says_what_was_done_to_which_model_while_which_one_is_live() -> None:
    event = json.loads(encode(MESSAGES["model"]))
    assert (event["schema"], event["event"]) == ("shadowline.model/1", 2)
    assert (event["action"], event["model"], event["detail"]) == ("rolled_back", "other 4567", "late")
    assert event["origin"]["model"] == "model 0123"
    with pytest.raises(msgspec.ValidationError):
        decode(encode(MESSAGES["model"]).replace(b"rolled_back", b"exploded"))


def test_an_inspection_carries_what_was_inspected() -> None:
    event = json.loads(encode(MESSAGES["inspection.top"]))
    assert event["schema"] == "shadowline.inspection/1"
    assert event["size_px"] == [30, 20]
    assert event["defects"] == [
        {
            "label": "scratches",
            "confidence": 0.9877,
            "box_px": [1, 2, 3, 4],
            "area_px": 9,
            "depth": 31.3,
            "novelty": None,
            "position_mm": None,
            "goes_on": False,
            "box_mm": None,
            "area_mm2": None,
            "found_by": "shadow",
            "score": 1.0,
        }
    ]
    assert json.loads(encode(MESSAGES["inspection.end"]))["defects"][0]["novelty"] == 12.345679
    assert (event["frame_id"], event["encoder"], event["source"], event["latency_ms"]) == (8, -4, "a.png", 1.5)


def test_an_event_from_before_there_was_novelty_is_read() -> None:
    event = json.loads(encode(MESSAGES["inspection.top"]))
    del event["defects"][0]["novelty"]
    assert decode(json.dumps(event).encode()) == MESSAGES["inspection.top"]


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b"\xff", b'{"schema":"shadowline.inspection/1"}', b"[" * 9999])
def test_hostile_payloads_are_refused(payload: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, RecursionError)):
        decode(payload)


def test_recipe_part_and_job_are_told_and_older_events_have_none() -> None:
    origin = msgspec.structs.replace(ORIGIN, recipe="thick")
    about = replace(FRAME, piece=Piece("A 17", "4711"))
    message = json.loads(encode(make_inspection_event(Inspection(about, 3, Verdict.ACCEPT, "", 10, False), origin, 20)))
    jsonschema.validate(message, schema(), cls=jsonschema.Draft202012Validator)
    assert (message["origin"]["recipe"], message["part"], message["job"]) == ("thick", "A 17", "4711")
    del message["origin"]["recipe"], message["part"], message["job"]
    old = decode(json.dumps(message).encode())
    assert isinstance(old, InspectionEvent)
    assert (old.origin.recipe, old.part, old.job) == ("", "", "")
