"""Limits of optical health. Pure."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["HealthLimits"]


class HealthLimits(BaseModel):
    """How far lamp, lens and sensor may be from their baseline before it is told."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    lamp_percent: Annotated[float, Field(gt=0, lt=100)] = 92.0
    """Light that must be left of the baseline's."""
    lamp_most_percent: Annotated[float, Field(gt=100, le=1000)] = 115.0
    """Light that there may be at most."""
    ageing_percent: Annotated[float, Field(gt=0, le=100)] = 10.0
    """Light that the lamp may lose in 1000 hours, by the trend of 10 to 60 days."""
    uneven_percent: Annotated[float, Field(gt=0, le=100)] = 8.0
    """How much the shape of the light may have changed, from the lowest place to the highest, its lean left out."""
    lean_percent: Annotated[float, Field(gt=0, le=100)] = 5.0
    """How much more one edge of the frame may have lost than the one opposite: a tilt, or one end of the lamp."""
    focus_percent: Annotated[float, Field(gt=0, lt=100)] = 75.0
    """Fine texture that must be left."""
    noise_percent: Annotated[float, Field(gt=100, le=1000)] = 125.0
    """Noise, of what the baseline says for this level of light."""
    turn_deg: Annotated[float, Field(gt=0, le=45)] = 0.5
    """Turn of the camera about its axis, seen by the rolling direction."""
    converge_deg: Annotated[float, Field(gt=0, le=45)] = 0.25
    """Change of the rolling direction from edge to edge: the camera tips along the strip."""
    dirt_depth_percent: Annotated[float, Field(ge=1, lt=10)] = 5.0
    """How much darker or brighter than its surroundings a place must stay to be dirt."""
    dirt_spots: Annotated[int, Field(ge=0)] = 0
    """Spots of dirt that may be there."""
    dead_px: Annotated[int, Field(ge=0)] = 0
    """Dead pixels that may be there beyond the baseline's."""
