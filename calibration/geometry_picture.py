"""Draws by how much each corner misses the fit, for people to see what is wrong with a sheet or a lens. Pure."""

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.geometry_fit import GeometryFit

__all__ = ["draw_misses"]

_WIDTH = 1400
_FOOT = 40
_LONGEST = 30  # pixels of the picture that the greatest miss is drawn as
_GREY, _RED, _BLACK = (150, 150, 150), (40, 40, 220), (40, 40, 40)


def draw_misses(fit: GeometryFit) -> NDArray[np.uint8]:
    """Return a picture uint8 [H,W,3] (BGR) of the frame: a line from each point, red those of the view on the strip."""
    width, height = fit.geometry.width_px, fit.geometry.height_px or int(fit.points_px[:, 1].max()) + 32
    scale = _WIDTH / width
    times = _LONGEST / scale / max(fit.figures["worst_px"], 1e-3)
    picture = np.full((max(round(height * scale), 60) + _FOOT, _WIDTH, 3), 255, np.uint8)
    ends = fit.points_px + fit.misses_px * times
    for begin, end, last in zip(fit.points_px * scale, ends * scale, fit.last, strict=True):
        colour = _RED if last else _GREY
        from_px, to_px = ((int(x), int(y)) for x, y in (begin, end))
        cv2.circle(picture, from_px, 2, colour, -1, cv2.LINE_AA)
        cv2.line(picture, from_px, to_px, colour, 1, cv2.LINE_AA)
    words = f"misses x {times:.0f}: {fit.figures['rms_px']:.3f} px rms, {fit.figures['worst_px']:.3f} px at worst"
    at = (10, picture.shape[0] - _FOOT // 3)
    cv2.putText(picture, words, at, cv2.FONT_HERSHEY_SIMPLEX, 0.6, _BLACK, 1, cv2.LINE_AA)
    return picture
