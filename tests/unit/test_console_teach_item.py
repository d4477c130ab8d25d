"""What is asked about, and in which order."""

from pathlib import Path

import msgspec
import pytest

from station.archive.evidence import Evidence
from station.archive.shelf import read_evidence
from station.config.teach import TeachConfig
from station.console.teach.item import Item, Source, group_of, items_of, ranked
from station.event import DefectRecord
from tests.evidence import NOON_NS, fill, make_event

CONFIG = TeachConfig()


def evidence(tmp_path: Path, labels: tuple[str, ...], verdict: str, frame: bool = False) -> tuple[Evidence, str]:
    archive = tmp_path / "archive"
    (place,) = fill(archive, [make_event(7, labels, verdict)], frame=frame)
    return read_evidence(place), str(place.relative_to(archive))


def with_confidence(found: Evidence, confidence: float) -> Evidence:
    defects: tuple[DefectRecord, ...] = tuple(
        msgspec.structs.replace(defect, confidence=confidence) for defect in found.event.defects
    )
    return msgspec.structs.replace(found, event=msgspec.structs.replace(found.event, defects=defects))


@pytest.mark.parametrize(
    ("labels", "verdict", "confidence", "reason"),
    [
        (("unknown",), "reject", 0.99, "unknown"),
        (("scratches",), "accept", 0.5, "doubtful"),
        (("scratches",), "reject", 0.9, "rejected"),
        (("scratches",), "accept", 0.9, "audit"),
    ],
)
def test_a_region_is_asked_about_for_one_reason(
    tmp_path: Path, labels: tuple[str, ...], verdict: str, confidence: float, reason: str
) -> None:
    found, place = evidence(tmp_path, labels, verdict)
    (item,) = items_of(with_confidence(found, confidence), place, CONFIG, frozenset())
    assert (item.reason, item.source.label) == (reason, labels[0])
    assert item.id == "000000000007-0123456789ab.0"
    assert item.source.region_px == (0, 40, 12, 10)


def test_a_region_that_a_new_model_names_otherwise_comes_before_a_doubtful_one(tmp_path: Path) -> None:
    found, place = evidence(tmp_path, ("scratches", "patches"), "reject")
    doubted = with_confidence(found, 0.1)
    items = items_of(doubted, place, CONFIG, frozenset({"000000000007-0123456789ab.1"}))
    assert [item.reason for item in ranked(items)] == ["shadow", "doubtful"]


def test_the_limit_of_confidence_and_the_share_of_audits_are_configured(tmp_path: Path) -> None:
    found, place = evidence(tmp_path, ("scratches",), "accept")
    sure = with_confidence(found, 0.7)
    assert items_of(sure, place, TeachConfig(low_confidence=0.6, audit_share=0.0), frozenset()) == []
    (item,) = items_of(sure, place, TeachConfig(low_confidence=0.6), frozenset())
    assert item.reason == "audit"


def test_a_frame_without_a_region_can_be_looked_through_for_missed_defects(tmp_path: Path) -> None:
    found, place = evidence(tmp_path, (), "invalid", frame=True)
    (item,) = items_of(found, place, CONFIG, frozenset())
    assert (item.reason, item.is_region, item.id) == ("empty", False, "000000000007-0123456789ab.frame")


def test_the_less_sure_and_the_newer_come_first_and_an_audit_after_nine_others() -> None:
    def item(number: int, reason: str, confidence: float, captured_ns: int = 0) -> Item:
        source = Source(confidence=confidence, captured_ns=captured_ns, region_px=(0, 0, 1, 1))
        return Item(str(number), reason, source)  # type: ignore[arg-type]

    others = [item(1, "doubtful", 0.7), item(2, "unknown", 0.9, 1), item(3, "unknown", 0.9, 2)]
    audits = [item(number, "audit", 0.9) for number in (50, 51)]
    many = [item(number, "rejected", 0.9, -number) for number in range(10, 30)]
    order = [one.id for one in ranked([*audits, *others, *many])]
    assert order[:4] == ["3", "2", "1", "10"]
    assert [order.index("50"), order.index("51")] == [9, 19]
    assert len(order) == 25


@pytest.mark.parametrize(
    ("source", "group"),
    [
        (Source(coil="A-17/3", part="p"), "coil_A_17_3"),
        (Source(part="p 9"), "part_p_9"),
        (Source(camera="top", captured_ns=NOON_NS), "top_20261121_1200"),
        (Source(name="dent.bmp"), "sent_dent.bmp"),
    ],
)
def test_what_belongs_together_has_one_group_without_a_hyphen(source: Source, group: str) -> None:
    assert group_of(source) == group
