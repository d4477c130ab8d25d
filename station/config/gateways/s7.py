"""The table `[gateway.NAME]` of type `s7`. Pure."""

from typing import Annotated, Literal

from pydantic import Field

from station.config.gateways.plc import Host, PlcBase

__all__ = ["S7Config"]

Block = Annotated[int, Field(ge=1, le=65_535)]
Byte = Annotated[int, Field(ge=0, le=65_000)]


class S7Config(PlcBase):
    """The exchange with a Siemens PLC in data blocks (not optimised, PUT/GET allowed)."""

    type: Literal["s7"]
    host: Host
    """Address of the PLC."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 102
    """Its port."""
    rack: Annotated[int, Field(ge=0, le=7)] = 0
    """Rack of the CPU."""
    slot: Annotated[int, Field(ge=0, le=31)] = 1
    """Slot of the CPU: 1 for S7-1200 and 1500, 2 for S7-300."""
    control_block: Block
    """Number of the data block with what the PLC tells the station."""
    control_byte: Byte = 0
    """Where it begins there."""
    status_block: Block
    """Number of the data block with what the station tells the PLC."""
    status_byte: Byte = 0
    """Where it begins there."""
