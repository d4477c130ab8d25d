"""A result as words."""

import msgspec
import pytest

from station.config import Config
from station.config.gateways import ModbusConfig
from station.event import DefectRecord, PositionRecord
from station.gateways.plc.registers import DEFECTS, OTHER_LABEL, REASONS, RESULT, UNKNOWN_LABEL
from station.gateways.plc.result import codes_of, result_values
from tests.journal_double import inspection

CONFIG = Config.model_validate(
    {
        "camera": [{"name": "bottom", "type": "simulated"}, {"name": "top", "type": "simulated", "reach_mm": 100.0}],
        "line": {"encoder": {"type": "zeromq", "endpoint": "ipc:///x", "mm_per_count": 0.5, "bits": 16}},
        "recipe": {"rails": {"external_id": 7}},
    }
)
GATEWAY = ModbusConfig.model_validate(
    {"type": "modbus", "role": "client", "host": "127.0.0.1", "reject": {"distance_mm": 1100.0, "frame": 100.0}}
)
LABELS = {"crazing": 1, "scratches": 2}


def words_of(**changes: object) -> dict[str, int | str]:
    event = msgspec.structs.replace(inspection(9), **changes)
    values = result_values(event, codes_of(CONFIG, GATEWAY), LABELS, age_ms=12.4)
    return RESULT.unpack(RESULT.pack(values))


def defect(label: str, **changes: object) -> DefectRecord:
    return msgspec.structs.replace(DefectRecord(label, 0.875, (10, 20, 30, 40), 500, -30.0), **changes)


def test_an_accept_says_so_and_nothing_else() -> None:
    told = {name: value for name, value in words_of().items() if value}
    assert told == {"verdict": 1, "accept": 1, "camera": 2, "sequence": 9, "age_ms": 12}


def test_defects_by_code_place_and_size() -> None:
    long = defect("scratches", box_mm=(1.0, 2.0, 3.25, 41.06))
    told = words_of(verdict="reject", reason="scratches, unknown", defects=(long, defect("unknown"), defect("rust")))
    assert (told["reason"], told["reject"], told["defect_count"], told["truncated"]) == (2, 1, 3, 0)
    names = ("label", "confidence", "x", "y", "width", "height", "width_mm", "length_mm")
    assert [told[f"defect_1_{name}"] for name in names] == [2, 875, 10, 20, 30, 40, 32, 411]
    assert (told["defect_2_label"], told["defect_3_label"]) == (UNKNOWN_LABEL, OTHER_LABEL)
    assert told["defect_4_label"] == 0


def test_more_defects_than_fit_are_counted_and_marked() -> None:
    told = words_of(verdict="reject", reason="crazing", defects=(defect("crazing"),) * 300)
    assert (told["defect_count"], told["truncated"]) == (300, 1)
    assert told[f"defect_{DEFECTS}_label"] == 1


@pytest.mark.parametrize("reason", REASONS)
def test_why_a_result_is_invalid(reason: str) -> None:
    told = words_of(verdict="invalid", reason=reason)
    assert (told["invalid"], told["reason"]) == (1, REASONS.index(reason) + 1)


def test_a_position_gives_the_count_at_the_gate_over_the_counters_wrap() -> None:
    told = words_of(position=PositionRecord(-1.26, 0.1, 65_000, "C 1", True))
    assert (told["position"], told["position_known"], told["reversed"]) == (-13, 1, 1)
    assert (told["count"], told["target"], told["target_known"]) == (65_000, (65_000 + 2000) % 65_536, 1)
    assert told["result_coil_id"] == "C 1"
    told = words_of(position=PositionRecord(1.0, 0.1, None, "", False))
    assert (told["position_known"], told["count_known"], told["target_known"]) == (1, 0, 0)


def test_part_and_recipe_go_with_the_result() -> None:
    origin = msgspec.structs.replace(inspection(9).origin, recipe="rails")
    told = words_of(part="P 5", origin=origin, late=True)
    assert (told["result_part_id"], told["result_job"], told["late"]) == ("P 5", 7, 1)
    assert words_of(origin=msgspec.structs.replace(origin, recipe="gone"))["result_job"] == 0
