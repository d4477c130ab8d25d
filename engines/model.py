"""What a model file says of itself: the `metadata_props` of the one self-describing ONNX file. Pure.

The file: input `crops` uint8 [N,1,S,S]; output `probabilities` float32 [N,C]. The key `shadowline` of its
`metadata_props` holds a `ModelCard` as JSON.
"""

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["METADATA_KEY", "SCHEMA_VERSION", "CropCut", "ModelCard", "Precision"]

METADATA_KEY = "shadowline"
SCHEMA_VERSION: Final = 1

Precision: TypeAlias = Literal["fp32", "fp16", "int8"]
"""What a network's weights and values are in the file; crops and probabilities are the same in all."""


class CropCut(BaseModel):
    """How a region's box becomes the network's picture; read by training and serving alike."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_px: Annotated[int, Field(ge=16, le=512)]
    """Side of the square crop after resizing."""
    context: Annotated[float, Field(ge=1.0, le=4.0)]
    """The cut square's side over the longer side of the box."""
    min_side_px: Annotated[int, Field(ge=1, le=2048)]
    """The cut square is at least this wide, so that a speck is seen with its surroundings."""


class ModelCard(BaseModel):
    """Everything that a station must know to use a model rightly, and a person to trust it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = SCHEMA_VERSION
    name: Annotated[str, Field(min_length=1, max_length=80)]
    labels: Annotated[tuple[str, ...], Field(min_length=1, max_length=256)]
    crop: CropCut
    confidence_floor: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    """Below this the label is `unknown`; chosen on the validation split."""
    precision: Precision = "fp32"
    made_from: str = ""
    """SHA-256 of the fp32 file that this one was converted from."""
    temperature: float = 1.0
    """Already applied inside the graph; kept as a record."""
    data_sha256: str = ""
    config_sha256: str = ""
    metrics: dict[str, dict[str, float]] = {}
    """Split name → metric → value."""
    created: str = ""
    licence: str = ""
    not_for: str = ""
