"""The table of the exchange: what a PLC's program counts on."""

from pathlib import Path

from station.frame import InvalidReason
from station.gateways.plc.map import registers_page
from station.gateways.plc.registers import CONTROL, HEAD, OUTPUT, REASONS, RESULT, STATUS_WORDS, TAIL, VERSION

MODBUS_WRITE, MODBUS_READ = 123, 125


def test_the_page_is_that_of_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "plc-registers.md"
    assert page.read_text() == registers_page(), "python -m station.gateways.plc.map > docs/plc-registers.md"


def test_each_part_fits_into_one_request() -> None:
    assert max(CONTROL.words, HEAD.words, RESULT.words) <= MODBUS_WRITE
    assert max(OUTPUT.words + HEAD.words, RESULT.words + TAIL.words) <= MODBUS_READ


def test_places_do_not_move_within_a_version() -> None:
    assert (VERSION, CONTROL.words, STATUS_WORDS) == (1, 44, 157)
    assert CONTROL.places["ack_numbering"] == 38
    assert HEAD.places["head_numbering"] == 34
    assert RESULT.places["defect_count"] == 15


def test_names_are_unique_and_every_reason_has_a_code() -> None:
    for area in (CONTROL, HEAD, RESULT, TAIL):
        names = [register.name for register in area.registers]
        names += [bit for register in area.registers for bit, _ in register.bits]
        assert len(set(names)) == len(names)
    assert {str(reason) for reason in InvalidReason} <= set(REASONS)
    assert len(set(REASONS)) == len(REASONS)
