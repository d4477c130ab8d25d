"""Change a training crop as light, optics, sensor and mounting would. Pure."""

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["augment"]


def augment(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a changed copy of `crop`, uint8 [S,S]: mirrored and turned, relit, blurred, noisy, partly hidden."""
    turned = np.rot90(crop if rng.random() < 0.5 else crop[:, ::-1], int(rng.integers(4)))
    picture = np.asarray(turned, np.float32)
    if rng.random() < 0.35:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.2, 1.4))), np.float32)
    picture = _relight(picture, rng)
    if rng.random() < 0.5:
        picture += rng.standard_normal(picture.shape, np.float32) * np.float32(rng.exponential(8.0))
    if rng.random() < 0.15:
        _hide(picture, rng)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _relight(picture: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Change exposure up to burnt-out highlights, gamma, contrast, level, and the light's slope over the crop."""
    if rng.random() < 0.4:
        picture = np.asarray(np.minimum(picture * np.float32(np.exp(rng.normal(0.15, 0.35))), 255), np.float32)
    if rng.random() < 0.5:
        gamma = np.float32(np.exp(rng.normal(0, 0.35)))
        picture = np.asarray(255 * (np.clip(picture, 0, 255) / 255) ** gamma, np.float32)
    gain, level = np.exp(rng.normal(0, 0.3)), rng.normal(0, 25)
    mean = picture.mean()
    picture = np.asarray((picture - mean) * np.float32(gain) + np.float32(mean + level), np.float32)
    if rng.random() < 0.4:
        ramp = np.linspace(-1, 1, picture.shape[0], dtype=np.float32)
        down, right = rng.normal(0, 0.18, 2)
        slope = 1 + np.float32(down) * ramp[:, None] + np.float32(right) * ramp[None, :]
        picture = np.asarray(np.minimum(picture * slope, 255), np.float32)
    return picture


def _hide(picture: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Cover one rectangle with the crop's mean level, in place."""
    side = picture.shape[0]
    height, width = rng.integers(side // 10, side // 3, 2)
    top, left = rng.integers(0, side - height), rng.integers(0, side - width)
    picture[top : top + height, left : left + width] = picture.mean()
