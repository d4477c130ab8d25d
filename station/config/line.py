"""The table `[line]`: where the strip is, and who counts it. Pure."""

import math
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from station.config.security import is_local
from station.config.table import Table

__all__ = [
    "ChunkEncoder",
    "EncoderBase",
    "EncoderConfig",
    "LineConfig",
    "LineSpeed",
    "ModbusEncoder",
    "RollConfig",
    "ZeroMqEncoder",
]


class EncoderBase(Table):
    """What every counter of the strip's way has."""

    mm_per_count: Annotated[float, Field(gt=0, le=10_000)]
    """Millimetres of strip that one count stands for, slip included."""
    bits: Literal[16, 32, 64] = 32
    """Width of the counter; it wraps to 0 after its last value."""
    reversed: bool = False
    """The counter falls when the strip goes forward."""
    max_mm_per_s: Annotated[float, Field(gt=0, le=1_000_000)] = 30_000.0
    """Faster than the strip can go: a counter that says so has jumped, and is not believed."""

    @property
    def lap_mm(self) -> float:
        """Millimetres of strip from one wrap of the counter to the next."""
        return self.mm_per_count * float(2**self.bits)


class ChunkEncoder(EncoderBase):
    """The count that a camera puts beside each picture (chunk `EncoderValue`)."""

    type: Literal["chunk"]


class ModbusEncoder(EncoderBase):
    """A counter in the registers of a PLC, read by Modbus TCP."""

    type: Literal["modbus"]
    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,253}$")]
    """Address of the PLC; a name is looked up at each connection, which may take long where it is not known."""
    port: Annotated[int, Field(ge=1, le=65535)] = 502
    """Its port."""
    unit: Annotated[int, Field(ge=0, le=255)] = 1
    """Its unit number."""
    first_register: Annotated[int, Field(ge=0, le=65535)]
    """Address of the first register, from 0."""
    table: Literal["holding", "input"] = "holding"
    """Which registers."""
    low_word_first: bool = False
    """The first register holds the low word."""
    poll_hz: Annotated[float, Field(gt=0, le=1000)] = 100.0
    """Readings a second; between two of them the position is interpolated."""

    @model_validator(mode="after")
    def _can_be_followed(self) -> Self:
        if self.first_register + self.bits // 16 > 65_536:
            raise ValueError(f"first_register {self.first_register}: {self.bits} bits reach beyond register 65535")
        if self.max_mm_per_s / self.poll_hz > self.lap_mm / 4:  # half a lap can't be told from its other half
            raise ValueError(
                f"poll_hz {self.poll_hz:g}: at max_mm_per_s {self.max_mm_per_s:g} a counter of {self.bits} bits wraps"
                f" unseen; raise poll_hz to {math.ceil(4 * self.max_mm_per_s / self.lap_mm)}, or bits"
            )
        return self


class ZeroMqEncoder(EncoderBase):
    """A counter that another program publishes: JSON `{"count": 123}`, best with `"coil": "…"` in every message.

    A coil begins with the first message that names it.
    """

    type: Literal["zeromq"]
    endpoint: Annotated[str, Field(pattern=r"^(tcp|ipc)://.+$")]
    """Where it publishes."""
    topic: str = ""
    """How the topics begin that are heard; the last part of each message is read."""
    publisher_key: Annotated[str, Field(min_length=40, max_length=40)] | None = None
    """Public key of the publisher; the station comes with its own. Needed beyond this computer."""
    plain_network: bool = False
    """Do without keys beyond this computer: anybody there can pretend to be the counter."""

    @model_validator(mode="after")
    def _plain_is_meant(self) -> Self:
        if self.publisher_key is None and not self.plain_network and not is_local(self.endpoint):
            raise ValueError(
                f"endpoint {self.endpoint} is beyond this computer: publisher_key protects it, plain_network = true"
                " leaves it open"
            )
        return self


class LineSpeed(Table):
    """No counter: the position is reckoned from time and a speed that the line keeps."""

    type: Literal["speed"]
    mm_per_s: Annotated[float, Field(gt=0, le=100_000)]
    """Speed of the line."""


EncoderConfig: TypeAlias = Annotated[
    ChunkEncoder | ModbusEncoder | ZeroMqEncoder | LineSpeed, Field(discriminator="type")
]


class RollConfig(Table):
    """A roll that touches the strip: what is wrong with its surface comes again at every turn."""

    name: Annotated[str, Field(pattern=r"^\S(.{0,62}\S)?$")]
    """As reports shall call it."""
    diameter_mm: Annotated[float, Field(ge=10, le=5000)]
    """As last ground; before a reduction of the strip, times its elongation."""


class LineConfig(Table):
    """The line as a whole."""

    encoder: EncoderConfig | None = None
    """Who counts the strip's way; without it there are no positions."""
    stale_after_s: Annotated[float, Field(gt=0, le=60)] = 0.5
    """A counter that was not heard for so long gives no position, rather than an old one."""
    rolls: Annotated[tuple[RollConfig, ...], Field(max_length=1000)] = ()
    """What repeat distances of defects are matched to, in coil reports."""

    @model_validator(mode="after")
    def _is_heard_in_time(self) -> Self:
        if isinstance(self.encoder, ModbusEncoder) and self.encoder.poll_hz * self.stale_after_s < 2:
            raise ValueError(
                f"encoder is read {self.encoder.poll_hz:g} times a second and stale after {self.stale_after_s:g} s:"
                " two readings must fit in, raise one of them"
            )
        return self

    @model_validator(mode="after")
    def _rolls_differ(self) -> Self:
        names = [roll.name for roll in self.rolls]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"[[line.rolls]] name: {', '.join(sorted(twice))} is used twice")
        return self
