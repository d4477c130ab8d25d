"""Decide what a frame's regions mean: labels that can be believed, a rule a label, one verdict. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from engines.answers import Answers
from engines.model import UNKNOWN, ModelCard
from shadowline.errors import ConfigError
from station.config import RuleConfig, VerdictConfig
from station.regions import FinderLabels, Named
from station.regions.base import SHADOW

__all__ = ["UNKNOWN", "Defect", "Judge", "Verdict"]


class Verdict(StrEnum):
    """What the line is told of a frame. `invalid` means: treat as reject."""

    ACCEPT = "accept"
    REJECT = "reject"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Defect:
    """A named region: `box` x, y, w, h and `area_px` in pixels, `depth` in grey levels beyond the limit."""

    label: str
    confidence: float
    box_px: tuple[int, int, int, int]
    area_px: int
    depth: float
    novelty: float | None = None
    """How little it is like the training crops, where the model tells."""
    goes_on: bool = False
    """A part of it was a region of the frame before, whose last rows this frame shows again."""
    found_by: str = SHADOW
    score: float = 1.0
    """How sure the finder is that there is something; 1 where it does not say."""


_NO_LABELS = FinderLabels()


class Judge:
    """The rules of one configuration for the labels of one model, and for those that finders give by themselves."""

    def __init__(self, config: VerdictConfig, card: ModelCard, finders: FinderLabels = _NO_LABELS) -> None:
        """Lay out a rule for each label that can come and for `unknown`, and what it takes to believe the model's.

        Raises `ConfigError` for a rule or floor of a label that nobody gives, for a novelty limit where the model has
        none, and for a finder's label that nobody can judge or confirm.
        """
        _refuse_unjudged(config, card, finders)
        self._card, self.finders = card, finders
        self.labels = tuple(dict.fromkeys((*card.labels, *(label for label in finders.kept if label != UNKNOWN))))
        _refuse_strangers("rules", config.rules, (*self.labels, UNKNOWN))
        _refuse_strangers("label_floors", config.label_floors, card.labels)
        if config.novelty_limit is not None and card.novelty_limit is None:
            raise ConfigError(
                f"[verdict] novelty_limit: {card.name} has none of its own to take the place of: remove it"
            )
        self.novelty_limit = card.novelty_limit if config.novelty_limit is None else config.novelty_limit
        self.floors = _floors(config, card)
        self.rules: Mapping[str, RuleConfig] = {
            label: config.rules.get(label, config.default) for label in (*self.labels, UNKNOWN)
        }

    def by(self, config: VerdictConfig) -> "Judge":
        """Return the judge of the same labels by the rules of `config`. Raises `ConfigError` as making one does."""
        return Judge(config, self._card, self.finders)

    def name(self, answers: Answers) -> list[tuple[str, float]]:
        """Return label and confidence of each row of `answers`: the most probable label's, also where it is `unknown`.

        It is `unknown` below the label's floor, and beyond the novelty limit.
        """
        best = answers.probabilities.argmax(axis=1)
        confidences = answers.probabilities[np.arange(len(best)), best].tolist()
        labels = [self._card.labels[index] for index in best.tolist()]
        return [
            (label if confidence >= self.floors[label] and not novel else UNKNOWN, confidence)
            for label, confidence, novel in zip(labels, confidences, self._novel(answers), strict=True)
        ]

    def settle(self, named: Named, answer: tuple[str, float]) -> tuple[str, float]:
        """Return label and confidence of a region that its finder `named`: `unknown` where it was not confirmed.

        `answer` is what the model named it; its label is empty where it was not asked.
        """
        stands = not named.confirm or answer[0] == named.label
        return named.label if stands else UNKNOWN, named.confidence

    def judge(self, defects: Sequence[Defect]) -> tuple[Verdict, str]:
        """Return the verdict and, for a reject, the labels that made it (in order of area)."""
        counts: dict[str, int] = {}
        for defect in defects:
            rule = self.rules[defect.label]
            if (
                rule.action == "reject"
                and defect.confidence >= rule.min_confidence
                and defect.area_px >= rule.min_area_px
            ):
                counts[defect.label] = counts.get(defect.label, 0) + 1
        rejecting = [label for label, count in counts.items() if count >= self.rules[label].min_count]
        return (Verdict.REJECT, ", ".join(rejecting)) if rejecting else (Verdict.ACCEPT, "")

    def _novel(self, answers: Answers) -> list[bool]:
        """Return which rows are beyond the novelty limit: none where there is no limit."""
        if self.novelty_limit is None or answers.novelty is None:
            return [False] * len(answers.probabilities)
        return [novelty > self.novelty_limit for novelty in answers.novelty.tolist()]


def _refuse_unjudged(config: VerdictConfig, card: ModelCard, finders: FinderLabels) -> None:
    """Raise `ConfigError` for a label of a finder that has no rule of its own and that the model does not know."""
    if strangers := sorted(set(finders.kept) - {*card.labels, *config.rules, UNKNOWN}):
        raise ConfigError(
            f"[regions] {', '.join(strangers)}: a finder's label that {card.name} does not know and that has no rule: "
            f'add [verdict.rules.{strangers[0]}], or naming = "replace"'
        )
    if strangers := sorted(set(finders.confirmed) - set(card.labels)):
        raise ConfigError(
            f"[regions] {', '.join(strangers)}: a finder's label that {card.name} does not know and so never confirms:"
            ' naming = "keep" or "replace"'
        )


def _refuse_strangers(key: str, given: Iterable[str], known: Sequence[str]) -> None:
    if strangers := set(given) - set(known):
        raise ConfigError(
            f"[verdict.{key}] {', '.join(sorted(strangers))}: not a label of the model ({', '.join(known)})"
        )


def _floors(config: VerdictConfig, card: ModelCard) -> Mapping[str, float]:
    """Return the confidence floor of each label: what is configured, for the label or for all, before the model's."""
    if config.confidence_floor is None:
        usual, own = card.confidence_floor, {**card.label_floors, **config.label_floors}
    else:
        usual, own = config.confidence_floor, config.label_floors
    return {label: own.get(label, usual) for label in card.labels}
