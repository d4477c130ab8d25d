"""The table `[verdict]`: what makes a frame `accept` or `reject`. Pure."""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from station.config.table import Table

__all__ = ["RuleConfig", "VerdictConfig"]


class RuleConfig(Table):
    """When a label rejects. A region counts when it reaches every minimum."""

    action: Literal["reject", "accept"] = "reject"
    """What the label does to the frame; `accept` only reports it."""
    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Regions named with less do not count."""
    min_area_px: Annotated[int, Field(ge=0)] = 0
    """Smaller regions do not count."""
    min_count: Annotated[int, Field(ge=1, le=10_000)] = 1
    """So many regions of this label are needed."""


class VerdictConfig(Table):
    """What makes a frame `accept` or `reject`."""

    confidence_floor: Annotated[float, Field(ge=0, le=1)] | None = None
    """Below it a region is `unknown`; without it the model's own floors are used."""
    label_floors: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    """Label → the floor that takes the place of all others for it."""
    novelty_limit: FiniteFloat | None = None
    """Above it a region is `unknown`; takes the place of the model's own limit, and only where it has one."""
    default: RuleConfig = RuleConfig()
    """The rule of every label without one of its own, `unknown` among them."""
    rules: dict[str, RuleConfig] = Field(default_factory=dict)
    """A rule a label."""
