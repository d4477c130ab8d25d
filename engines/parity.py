"""How far two engines agree on the same crops: errors, label flips class by class, time by batch. Pure.

Thin and rare defects are what a conversion loses, so flips are counted by the label that the reference gave. A crop
that keeps its label has flipped too, to `unknown`, when both have a novelty limit and only one finds it beyond its own.
"""

import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from engines.answers import Answers
from engines.base import Engine
from engines.model import UNKNOWN, ModelCard
from shadowline.errors import EngineMismatch

__all__ = ["LabelParity", "Parity", "compare", "refuse_flips"]

_BATCHES = (1, 8, 32)
_REPEATS = 5


class LabelParity(BaseModel):
    """Crops that the reference gave one label, and what the candidate made of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    crops: int
    flips: int
    became: dict[str, int] = {}
    """The candidate's label, or `unknown` → how many of the flips."""


class Parity(BaseModel):
    """The result of one comparison; JSON in passports and reports."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str
    candidate: str
    crops: int
    max_error: float
    """Largest difference of one probability."""
    mean_error: float
    novelty_error: float | None = None
    """Largest difference of a novelty as a part of the reference's limit; None where one of them is missing, or 0."""
    flips: int
    labels: dict[str, LabelParity]
    flipped: tuple[int, ...] = ()
    """Row numbers of the crops whose label changed, at most 100."""
    accuracy: tuple[float, float] | None = None
    """Of reference and candidate, where the crops' true labels are known."""
    us_per_crop: dict[int, tuple[float, float]] = {}
    """Batch → microseconds a crop of reference and candidate; medians, taken in turns."""

    @property
    def flip_share(self) -> float:
        """Part of the crops whose label changed."""
        return self.flips / self.crops


def compare(
    reference: Engine, candidate: Engine, crops: NDArray[np.uint8], truth: Sequence[str] | None = None
) -> Parity:
    """Run two entered engines on crops [n,1,S,S], n ≥ 1, and return how they differ.

    `truth` is the true label of each crop. Raises `EngineMismatch` when they are not engines of the same labels.
    """
    labels = reference.card.labels
    if candidate.card.labels != labels:
        raise EngineMismatch(f"{candidate.name}: its labels are {candidate.card.labels}, the reference's are {labels}")
    expected, answers = reference.classify(crops).copy(), candidate.classify(crops).copy()
    for engine, given in ((reference, expected), (candidate, answers)):
        if not given.is_finite:
            raise EngineMismatch(f"{engine.name}: answers with numbers that are not finite")
    before, after = expected.probabilities.argmax(1), answers.probabilities.argmax(1)
    error = np.abs(answers.probabilities - expected.probabilities)
    crossed = _crossed(expected, reference.card, answers, candidate.card)
    became = np.where(crossed & (before == after), len(labels), after)
    flipped = np.flatnonzero(before != became)
    return Parity(
        reference=reference.name,
        candidate=candidate.name,
        crops=len(crops),
        max_error=float(error.max()),
        mean_error=float(error.mean()),
        novelty_error=_novelty_error(expected, answers, reference.card.novelty_limit),
        flips=len(flipped),
        labels={label: _of_label(number, before, became, labels) for number, label in enumerate(labels)},
        flipped=tuple(flipped[:100].tolist()),
        accuracy=None if truth is None else (_accuracy(before, truth, labels), _accuracy(after, truth, labels)),
        us_per_crop={batch: _time(reference, candidate, crops, batch) for batch in _BATCHES},
    )


def refuse_flips(parity: Parity, max_flip_share: float) -> None:
    """Raise `EngineMismatch` when more of all crops, or of one label's, flipped than `max_flip_share`.

    One flip a label is always let pass: of few crops it is a large share and says little.
    """
    if parity.flip_share > max_flip_share:
        raise EngineMismatch(
            f"{parity.candidate}: {parity.flips} of {parity.crops} crops change their label, "
            f"more than {max_flip_share:.1%}: refused"
        )
    for label, one in parity.labels.items():
        if one.flips > max(1, max_flip_share * one.crops):
            became = ", ".join(f"{count} {other}" for other, count in one.became.items())
            raise EngineMismatch(
                f"{parity.candidate}: {one.flips} of {one.crops} crops of {label} become {became}, "
                f"more than {max_flip_share:.1%}: refused"
            )


def _crossed(expected: Answers, card: ModelCard, answers: Answers, other: ModelCard) -> NDArray[np.bool_]:
    """Return which crops only one of the two finds beyond its own novelty limit; none unless both have a limit."""
    if expected.novelty is None or answers.novelty is None or card.novelty_limit is None or other.novelty_limit is None:
        return np.zeros(len(expected.probabilities), np.bool_)
    beyond = expected.novelty > np.float64(card.novelty_limit)
    return np.asarray(beyond != (answers.novelty > np.float64(other.novelty_limit)))


def _novelty_error(expected: Answers, answers: Answers, limit: float | None) -> float | None:
    if expected.novelty is None or answers.novelty is None or not limit:
        return None
    return float(np.abs(answers.novelty - expected.novelty).max() / abs(limit))


def _of_label(number: int, before: NDArray[np.intp], after: NDArray[np.intp], labels: tuple[str, ...]) -> LabelParity:
    """Count what the crops of one label became; `after` is `unknown` where it is one more than the last label."""
    now = after[before == number]
    became = Counter((*labels, UNKNOWN)[other] for other in now[now != number].tolist())
    return LabelParity(crops=len(now), flips=became.total(), became=dict(became))


def _accuracy(numbers: NDArray[np.intp], truth: Sequence[str], labels: tuple[str, ...]) -> float:
    return float(np.mean([labels[number] == label for number, label in zip(numbers.tolist(), truth, strict=True)]))


def _time(reference: Engine, candidate: Engine, crops: NDArray[np.uint8], batch: int) -> tuple[float, float]:
    """Return the median microseconds a crop of both; in turns, so that a busy moment strikes both."""
    part = np.resize(crops, (batch, *crops.shape[1:]))
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(_REPEATS):
        for engine, spent in zip((reference, candidate), times, strict=True):
            start_ns = time.perf_counter_ns()
            engine.classify(part)
            spent.append((time.perf_counter_ns() - start_ns) / 1e3 / batch)
    return float(np.median(times[0])), float(np.median(times[1]))
