"""Load the flat field that a configured camera uses. Main thread."""

from calibration import CalibrationStore, FlatField
from shadowline.errors import CalibrationError
from station.binding import find_calibration
from station.config import CameraConfig, Config

__all__ = ["open_flat_field"]


def open_flat_field(config: Config, camera: CameraConfig) -> FlatField | None:
    """Return the flat field that `camera` uses, None where it has none.

    Raises `CalibrationError` for a damaged one and, as far as the configuration tells, for one that was made with
    other settings; elsewhere the opened camera and its first frame tell.
    """
    record = find_calibration(config, camera, "flat-field")
    if record is None or config.calibration.folder is None:
        return None
    arrays = CalibrationStore(config.calibration.folder).arrays(record)
    try:
        return FlatField.of(arrays, record.figures.get("level", 0.0), camera.overlap_rows)
    except CalibrationError as error:
        raise CalibrationError(f"camera {camera.name}: {record.title}: {error}") from None
