"""The chart that sets accuracy against speed. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter, StrMethodFormatter

from training.report.intervals import Interval
from training.report.theme import Theme, new_axes, new_figure, to_png

__all__ = ["Point", "pareto_chart"]


@dataclass(frozen=True, slots=True)
class Point:
    """One model: `number` stands beside it in the chart, `name` in the list."""

    number: int
    name: str
    us_per_crop: float
    accuracy: Interval
    on_front: bool
    """No other model is both faster and better."""


def pareto_chart(points: Sequence[Point], theme: Theme) -> bytes:
    """Draw accuracy with its interval over microseconds a crop as a PNG file's bytes; the front is joined."""
    figure = new_figure(7.6, 4.4, theme)
    axes = new_axes(figure, theme)
    front = sorted((p for p in points if p.on_front), key=lambda p: p.us_per_crop)
    axes.step(
        [p.us_per_crop for p in front],
        [p.accuracy.value for p in front],
        where="post",
        color=theme.accent,
        linewidth=1,
        linestyle=(0, (4, 3)),
    )
    for point in points:
        colour = theme.accent if point.on_front else theme.quiet
        axes.vlines(point.us_per_crop, point.accuracy.low, point.accuracy.high, color=colour, linewidth=1.5, alpha=0.45)
        axes.plot(
            point.us_per_crop,
            point.accuracy.value,
            color=colour,
            marker="o",
            markersize=6,
            linewidth=0,
            label=f"{point.number}  {point.name}",
        )
        axes.annotate(
            str(point.number),
            (point.us_per_crop, point.accuracy.value),
            xytext=(6, 4),
            textcoords="offset points",
            color=theme.ink,
            fontsize=9,
        )
    axes.set(xscale="log", xlabel="microseconds a crop (left is faster)", ylabel="accuracy (upper is better)")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    figure.legend(
        loc="outside right upper", fontsize=8, labelcolor=theme.ink, facecolor=theme.paper, edgecolor=theme.grid
    )
    return to_png(figure)
