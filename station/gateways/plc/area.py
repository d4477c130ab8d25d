"""Words of 16 bits with names: where each lies, and how values get in and out. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

__all__ = ["MASK_16", "MASK_32", "Area", "Kind", "Register", "Value", "Values"]

MASK_16: Final = 0xFFFF
MASK_32: Final = 0xFFFF_FFFF
_BYTE: Final = 8

Kind: TypeAlias = Literal["bits", "u16", "u32", "i32", "text"]
Value: TypeAlias = int | str
Values: TypeAlias = Mapping[str, Value]
"""By name; a register of bits stands as its bits. What is missing is 0, or empty."""

_WORDS: Final = {"bits": 1, "u16": 1, "u32": 2, "i32": 2, "text": 16}


@dataclass(frozen=True, slots=True)
class Register:
    """One value: `u32` and `i32` take two words, `text` 16 words of ASCII padded with zeros."""

    name: str
    kind: Kind
    meaning: str
    bits: tuple[tuple[str, str], ...] = ()
    """Name and meaning of each, from bit 0."""

    @property
    def words(self) -> int:
        """How many it takes."""
        return _WORDS[self.kind]

    def write(self, values: Values, low_word_first: bool) -> list[int]:
        """Return its words. A `u16` and an `i32` stop at their limits, a `u32` wraps."""
        if self.kind == "bits":
            return [sum(bool(values.get(bit, 0)) << place for place, (bit, _) in enumerate(self.bits))]
        value = values.get(self.name, "" if self.kind == "text" else 0)
        if isinstance(value, str):
            raw = value.encode("ascii", "replace")[: 2 * self.words].ljust(2 * self.words, b"\0")
            return [raw[at] << _BYTE | raw[at + 1] for at in range(0, len(raw), 2)]
        match self.kind:
            case "u16":
                return [min(max(value, 0), MASK_16)]
            case "i32":
                value = min(max(value, -(2**31)), 2**31 - 1)
        words = [value >> 16 & MASK_16, value & MASK_16]
        return words[::-1] if low_word_first else words

    def read(self, words: Sequence[int], low_word_first: bool) -> Iterator[tuple[str, Value]]:
        """Yield what its words say."""
        match self.kind:
            case "bits":
                yield from ((bit, words[0] >> place & 1) for place, (bit, _) in enumerate(self.bits))
            case "text":
                raw = b"".join(word.to_bytes(2, "big") for word in words)
                yield self.name, raw.split(b"\0")[0].decode("ascii", "replace").strip()
            case "u16":
                yield self.name, words[0]
            case _:
                high, low = reversed(words) if low_word_first else words
                number = high << 16 | low
                yield self.name, number - 2**32 if self.kind == "i32" and number >> 31 else number


class Area:
    """Registers one after the other."""

    def __init__(self, *registers: Register) -> None:
        self.registers = registers
        self.places: dict[str, int] = {}
        """First word of each register, by name."""
        self.words = 0
        for register in registers:
            self.places[register.name] = self.words
            self.words += register.words

    def pack(self, values: Values, low_word_first: bool = False) -> list[int]:
        """Return all words; of values that take two the high one is first, or the low one."""
        return [word for register in self.registers for word in register.write(values, low_word_first)]

    def unpack(self, words: Sequence[int], low_word_first: bool = False) -> dict[str, Value]:
        """Return what `words` say, bits by their own names."""
        found: dict[str, Value] = {}
        for register in self.registers:
            place = self.places[register.name]
            found.update(register.read(words[place : place + register.words], low_word_first))
        return found
