"""The tables `[recipe.NAME]`: what a product needs in place of the plain tables. Pure."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field, FiniteFloat, ValidationError

from station.config.regions import (
    AreaPx,
    CombineConfig,
    Contrast,
    FinderConfig,
    GapPx,
    LengthPx,
    Levels,
    MostPart,
    MostRegions,
    Part,
    PartConfig,
    Polarity,
    SpeckPx,
    ZoneSigmas,
    name_of,
)
from station.config.table import ConfigPath, Name, Table
from station.config.verdict import VerdictConfig

__all__ = ["DEFAULT", "FinderLimits", "RecipeConfig", "RecipeRegions", "regions_by"]

DEFAULT: Final = "default"
"""What the plain tables are called among the recipes; a PLC calls them 0."""


class FinderLimits(Table):
    """What one finder counts as found, each key as in `[regions]`; without it, `[regions]` says it.

    These are the keys that may change between two frames: nothing is sized or learnt by them.
    """

    threshold: Part | None = None
    """Of one that learned: what counts as found, from 0 to 1."""
    low: FiniteFloat | None = None
    """Of a map: raw heat that counts as 0."""
    high: FiniteFloat | None = None
    """Of a map: raw heat that counts as 1."""
    polarity: Polarity | None = None
    """Of shadows: which side of the background counts."""
    contrast: Contrast | None = None
    """Of shadows: part of the background that a pixel must differ from it."""
    offset_levels: Levels | None = None
    """Of shadows: least margin, in 8-bit grey levels."""
    noise_sigmas: ZoneSigmas | None = None
    """Of shadows: least margin in standard deviations of the local noise, one or one a zone."""
    speck_px: SpeckPx | None = None
    """Of shadows: fragments of less area are dropped before merging."""
    merge_gap_px: GapPx | None = None
    """Fragments with less free space than this between their boxes are one region."""
    min_area_px: AreaPx | None = None
    """Regions of less area are dropped."""
    min_length_px: LengthPx | None = None
    """Of shadows: regions whose longer side is less are dropped."""
    max_regions: MostRegions | None = None
    """A frame with more is over-full."""
    max_part: MostPart | None = None
    """A frame with a larger part of its pixels beyond the limits is over-full."""
    dark_level: Levels | None = None
    """A frame whose mean is below is dark."""

    @property
    def given(self) -> dict[str, Any]:
        """The keys that are set."""
        return self.model_dump(include=set(FinderLimits.model_fields), exclude_none=True)


class RecipeRegions(FinderLimits):
    """The limits of `[regions]` that this product needs otherwise."""

    merge_iou: Annotated[float, Field(gt=0, le=1)] | None = None
    """Of several finders: regions whose boxes overlap by this much are one."""
    finders: dict[Name, FinderLimits] = Field(default_factory=dict)
    """Of several finders: the limits of each, by its name; that of the shadows is `shadow`."""

    @property
    def of_shadows(self) -> dict[str, Any]:
        """The keys that are set of the finder of shadows, be it one of several."""
        return self.given or self.finders.get("shadow", FinderLimits()).given


class RecipeConfig(Table):
    """What holds while this recipe does. What it leaves out is as in the plain tables."""

    description: Annotated[str, Field(max_length=200)] = ""
    """For people."""
    external_id: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """The number that the PLC calls it by; 0 are the plain tables."""
    model: ConfigPath | None = None
    """The model file; without it that of `[engine]`."""
    budget_ms: Annotated[float, Field(gt=0, le=60_000)] | None = None
    """Time from capture to decision, in place of `[station] budget_ms`."""
    verdict: VerdictConfig | None = None
    """Takes the place of the whole table `[verdict]`."""
    regions: RecipeRegions = RecipeRegions()
    """Limits of the finders."""
    limit: dict[Name, Annotated[int, Field(ge=1, le=999_999_999)]] = Field(default_factory=dict)
    """Of cameras, by name: the number of the calibrated limit that holds in place of the one in use."""


def regions_by(regions: FinderConfig, recipe: str, wanted: RecipeRegions) -> FinderConfig:
    """Return `regions` with the limits of the recipe of that name. Raises `ValueError` where it has no such key."""
    where = f"[recipe.{recipe}.regions]"
    given = wanted.given
    if not isinstance(regions, CombineConfig):
        if wanted.merge_iou is not None or wanted.finders:
            raise ValueError(f'{where} merge_iou, finders: only with [regions] type = "combine"')
        return _changed(regions, where, given)
    if given:
        raise ValueError(f"{where} {', '.join(given)}: write them below {where[:-1]}.finders.NAME]")
    if strangers := sorted(set(wanted.finders) - {name_of(part) for part in regions.finders}):
        raise ValueError(f"{where} finders.{strangers[0]}: no finder of that name in [regions]")
    none = FinderLimits()
    parts = [
        _changed(part, f"{where[:-1]}.finders.{name_of(part)}]", wanted.finders.get(name_of(part), none).given)
        for part in regions.finders
    ]
    merge_iou = regions.merge_iou if wanted.merge_iou is None else wanted.merge_iou
    return regions.model_copy(update={"finders": tuple(parts), "merge_iou": merge_iou})


def _changed(part: PartConfig, where: str, given: Mapping[str, Any]) -> PartConfig:
    """Return the table of one finder with what is `given` in it."""
    if not given:
        return part
    if strangers := [key for key in given if key not in type(part).model_fields]:
        raise ValueError(f"{where} {', '.join(strangers)}: a finder of type {part.type} has none")
    try:
        return type(part).model_validate(part.model_dump(exclude_unset=True) | dict(given))
    except ValidationError as fault:
        raise ValueError(f"{where}: {fault.errors()[0]['msg'].removeprefix('Value error, ')}") from None
