"""The table `[gateway.NAME]` of type `modbus`. Pure."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from station.config.gateways.plc import Host, PlcBase
from station.config.security import is_local

__all__ = ["ModbusConfig"]

_WORDS: Final = 65_536

Register = Annotated[int, Field(ge=0, lt=_WORDS)]


class ModbusConfig(PlcBase):
    """The exchange with a PLC in Modbus TCP registers."""

    type: Literal["modbus"]
    role: Literal["server", "client"]
    """`server`: the PLC connects to the station, and reads and writes here; `client`: the station writes in the PLC."""
    host: Host
    """Address to listen at, or of the PLC."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 502
    """Its port; a server takes any free one for 0."""
    unit: Annotated[int, Field(ge=1, le=247)] = 1
    """Unit number."""
    control_register: Register = 0
    """First holding register, from 0, of what the PLC tells the station."""
    status_register: Register = 100
    """First holding register of what the station tells the PLC; a server shows them as input registers too."""
    reject_coil: Register | None = None
    """Coil, from 0, that the station sets while the gate rejects; a server shows it as a discrete input too."""
    low_word_first: bool = False
    """Values of two words have the low one first."""
    max_connections: Annotated[int, Field(ge=1, le=64)] = 4
    """Of a server: with one more the oldest gives way."""
    plain_network: bool = False
    """Listen beyond this computer: Modbus has neither keys nor passwords, so everybody there can give orders."""

    @model_validator(mode="after")
    def _is_meant(self) -> Self:
        if self.role == "server" and not self.plain_network and not is_local(f"tcp://{self.host}:{self.port}"):
            raise ValueError(
                f"host {self.host} is beyond this computer: plain_network = true leaves it open to all there"
            )
        if self.role == "client" and not self.port:
            raise ValueError("port: give the PLC's, mostly 502")
        return self
