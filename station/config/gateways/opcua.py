"""The table `[gateway.NAME]` of type `opcua`. Pure."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from station.config.gateways.base import GatewayBase
from station.config.table import ConfigPath, Name

__all__ = ["OpcUaConfig"]

ProductId: TypeAlias = Annotated[str, Field(min_length=1, max_length=64)]


class OpcUaConfig(GatewayBase):
    """A server after OPC 40100-1 Machine Vision."""

    type: Literal["opcua"]
    host: Annotated[str, Field(min_length=1, max_length=255)] = "127.0.0.1"
    """Address to listen at; `0.0.0.0` for all of this computer's."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 4840
    """Its port; 0 takes any free one."""
    folder: ConfigPath
    """Where `station opcua` keeps the server's certificate, its clients' and its users."""
    plain_network: bool = False
    """Let in clients without certificate, encryption and password too; only for a network that nobody else is in."""
    start: Literal["automatic", "commanded"] = "automatic"
    """Whether it goes to ContinuousExecution by itself, or waits in Preoperational for a client's commands."""
    products: Annotated[dict[ProductId, Name], Field(max_length=1000)] = Field(default_factory=dict)
    """Product → its recipe, for clients that prepare products."""
    results: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """How many results clients can ask for later."""
    max_clients: Annotated[int, Field(ge=1, le=1000)] = 20
    """Connections at a time; more are cut off."""
    session_s: Annotated[float, Field(ge=5, le=3600)] = 60.0
    """How long the session of a client that was lost is kept for its return, at most."""
    command_s: Annotated[float, Field(gt=0, le=60)] = 0.8
    """How long a client's call waits for the station's answer; its other requests wait behind it."""
