"""The recipe of a training: everything that decides its result, by default, by a file, by single settings. Pure."""

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, Field, ValidationError, model_validator

from engines.model import CropCut, Head
from shadowline.errors import ConfigError
from station.config import Table

__all__ = ["Mix", "Recipe", "Renders", "Scale", "make_recipe", "make_table", "read_recipe"]

_Table = TypeVar("_Table", bound=Table)

Scale: TypeAlias = Literal["standard", "unit", "symmetric", "imagenet"]
"""What a network is fed: each crop less its mean over its deviation; 0..1; -1..1; or by ImageNet's mean grey."""

_PLAIN = frozenset({"original", "compact"})


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

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")] = "model"
    """Name of the model."""

    pictures: Path = Path(".")
    """Folder-per-class tree, below the data folder."""
    boxes: Path | None = None
    """Folder of Pascal VOC files with the pictures' names, below the data folder."""
    box_size_px: tuple[int, int] | None = None
    """Width and height that the boxes are given in, where the files do not say or the pictures were resized."""
    aliases: dict[str, str] = Field(default_factory=dict)
    """Other spellings of class folders and box names: name found → label meant."""
    group_pattern: str | None = None
    """Regular expression on file names; pictures whose first group is equal (a strip, a part) share a side."""
    renders: Renders | None = None
    """Simulator frames to learn from as well."""
    mix: Mix = Mix()
    """What batches are made of."""
    crop: CropCut = CropCut(size_px=128, context=1.5, min_side_px=96)
    """How crops are cut, in training and serving."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Of the weights, the order and the augmentation."""
    split_seed: Annotated[int, Field(ge=0)] = 1
    """Of the split, so that networks of other seeds can be measured and joined on the same pictures."""
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)
    """Parts of the pictures for train, val and test."""
    fold: Annotated[int | None, Field(ge=0)] = None
    """Which of the k test sides of a k-fold, k being 1 over the test fraction; without it one split is drawn."""

    network: str = "auto"
    """`auto`, `compact`, `original`, or the name of a timm or torchvision backbone; see `station train networks`."""
    weights: Path | Literal["hub", "package"] | None = None
    """What a backbone starts from: a file (safetensors or PyTorch state), the model hub, a pip package, or nothing."""
    stages: Annotated[int | None, Field(ge=1)] = None
    """Keep only the first stages of a timm backbone: smaller, faster, or as much as a weights file covers."""
    width: Annotated[float, Field(ge=0.25, le=4)] = 1.0
    """Channels of `compact`, as a factor."""
    scale: Scale | None = None
    """What the network is fed; without it `unit` for `original` and `standard` for all others."""
    input_px: Annotated[int | None, Field(ge=16, le=1024)] = None
    """The network's own picture size, when it is not the crop's; crops are resized inside the model file."""
    head: Head = "softmax"
    """What the outputs mean."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """In front of the last layer."""

    loss: Literal["cross_entropy", "mse"] = "cross_entropy"
    """Cross-entropy (binary for sigmoid and multi-label), or the mean square error of one-hot targets."""
    teacher: Path | None = None
    """Model file whose answers on the same crops are learnt beside the labels (distillation)."""
    teacher_share: Annotated[float, Field(ge=0, le=1)] = 0.7
    """How much the teacher counts against the labels."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.05
    """Of the cross-entropy."""
    mixup: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Alpha of the beta distribution that pairs of crops are blended by; 0: none."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced`: a class counts in the loss as if it had as many pictures as the others."""
    sampling: Literal["balanced", "root", "natural"] = "balanced"
    """How often classes are drawn: evenly, by the square root of their pictures, or as they are."""
    parts: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the whole pictures of which only a part is shown; 0 where a part may miss the defect."""
    least_part: Annotated[float, Field(gt=0.1, le=1)] = 0.7
    """The smallest part's sides, of the picture's."""
    augment: Annotated[float, Field(ge=0, le=2)] = 1.0
    """Strength of light, blur, noise and cut-outs; 0: only mirrored and turned."""
    turns: bool = True
    """Whether crops are turned by quarters; off where up and along differ in meaning. Mirroring is always drawn."""

    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """`sgd` has Nesterov momentum 0.9."""
    learning_rate: Annotated[float | None, Field(gt=0)] = None
    """Highest rate; without it 3e-3 for `compact`, 1e-3 for `original`, 5e-4 for a backbone."""
    trunk_rate: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The backbone's rate as a part of the head's; 0 keeps the backbone frozen: it only extracts features."""
    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    """Of the rate: half a cosine to zero after a warm-up, tenfold down when validation stands still, or none."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    """Of AdamW and SGD."""
    epochs: Annotated[int | None, Field(ge=1)] = None
    """Longest training; without it 96 epochs for small networks and 16 for a backbone."""
    epoch_crops: Annotated[int | None, Field(ge=8)] = None
    """Crops drawn for one epoch; without it as many as there are to learn from, 512 at least."""
    batch: Annotated[int, Field(ge=2)] = 32
    """Crops in one step."""
    patience: Annotated[int | None, Field(ge=1)] = None
    """Epochs without a better validation loss before the training stops; without it half of `epochs`."""
    average: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Decay of the running average of the weights, a step; its average is what is kept."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Of the training: `auto` is mixed bf16 on a GPU and for the small networks, fp32 for backbones on a CPU."""

    false_unknown: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    """Share of known crops that the novelty limit may call unknown."""
    costs: dict[str, float] = Field(default_factory=dict)
    """Label → cost of giving it wrongly, in units of the cost of an `unknown`; sets that label's confidence floor."""
    conformal: tuple[Annotated[float, Field(gt=0, lt=0.5)], ...] = (0.01, 0.05)
    """Miss rates for which the model card tells the threshold of a prediction set."""
    licence: str = ""
    """Licence note for the model card."""
    not_for: str = ""
    """What the model must not be used for."""

    @model_validator(mode="after")
    def _agree(self) -> "Recipe":
        if abs(sum(self.fractions) - 1) > 1e-6:
            raise ValueError(f"fractions {self.fractions} do not sum to 1")
        if self.fold is not None and self.fold >= round(1 / self.fractions[2]):
            raise ValueError(f"fold {self.fold} does not exist: {round(1 / self.fractions[2])} folds, from 0")
        if self.loss == "mse" and self.head != "softmax":
            raise ValueError("loss mse is for head softmax")
        if self.network in _PLAIN and (self.weights or self.stages):
            raise ValueError(f"network {self.network} starts from nothing: leave out weights and stages")
        if self.network == "auto" and (self.weights or self.stages):
            raise ValueError("weights and stages belong to a named network: say which")
        if self.head == "multi_label" and self.mixup:
            raise ValueError("mixup is for one label a crop")
        return self

    @property
    def is_small(self) -> bool:
        """Whether the network is one of our own small ones, which start from nothing."""
        return self.network in _PLAIN

    def sha256(self) -> str:
        """Return the hash of every setting."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def read_recipe(path: Path) -> Recipe:
    """Read a recipe. Raises `ConfigError` naming file and key."""
    return make_recipe(path)


def make_recipe(path: Path | None, settings: Iterable[str] = (), **known: Any) -> Recipe:
    """Return the recipe of a TOML file, or the defaults, changed as `make_table` says."""
    return make_table(Recipe, path, settings, **known)


def make_table(kind: type[_Table], path: Path | None, settings: Iterable[str] = (), **known: Any) -> _Table:
    """Return the settings of a TOML file, or the defaults, changed by `key=value` settings and then by `known`.

    A value is TOML, or else text; `mix.whole=1` reaches into a table. Raises `ConfigError` naming the file and key.
    """
    values: dict[str, Any] = {}
    try:
        if path is not None:
            values = tomllib.loads(path.read_text())
        for setting in settings:
            _set(kind, values, setting)
        values.update({key: value for key, value in known.items() if value is not None})
        return kind.model_validate(values)
    except (OSError, tomllib.TOMLDecodeError) as fault:
        raise ConfigError(f"{path}: {fault}") from fault
    except ValidationError as fault:
        first = fault.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path or 'settings'}: {key}: {first['msg']}") from fault


def _default_table(kind: type[Table], name: str) -> dict[str, Any]:
    default = kind.model_fields[name].default if name in kind.model_fields else None
    return default.model_dump() if isinstance(default, BaseModel) else {}


def _set(kind: type[Table], values: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {setting}: expected KEY=VALUE")
    *tables, last = key.strip().split(".")
    for table in tables:
        values = values.setdefault(table, _default_table(kind, table))
        if not isinstance(values, Mapping):
            raise ConfigError(f"--set {setting}: {table} is no table")
    try:
        values[last] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        values[last] = text
