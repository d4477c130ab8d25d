"""The limit that was chosen for a configured camera, put into the settings of its finder. Pure."""

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from calibration import Record
from calibration.limit import Choice
from shadowline.errors import CalibrationError
from station.config import (
    BY_LIMIT,
    DEFAULT,
    CameraConfig,
    Config,
    FinderConfig,
    RegionsConfig,
    shadow_of,
    with_shadow,
)

__all__ = ["LimitSettings", "Per", "limited", "uses_limit"]

Per: TypeAlias = Literal["metre", "frame"]

_NO_SETTING = frozenset({"type"})


class LimitSettings(BaseModel):
    """The settings of a record of kind `limit`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    noise_sigmas: Annotated[tuple[Annotated[FiniteFloat, Field(ge=0, le=20)], ...], Field(min_length=1, max_length=64)]
    min_area_px: Annotated[int, Field(ge=1)]
    polarity: Literal["dark", "bright", "both"]
    rate: Annotated[FiniteFloat, Field(gt=0)]
    per: Per
    flat_field: bool
    regions: dict[str, Any]
    """The other keys of `[regions]`: they must be as they were when the limit was chosen."""

    @classmethod
    def of(cls, regions: RegionsConfig, choice: Choice, per: Per, flat_field: bool) -> Self:
        """Return the settings of what was chosen for a finder with `regions`."""
        return cls(
            noise_sigmas=choice.sigmas,
            min_area_px=regions.min_area_px,
            polarity=regions.polarity,
            rate=choice.rate,
            per=per,
            flat_field=flat_field,
            regions=_others(regions),
        )


def uses_limit(config: Config, recipe: str) -> bool:
    """Tell whether a calibrated limit has a say while `recipe` holds: not if no shadows are sought, or it sets all."""
    return shadow_of(config.regions) is not None and bool(BY_LIMIT - _of_recipe(config, recipe).keys())


def limited(config: Config, camera: CameraConfig, recipe: str, record: Record, flat_field: bool) -> FinderConfig:
    """Return the finder's settings of `camera` by its calibrated limit `record`, while `recipe` holds.

    What the recipe itself sets goes before the limit, and the limit before `[regions]`; `flat_field` says whether the
    camera has one. Raises `CalibrationError` for a limit that was chosen with other settings.
    """
    regions = config.by_recipe(recipe).regions
    shadow = shadow_of(regions)
    assert shadow is not None, "uses_limit says so"
    limit = _read(record)
    differ = [
        f"{key} {limit.regions.get(key)}, not {value}"
        for key, value in _others(shadow).items()
        if limit.regions.get(key) != value
    ]
    if limit.flat_field != flat_field:
        differ.append("a flat field" if limit.flat_field else "no flat field")
    if differ:
        way_out = "" if recipe == DEFAULT else f"; --recipe {recipe} gives this recipe its own"
        raise CalibrationError(
            f"camera {camera.name}: {record.title} was chosen with {'; '.join(differ)}: "
            f"run station calibrate limit again{way_out}"
        )
    sigmas = limit.noise_sigmas
    chosen: dict[str, Any] = {"noise_sigmas": sigmas[0] if len(sigmas) == 1 else sigmas}
    chosen |= {"min_area_px": limit.min_area_px, "polarity": limit.polarity}
    own = _of_recipe(config, recipe)
    return with_shadow(regions, shadow.model_copy(update=chosen | {key: own[key] for key in BY_LIMIT & own.keys()}))


def _of_recipe(config: Config, recipe: str) -> dict[str, Any]:
    """Return what `recipe` itself sets of the shadows."""
    return {} if recipe == DEFAULT else config.recipe[recipe].regions.of_shadows


def _others(regions: RegionsConfig) -> dict[str, Any]:
    return regions.model_dump(mode="json", exclude=set(BY_LIMIT | _NO_SETTING))


def _read(record: Record) -> LimitSettings:
    try:
        return LimitSettings.model_validate(record.settings)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise CalibrationError(f"{record.title}: {place}: {fault['msg']}: run station calibrate limit again") from None
