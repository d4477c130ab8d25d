"""What decides the result of a heat map's training, beside what all finders share. Pure."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from training.finders.recipe import FinderRecipe

__all__ = ["SMALL", "HeatRecipe"]

SMALL: Final = "small"
"""Our own network for large frames at line speed; it starts from nothing."""


class HeatRecipe(FinderRecipe):
    """One training of a heat map."""

    network: str = "efficientnet_lite0"
    """Trunk: the name of a timm backbone, or `small`, for large frames at line speed. Names of `tf_` export slowly."""
    weights: Path | Literal["hub", "package", "none"] = Field(
        default_factory=lambda known: "none" if known.get("network") == SMALL else "package"
    )
    """What it starts from: a file, the model hub, a pip package, or nothing, which `small` always does."""
    width: Annotated[int, Field(ge=8, le=256)] = 48
    """Channels of the pyramid over a backbone."""
    maps: Literal["any", "label"] = "any"
    """One map for defects of any label, or one a label."""
    from_boxes: bool = False
    """Learn from boxes even where there are masks."""
    marked_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the drawn pictures that have marks, where there are defect-free ones too; labels come alike often."""
    allowed_false: Annotated[float, Field(ge=0)] = 0.5
    """False regions a defect-free picture that the suggested threshold may cost."""
    allowed_regions: Annotated[float, Field(gt=0)] = 4.0
    """Regions a picture that it may cost where no picture is defect-free."""

    @model_validator(mode="after")
    def _small_starts_from_nothing(self) -> Self:
        if self.network == SMALL and (self.weights != "none" or self.frozen):
            raise ValueError("network small starts from nothing: leave out weights and frozen")
        return self
