"""Rank runs by what they are worth on their test sides, and set that against their speed. Pure but for files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE
from rich.table import Table as RichTable

from engines import OnnxRuntimeEngine
from shadowline.errors import StationError
from station.bench.steps import median_us
from station.config import Table
from training.data import read_manifest
from training.report import Interval, Predictions, ReportMetrics, SideMetrics, read_metrics, read_predictions
from training.report.intervals import interval, macro_f1s, picture_of, resampled, resamples
from training.report.pareto import Point, pareto_chart
from training.report.predictions import predictions_file
from training.report.theme import LIGHT
from training.scores import named_labels

__all__ = ["Comparison", "Entry", "Ranking", "compare", "comparison_table", "write_comparison"]

Ranking: TypeAlias = Literal["macro_f1", "accuracy"]
_Figure: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float64]]
_TIMED_BATCH, _TIMED_RUNS = 8, 60


class Entry(Table):
    """One run of a comparison."""

    run: str
    side: str
    """The side of the split that it is judged by: `test`, or what its report has instead."""
    metrics: SideMetrics
    us_per_crop: float | None
    """By its report, or measured now on one thread; None where there is no model file."""
    timed_here: bool
    behind: Interval | None
    """What it lacks of the best run on the same crops, resampled in pairs; None where the crops are not the same."""
    not_comparable: str
    """Why its figure can't be set against that of the best run; empty where it can."""
    on_front: bool
    """No other run is both faster and more accurate."""


class Comparison(Table):
    """Runs, the best first by the figure `by`."""

    by: Ranking
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class _Run:
    folder: Path
    metrics: ReportMetrics
    predictions: Predictions
    hashes: dict[str, str]
    """SHA-256 by path of the pictures judged by, as far as the run has a manifest."""
    us_per_crop: float | None
    timed_here: bool

    @property
    def side(self) -> SideMetrics:
        return self.metrics.sides[self.metrics.main_side]

    def figure(self, by: Ranking) -> _Figure:
        """Return the function that gives a figure [B] by weights of the crops [B,n]."""
        true, named = self.predictions.true, named_labels(self.predictions.probabilities, self.metrics.multi_label)
        if by == "macro_f1":
            return partial(macro_f1s, true, named)
        right = (true == named).all(1)
        return lambda weights: np.asarray(weights @ right / weights.sum(1))


def compare(runs: Sequence[Path], by: Ranking = "macro_f1") -> Comparison:
    """Rank run folders by a figure of their test sides; of equal ones the faster first.

    Each is set against the best one where both were tested on the same crops. Raises `StationError` when a run has no
    report, or is given twice.
    """
    if len({run.resolve() for run in runs}) < len(runs):
        raise StationError("a run is given twice: name each once")
    opened = [_open(folder) for folder in runs]
    ranked = sorted(opened, key=lambda run: (-_interval_of(run.side, by).value, run.us_per_crop or np.inf))
    return Comparison(by=by, entries=tuple(_entry(run, ranked, by) for run in ranked))


def _open(folder: Path) -> _Run:
    metrics = read_metrics(folder / "report" / "metrics.json")
    predictions = read_predictions(folder / "report" / predictions_file(metrics.main_side))
    manifest, judged = folder / "manifest.json", {picture_of(name) for name in predictions.names}
    pictures = read_manifest(manifest).pictures if manifest.is_file() else ()
    hashes = {picture.path: picture.sha256 for picture in pictures if picture.path in judged}
    return _Run(folder, metrics, predictions, hashes, *_us_per_crop(folder, metrics))


def _entry(run: _Run, ranked: Sequence[_Run], by: Ranking) -> Entry:
    why = _why_not(run, ranked[0])
    return Entry(
        run=str(run.folder),
        side=run.metrics.main_side,
        metrics=run.side,
        us_per_crop=run.us_per_crop,
        timed_here=run.timed_here,
        behind=None if why else _behind(run, ranked[0], by),
        not_comparable=why,
        on_front=run.us_per_crop is not None and not any(_beats(other, run) for other in ranked),
    )


def _interval_of(side: SideMetrics, by: Ranking) -> Interval:
    return side.macro_f1 if by == "macro_f1" else side.accuracy


def _us_per_crop(folder: Path, metrics: ReportMetrics) -> tuple[float | None, bool]:
    """Return microseconds a crop, and whether they were measured now."""
    model = folder / "model.onnx"
    if metrics.us_per_crop is not None or not model.is_file():
        return metrics.us_per_crop, False
    with OnnxRuntimeEngine(model) as engine:
        side = engine.card.crop.size_px
        crops = np.random.default_rng(0).integers(0, 256, (_TIMED_BATCH, 1, side, side), np.uint8)
        return median_us(partial(engine.classify, crops), _TIMED_RUNS) / _TIMED_BATCH, True


def _why_not(run: _Run, best: _Run) -> str:
    """Return why two runs' figures can't be compared, empty where they can."""
    if run.metrics.labels != best.metrics.labels or run.metrics.multi_label != best.metrics.multi_label:
        return "other classes"
    mine, theirs = run.predictions.names, best.predictions.names
    if mine != theirs:
        return f"other test crops: {len(mine)}, of which the best run has {len(set(mine) & set(theirs))}"
    if any(best.hashes.get(path, sha256) != sha256 for path, sha256 in run.hashes.items()):
        return "other pictures under the same names"
    if (run.predictions.true != best.predictions.true).any():
        return "other true labels"
    return ""


def _behind(run: _Run, best: _Run, by: Ranking) -> Interval:
    """Return by how much the best run is better, both drawn from the same resampled pictures."""
    weights = resamples(run.predictions.names)
    samples = resampled(best.figure(by), weights) - resampled(run.figure(by), weights)
    return interval(_interval_of(best.side, by).value - _interval_of(run.side, by).value, samples)


def _beats(other: _Run, run: _Run) -> bool:
    """Return whether a run is at least as accurate and as fast as another, and better in one of both."""
    if other.us_per_crop is None or run.us_per_crop is None:
        return False
    gains = other.side.accuracy.value - run.side.accuracy.value, run.us_per_crop - other.us_per_crop
    return min(gains) >= 0 and max(gains) > 0


def write_comparison(comparison: Comparison, out: Path) -> None:
    """Write `comparison.json`, and `pareto.png` where a run's speed is known, into the folder `out`.

    Raises `StationError` when it can't be written.
    """
    points = [
        Point(number, Path(entry.run).name, entry.us_per_crop, entry.metrics.accuracy, entry.on_front)
        for number, entry in enumerate(comparison.entries, 1)
        if entry.us_per_crop is not None
    ]
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "comparison.json").write_text(comparison.model_dump_json(indent=1))
        if points:
            (out / "pareto.png").write_bytes(pareto_chart(points, LIGHT))
    except OSError as fault:
        raise StationError(f"{out}: can't write the comparison: {fault.strerror}") from fault


def comparison_table(comparison: Comparison) -> RichTable:
    """Return the comparison as a table for the terminal, with the interval of the figure that ranks."""
    table = RichTable(box=SIMPLE, title=f"by {_WORDS[comparison.by]}; shares in %, intervals of 95 %")
    table.caption = "µs: a crop on one core; *: no other run here is both faster and more accurate"
    for head in ("", "run", "crops", "accuracy", "macro-F1", "ECE", "µs", "behind, points"):
        left = head in ("run", "behind, points")
        table.add_column(head, justify="left" if left else "right", overflow="fold", min_width=5 if head else 1)
    for number, entry in enumerate(comparison.entries, 1):
        one, by_f1 = entry.metrics, comparison.by == "macro_f1"
        table.add_row(
            str(number),
            _short_name(entry, comparison.entries),
            str(one.n),
            _figure(one.accuracy, not by_f1),
            _figure(one.macro_f1, by_f1),
            f"{100 * one.scores.ece:.1f}",
            _time(entry),
            entry.not_comparable or ("" if number == 1 else _behind_words(entry)),
        )
    return table


def _short_name(entry: Entry, entries: Sequence[Entry]) -> str:
    """Return the last part of a run's folder, or all of it where another run has the same."""
    name = Path(entry.run).name
    return name if sum(Path(other.run).name == name for other in entries) == 1 else entry.run


_WORDS = {"macro_f1": "macro-F1", "accuracy": "accuracy"}


def _figure(figure: Interval | None, with_interval: bool) -> str:
    if figure is None:
        return ""
    ends = f" ({100 * figure.low:.1f} to {100 * figure.high:.1f})" if with_interval else ""
    return f"{100 * figure.value:.2f}{ends}"


def _time(entry: Entry) -> str:
    if entry.us_per_crop is None:
        return ""
    return f"{entry.us_per_crop:.0f}{' now' if entry.timed_here else ''}{' *' if entry.on_front else ''}"


def _behind_words(entry: Entry) -> str:
    if entry.behind is None:
        return ""
    told = f"{100 * entry.behind.value:.2f} ({100 * entry.behind.low:.2f} to {100 * entry.behind.high:.2f})"
    return told if entry.behind.low > 0 else f"{told}, may be chance"
