"""Name single pictures by a model file, each taken whole, and say how sure that is. Needs no torch."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from engines import OnnxRuntimeEngine
from station.config import VerdictConfig
from station.verdict import Judge
from training.data import read_grey
from training.evaluate import whole_crops

__all__ = ["Prediction", "predict"]


class Prediction(BaseModel):
    """What a model says of one picture."""

    model_config = ConfigDict(frozen=True)

    picture: str
    label: str
    """`unknown` where the station would say so: below the label's confidence floor, or unlike the training."""
    likeliest: str
    confidence: float
    probabilities: dict[str, float]
    """Label → probability, the likeliest first."""
    novelty: float | None
    novelty_limit: float | None
    sets: dict[str, list[str]]
    """Miss rate → the labels that together hold the true one, but for this rate."""


def predict(model: Path, pictures: Sequence[Path]) -> list[Prediction]:
    """Return what `model` says of each picture. Raises `StationError` when one can't be read."""
    with OnnxRuntimeEngine(model) as engine:
        card = engine.card
        answers = engine.classify(whole_crops([read_grey(path) for path in pictures], card.crop))
        named = Judge(VerdictConfig(), card).name(answers)
        return [
            Prediction(
                picture=str(path),
                label=label,
                likeliest=card.labels[int(row.argmax())],
                confidence=confidence,
                probabilities={card.labels[number]: float(row[number]) for number in (-row).argsort().tolist()},
                novelty=None if answers.novelty is None else float(answers.novelty[place]),
                novelty_limit=card.novelty_limit,
                sets={
                    rate: [name for name, chance in zip(card.labels, row.tolist(), strict=True) if chance >= threshold]
                    for rate, threshold in card.conformal.items()
                },
            )
            for place, (path, row, (label, confidence)) in enumerate(
                zip(pictures, answers.probabilities, named, strict=True)
            )
        ]
