"""The limit that was chosen for a configured camera, put into the settings of its finder. Main thread."""

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from calibration import Record
from calibration.limit import Choice
from shadowline.errors import CalibrationError
from station.binding import find_calibration
from station.config import CameraConfig, Config, FinderConfig, RegionsConfig, shadow_of, with_shadow

__all__ = ["LimitSettings", "Per", "open_limit"]

Per: TypeAlias = Literal["metre", "frame"]

_CHOSEN = frozenset({"noise_sigmas", "min_area_px", "polarity"})
"""What a limit replaces in `[regions]`; all other keys must be as they were when it was chosen."""
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
    """The other keys of `[regions]`."""

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


def open_limit(config: Config, camera: CameraConfig) -> FinderConfig:
    """Return the finder's settings of `camera`: `[regions]`, with its calibrated limit where it has one.

    The limit is that of the shadows; where none are sought it is not used. Raises `CalibrationError` for a limit that
    was chosen with other settings, or with a flat field that is not there.
    """
    record, shadow = find_calibration(config, camera, "limit"), shadow_of(config.regions)
    if record is None or shadow is None:
        return config.regions
    limit = _read(record)
    now = _others(shadow)
    differ = [
        f"{key} {limit.regions.get(key)}, not {value}" for key, value in now.items() if limit.regions.get(key) != value
    ]
    if limit.flat_field != (find_calibration(config, camera, "flat-field") is not None):
        differ.append("a flat field" if limit.flat_field else "no flat field")
    if differ:
        raise CalibrationError(
            f"camera {camera.name}: {record.title} was chosen with {'; '.join(differ)}: "
            "run station calibrate limit again"
        )
    sigmas = limit.noise_sigmas
    chosen: dict[str, Any] = {"noise_sigmas": sigmas[0] if len(sigmas) == 1 else sigmas}
    chosen |= {"min_area_px": limit.min_area_px, "polarity": limit.polarity}
    return with_shadow(config.regions, shadow.model_copy(update=chosen))


def _others(regions: RegionsConfig) -> dict[str, Any]:
    return regions.model_dump(mode="json", exclude=set(_CHOSEN | _NO_SETTING))


def _read(record: Record) -> LimitSettings:
    try:
        return LimitSettings.model_validate(record.settings)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise CalibrationError(f"{record.title}: {place}: {fault['msg']}: run station calibrate limit again") from None
