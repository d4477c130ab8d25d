"""What the numbers of a report mean, in sentences for somebody who runs a line and not a training. Pure."""

import numpy as np

from training.report.metrics import SURE, ReportMetrics, SideMetrics

__all__ = ["percent", "summary"]

_FEW = 20
"""A class with fewer crops than this has rough figures."""
_FEW_WRONG = 5
"""With no more mistakes than this, a bootstrap interval says too little."""
_MOST_PAIRS = 3
_CALIBRATED = 0.02


def percent(share: float) -> str:
    """Return a share as a percentage; only what is whole is called `100 %`, and only what is nothing `0 %`."""
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    return f"{min(max(100 * share, 0.1), 99.9):.1f} %"


def summary(metrics: ReportMetrics) -> list[str]:
    """Return a few sentences on the main side: how often it is right, on what, and how far to trust it."""
    side = metrics.sides[metrics.main_side]
    crops = (
        "test crops, of which it learnt nothing,"
        if metrics.main_side.startswith("test")
        else f"crops ({metrics.main_side})"
    )
    return [
        _overall(side, crops, metrics.multi_label),
        *_classes(side),
        *_confusions(side),
        *_sureness(side, metrics.multi_label),
        *_few(side),
    ]


def _overall(side: SideMetrics, crops: str, multi_label: bool) -> str:
    wrong = round(side.n * (1 - side.accuracy.value))
    right = f"{side.n - wrong} of {side.n} {crops} have {'all labels' if multi_label else 'the label'} right"
    if wrong <= _FEW_WRONG:
        return (
            f"{right}: {percent(side.accuracy.value)}. With so few mistakes it is sure only that it is wrong on less "
            f"than {percent(side.error_below)} of such crops."
        )
    return (
        f"{right}: {percent(side.accuracy.value)}. Other crops of the same kind would mostly give between "
        f"{percent(side.accuracy.low)} and {percent(side.accuracy.high)}."
    )


def _classes(side: SideMetrics) -> list[str]:
    """Say which classes have no mistake, and which is the weakest."""
    present = {label: one for label, one in side.scores.per_class.items() if one.n}
    clean = [label for label, one in present.items() if one.f1 == 1]
    lines = [f"Without a mistake: {', '.join(clean)}."] if clean and len(clean) < len(present) else []
    label, worst = min(present.items(), key=lambda item: item[1].f1, default=("", None))
    if worst is None or worst.f1 == 1:
        return lines
    if worst.f1 == 0:
        return [*lines, f"Weakest: {label}. None of its {worst.n} crops is named so."]
    return [
        *lines,
        f"Weakest: {label}. {percent(worst.recall)} of its crops are found, and of the crops that are called {label}, "
        f"{percent(worst.precision)} really are.",
    ]


def _confusions(side: SideMetrics) -> list[str]:
    """Say which mistakes are the most frequent."""
    counts = np.array(side.scores.confusion)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:_MOST_PAIRS]
    pairs = zip(*np.unravel_index(order, counts.shape), strict=True)
    mistakes = [
        f"{_mistake(side, row, column)} ({counts[row, column]}×)" for row, column in pairs if counts[row, column]
    ]
    return [f"Most frequent mistakes: {', '.join(mistakes)}."] if mistakes else []


def _mistake(side: SideMetrics, true: int, named: int) -> str:
    """Say what a cell of the confusion means; behind the labels stands no label at all."""
    labels = side.scores.labels
    if true == len(labels):
        return f"{labels[named]} named where there is none"
    return f"{labels[true]} " + ("overlooked" if named == len(labels) else f"named {labels[named]}")


def _sureness(side: SideMetrics, multi_label: bool) -> list[str]:
    """Say whether the confidence can be believed."""
    gap = side.mean_confidence - side.accuracy.value
    if side.scores.ece <= _CALIBRATED:
        belief = "The confidence can be taken at its word"
    elif multi_label:
        belief = "The confidence is a rough guide only"
    else:
        belief = f"The confidence is {'too high' if gap > 0 else 'too low'}, so use it to rank answers, not as a chance"
    lines = [f"{belief}: it is off by {percent(side.scores.ece)} on average."]
    if side.sure_accuracy is not None:
        lines.append(
            f"{percent(side.sure_share)} of the answers are at least {100 * SURE:.0f} % sure; of these, "
            f"{percent(side.sure_accuracy)} are right."
        )
    return lines


def _few(side: SideMetrics) -> list[str]:
    few = [f"{label} ({one.n})" for label, one in side.scores.per_class.items() if one.n < _FEW]
    return [f"Few crops, so rough figures: {', '.join(few)}."] if few else []
