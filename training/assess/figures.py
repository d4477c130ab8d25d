"""What a configuration of the station is worth on marked pictures: every figure of `station evaluate`. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from engines.model import UNKNOWN
from station.config import Table
from station.verdict import Verdict
from training.assess.cover import Cover, by_boxes, by_mask
from training.assess.line import STAGES, Seen
from training.assess.matching import IOUS, Boxed, Matches, average_precisions, match
from training.data import Marked
from training.report.intervals import Interval, interval, resampled, resamples
from training.scores import mean_where

__all__ = ["Assessment", "LabelFigures", "Times", "assess", "cover_of"]

_COCO_IOUS = IOUS[1:]


class LabelFigures(Table):
    """One label: how often it is marked and how often regions are called so, and what of that is right.

    Recall and precision are those of the station as configured, at overlaps of 0.3 and 0.5; None where nothing is
    marked, or called so. `ap50` is COCO's average precision of the candidates at 0.5, `ap` its mean over ten overlaps.
    """

    marked: int
    called: int
    recall_30: float | None
    precision_30: float | None
    recall_50: float | None
    precision_50: float | None
    ap50: float | None
    ap: float | None


class Times(Table):
    """Microseconds a picture: the median of each step, of their sum, and the sum's 99th percentile.

    `cpu` is the median processor time of all threads: what other programs take at the same time is not in it.
    """

    regions: float
    crops: float
    classify: float
    verdict: float
    total: float
    total_p99: float
    cpu: float


class Assessment(Table):
    """One configuration on one set of pictures; intervals are of 95 %, by resampling the pictures.

    A figure is None where the pictures can't give it: rejects without defect-free pictures, cover without masks.
    """

    name: str
    config_sha256: str
    models: tuple[str, ...]
    """What found and what named: name and hash."""
    pictures: int
    good: int
    """Pictures without a defect."""
    defects: int
    """Marked boxes, or components of masks."""
    labels: dict[str, LabelFigures]
    map50: Interval | None
    """Mean over the labels of the average precision at 0.5."""
    map: float | None
    """The same over the overlaps 0.5, 0.55 … 0.95."""
    region_recall: Interval | None
    """Marked boxes that a region of any name overlaps by 0.3, `unknown` among them."""
    covered: Interval | None
    """Components of masks of which regions cover a fifth."""
    regions: float
    """Regions a picture."""
    false_on_good: Interval | None
    """Regions a defect-free picture."""
    part: float
    """Part of the pictures' area that lies in regions."""
    unknown: int
    """Regions that are called `unknown`."""
    unknown_met: int
    """Those of them that meet a defect."""
    false_rejects: Interval | None
    """Defect-free pictures that are not accepted, of 1000."""
    missed: Interval | None
    """Defects that no region meets, of 1000."""
    escaped: Interval | None
    """Pictures with a defect that are accepted, of 1000."""
    invalid: dict[str, int]
    """Reason → pictures that could not be judged."""
    us: Times
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums over pictures, resampled: ratios of columns with their intervals."""

    weights: NDArray[np.float32]

    def ratio(self, part: NDArray[np.float64], whole: NDArray[np.float64], scale: float = 1.0) -> Interval | None:
        """Return `scale` times the sum of `part` [p] over that of `whole` [p]; None where that is nothing."""
        if whole.sum() == 0:
            return None
        above, below = self.weights @ part, self.weights @ whole
        value = scale * float(part.sum() / whole.sum())
        return interval(value, scale * above[below > 0] / below[below > 0])


def cover_of(picture: Marked, regions: NDArray[np.int32]) -> Cover:
    """Compare regions with what is marked in a picture: its mask where it has one, else its boxes."""
    if picture.mask is not None:
        return by_mask(picture.defect(), regions)
    return by_boxes(picture.boxes, regions, picture.size_px)


def assess(
    name: str,
    config_sha256: str,
    models: Sequence[str],
    pictures: Sequence[Marked],
    seen: Sequence[Seen],
    notes: Sequence[str] = (),
) -> Assessment:
    """Return the figures of one configuration that has `seen` each of `pictures`."""
    covers = [cover_of(picture, one.regions.boxes) for picture, one in zip(pictures, seen, strict=True)]
    sums = _Sums(resamples([picture.path for picture in pictures]))
    good = np.array([picture.is_good for picture in pictures], np.float64)
    bad = 1 - good
    accepted = np.array([one.verdict is Verdict.ACCEPT for one in seen], np.float64)
    regions = np.array([len(one.regions.labels) for one in seen], np.float64)
    defects, met = (np.array([f(cover.met) for cover in covers], np.float64) for f in (len, np.sum))
    masked = any(picture.mask is not None for picture in pictures)
    boxed_met = met if not masked else _boxes_met(pictures, seen)
    boxed = np.array([len(picture.labels) for picture in pictures], np.float64)
    unknown = [np.array([label == UNKNOWN for label in one.regions.labels], np.bool_) for one in seen]
    labels, map50, whole_map = _by_label(pictures, seen, sums.weights)
    return Assessment(
        name=name,
        config_sha256=config_sha256,
        models=tuple(models),
        pictures=len(pictures),
        good=int(good.sum()),
        defects=int(defects.sum()),
        labels=labels,
        map50=map50,
        map=whole_map,
        region_recall=sums.ratio(boxed_met, boxed),
        covered=sums.ratio(met, defects) if masked else None,
        regions=float(regions.mean()),
        false_on_good=sums.ratio(regions * good, good),
        part=float(np.mean([cover.part for cover in covers])),
        unknown=int(sum(map(np.sum, unknown))),
        unknown_met=int(sum((who & ~cover.false).sum() for who, cover in zip(unknown, covers, strict=True))),
        false_rejects=sums.ratio((1 - accepted) * good, good, 1000),
        missed=sums.ratio(defects - met, defects, 1000),
        escaped=sums.ratio(accepted * bad, bad, 1000),
        invalid=dict(Counter(one.reason for one in seen if one.verdict is Verdict.INVALID)),
        us=_times(seen),
        notes=tuple(notes),
    )


def _boxes_met(pictures: Sequence[Marked], seen: Sequence[Seen]) -> NDArray[np.float64]:
    """Return how many marked boxes of each picture a region overlaps by 0.3."""
    covers = (by_boxes(picture.boxes, one.regions.boxes, (1, 1)) for picture, one in zip(pictures, seen, strict=True))
    return np.array([cover.met.sum() for cover in covers], np.float64)


def _by_label(
    pictures: Sequence[Marked], seen: Sequence[Seen], weights: NDArray[np.float32]
) -> tuple[dict[str, LabelFigures], Interval | None, float | None]:
    """Return the figures of each label that is marked or was called, and their means over the marked ones."""
    marked = [Boxed(picture.boxes, picture.labels, np.ones(len(picture.labels))) for picture in pictures]
    named = {label for one in seen for label in one.regions.labels} - {UNKNOWN}
    wanted = {label for picture in pictures for label in picture.labels}
    names = sorted(wanted | named)
    called = match(marked, [one.regions for one in seen], names)
    candidates = match(marked, [one.candidates for one in seen], names)
    once = np.ones((1, len(pictures)), np.float32)
    ap = {
        label: {iou: float(average_precisions(candidates[label], iou, once)[0]) for iou in _COCO_IOUS}
        for label in sorted(wanted)
    }
    figures = {label: _figures(called[label], ap.get(label)) for label in names}
    if not ap:
        return figures, None, None
    samples = np.stack(
        [resampled(partial(average_precisions, candidates[label], 0.5), weights) for label in ap], axis=1
    )
    counts = ~np.isnan(samples)
    means = mean_where(np.nan_to_num(samples), counts)[counts.any(1)]
    map50 = interval(float(np.mean([one[0.5] for one in ap.values()])), means)
    return figures, map50, float(np.mean([list(one.values()) for one in ap.values()]))


def _figures(called: Matches, ap: dict[float, float] | None) -> LabelFigures:
    marked, count = int(called.marked.sum()), len(called.score)
    found = {iou: int(called.found(iou).sum()) for iou in (0.3, 0.5)}
    recall, precision = (
        {iou: hits / whole if whole else None for iou, hits in found.items()} for whole in (marked, count)
    )
    return LabelFigures(
        marked=marked,
        called=count,
        recall_30=recall[0.3],
        precision_30=precision[0.3],
        recall_50=recall[0.5],
        precision_50=precision[0.5],
        ap50=None if ap is None else ap[0.5],
        ap=None if ap is None else float(np.mean(list(ap.values()))),
    )


def _times(seen: Sequence[Seen]) -> Times:
    us = np.array([one.us for one in seen])
    steps = dict(zip(STAGES, np.median(us, axis=0).tolist(), strict=True))
    total = us.sum(1)
    return Times(
        **steps,
        total=float(np.median(total)),
        total_p99=float(np.quantile(total, 0.99)),
        cpu=float(np.median([one.cpu_us for one in seen])),
    )
