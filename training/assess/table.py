"""Several configurations side by side: figures as rows of words, for the screen, a page and Markdown. Pure."""

from collections.abc import Sequence

from rich.table import Table as Grid

from training.assess.figures import Assessment, LabelFigures
from training.report.intervals import Interval

__all__ = ["grid", "label_rows", "markdown", "rows"]

_Row = tuple[str, ...]


def rows(assessments: Sequence[Assessment]) -> list[_Row]:
    """Return a row a figure: what it is, then a cell a configuration. What no configuration can say is left out."""
    table: list[_Row] = []

    def add(what: str, cells: Sequence[str]) -> None:
        if any(cell != "–" for cell in cells):
            table.append((what, *cells))

    add("mAP50", [_ranged(one.map50) for one in assessments])
    add("mAP50:95", [_plain(one.map) for one in assessments])
    add("region recall, IoU 0.3", [_ranged(one.region_recall) for one in assessments])
    add("mask components covered", [_ranged(one.covered) for one in assessments])
    add("regions a picture", [f"{one.regions:.1f}" for one in assessments])
    add("regions a good picture", [_ranged(one.false_on_good, 2) for one in assessments])
    add("part of the area in regions", [f"{100 * one.part:.1f} %" for one in assessments])
    add("recall, IoU 0.5, mean of labels", [_mean(one, "recall_50") for one in assessments])
    add("precision, IoU 0.5, mean of labels", [_mean(one, "precision_50") for one in assessments])
    add("unknown (of them on a defect)", [f"{one.unknown} ({one.unknown_met})" for one in assessments])
    add("false rejects of 1000 good pictures", [_ranged(one.false_rejects, 0) for one in assessments])
    add("missed of 1000 defects", [_ranged(one.missed, 0) for one in assessments])
    add("accepted of 1000 pictures with defects", [_ranged(one.escaped, 0) for one in assessments])
    add(
        "could not be judged", [", ".join(f"{n} {why}" for why, n in one.invalid.items()) or "0" for one in assessments]
    )
    add("µs a picture, median (99 %)", [f"{one.us.total:.0f} ({one.us.total_p99:.0f})" for one in assessments])
    add("µs of processor time, median", [f"{one.us.cpu:.0f}" for one in assessments])
    add("µs regions · crops · classify · verdict", [_steps(one) for one in assessments])
    return table


def label_rows(one: Assessment) -> list[_Row]:
    """Return a row a label: marked, called so, AP50, AP, recall and precision at 0.3 and 0.5."""
    return [(label, *_label_cells(figures)) for label, figures in one.labels.items()]


LABEL_HEADS: _Row = (
    "label",
    "marked",
    "called",
    "AP50",
    "AP50:95",
    "recall 0.3",
    "precision 0.3",
    "recall 0.5",
    "precision 0.5",
)


def grid(heads: Sequence[str], body: Sequence[Sequence[str]], title: str = "") -> Grid:
    """Return a table for the screen."""
    table = Grid(*heads, title=title or None, title_justify="left")
    for cells in body:
        table.add_row(*cells)
    return table


def markdown(heads: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _label_cells(figures: LabelFigures) -> _Row:
    shares = (
        figures.ap50,
        figures.ap,
        figures.recall_30,
        figures.precision_30,
        figures.recall_50,
        figures.precision_50,
    )
    return (str(figures.marked), str(figures.called), *map(_plain, shares))


def _mean(one: Assessment, figure: str) -> str:
    """Return the mean over the labels that are marked; a precision of nothing called counts as nothing."""
    values = [getattr(figures, figure) or 0.0 for figures in one.labels.values() if figures.marked]
    return _plain(sum(values) / len(values)) if values else "–"


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _ranged(figure: Interval | None, digits: int = 3) -> str:
    if figure is None:
        return "–"
    return f"{figure.value:.{digits}f} ({figure.low:.{digits}f}–{figure.high:.{digits}f})"


def _steps(one: Assessment) -> str:
    return " · ".join(f"{value:.0f}" for value in (one.us.regions, one.us.crops, one.us.classify, one.us.verdict))
