"""What a model file says of itself: the `metadata_props` of the one self-describing ONNX file. Pure.

The file: input `crops` uint8 [N,1,S,S]; output `probabilities` float32 [N,C] and, optional, `novelty` float32 [N],
higher for what is less like the training crops. The key `shadowline` of its `metadata_props` holds a `ModelCard` as
JSON.
"""

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationInfo, field_validator

__all__ = ["METADATA_KEY", "SCHEMA_VERSION", "UNKNOWN", "CardBase", "CropCut", "Head", "ModelCard", "Part", "Precision"]

METADATA_KEY = "shadowline"
SCHEMA_VERSION: Final = 1

Precision: TypeAlias = Literal["fp32", "fp16", "int8"]
"""What a network's weights and values are in the file; crops and answers are the same in all."""

Head: TypeAlias = Literal["softmax", "sigmoid", "multi_label"]
"""What made the probabilities: of a row of `softmax`, and of both labels of `sigmoid`, the sum is 1; with `multi_label`
each label has its own."""

Part: TypeAlias = Annotated[float, Field(ge=0.0, le=1.0)]

UNKNOWN: Final = "unknown"
"""Label of a region that the network is not sure of; it has a rule like any other and is never guessed."""


class CropCut(BaseModel):
    """How a region's box becomes the network's picture; read by training and serving alike."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_px: Annotated[int, Field(ge=16, le=512)]
    """Side of the square crop after resizing."""
    context: Annotated[float, Field(ge=1.0, le=4.0)]
    """The cut square's side over the longer side of the box."""
    min_side_px: Annotated[int, Field(ge=1, le=2048)]
    """The cut square is at least this wide, so that a speck is seen with its surroundings."""


class CardBase(BaseModel):
    """What every file says of its making."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = SCHEMA_VERSION
    name: Annotated[str, Field(min_length=1, max_length=80)]
    precision: Precision = "fp32"
    made_from: str = ""
    """SHA-256 of the fp32 file that this one was converted from."""
    data_sha256: str = ""
    config_sha256: str = ""
    metrics: dict[str, dict[str, float]] = {}
    """Split name → metric → value."""
    created: str = ""
    licence: str = ""
    not_for: str = ""


class ModelCard(CardBase):
    """Everything that a station must know to use a model rightly, and a person to trust it."""

    labels: Annotated[tuple[str, ...], Field(min_length=1, max_length=256)]
    crop: CropCut
    head: Head = "softmax"
    confidence_floor: Part = 0.5
    """Below this the label is `unknown`; chosen on the validation split."""
    label_floors: dict[str, Part] = {}
    """Label → the floor that takes the place of `confidence_floor` for it."""
    novelty_limit: FiniteFloat | None = None
    """Above this a crop is `unknown`, whatever its probabilities; only where the graph has the output `novelty`."""
    false_unknown: Part | None = None
    """Part of the known crops that are beyond `novelty_limit`, as it was chosen for."""
    conformal: dict[Annotated[str, Field(pattern=r"^0\.\d+$")], Part] = {}
    """Miss rate → the labels of at least this probability hold the true one but for this rate; a record for tools."""
    temperature: float = 1.0
    """Already applied inside the graph; kept as a record."""

    @field_validator("label_floors")
    @classmethod
    def _are_of_labels(cls, floors: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        if strangers := set(floors) - set(info.data.get("labels", floors)):
            raise ValueError(f"{', '.join(sorted(strangers))}: not a label of the model")
        return floors
