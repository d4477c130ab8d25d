"""Everything that is calibrated of one camera, as its folder has it in use. Main and control thread."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from calibration import CalibrationStore, FlatField, Kind, Record
from calibration.geometry import Geometry
from shadowline.errors import CalibrationError
from station.binding import find_calibration
from station.config import DEFAULT, CameraConfig, Config, FinderConfig, shadow_of
from station.flat_field import open_flat_field
from station.inspection_event import Scale
from station.limit import limited, uses_limit

__all__ = ["Calibrated", "by_recipe", "calibration_id", "open_calibration", "scale_of"]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What one camera uses; None, or the configuration's own limits, where it was not calibrated."""

    flat_field: FlatField | None
    geometry: Geometry | None
    regions: FinderConfig
    in_use: Record | None
    """The camera's limit that is in use, for recipes that have no other."""
    limit: Record | None
    """The limit that holds."""
    others: tuple[Record, ...]

    @property
    def records(self) -> tuple[Record, ...]:
        """All that hold."""
        return self.others if self.limit is None else (*self.others, self.limit)


def open_calibration(config: Config, camera: CameraConfig, recipe: str = DEFAULT) -> Calibrated:
    """Return what `camera` uses while `recipe` of the whole `config` holds.

    Raises `CalibrationError` for what is damaged or can't be its own.
    """
    found = {kind: find_calibration(config, camera, kind) for kind in _used(config)}
    in_use, others = found.pop("limit", None), tuple(record for record in found.values() if record is not None)
    geometry = _open_geometry(config, camera, found["geometry"])
    plain = Calibrated(open_flat_field(config, camera), geometry, config.regions, in_use, None, others)
    return _limit(plain, config, camera, recipe)


def by_recipe(plain: Mapping[str, Calibrated], config: Config, recipe: str) -> dict[str, Calibrated]:
    """Return what the cameras use while `recipe` holds: the limits change, all else is as `open_calibration` found it.

    Raises `CalibrationError` for a limit that can't be used.
    """
    return {camera.name: _limit(plain[camera.name], config, camera, recipe) for camera in config.camera}


def scale_of(camera: CameraConfig, calibrated: Calibrated) -> Scale:
    """Return what turns that camera's pixels into millimetres; without a configured pitch the geometry gives one."""
    pitch_mm, geometry = camera.pitch_mm, calibrated.geometry
    return Scale(geometry.mm_per_px[1] if pitch_mm is None and geometry is not None else pitch_mm, geometry)


def calibration_id(calibrated: Mapping[str, Calibrated]) -> str | None:
    """Return the first 12 digits of the SHA-256 of all that is in use; None where nothing is."""
    hashes = [record.sha256 for one in calibrated.values() for record in one.records]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()[:12] if hashes else None


def _used(config: Config) -> tuple[Kind, ...]:
    """Return the kinds of calibration that are used: a limit, and the flat field in it, are for shadows alone."""
    return ("geometry",) if shadow_of(config.regions) is None else ("flat-field", "geometry", "limit")


def _limit(one: Calibrated, config: Config, camera: CameraConfig, recipe: str) -> Calibrated:
    """Return `one` with the limit that `camera` has while `recipe` holds."""
    own = None if recipe == DEFAULT else config.recipe[recipe].limit.get(camera.name)
    record = one.in_use if own is None else find_calibration(config, camera, "limit", own)
    if record is None or not uses_limit(config, recipe):
        return replace(one, regions=config.by_recipe(recipe).regions, limit=None)
    return replace(one, regions=limited(config, camera, recipe, record, one.flat_field is not None), limit=record)


def _open_geometry(config: Config, camera: CameraConfig, record: Record | None) -> Geometry | None:
    if record is None or config.calibration.folder is None:
        return None
    try:
        geometry = Geometry.from_arrays(CalibrationStore(config.calibration.folder).arrays(record))
    except CalibrationError as error:
        raise CalibrationError(f"camera {camera.name}: {record.title}: {error}") from None
    if camera.overlap_rows and geometry.height_px is not None:
        raise CalibrationError(
            f"camera {camera.name}: {record.title} is of whole frames, but overlap_rows = {camera.overlap_rows}: "
            "take the line-scan form (station calibrate geometry --line-scan)"
        )
    return geometry
