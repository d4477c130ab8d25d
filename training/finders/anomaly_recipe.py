"""What decides the result of an anomaly map's training, beside what heat maps share. Pure."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from training.data.marked import MarkSettings
from training.finders.anomaly_paint import PAINTED, Kind
from training.finders.heat_recipe import HeatRecipe
from training.finders.recipe import Augmentation

__all__ = ["AnomalyRecipe"]

_Px = Annotated[float, Field(ge=1, le=2048)]


class AnomalyRecipe(HeatRecipe):
    """One training of an anomaly map: a heat map that learns from defect-free pictures and painted defects alone."""

    marks: MarkSettings = MarkSettings(good=frozenset({"good"}))
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    augment: Augmentation = Augmentation(turns=False, zoom=(0.8, 1.25), mosaic=0.0)
    maps: Literal["any"] = "any"
    marked_share: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of the drawn pictures into which defects are painted; the others stay as they are."""
    painted: Annotated[tuple[Kind, ...], Field(min_length=1)] = PAINTED
    """Kinds of defects that are painted."""
    painted_px: tuple[_Px, _Px] = (3.0, 120.0)
    """Smallest and largest size of a painted defect, in input pixels."""
    false_alarms: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Share of defect-free pictures that may show heat beyond the suggested threshold."""

    @model_validator(mode="after")
    def _sizes_in_order(self) -> "AnomalyRecipe":
        if self.painted_px[0] > self.painted_px[1]:
            raise ValueError(f"painted_px {self.painted_px}: the smallest size is above the largest")
        return self
