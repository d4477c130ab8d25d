"""How many marked boxes are met at how many regions a picture, as the least sureness falls. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from training.assess.cover import LOOSE_IOU
from training.assess.line import Seen
from training.assess.matching import overlaps
from training.data import Marked
from training.report.theme import Theme, add_legend, new_axes, new_figure, to_png

__all__ = ["Curve", "curve_chart", "curve_of"]


@dataclass(frozen=True, slots=True)
class Curve:
    """Part of the marked boxes met and regions a picture, at falling sureness, and where the configured station is."""

    name: str
    regions: NDArray[np.float64]
    met: NDArray[np.float64]
    configured: tuple[float, float]


def curve_of(name: str, pictures: Sequence[Marked], seen: Sequence[Seen]) -> Curve:
    """Return the curve of the candidates, whatever they are called: a box is met from an overlap of 0.3 on."""
    scores, reached, met, count = [np.empty(0)], [np.empty(0)], 0, 0
    for picture, one in zip(pictures, seen, strict=True):
        near = overlaps(picture.boxes, one.candidates.boxes) >= LOOSE_IOU
        scores.append(one.candidates.scores)
        reached.append(np.where(near, one.candidates.scores, -1.0).max(1, initial=-1.0))
        met += int((overlaps(picture.boxes, one.regions.boxes) >= LOOSE_IOU).any(1).sum())
        count += len(one.regions.labels)
    sure, levels = np.sort(np.concatenate(scores))[::-1], np.sort(np.concatenate(reached))
    wanted = max(len(levels), 1)
    return Curve(
        name,
        np.arange(1, len(sure) + 1) / len(pictures),
        (len(levels) - np.searchsorted(levels, sure, side="left")) / wanted,
        (count / len(pictures), met / wanted),
    )


def curve_chart(curves: Sequence[Curve], theme: Theme) -> bytes:
    """Draw the curve of each configuration, a dot where it stands as configured."""
    figure = new_figure(6.4, 4.6, theme)
    axes = new_axes(figure, theme)
    for number, curve in enumerate(curves):
        colour = theme.series[number % len(theme.series)]
        style = ("solid", "dashed", "dotted")[number // len(theme.series) % 3]
        axes.step(curve.regions, curve.met, where="post", color=colour, linestyle=style, label=curve.name)
        axes.plot(*curve.configured, marker="o", color=colour)
    most = max((2 * curve.configured[0] for curve in curves), default=0.0)
    axes.set(xlim=(0, max(most, 4.0)), ylim=(0, 1.01), xlabel="regions a picture", ylabel="marked boxes met, IoU 0.3")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    add_legend(axes, theme)
    return to_png(figure)
