"""What every table `[gateway.NAME]` has. Pure."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from station.config.table import Name, Table

__all__ = ["GatewayBase", "RejectConfig"]


class RejectConfig(Table):
    """The output that throws parts out, and where it works. Without a valid `accept` in time it says reject."""

    distance_mm: Annotated[float, Field(ge=0, le=1_000_000)] | None = None
    """From the first row of a picture at its capture to the gate, where the line has a position."""
    delay_ms: Annotated[float, Field(ge=0, le=600_000)] | None = None
    """From capture to the gate, where parts travel at a constant speed."""
    before: Annotated[float, Field(ge=0, le=100_000)] = 0.0
    """How much earlier the output changes than the part comes: millimetres, or milliseconds with `delay_ms`."""
    after: Annotated[float, Field(ge=0, le=100_000)] = 0.0
    """How much longer it stays; likewise."""
    frame: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    """Length of what one picture judges, likewise; without it the picture's rows by their pitch."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.distance_mm is None) == (self.delay_ms is None):
            raise ValueError("give distance_mm (by position) or delay_ms (by time), not both")
        if self.delay_ms is not None and self.frame is None:
            raise ValueError("delay_ms needs frame: the milliseconds for which one picture's verdict holds")
        return self


class GatewayBase(Table):
    """What a gateway of any kind has."""

    cameras: tuple[Name, ...] = ()
    """The cameras whose results it carries; all, where none is named."""
    max_age_s: Annotated[float, Field(gt=0, le=31_536_000)] = 60.0
    """Results older than this when the peer could have them are not carried: they are reported as expired."""
    cycle_ms: Annotated[float, Field(ge=1, le=10_000)] = 10.0
    """How often the peer is looked at while there is no result."""
    connect_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    """How long to wait for the peer's answer, to anything."""
    backoff_s: Annotated[float, Field(gt=0, le=3600)] = 0.2
    """First pause before a lost peer is tried again; it doubles each time, and is drawn from its upper half."""
    backoff_max_s: Annotated[float, Field(gt=0, le=86_400)] = 10.0
    """Longest pause."""
    breaker_failures: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    """Failures in a row after which the gateway counts as offline, and tries at the longest pause only."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    """Port of its numbers for Prometheus, on loopback; 0 takes any free one, without it there are none."""
    reject: RejectConfig | None = None
    """When the output that throws parts out is set, where this gateway has one."""
