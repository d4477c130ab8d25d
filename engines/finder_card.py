"""What a finder file says of itself: the `metadata_props` of one self-describing ONNX file that finds regions. Pure.

The file: input `frame` uint8 [N,1,H,W], H and W fixed or any multiples of the stride, and

    heatmap    output `heat` float32 [N,h,w], h = H / stride, or [N,C,h,w] with a map a label: probabilities, 0 to 1
    anomaly    output `heat` float32 [N,h,w]: raw distances, higher is less like training
    detector   outputs `boxes` float32 [N,K,4] x0, y0, x1, y1 in input pixels, `scores` float32 [N,K] 0 to 1 and
               `labels` int64 [N,K], which count in the card's labels; K candidates at most, of falling score

Grey values are scaled inside the graph. The key `shadowline.finder` of its `metadata_props` holds a `FinderCard` as
JSON. Thresholds are never in the graph.
"""

from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import Field, FiniteFloat, field_validator, model_validator

from engines.model import CardBase, Part

__all__ = ["FINDER_KEY", "MAX_CANDIDATES", "FinderCard", "FinderKind"]

FINDER_KEY: Final = "shadowline.finder"
MAX_CANDIDATES: Final = 300
"""Most boxes that a detector may give a frame."""

FinderKind: TypeAlias = Literal["heatmap", "anomaly", "detector"]

Side: TypeAlias = Annotated[int, Field(ge=1, le=16_384)]
Scale: TypeAlias = Annotated[float, Field(ge=0.05, le=64.0)]


class FinderCard(CardBase):
    """Everything that a station must know to use a finder file rightly, and a person to trust it."""

    kind: FinderKind
    labels: Annotated[tuple[str, ...], Field(max_length=256)] = ()
    """A detector's labels; of a heat map one a map, or none for one map of any defect; none of an anomaly map."""
    input_px: tuple[Side, Side] | None = None
    """Height and width that the graph takes; None for any multiples of `stride`."""
    stride: Annotated[int, Field(ge=1, le=256)] = 1
    """Input pixels to one cell of the map; of a detector, what sides must be multiples of."""
    scale: tuple[Scale, Scale] = (1.0, 1.0)
    """Frame pixels to one input pixel, x and y; below 1 the frame is enlarged."""
    overlap_px: Annotated[int, Field(ge=0, le=4096)] = 0
    """Input pixels that neighbouring tiles share."""
    threshold: Part
    """Suggested, of heat after `low` and `high`, or of a score; a station may set another."""
    low: FiniteFloat = 0.0
    high: FiniteFloat = 1.0
    """The raw heat that is shown as 0, and as 1."""
    nms_iou: Part = 1.0
    """Boxes of one label that overlap more are one; 1 leaves all."""

    @field_validator("labels")
    @classmethod
    def _are_words(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if not all(label.strip() for label in labels):
            raise ValueError("a label is empty")
        if len(set(labels)) != len(labels):
            raise ValueError("a label stands there twice")
        return labels

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.kind == "detector" and not self.labels:
            raise ValueError("a detector has labels")
        if self.kind == "anomaly" and self.labels:
            raise ValueError("an anomaly map has no labels")
        if not self.low < self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        if self.input_px and any(side % self.stride for side in self.input_px):
            raise ValueError(f"input_px {self.input_px} are not multiples of the stride {self.stride}")
        if self.input_px and self.overlap_px >= min(self.input_px):
            raise ValueError(f"overlap_px {self.overlap_px} leaves nothing of tiles of {self.input_px}")
        return self
