"""How far two engines of one finder agree on the same frames: heat, what is found beyond the threshold, time. Pure."""

import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from engines.finder_card import FinderCard
from engines.frame_engine import Found, FrameEngine
from shadowline.errors import EngineMismatch

__all__ = ["FrameParity", "compare_frames", "refuse_changes"]

_REPEATS = 5
_SAME_IOU = 0.5


class FrameParity(BaseModel):
    """The result of one comparison; JSON in passports and reports."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str
    candidate: str
    frames: int
    max_error: float
    """Largest difference of one cell's heat, as a part of what the card shows, or of one box's score."""
    mean_error: float
    found: int
    """Cells of the maps, or boxes, that at least one of the two finds beyond the card's threshold."""
    changed: int
    """Of these, those that only one of them finds."""
    us_per_frame: tuple[float, float]
    """Of reference and candidate; medians, taken in turns."""

    @property
    def change_share(self) -> float:
        """Part of what is found that only one of the two finds."""
        return self.changed / max(self.found, 1)


def compare_frames(reference: FrameEngine, candidate: FrameEngine, frames: NDArray[np.uint8]) -> FrameParity:
    """Run two entered engines on frames [n,1,H,W], n ≥ 1, and return how they differ.

    Raises `EngineMismatch` when they are not engines of the same kind and labels, or tell what is no number.
    """
    card, other = reference.card, candidate.card
    if (card.kind, card.labels) != (other.kind, other.labels):
        raise EngineMismatch(
            f"{candidate.name}: finds {other.kind} {other.labels}, the reference {card.kind} {card.labels}"
        )
    errors, found, changed = [], 0, 0
    for frame in frames:
        expected, given = (_told(engine, frame[None]) for engine in (reference, candidate))
        compared = _boxes(expected, given, card) if card.kind == "detector" else _cells(expected, given, card)
        errors.append(compared[0])
        found, changed = found + compared[1], changed + compared[2]
    error = np.concatenate(errors)
    return FrameParity(
        reference=reference.name,
        candidate=candidate.name,
        frames=len(frames),
        max_error=float(error.max(initial=0)),
        mean_error=float(error.mean()) if error.size else 0.0,
        found=found,
        changed=changed,
        us_per_frame=_time(reference, candidate, frames[:1]),
    )


def refuse_changes(parity: FrameParity, max_change_share: float) -> None:
    """Raise `EngineMismatch` when more of what is found changes than `max_change_share`; one is always let pass."""
    if parity.changed > max(1, max_change_share * parity.found):
        what = f"{parity.changed} of {parity.found} cells or boxes over the threshold"
        raise EngineMismatch(
            f"{parity.candidate}: {what} are found by one of the two only, more than {max_change_share:.1%}: refused"
        )


def _told(engine: FrameEngine, frame: NDArray[np.uint8]) -> Found:
    found = {name: part.copy() for name, part in engine.run(frame).items()}
    if not all(np.isfinite(part).all() for part in found.values()):
        raise EngineMismatch(f"{engine.name}: answers with numbers that are not finite")
    return found


def _cells(expected: Found, given: Found, card: FinderCard) -> tuple[NDArray[np.float64], int, int]:
    """Return the differences of the shown heat, and how many cells any and only one of them finds."""
    first, second = (np.clip((one["heat"] - card.low) / (card.high - card.low), 0, 1) for one in (expected, given))
    either, both = (
        (first >= card.threshold) | (second >= card.threshold),
        (first >= card.threshold) & (second >= card.threshold),
    )
    return np.abs(first - second).ravel(), int(either.sum()), int((either & ~both).sum())


def _boxes(expected: Found, given: Found, card: FinderCard) -> tuple[NDArray[np.float64], int, int]:
    """Return the differences of the scores of boxes that both find, and how many boxes any and only one finds."""
    first, second = (
        {name: part[0][one["scores"][0] >= card.threshold] for name, part in one.items()} for one in (expected, given)
    )
    pairs = list(_pairs(first, second))
    total = len(first["scores"]) + len(second["scores"])
    errors = [abs(float(first["scores"][a]) - float(second["scores"][b])) for a, b in pairs]
    return np.array(errors), total - len(pairs), total - 2 * len(pairs)


def _pairs(first: Found, second: Found) -> Iterator[tuple[int, int]]:
    """Yield the rows of boxes of one label that lie on each other, each row once."""
    free = np.ones(len(second["scores"]), np.bool_)
    for row, (box, label) in enumerate(zip(first["boxes"], first["labels"], strict=True)):
        overlap = _iou(box, second["boxes"]) * (free & (second["labels"] == label))
        if overlap.size and overlap.max() >= _SAME_IOU:
            best = int(overlap.argmax())
            free[best] = False
            yield row, best


def _iou(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the overlap of one box x0, y0, x1, y1 with each of `boxes` over what they cover together."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    return np.asarray(both / np.maximum(areas - both, 1e-9), np.float32)


def _time(reference: FrameEngine, candidate: FrameEngine, frame: NDArray[np.uint8]) -> tuple[float, float]:
    """Return the median microseconds a frame of both; in turns, so that a busy moment strikes both."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(_REPEATS):
        for engine, spent in zip((reference, candidate), times, strict=True):
            start_ns = time.perf_counter_ns()
            engine.run(frame)
            spent.append((time.perf_counter_ns() - start_ns) / 1e3)
    return float(np.median(times[0])), float(np.median(times[1]))
