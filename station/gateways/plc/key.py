"""What names a result to the PLC: a numbering, a number in it, and a check that tells half-written ones. Pure."""

import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from station.gateways.plc.area import MASK_32, Value

__all__ = ["NO_KEY", "Key", "numbering_of"]

_ANY: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Key:
    """Number `inspection`, of 32 bits, in a numbering."""

    numbering: int
    inspection: int

    @property
    def check(self) -> int:
        """The CRC-16 of both; 0 for no key at all."""
        if self == NO_KEY:
            return 0
        raw = self.numbering.to_bytes(4, "big") + self.inspection.to_bytes(4, "big")
        return binascii.crc_hqx(raw, _ANY)

    def values(self, name: str) -> dict[str, Value]:
        """Return the registers of the key `name`."""
        return {
            f"{name}_numbering": self.numbering,
            f"{name}_inspection": self.inspection,
            f"{name}_check": self.check,
        }

    @staticmethod
    def read(values: Mapping[str, Value], name: str) -> "Key | None":
        """Return the key `name`, `NO_KEY` where it is all zeros, None where its check word is wrong."""
        key = Key(int(values[f"{name}_numbering"]), int(values[f"{name}_inspection"]))
        return key if values[f"{name}_check"] == key.check else None

    def covers(self, other: "Key") -> bool:
        """Whether `other` is this one or came before it, in the same numbering; numbers wrap."""
        return self.numbering == other.numbering and (self.inspection - other.inspection) & MASK_32 < 2**31


NO_KEY: Final = Key(0, 0)


def numbering_of(journal: str, era: int) -> int:
    """Return the numbering of a journal; `era` counts how often numbers began anew in the same one."""
    return binascii.crc32(f"{journal}/{era}".encode()) or 1
