"""A camera over the simulated strip whose optics can be made faulty, one fault at a time.

The light that falls on the sensor is drawn first, the sensor's noise is added last, as in a camera: what blurs and
tilts the picture leaves the noise as it is. The lens is as long as the picture is wide, twice; so a strip of 500 mm
is seen from 1 m.
"""

from typing import Final, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from station.camera import strip as drawn

__all__ = ["DUST", "FAULTS", "Fault", "Optics"]

Fault: TypeAlias = Literal["", "lamp", "defocus", "dust", "turn", "tip", "pan", "noise", "dead", "half lamp"]
FAULTS: Final[tuple[Fault, ...]] = ("lamp", "defocus", "dust", "turn", "tip", "pan", "noise", "dead", "half lamp")

DUST: Final = (0.3, 0.6)
"""Where the speck lies, in parts of width and height."""
_MARGIN_PX: Final = 96  # what a tilt of 1° brings into the picture of 2048 px
_NOISE_LEVELS: Final = 2.4
_FOCAL_WIDTHS: Final = 2.0
_TILT: Final = np.radians(1.0)


class Optics:
    """Frames uint8 [height,width] of a strip. `fault` may be changed at any time; flicker takes up to 2 % of light."""

    def __init__(self, width_px: int, height_px: int, seed: int, defects_per_frame: float = 3.0) -> None:
        self.fault: Fault = ""
        self._shape = (height_px, width_px)
        self._rng = np.random.default_rng((seed, 7))
        whole = (width_px + 2 * _MARGIN_PX, height_px + 2 * _MARGIN_PX)
        self._strip = drawn.Strip(*whole, seed, defects_per_frame)
        self._strip._noise[:] = drawn._NOISE_BIAS  # its own noise would pass the lens
        noise = self._rng.standard_normal((height_px + 64, width_px + 64), np.float32)
        self._noise = noise * _NOISE_LEVELS

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Return what the camera sees of frame `index` of the strip."""
        surface, _ = self._strip.frame(index)
        light = self._pass_lens(surface.astype(np.float32))[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX]
        light = light * np.float32(1 - 0.02 * self._rng.random())
        self._shade(light)
        height, width = self._shape
        down, right = self._rng.integers(0, 64, 2)
        noise = self._noise[down : down + height, right : right + width]
        image = np.clip(np.rint(light + noise * (1.5 if self.fault == "noise" else 1)), 0, 255).astype(np.uint8)
        if self.fault == "dead":
            image[height // 3, width // 5] = 0
        return image

    def _pass_lens(self, light: NDArray[np.float32]) -> NDArray[np.float32]:
        match self.fault:
            case "defocus":
                light = np.asarray(cv2.GaussianBlur(light, (0, 0), 1.0), np.float32)
            case "turn" | "tip" | "pan":
                size = (light.shape[1], light.shape[0])
                light = np.asarray(cv2.warpPerspective(light, self._tilted(), size, flags=cv2.INTER_CUBIC), np.float32)
        return light

    def _tilted(self) -> NDArray[np.float64]:
        """Return the homography of a camera that is turned by 1°: about its axis, across the strip, or along it."""
        cos, sin = np.cos(_TILT), np.sin(_TILT)
        rotation = {
            "turn": [[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]],
            "tip": [[1, 0, 0], [0, cos, -sin], [0, sin, cos]],
            "pan": [[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]],
        }[self.fault]
        height, width = self._shape
        focal = _FOCAL_WIDTHS * width
        camera = np.array([[focal, 0, width / 2 + _MARGIN_PX], [0, focal, height / 2 + _MARGIN_PX], [0, 0, 1]])
        return np.asarray(camera @ np.array(rotation) @ np.linalg.inv(camera), np.float64)

    def _shade(self, light: NDArray[np.float32]) -> None:
        """Take away what lamp and dust take."""
        height, width = self._shape
        match self.fault:
            case "lamp":
                light *= 0.9
            case "half lamp":
                light[:, : width // 2] *= 0.88
            case "dust":
                y, x = np.ogrid[:height, :width]
                light[np.hypot(x - DUST[0] * width, y - DUST[1] * height) <= 4] *= 0.75
