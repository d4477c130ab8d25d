"""Load the flat field of a configured camera and refuse one that can't be its own. Main thread."""

from calibration import FlatField, load_flat_field
from shadowline.errors import CalibrationError
from station.config import CameraConfig, SimulatedConfig

__all__ = ["open_flat_field"]


def open_flat_field(camera: CameraConfig) -> FlatField | None:
    """Return the flat field of `camera`, None where it has none.

    Raises `CalibrationError` for a bad file and, where the configuration says how large the frames are, for one of
    another size; elsewhere the first frame tells.
    """
    if camera.flat_field is None:
        return None
    flat_field = load_flat_field(camera.flat_field)
    height, width = flat_field.gain.shape
    if isinstance(camera, SimulatedConfig) and (width, height) != (camera.width_px, camera.height_px):
        raise CalibrationError(
            f"{camera.flat_field}: made for {width}×{height} frames, but camera {camera.name} delivers"
            f" {camera.width_px}×{camera.height_px}"
        )
    return flat_field
