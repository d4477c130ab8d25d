"""Counts what the station's own finder takes for regions at many limits, in frames that have none. Pure."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import FlatField
from calibration.limit import Counts
from shadowline.errors import CalibrationError
from station.config import RegionsConfig
from station.frame import Image
from station.regions import RegionFinder, Regions, open_finder

__all__ = ["AREAS_PX", "SIGMAS", "Sweep"]

SIGMAS: NDArray[np.float64] = np.geomspace(1.0, 20.0, 20)
"""The limits that are tried first, 17 % apart, up to the most that `noise_sigmas` may be."""
_CLOSE = (0.7, 1.5)
_CLOSE_STEPS, _FAR_STEPS = 32, 8
AREAS_PX = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Least areas for which the counts are kept beside the one that is asked for."""
_COVERED = 0.2
_MOST_INVALID = 0.1
_STEADY_LEVELS = 2.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """One frame: `found` uint16 [sigmas,areas,zones] false regions, `met` int [sigmas] of its `known` defects."""

    name: str
    found: NDArray[np.uint16]
    met: NDArray[np.int64]
    known: int
    level: float
    rows: int
    starts: bool


class Sweep:
    """One finder a limit, all given the same frames. `areas_px[0]` is the least area that is asked for."""

    def __init__(
        self,
        config: RegionsConfig,
        flat_field: FlatField | None = None,
        zones: int = 1,
        sigmas: NDArray[np.float64] = SIGMAS,
    ) -> None:
        self.areas_px = (config.min_area_px, *(area for area in AREAS_PX if area != config.min_area_px))
        self.sigmas = sigmas
        self.invalid: list[str] = []
        self._settings = [
            config.model_copy(update={"noise_sigmas": sigma, "min_area_px": min(self.areas_px)})
            for sigma in sigmas.tolist()
        ]
        self._flat_field = flat_field
        self._zones = zones
        self._finders: list[RegionFinder] = []
        self._frames: list[_Seen] = []

    @property
    def names(self) -> list[str]:
        """Return the names of the frames that were counted, in order."""
        return [frame.name for frame in self._frames]

    def begin(self) -> None:
        """Let the next frame be the first of a stream, one that no background is known for."""
        self._finders = []

    def take(self, name: str, image: Image, known: NDArray[np.int32] | None = None) -> None:
        """Count the regions of `image`, but for those that touch one of the boxes `known` (int32 [n,4] x, y, w, h).

        A frame that not even the strictest limit can judge is noted in `invalid` with the reason.
        """
        starts = not self._finders
        if starts:
            self._finders = [open_finder(settings, self._flat_field) for settings in self._settings]
        seen = [finder.find(image) for finder in self._finders]
        for finder in self._finders:
            finder.learn(image)
        if seen[-1].invalid is not None:
            self.invalid.append(f"{name} ({seen[-1].invalid})")
            return
        boxes = np.empty((0, 4), np.int32) if known is None else known
        found = np.stack([self._count(regions, boxes, image.shape[1]) for regions in seen]).astype(np.uint16)
        met = np.array([_met(regions.box, boxes) for regions in seen], np.int64)
        level = cv2.mean(image)[0] / (1 if image.dtype == np.uint8 else 256)
        self._frames.append(_Seen(name, found, met, len(boxes), level, len(image), starts))

    def counts(self, area_px: int, pitch_mm: float | None = None) -> Counts:
        """Return the counts of regions of at least `area_px`, one of `areas_px`; with `pitch_mm` to tell metres by."""
        area = self.areas_px.index(area_px)
        found = np.stack([frame.found[:, area] for frame in self._frames], 1).astype(np.int64)
        rows = np.array([frame.rows for frame in self._frames])
        return Counts(self.sigmas, found, np.ones(len(rows)) if pitch_mm is None else rows * abs(pitch_mm) / 1e3)

    def closer(self, per_frame: float) -> NDArray[np.float64]:
        """Return the limits to try next: 2 % apart around the one with `per_frame` false regions a frame, then wider.

        Between two limits counts can leap, since pixels are whole grey levels: so the steps must be small.
        """
        shown = np.sum([frame.found[:, 0].sum(1) for frame in self._frames], 0) > per_frame * len(self._frames)
        middle = self.sigmas[np.flatnonzero(shown).max(initial=0)]
        low, high = middle * _CLOSE[0], min(middle * _CLOSE[1], self.sigmas[-1] * 0.9)
        far = np.geomspace(high, self.sigmas[-1], _FAR_STEPS + 1)[1:]
        return np.concatenate([np.geomspace(low, high, _CLOSE_STEPS), far])

    def strengths(self) -> NDArray[np.float64]:
        """Return the strictest limit at which each frame shows a region, the loosest where it never does."""
        shows = np.stack([frame.found[:, 0].sum(1) > 0 for frame in self._frames], 1)
        last = len(self.sigmas) - 1 - shows[::-1].argmax(0)
        return np.asarray(np.where(shows.any(0), self.sigmas[last], self.sigmas[0]))

    def recall(self) -> NDArray[np.float64] | None:
        """Return the part of the known defects that regions cover by a fifth, at each limit; None if none is known."""
        known = sum(frame.known for frame in self._frames)
        met = np.stack([frame.met for frame in self._frames]).sum(0)
        return np.asarray(met / known) if known else None

    def check(self) -> None:
        """Raise `CalibrationError` when too much of what was taken says nothing of the surface, or the light moved."""
        if len(self.invalid) > _MOST_INVALID * (len(self._frames) + len(self.invalid)):
            raise CalibrationError(
                f"{len(self.invalid)} of {len(self._frames) + len(self.invalid)} frames can't be judged at any limit, "
                f"first {self.invalid[0]}: steady the light, and see what `station camera show` says of the picture"
            )
        if not self._frames:
            raise CalibrationError("there are no frames to choose a limit from")
        config = self._settings[0]
        level = float(np.median([frame.level for frame in self._frames]))
        floor = config.offset_levels + config.contrast * level
        if config.background == "running" and (jump := self._jump()) > max(floor / 2, _STEADY_LEVELS):
            raise CalibrationError(
                f"the light moves by {jump:.1f} grey levels from frame to frame, and the limits start at {floor:.1f}: "
                "steady the lamp first"
            )

    def _jump(self) -> float:
        """Return the change of the mean grey level from frame to frame that one in twenty exceeds."""
        pairs = zip(self._frames, self._frames[1:], strict=False)
        jumps = [abs(after.level - before.level) for before, after in pairs if not after.starts]
        return float(np.percentile(jumps, 95)) if jumps else 0.0

    def _count(self, regions: Regions, known: NDArray[np.int32], width_px: int) -> NDArray[np.int64]:
        """Return the false regions of a frame by least area and zone; an over-full frame has as many as can be."""
        if regions.invalid is not None:
            return np.full((len(self.areas_px), self._zones), self._settings[0].max_regions, np.int64)
        false = _overlap(regions.box, known).sum(1) == 0
        zone = (regions.centroid[:, 0] * self._zones / width_px).astype(np.int64).clip(0, self._zones - 1)
        return np.array(
            [np.bincount(zone[false & (regions.area >= area)], minlength=self._zones) for area in self.areas_px]
        )


def _overlap(boxes: NDArray[np.int32], others: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the common pixels of each of `boxes` with each of `others`."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum((boxes[:, :2] + boxes[:, 2:])[:, None], (others[:, :2] + others[:, 2:])[None])
    return np.asarray(np.clip(high - low, 0, None).prod(2), np.int64)


def _met(boxes: NDArray[np.int32], known: NDArray[np.int32]) -> int:
    covered = _overlap(known, boxes).max(1, initial=0)
    return int((covered >= _COVERED * known[:, 2:].prod(1)).sum())
