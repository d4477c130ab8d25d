"""What is known of a calibration beside its arrays: what it was made with, and what was measured. Pure."""

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, JsonValue

__all__ = ["CAMERA_NAME", "Binding", "Kind", "Record"]

Kind: TypeAlias = Literal["flat-field", "geometry", "limit", "health"]

CAMERA_NAME: Final = r"^[a-z0-9][a-z0-9_-]{0,31}$"
"""Names of cameras in a configuration."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Binding(_Value):
    """What a calibration was made with, and so what it is good for."""

    camera: str
    """Vendor, model and serial number, as the driver's `identity`; empty where it has none."""
    lens: str = ""
    """A note on lens, aperture and light."""
    exposure_us: FiniteFloat | None = None
    """Exposure; None where it is not known."""
    gain: FiniteFloat | None = None
    """Gain, in the camera's own unit; None where it is not known."""
    width_px: Annotated[int, Field(gt=0)]
    """Frame width."""
    height_px: Annotated[int, Field(gt=0)]
    """Frame height."""
    offset_x_px: Annotated[int, Field(ge=0)] = 0
    """First column of the sensor that the frame shows."""
    offset_y_px: Annotated[int, Field(ge=0)] = 0
    """First row of the sensor that the frame shows."""
    pixel_format: str = "Mono8"
    """SFNC name."""


class Record(_Value):
    """A calibration without its arrays."""

    schema_version: Literal[1] = 1
    """Version of this form."""
    kind: Kind
    """What it calibrates."""
    camera: Annotated[str, Field(pattern=CAMERA_NAME)]
    """Name of the camera in the configuration."""
    number: Annotated[int, Field(ge=1, le=999_999_999)]
    """Counts up for each camera and kind."""
    made: str
    """When it was made: UTC, ISO 8601."""
    binding: Binding
    """What it was made with."""
    figures: dict[str, FiniteFloat]
    """What was measured, units in the names."""
    settings: dict[str, JsonValue]
    """How it was made."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Of the file with the arrays."""

    @property
    def title(self) -> str:
        """Name for messages, `cam1 flat-field 3`."""
        return f"{self.camera} {self.kind} {self.number}"
