"""The charts of a report, each as a PNG file's bytes: confusion, precision over recall, reliability, learning. Pure."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter, StrMethodFormatter
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_curve

from training.evaluation import Evaluation
from training.report.theme import Theme, add_legend, new_axes, new_figure, to_png
from training.report.words import percent
from training.scores import Scores, confidence_bins

__all__ = ["confusion_chart", "learning_chart", "precision_recall_chart", "reliability_chart"]

_MEASURES = ("loss", "accuracy", "f1")
"""Last words of the keys of `metrics.jsonl` that are drawn."""
_GREY = np.array([0.299, 0.587, 0.114])
_MOST_WRITTEN = 24
"""Classes from which on the counts are left out of the confusion matrix."""


def confusion_chart(scores: Scores, theme: Theme) -> bytes:
    """Draw how often each true class was named as which: counts, mistakes in a colour of their own.

    The deeper a colour, the larger the share of the row; of mistakes its root, so that few are seen too.
    """
    counts = np.array(scores.confusion)
    labels = [*scores.labels, "no label"][: len(counts)]
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = min(1.9 + 0.48 * len(labels), 14)
    figure = new_figure(side + 0.8, side, theme)
    axes = new_axes(figure, theme)
    axes.grid(visible=False)
    right, wrong = theme.shades(theme.accent)(shares), theme.shades(theme.alarm)(np.sqrt(shares))
    cells = np.where(np.eye(len(counts), dtype=bool)[..., None], right, wrong)
    axes.imshow(cells)
    axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("named as")
    axes.set_ylabel("really is")
    axes.set_xticks(np.arange(1, len(labels)) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, len(labels)) - 0.5, minor=True)
    axes.grid(which="minor", color=theme.grid, linewidth=0.7)
    axes.tick_params(which="both", length=0)
    if len(labels) <= _MOST_WRITTEN:
        _write_counts(axes, counts, cells, theme)
    return to_png(figure)


def _write_counts(axes: Axes, counts: NDArray[np.int64], cells: NDArray[np.float64], theme: Theme) -> None:
    """Write each count in the colour that stands out more from its cell."""
    greys = {colour: float(_GREY @ to_rgb(colour)) for colour in (theme.paper, theme.ink)}
    for row, column in np.argwhere(counts):
        cell = float(_GREY @ cells[row, column, :3])
        axes.text(
            column,
            row,
            str(counts[row, column]),
            color=max(greys, key=lambda colour: abs(greys[colour] - cell)),
            ha="center",
            va="center",
            fontsize=9 if len(counts) <= 12 else 7,
            fontweight="normal" if row == column else "bold",
        )


def precision_recall_chart(answers: Evaluation, scores: Scores, theme: Theme) -> bytes:
    """Draw precision over recall of each class; the weakest in colour and named, the others grey."""
    areas = {
        number: area
        for number, label in enumerate(scores.labels)
        if (area := scores.per_class[label].average_precision) is not None
    }
    weakest = sorted(areas, key=lambda number: areas[number])[: len(theme.series)]
    figure = new_figure(5.2, 5.0, theme)
    axes = new_axes(figure, theme)
    for number in [*(set(areas) - set(weakest)), *reversed(weakest)]:
        precision, recall, _ = precision_recall_curve(answers.targets[:, number] > 0, answers.probabilities[:, number])
        colour, width = (theme.series[weakest.index(number)], 1.8) if number in weakest else (theme.quiet, 0.8)
        label = f"{areas[number]:.3f}  {scores.labels[number]}" if number in weakest else None
        axes.step(recall, precision, where="post", color=colour, linewidth=width, label=label)
    axes.set(xlim=(0, 1.01), ylim=(0, 1.01), xlabel="recall: share of a class that is found")
    axes.set_ylabel("precision: share of its names that are right")
    title = "average precision" if len(areas) == len(weakest) else f"average precision, weakest of {len(areas)}"
    add_legend(axes, theme, title, backwards=True)
    return to_png(figure)


def reliability_chart(answers: Evaluation, scores: Scores, multi_label: bool, theme: Theme) -> bytes:
    """Draw how often answers are right over how sure they are, and how many answers there are of each sureness.

    Of multi-label: how often a label is true over its probability.
    """
    chances, true = answers.probabilities, answers.targets > 0
    right = chances.argmax(1) == answers.classes
    pair = (chances.ravel(), true.ravel()) if multi_label else (chances.max(1), right)
    count, sums, rights = confidence_bins(*pair)
    full = np.flatnonzero(count)
    centre, share = sums[full] / count[full], rights[full] / count[full]
    bounds = [binomtest(int(rights[i]), int(count[i])).proportion_ci(0.95, "wilson") for i in full]
    low, high = (np.array([getattr(bound, end) for bound in bounds]) for end in ("low", "high"))
    figure = new_figure(5.2, 5.0, theme)
    grid = figure.add_gridspec(2, 1, height_ratios=(3, 1))
    axes = new_axes(figure, theme, grid[0])
    axes.plot([0, 1], [0, 1], color=theme.quiet, linewidth=1, linestyle=(0, (4, 3)))
    axes.vlines(centre, low, high, color=theme.accent, linewidth=1.5, alpha=0.6)
    axes.plot(centre, share, color=theme.accent, marker="o", markersize=5, linewidth=0)
    axes.set(xlim=(0, 1.02), ylim=(-0.02, 1.02), ylabel="really right")
    axes.annotate(
        f"calibration error {percent(scores.ece)}", (0.03, 0.92), xycoords="axes fraction", color=theme.ink, fontsize=9
    )
    below = new_axes(figure, theme, grid[1])
    width = 1 / len(count)
    below.bar((np.arange(len(count)) + 0.5) * width, count, 0.9 * width, color=theme.accent)
    below.set(xlim=(0, 1.02), yscale="log", ylim=(0.7, None), ylabel="answers", xlabel="how sure the answer was")
    below.yaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    below.yaxis.set_minor_formatter(NullFormatter())
    for axis in (axes.xaxis, below.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    axes.tick_params(labelbottom=False)
    return to_png(figure)


def learning_chart(curves: Sequence[Mapping[str, float]], theme: Theme) -> bytes:
    """Draw each measure of `metrics.jsonl` over the epochs: losses at the left, the others at the right.

    A line marks the epoch of the lowest `val_loss`, whose weights are kept.
    """
    names = [name for name in dict.fromkeys(key for row in curves for key in row) if name.endswith(_MEASURES)]
    losses = [name for name in names if name.endswith("loss")]
    groups = [group for group in (losses, [name for name in names if name not in losses]) if group]
    kept = min((row for row in curves if "val_loss" in row), key=lambda row: row["val_loss"], default={}).get("epoch")
    figure = new_figure(4.6 * len(groups), 3.6, theme)
    grid = figure.add_gridspec(1, len(groups))
    for place, group in enumerate(groups):
        axes = new_axes(figure, theme, grid[place], "loss" if group is losses else "share of right answers")
        for number, name in enumerate(group):
            points = [(row.get("epoch", i), row[name]) for i, row in enumerate(curves) if name in row]
            style = ("solid", "dashed", "dotted")[number // len(theme.series) % 3]
            colour = theme.series[number % len(theme.series)]
            marker = "o" if len(points) == 1 else None
            axes.plot(*zip(*points, strict=True), color=colour, linestyle=style, marker=marker, label=name)
        axes.set_xlabel("epoch")
        if kept is not None:
            axes.axvline(kept, color=theme.quiet, linewidth=1, linestyle=(0, (4, 3)), label="kept")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        add_legend(axes, theme)
    return to_png(figure)
