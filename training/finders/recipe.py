"""What decides the result of a finder's training, whatever its kind; each kind adds its own settings. Pure."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from station.config import Table
from training.data.marked import MarkSettings
from training.recipe import Scale

__all__ = ["Augmentation", "FinderRecipe"]

_Side: TypeAlias = Annotated[int, Field(ge=32, le=2048, multiple_of=32)]


class Augmentation(Table):
    """How training pictures are changed."""

    turns: bool = True
    """Whether they are turned by quarters; off where up and along differ in meaning. Mirroring is always drawn."""
    zoom: tuple[Annotated[float, Field(gt=0.1, le=1)], Annotated[float, Field(ge=1, le=10)]] = (0.7, 1.4)
    """Smallest and largest factor of their size."""
    stretch: Annotated[float, Field(ge=1, le=2)] = 1.2
    """Largest factor between the zooms of width and height."""
    mosaic: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Share of training pictures that are put together of parts of four."""
    light: Annotated[float, Field(ge=0, le=2)] = 0.5
    """Strength of light, blur and noise; 0: none."""
    plain: Annotated[float, Field(ge=0, le=1)] = 0.15
    """Last part of the epochs, without mosaics."""


class FinderRecipe(Table):
    """One training of a finder."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")] = "finder"
    """Name of the finder."""

    marks: MarkSettings = MarkSettings()
    """Where the pictures are and where their marks."""
    scale: tuple[Annotated[float, Field(ge=0.05, le=64)], Annotated[float, Field(ge=0.05, le=64)]] = (1.0, 1.0)
    """Frame pixels to one input pixel, x and y; below 1 frames are enlarged."""
    input_px: tuple[_Side, _Side] = (224, 224)
    """Height and width of the network's input in training; a detector's in serving as well."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Of the weights, the order and the augmentation."""
    split_seed: Annotated[int, Field(ge=0)] = 1
    """Of the split, so that networks of other seeds can be measured on the same pictures."""
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)
    """Parts of the pictures for train, val and test."""
    fold: Annotated[int | None, Field(ge=0)] = None
    """Which of the k test sides of a k-fold, k being 1 over the test fraction; without it one split is drawn."""
    train_pictures: Annotated[int | None, Field(ge=1)] = None
    """Learn from only so many of the training pictures, as if no more had been marked."""
    learn_all: bool = False
    """Learn from the validation side too: for a last training whose choices were made in one before it."""

    network: str = "tf_efficientnet_lite0"
    """Trunk: the name of a timm backbone."""
    weights: Path | Literal["hub", "package", "none"] = "package"
    """What it starts from: a file (safetensors or PyTorch state), the model hub, a pip package, or nothing."""
    stages: Annotated[int, Field(ge=2, le=6)] = 5
    """How many stages of it are used."""
    frozen: Annotated[int, Field(ge=0)] = 0
    """First blocks of it whose weights stay as they start; learning then costs less."""
    levels: Scale = "standard"
    """What the network is fed: see the classifier's `scale`."""

    epochs: Annotated[int, Field(ge=1)] = 80
    epoch_pictures: Annotated[int | None, Field(ge=1)] = None
    """Pictures drawn for one epoch; without it as many as there are to learn from."""
    batch: Annotated[int, Field(ge=1)] = 16
    """Pictures in one step."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Highest rate; half a cosine brings it to zero after a warm-up."""
    trunk_rate: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The trunk's rate as a part of it."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    average: Annotated[float, Field(ge=0, lt=1)] = 0.998
    """Decay of the running average of the weights, a step; its average is what is kept."""
    measure_every: Annotated[int, Field(ge=1)] = 5
    """Epochs between two measurements of the validation side, by which the best weights are kept."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Of the training."""
    augment: Augmentation = Augmentation()

    licence: str = ""
    """Licence note for the finder's card."""
    not_for: str = ""
    """What the finder must not be used for."""

    @model_validator(mode="after")
    def _agree(self) -> "FinderRecipe":
        if abs(sum(self.fractions) - 1) > 1e-6:
            raise ValueError(f"fractions {self.fractions} do not sum to 1")
        return self

    def sha256(self) -> str:
        """Return the hash of every setting."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()
