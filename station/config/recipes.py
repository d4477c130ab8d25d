"""The tables `[recipe.NAME]`: what a product needs in place of the plain tables. Pure."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field, FiniteFloat, ValidationError

from station.config.regions import CombineConfig, FinderConfig, PartConfig, RegionsConfig, name_of
from station.config.table import ConfigPath, Name, Table
from station.config.verdict import VerdictConfig

__all__ = ["DEFAULT", "RecipeConfig", "RecipeRegions", "ThresholdsConfig", "regions_by"]

DEFAULT: Final = "default"
"""What the plain tables are called among the recipes; a PLC calls them 0."""


class ThresholdsConfig(Table):
    """What one finder that learned counts as found; without a key, `[regions]` says it."""

    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """What counts as found, from 0 to 1."""
    low: FiniteFloat | None = None
    """Raw heat that counts as 0."""
    high: FiniteFloat | None = None
    """Raw heat that counts as 1."""

    @property
    def given(self) -> Mapping[str, float]:
        """The keys that are set."""
        values = {"threshold": self.threshold, "low": self.low, "high": self.high}
        return {key: value for key, value in values.items() if value is not None}


class RecipeRegions(ThresholdsConfig):
    """The thresholds of `[regions]` that this product needs otherwise."""

    merge_iou: Annotated[float, Field(gt=0, le=1)] | None = None
    """Of several finders: regions whose boxes overlap by this much are one."""
    finders: dict[Name, ThresholdsConfig] = Field(default_factory=dict)
    """Of several finders: the thresholds of each, by its name."""


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
    """Thresholds of the finders."""


def regions_by(regions: FinderConfig, recipe: str, wanted: RecipeRegions) -> FinderConfig:
    """Return `regions` with the thresholds of the recipe of that name. Raises `ValueError` where it has no such key."""
    where = f"[recipe.{recipe}.regions]"
    given: dict[str, Any] = {**wanted.given}
    if not isinstance(regions, CombineConfig):
        if wanted.merge_iou is not None or wanted.finders:
            raise ValueError(f'{where} merge_iou, finders: only with [regions] type = "combine"')
        return _changed(regions, where, given)
    if given:
        raise ValueError(f"{where} {', '.join(given)}: write them below {where[:-1]}.finders.NAME]")
    if strangers := sorted(set(wanted.finders) - {name_of(part) for part in regions.finders}):
        raise ValueError(f"{where} finders.{strangers[0]}: no finder of that name in [regions]")
    none = ThresholdsConfig()
    parts = [
        _changed(part, f"{where[:-1]}.finders.{name_of(part)}]", wanted.finders.get(name_of(part), none).given)
        for part in regions.finders
    ]
    merge_iou = regions.merge_iou if wanted.merge_iou is None else wanted.merge_iou
    return regions.model_copy(update={"finders": tuple(parts), "merge_iou": merge_iou})


def _changed(part: PartConfig, where: str, given: Mapping[str, float]) -> PartConfig:
    """Return the table of one finder with what is `given` in it."""
    if not given:
        return part
    if isinstance(part, RegionsConfig) or (strangers := [key for key in given if key not in type(part).model_fields]):
        names = ", ".join(given if isinstance(part, RegionsConfig) else strangers)
        raise ValueError(f"{where} {names}: this finder has none that may change between two frames")
    try:
        return type(part).model_validate(part.model_dump(exclude_unset=True) | dict(given))
    except ValidationError as fault:
        raise ValueError(f"{where}: {fault.errors()[0]['msg'].removeprefix('Value error, ')}") from None
