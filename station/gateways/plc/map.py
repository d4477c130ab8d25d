"""The page docs/plc-registers.md, made from the table: `python -m station.gateways.plc.map > docs/plc-registers.md`."""

from collections.abc import Iterator

from station.gateways.plc.area import Area, Register
from station.gateways.plc.registers import (
    CONTROL,
    HEAD,
    OTHER_LABEL,
    OUTPUT,
    REASONS,
    RESULT,
    STATUS_WORDS,
    TAIL,
    UNKNOWN_LABEL,
    VERSION,
)

__all__ = ["registers_page"]

_HEAD = f"""# Words of the PLC exchange

Version {VERSION}. Made from the table in `station/gateways/plc/registers.py` by `python -m station.gateways.plc.map`;
[plc.md](plc.md) says how they are used. Words have 16 bits; bit 0 is the lowest. In Modbus the word *n* of an area is
the holding register `control_register` + *n* or `status_register` + *n*, counted from 0; in S7 it lies at the byte
`control_byte` + 2 *n* or `status_byte` + 2 *n*. `u16`, `u32` are unsigned, `i32` is signed; 32 bits take two words,
the high one first (or the low one, `low_word_first`). `text` is 32 characters of ASCII, two a word, the first in the
high byte, zeros behind; S7: `Array[0..31] of Char`.
"""
_REASONS = ", ".join(f"{code} {name}" for code, name in enumerate(REASONS, 1))
_CODES = f"""## Codes

**Labels**: from 1 on in the order of `labels` in the gateway's table, without it in the order of the live model
(`station check` prints it); {OTHER_LABEL} any other, {UNKNOWN_LABEL} unknown, 0 none. Write a code into `label`, and
`label_name` shows its name.

**Reasons** of invalid results: {_REASONS}; {OTHER_LABEL} any other.
"""


def registers_page() -> str:
    """Return the page."""
    status_parts = (
        ("The output", OUTPUT, "Written alone, before all else."),
        ("The head", HEAD, "Written after a result, so that its key is written last."),
        ("The result", RESULT, "Written as a whole, after the tail."),
        ("The tail", TAIL, "Written before its result. Head and tail have the same key: what lies between is whole."),
    )
    lines = [_HEAD, f"## Control: PLC to station, {CONTROL.words} words\n", *_table(CONTROL, 0)]
    lines += [f"\n## Status: station to PLC, {STATUS_WORDS} words"]
    place = 0
    for title, area, words in status_parts:
        lines += [f"\n### {title}, words {place} to {place + area.words - 1}\n", f"{words}\n", *_table(area, place)]
        place += area.words
    return "\n".join([*lines, "", _CODES])


def _table(area: Area, first: int) -> Iterator[str]:
    yield "| word | name | type | meaning |"
    yield "|---|---|---|---|"
    for register in area.registers:
        yield from _rows(register, first + area.places[register.name])


def _rows(register: Register, place: int) -> Iterator[str]:
    where = str(place) if register.words == 1 else f"{place}–{place + register.words - 1}"
    yield f"| {where} | `{register.name}` | {register.kind} | {register.meaning} |"
    for bit, (name, meaning) in enumerate(register.bits):
        yield f"| {place}.{bit} | `{name}` | bit | {meaning} |"


if __name__ == "__main__":
    print(registers_page(), end="")
