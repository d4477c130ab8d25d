"""What goes into a compiled network and comes out of it, row by row. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from engines.finder_card import FinderCard
from engines.model import ModelCard
from shadowline.errors import EngineError

__all__ = ["Border", "Rows", "border_of"]

Rows: TypeAlias = tuple[tuple[int, ...], type[np.generic]]
"""Shape and type of one row of an output; -1 is as long as the network makes it."""


@dataclass(frozen=True, slots=True)
class Border:
    """The one input `given`, uint8 and `shape` a row, and the outputs; those of `optional` may be missing."""

    given: str
    shape: tuple[int, int, int]
    outputs: Mapping[str, Rows]
    optional: frozenset[str] = frozenset()


def border_of(card: ModelCard | FinderCard) -> Border:
    """Return the border of the network of `card`. Raises `EngineError` for a finder of frames of any size."""
    if isinstance(card, ModelCard):
        side = card.crop.size_px
        outputs: dict[str, Rows] = {"probabilities": ((len(card.labels),), np.float32), "novelty": ((), np.float32)}
        needless = frozenset({"novelty"}) if card.novelty_limit is None else frozenset[str]()
        return Border("crops", (1, side, side), outputs, needless)
    if card.input_px is None:
        raise EngineError(
            f"{card.name}: a plan takes frames of one size: --input-px HEIGHT WIDTH, multiples of {card.stride}"
        )
    return Border("frame", (1, *card.input_px), _finder_outputs(card, card.input_px))


def _finder_outputs(card: FinderCard, input_px: tuple[int, int]) -> dict[str, Rows]:
    if card.kind == "detector":
        return {"boxes": ((-1, 4), np.float32), "scores": ((-1,), np.float32), "labels": ((-1,), np.int64)}
    maps = (len(card.labels),) if card.labels else ()
    return {"heat": ((*maps, *(side // card.stride for side in input_px)), np.float32)}
