"""What decides the result of a detector's training. Pure."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from training.finders.recipe import FinderRecipe

__all__ = ["DetectRecipe"]


class DetectRecipe(FinderRecipe):
    """One training of a detector."""

    kind: Literal["detector"] = "detector"
    start: Path | None = None
    """`network.pt` of an earlier detector to go on from: for larger pictures, more of them, or other labels."""
    width: Annotated[int, Field(ge=8, le=512, multiple_of=8)] = 64
    """Channels of the pyramid and the head."""
    depth: Annotated[int, Field(ge=1, le=4)] = 2
    """3×3 convolutions of each branch of the head, before its last one."""
    levels_used: Annotated[int, Field(ge=1, le=4)] = 3
    """Last stages of the trunk that boxes are told from: 3 of 5 are the strides 8, 16 and 32."""
    candidates: Annotated[int, Field(ge=1, le=300)] = 100
    """Boxes that the finder file tells of a picture."""
    box_loss: Annotated[float, Field(gt=0)] = 2.0
    """What the boxes' loss counts against that of the labels."""
    threshold: Annotated[float | None, Field(ge=0, le=1)] = None
    """Suggested in the finder file; without it that of `allowed_regions`."""
    allowed_regions: Annotated[float | None, Field(gt=0, le=100)] = None
    """Regions a validation picture that it may cost, to miss little; without it the best mean F1 is suggested."""
    nms_iou: Annotated[float | None, Field(gt=0, le=1)] = None
    """Overlap from which boxes of one label are one; without it that of the validation side's best mAP50."""

    @model_validator(mode="after")
    def _all_is_chosen(self) -> "DetectRecipe":
        if self.learn_all and (self.threshold is None or self.nms_iou is None):
            raise ValueError(
                "learn_all leaves no side to choose on: set threshold and nms_iou, as found in a run before"
            )
        return self
