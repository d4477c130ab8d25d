"""Change a training crop as light, optics, sensor and mounting would. Pure."""

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["augment", "expose"]


def augment(
    crop: NDArray[np.uint8], rng: np.random.Generator, strength: float = 1.0, turns: bool = True
) -> NDArray[np.uint8]:
    """Return a changed copy of `crop`, uint8 [S,S]: mirrored, turned, tilted, relit, blurred, noisy, partly hidden.

    `strength` is that of the light and the noise, and how often the others happen; 0 leaves mirroring and quarter
    turns, and `turns` False only the mirroring.
    """
    turned = np.rot90(crop[:, :: rng.choice((-1, 1))], int(rng.integers(4)) if turns else 2 * int(rng.integers(2)))
    picture = np.ascontiguousarray(turned, np.float32)
    if strength == 0:
        return picture.astype(np.uint8)
    if rng.random() < 0.2 * strength:
        picture = _tilt(picture, float(rng.uniform(-8, 8)))
    picture = expose(picture, rng, strength)
    if rng.random() < 0.15 * strength:
        _hide(picture, rng)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def expose(picture: NDArray[np.float32], rng: np.random.Generator, strength: float) -> NDArray[np.float32]:
    """Return a float picture [H,W] as other optics, light and a sensor would show it: blurred, relit, noisy."""
    if rng.random() < 0.35 * strength:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.2, 1.4))), np.float32)
    picture = _relight(picture, rng, strength)
    if rng.random() < 0.5:
        picture += rng.standard_normal(picture.shape, np.float32) * np.float32(rng.exponential(8.0 * strength))
    return picture


def _tilt(picture: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    """Turn a little about the middle, mirroring what comes in at the borders."""
    side = picture.shape[0]
    turn = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), degrees, 1.0)
    return np.asarray(cv2.warpAffine(picture, turn, (side, side), borderMode=cv2.BORDER_REFLECT_101), np.float32)


def _relight(picture: NDArray[np.float32], rng: np.random.Generator, strength: float) -> NDArray[np.float32]:
    """Change exposure up to burnt-out highlights, gamma, contrast, level, and the light's slope over the crop."""
    if rng.random() < 0.4:
        picture = np.asarray(
            np.minimum(picture * np.float32(np.exp(strength * rng.normal(0.15, 0.35))), 255), np.float32
        )
    if rng.random() < 0.5:
        gamma = np.float32(np.exp(strength * rng.normal(0, 0.35)))
        picture = np.asarray(255 * (np.clip(picture, 0, 255) / 255) ** gamma, np.float32)
    gain, level = np.exp(strength * rng.normal(0, 0.3)), strength * rng.normal(0, 25)
    mean = picture.mean()
    picture = np.asarray((picture - mean) * np.float32(gain) + np.float32(mean + level), np.float32)
    if rng.random() < 0.4:
        below, beside = (np.linspace(-1, 1, side, dtype=np.float32) for side in picture.shape)
        down, right = strength * rng.normal(0, 0.18, 2)
        slope = 1 + np.float32(down) * below[:, None] + np.float32(right) * beside[None, :]
        picture = np.asarray(np.minimum(picture * slope, 255), np.float32)
    return picture


def _hide(picture: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Cover one rectangle with the crop's mean level, in place."""
    side = picture.shape[0]
    height, width = rng.integers(side // 10, side // 3, 2)
    top, left = rng.integers(0, side - height), rng.integers(0, side - width)
    picture[top : top + height, left : left + width] = picture.mean()
