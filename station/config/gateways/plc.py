"""What the tables of all gateways have that speak with a PLC in words of its memory. Pure."""

from typing import Annotated

from pydantic import Field

from station.config.gateways.base import GatewayBase

__all__ = ["Host", "PlcBase"]

Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,253}$")]


class PlcBase(GatewayBase):
    """The exchange of docs/plc.md, whatever carries it."""

    max_age_s: Annotated[float, Field(gt=0, le=31_536_000)] = 5.0
    """Results older than this when the PLC could have them are not carried: they are reported as expired."""
    acknowledge: bool = True
    """The PLC takes each result and acknowledges it; else it sees the newest, and none waits for it."""
    silent_s: Annotated[float, Field(ge=0.1, le=600)] = 3.0
    """A PLC whose heartbeat word stands for so long is taken for stopped: nothing that it says counts."""
    heartbeat_s: Annotated[float, Field(ge=0.02, le=60)] = 0.5
    """How often the station's own heartbeat word counts up."""
    labels: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=32)], ...], Field(max_length=65_000)] = ()
    """Labels in the order of their codes, from 1 on; without it in the order of the model that is live."""
