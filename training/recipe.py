"""The recipe of a training: everything that decides its result, from a TOML file. Pure."""

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from engines.model import CropCut
from shadowline.errors import ConfigError
from station.config import Table

__all__ = ["Mix", "Recipe", "Renders", "read_recipe"]


class Renders(Table):
    """Frames of the strip simulator whose truth boxes become crops; every seed draws marks of its own."""

    train_seed: int = 1000
    """First seed of the training strips; validation and test strips have the seeds behind them."""
    strips: tuple[int, int, int] = (60, 12, 20)
    """Strips for train, val and test."""
    frames: Annotated[int, Field(ge=1)] = 4
    """Frames of each strip."""
    side_px: Annotated[int, Field(ge=300)] = 1200
    """Frame width and height."""
    defects_per_frame: Annotated[float, Field(gt=0)] = 12.0
    """Mean number of defects a frame."""


class Mix(Table):
    """Share of each kind of crop in a training batch; relative weights."""

    whole: Annotated[float, Field(ge=0)] = 0.45
    """Whole pictures, or most of one."""
    box: Annotated[float, Field(ge=0)] = 0.25
    """Loose boxes and fragments of the annotated defects."""
    render: Annotated[float, Field(ge=0)] = 0.15
    """Loose boxes and fragments of the simulator's defects."""
    found: Annotated[float, Field(ge=0)] = 0.15
    """Regions that the finder made of the simulator's defects."""


class Recipe(Table):
    """One training."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
    """Name of the model."""
    network: Literal["original", "compact"] = "compact"
    """Which network."""
    crop: CropCut
    """How crops are cut, in training and serving."""
    pictures: Path
    """Folder-per-class tree, below the data folder."""
    boxes: Path | None = None
    """Folder of Pascal VOC files with the pictures' names, below the data folder."""
    renders: Renders | None = None
    """Simulator frames to learn from as well."""
    mix: Mix = Mix()
    """What batches are made of."""
    seed: int = 1
    """Of the split, the weights, the order and the augmentation."""
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)
    """Parts of the pictures for train, val and test."""
    epochs: Annotated[int, Field(ge=1)] = 60
    """Longest training."""
    epoch_crops: Annotated[int, Field(ge=8)] = 4096
    """Crops drawn for one epoch."""
    batch: Annotated[int, Field(ge=2)] = 64
    """Crops in one step."""
    patience: Annotated[int, Field(ge=1)] = 15
    """Epochs without a better validation loss before the training stops."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    """Highest rate of the cosine schedule."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    """Of AdamW; `original` trains with plain Adam."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.05
    """Of the cross-entropy; `original` trains with the mean square error."""
    average: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Decay of the running average of the weights, a step; its average is what is kept."""
    licence: str = ""
    """Licence note for the model card."""
    not_for: str = ""
    """What the model must not be used for."""

    def sha256(self) -> str:
        """Return the hash of every setting."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def read_recipe(path: Path) -> Recipe:
    """Read a recipe. Raises `ConfigError` naming file and key."""
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text()))
    except (OSError, tomllib.TOMLDecodeError) as fault:
        raise ConfigError(f"{path}: {fault}") from fault
    except ValidationError as fault:
        first = fault.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {key}: {first['msg']}") from fault
