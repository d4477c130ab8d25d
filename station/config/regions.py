"""The table `[regions]`: who finds the regions, and how. Pure."""

from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import Discriminator, Field, FiniteFloat, Tag, field_validator, model_validator

from station.config.table import ConfigPath, Name, Table

__all__ = [
    "BY_LIMIT",
    "AnomalyConfig",
    "AreaPx",
    "CombineConfig",
    "Contrast",
    "DetectorConfig",
    "FinderConfig",
    "GapPx",
    "HeatmapConfig",
    "LearnedBase",
    "LearnedConfig",
    "LengthPx",
    "Levels",
    "MapBase",
    "MapConfig",
    "MostPart",
    "MostRegions",
    "Part",
    "PartConfig",
    "Polarity",
    "RegionsConfig",
    "SpeckPx",
    "ZoneSigmas",
    "name_of",
    "parts_of",
    "shadow_of",
    "with_shadow",
]

Polarity: TypeAlias = Literal["dark", "bright", "both"]
Contrast: TypeAlias = Annotated[float, Field(ge=0, le=0.95)]
Levels: TypeAlias = Annotated[float, Field(ge=0, le=255)]
Sigmas: TypeAlias = Annotated[float, Field(ge=0, le=20)]
ZoneSigmas: TypeAlias = Sigmas | Annotated[tuple[Sigmas, ...], Field(min_length=1, max_length=64)]
SpeckPx: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000)]
GapPx: TypeAlias = Annotated[int, Field(ge=0, le=1024)]
AreaPx: TypeAlias = Annotated[int, Field(ge=1, le=100_000_000)]
LengthPx: TypeAlias = Annotated[int, Field(ge=1, le=100_000)]
MostRegions: TypeAlias = Annotated[int, Field(ge=1, le=4096)]
MostPart: TypeAlias = Annotated[float, Field(gt=0, le=1)]
Part: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Scale: TypeAlias = Annotated[float, Field(ge=0.05, le=64)]
Naming: TypeAlias = Literal["keep", "confirm", "replace"]

BY_LIMIT: Final = frozenset({"noise_sigmas", "min_area_px", "polarity"})
"""The keys of shadows that a calibrated limit sets."""


class RegionsConfig(Table):
    """How dark and bright regions are found. The defaults are for a strip camera; docs/regions.md has others.

    Dark is below background x (1 - contrast) - margin, bright above background x (1 + contrast) + margin; the margin
    is `offset_levels`, or `noise_sigmas` of the local noise where that is more. Sizes are pixels of the frame.
    """

    type: Literal["shadow"] = "shadow"
    polarity: Polarity = "both"
    """Which side of the background counts; scratches on hot-rolled strip are bright."""
    background: Literal["running", "frame"] = "running"
    """`running` follows a camera's stream; `frame` takes each picture by itself, as for unrelated pictures."""
    contrast: Contrast = 0.05
    """Part of the background that a pixel must differ from it."""
    offset_levels: Levels = 8.0
    """Least margin, in 8-bit grey levels, also for uint16."""
    noise_sigmas: ZoneSigmas = 5.0
    """Least margin in standard deviations of the local noise and texture: one, or one a zone of equal width across."""
    background_px: Annotated[int, Field(ge=8, le=1024)] = 144
    """Window of the median that keeps defects out of the background; about twice the widest of them."""
    update_every_frames: Annotated[int, Field(ge=1, le=10_000)] = 32
    """A running background is updated with every nth frame."""
    time_constant_frames: Annotated[int, Field(ge=1, le=1_000_000)] = 256
    """How fast a running background follows; after as many over-full frames in a row it starts anew."""
    scale: Literal[1, 2, 4, 8] = 1
    """Regions are sought in a copy so many times smaller, each pixel the mean of its area."""
    smooth_px: Annotated[int, Field(ge=1, le=63)] = 1
    """Width of the box mean taken before the limits are applied; 1 takes none."""
    cell_px: Literal[8, 16, 32, 64] = 16
    """Pitch of the background's grid, in pixels of the scaled copy."""
    speck_px: SpeckPx = 4
    """Fragments of less area are noise and are dropped before merging."""
    merge_gap_px: GapPx = 8
    """Fragments with less free space than this between their boxes are one region; 0 merges none."""
    min_area_px: AreaPx = 12
    """Regions of less area are dropped."""
    min_length_px: LengthPx = 4
    """Regions whose longer side is less are dropped."""
    max_regions: MostRegions = 512
    """A frame with more is over-full."""
    max_part: MostPart = 0.25
    """A frame with a larger part of its pixels beyond the limits is over-full."""
    dark_level: Levels = 8.0
    """A frame whose mean is below is dark: lamp off, shutter closed."""


class LearnedBase(Table):
    """What every finder that runs a finder file has. It sees the picture as the camera gave it, without flat field."""

    name: Name | None = None
    """What events and metrics call it; without it, its type."""
    backend: Literal["onnx_runtime", "tensor_rt"] = "onnx_runtime"
    """What runs it; cameras and finders with the same file and engine settings share one engine."""
    provider: Literal["cpu", "cuda"] = "cpu"
    """Where ONNX Runtime runs it."""
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Threads of one run of ONNX Runtime."""
    gpu: Annotated[int, Field(ge=0, le=63)] = 0
    """Number of TensorRT's GPU, as nvidia-smi counts."""
    threshold: Part | None = None
    """What counts as found, from 0 to 1; without it the file's own. It may change while the line runs."""
    scale: Scale | tuple[Scale, Scale] | None = None
    """Frame pixels to one input pixel, or those across and down; without it the file's own. Below 1 enlarges."""
    tile_px: Annotated[int, Field(ge=32, le=8192)] | None = None
    """Longest side that is run at once, in input pixels; larger frames are cut into tiles. 1024 without it.

    A file whose network takes one size only has tiles of that size.
    """
    max_regions: MostRegions = 512
    """A frame with more is over-full."""
    dark_level: Levels = 8.0
    """A frame whose mean is below is dark: lamp off, shutter closed."""

    @model_validator(mode="after")
    def _engine_settings_fit(self) -> Self:
        others = {"tensor_rt": {"provider", "threads"}, "onnx_runtime": {"gpu"}}[self.backend]
        if strangers := sorted(others & self.model_fields_set):
            raise ValueError(f"{', '.join(strangers)}: not with backend {self.backend}")
        return self

    @field_validator("name")
    @classmethod
    def _is_no_shadow(cls, name: str | None) -> str | None:
        if name == "shadow":
            raise ValueError("shadow is what finds shadows: take another name")
        return name

    @property
    def scale_xy(self) -> tuple[float, float] | None:
        """The scale across and down."""
        return (self.scale, self.scale) if isinstance(self.scale, float) else self.scale


class MapBase(LearnedBase):
    """What finders have whose network draws a map of heat: it is thresholded, and its components are the regions."""

    model: ConfigPath
    """The finder file, as `station train regions` or `anomaly` exports it."""
    low: FiniteFloat | None = None
    """Raw heat that counts as 0; without it the file's own. It may change while the line runs."""
    high: FiniteFloat | None = None
    """Raw heat that counts as 1; without it the file's own. It may change while the line runs."""
    merge_gap_px: GapPx = 0
    """Fragments with less free space than this between their boxes are one region, in frame pixels; 0 merges none."""
    min_area_px: AreaPx = 1
    """Regions of less area are dropped."""
    max_part: MostPart = 1.0
    """A frame with a larger part of its map beyond the threshold is over-full."""

    @model_validator(mode="after")
    def _low_is_below_high(self) -> Self:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        return self


class HeatmapConfig(MapBase):
    """Regions where a network, trained on boxes or masks, sees defects."""

    type: Literal["heatmap"]
    naming: Naming = "replace"
    """Of a file with a map a label: `keep` its label, let the classifier `confirm` it, or let that `replace` it."""


class AnomalyConfig(MapBase):
    """Regions that are unlike the defect-free pictures a network was trained on."""

    type: Literal["anomaly"]
    naming: Literal["unknown", "replace"] = "replace"
    """`replace` lets the classifier name them, `unknown` where it is not sure; `unknown` calls all of them so."""


class DetectorConfig(LearnedBase):
    """Boxes and labels straight from a detector."""

    type: Literal["detector"]
    model: ConfigPath | None = None
    """The finder file, as `station train detect` exports it; without it the shipped one, for hot-rolled strip."""
    naming: Naming = "keep"
    """`keep` its label, let the classifier `confirm` it (else it is `unknown`), or let the classifier `replace` it."""
    nms_iou: Part | None = None
    """Boxes of one label that overlap more are one; without it the file's own, 1 leaves all."""


def _type(table: Any) -> Any:
    """Read the discriminator; a table that names no type finds shadows."""
    return table.get("type", "shadow") if isinstance(table, dict) else getattr(table, "type", None)


_Shadow: TypeAlias = Annotated[RegionsConfig, Tag("shadow")]
_Heatmap: TypeAlias = Annotated[HeatmapConfig, Tag("heatmap")]
_Anomaly: TypeAlias = Annotated[AnomalyConfig, Tag("anomaly")]
_Detector: TypeAlias = Annotated[DetectorConfig, Tag("detector")]

MapConfig: TypeAlias = HeatmapConfig | AnomalyConfig
LearnedConfig: TypeAlias = HeatmapConfig | AnomalyConfig | DetectorConfig

PartConfig: TypeAlias = Annotated[
    _Shadow | _Heatmap | _Anomaly | _Detector,
    Discriminator(
        _type,
        custom_error_type="type",
        custom_error_message="type must be shadow, heatmap, anomaly or detector",
    ),
]


class CombineConfig(Table):
    """Several finders over each frame; what two of them found is one region that names both."""

    type: Literal["combine"]
    finders: Annotated[tuple[PartConfig, ...], Field(min_length=2, max_length=8)]
    """The finders, each with the keys of its type."""
    merge_iou: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Regions of different finders whose boxes overlap by this much are one, unless they are named differently."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [name_of(part) for part in self.finders]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"{', '.join(sorted(twice))}: two finders of that name; give one a name of its own")
        return self


FinderConfig: TypeAlias = Annotated[
    _Shadow | _Heatmap | _Anomaly | _Detector | Annotated[CombineConfig, Tag("combine")],
    Discriminator(
        _type,
        custom_error_type="type",
        custom_error_message="type must be shadow, heatmap, anomaly, detector or combine",
    ),
]


def name_of(part: PartConfig) -> str:
    """Return what events call the finder of `part`."""
    return part.type if isinstance(part, RegionsConfig) or part.name is None else part.name


def parts_of(config: FinderConfig) -> tuple[PartConfig, ...]:
    """Return the finders of `config`, one or those that it combines."""
    return config.finders if isinstance(config, CombineConfig) else (config,)


def shadow_of(config: FinderConfig) -> RegionsConfig | None:
    """Return the part of `config` that finds shadows, where there is one."""
    return next((part for part in parts_of(config) if isinstance(part, RegionsConfig)), None)


def with_shadow(config: FinderConfig, shadow: RegionsConfig) -> FinderConfig:
    """Return `config` with `shadow` in place of its part that finds shadows; without one, as it is."""
    if isinstance(config, CombineConfig):
        parts = tuple(shadow if isinstance(part, RegionsConfig) else part for part in config.finders)
        return config.model_copy(update={"finders": parts})
    return shadow if isinstance(config, RegionsConfig) else config
