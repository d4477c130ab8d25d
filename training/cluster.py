"""Group unlabelled crops by likeness, into folders that an engineer names to get a training set. Pure but for files."""

import csv
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse import csr_array
from scipy.sparse.linalg import lobpcg
from sklearn.cluster import KMeans
from sklearn.preprocessing import normalize

from shadowline.errors import StationError
from training.propagate import balanced, likeness
from training.sheets import picture_sheet, write_sheet

__all__ = ["Clusters", "cluster", "write_clusters"]

_MOST = 24
_DENSE = 1500
_SHEET_PICTURES = 48
_OVERVIEW_PICTURES = 8
_TILE_PX = 110


@dataclass(frozen=True, slots=True)
class Clusters:
    """A cluster for each of n crops; cluster 0 is the largest."""

    assignment: NDArray[np.int64]
    """Cluster number of each crop, [n]."""
    order: tuple[NDArray[np.int64], ...]
    """For each cluster its crops' row numbers, from the most typical to the least."""


def cluster(features: NDArray[np.float32], count: int | None = None) -> Clusters:
    """Group crops by features [n,d], rows of length 1 as `condense` makes them, into `count` clusters, or a fit number.

    Spectral clustering (Ng, Jordan and Weiss 2001) of the graph of likeness. Without `count` it is the number up to 24
    with the greatest modularity (Newman 2004: how much more likeness lies inside the clusters than chance would put
    there). That rather splits a kind than merges two, as it should: folders are quickly given one name, and slowly
    sorted apart. Raises `StationError` when there are fewer than 3 crops or `count` is not 2 to n - 1.
    """
    if len(features) < 3:
        raise StationError(f"{len(features)} pictures are too few to group: at least 3 are needed")
    if count is not None and not 2 <= count < len(features):
        raise StationError(f"{count} clusters of {len(features)} pictures: take 2 to {len(features) - 1}")
    graph = likeness(features)
    tried = range(2, min(_MOST, len(features) - 1) + 1) if count is None else range(count, count + 1)
    axes = _slow_axes(balanced(graph), tried[-1])
    found = [_nearest_centres(axes[:, :number], number) for number in tried]
    return _by_size(features, max(found, key=lambda assignment: _modularity(graph, assignment)))


def write_clusters(
    images: Sequence[NDArray[np.uint8]], paths: Sequence[Path], clusters: Clusters, folder: Path
) -> None:
    """Write a new folder to be named: a class folder a cluster below `pictures`, sheets of them, and `names.csv`.

    `images` [H,W] are drawn on the sheets, the files at `paths` are copied; both in the order of the clusters' rows.
    Copies are numbered from the most typical on, `names.csv` says where each came from. Renamed to class names (two
    clusters of one class into one folder), `pictures` is what `station train fit` takes. Raises `StationError` when the
    folder exists or can't be written; then nothing has changed.
    """
    if folder.exists():
        raise StationError(f"{folder}: exists already, and may hold named clusters: give a new folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
            fresh = Path(scratch, "fresh")
            _copy_pictures(paths, clusters, fresh)
            _draw_sheets(images, paths, clusters, fresh)
            fresh.rename(folder)
    except OSError as fault:
        raise StationError(f"{folder}: can't write the clusters: {fault.strerror or fault}") from fault


def _slow_axes(flow: csr_array, count: int) -> NDArray[np.float64]:
    """Return the eigenvectors [n,count] of the greatest eigenvalues, greatest first.

    Groups that nothing ties have the same eigenvalue, 1; ARPACK misses some of these, a block method does not.
    """
    size = flow.shape[0]
    if size <= _DENSE:
        axes = eigh(flow.toarray(), subset_by_index=(size - count, size - 1))[1][:, ::-1]
    else:
        start = np.random.default_rng(0).standard_normal((size, count))
        axes = lobpcg(flow, start, largest=True, tol=1e-4, maxiter=500)[1]
    return np.asarray(axes, np.float64)


def _nearest_centres(axes: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return the cluster [n] of each row by its direction along the axes [n,count]."""
    return np.asarray(KMeans(count, n_init=10, random_state=0).fit_predict(normalize(axes)), np.int64)


def _modularity(graph: csr_array, assignment: NDArray[np.int64]) -> float:
    """Return the share of the graph's weight inside clusters, less the share expected by the crops' sums alone."""
    member = np.eye(assignment.max() + 1)[assignment]
    total = graph.sum()
    inside = np.einsum("nc,nc->c", member, graph @ member) / total
    by_chance = (graph.sum(1) @ member / total) ** 2
    return float((inside - by_chance).sum())


def _by_size(features: NDArray[np.float32], assignment: NDArray[np.int64]) -> Clusters:
    """Return the clusters numbered from the largest on, each ordered by likeness to its mean direction."""
    numbers, sizes = np.unique(assignment, return_counts=True)
    order = []
    for number in numbers[np.argsort(-sizes, kind="stable")]:
        rows = np.flatnonzero(assignment == number)
        typical = features[rows] @ features[rows].mean(0)
        order.append(rows[np.argsort(-typical, kind="stable")])
    renumbered = np.empty_like(assignment)
    for place, rows in enumerate(order):
        renumbered[rows] = place
    return Clusters(renumbered, tuple(order))


def _name(number: int) -> str:
    return f"cluster-{number + 1:02d}"


def _copy_pictures(paths: Sequence[Path], clusters: Clusters, folder: Path) -> None:
    """Copy each picture below its cluster's folder and list them all in `names.csv`."""
    lines = []
    for number, rows in enumerate(clusters.order):
        target = folder / "pictures" / _name(number)
        target.mkdir(parents=True)
        for place, row in enumerate(rows.tolist()):
            copy = f"{place + 1:04d}-{paths[row].name}"
            shutil.copyfile(paths[row], target / copy)
            lines.append((_name(number), copy, paths[row].as_posix()))
    with (folder / "names.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("cluster", "picture", "source"))
        writer.writerows(lines)


def _draw_sheets(images: Sequence[NDArray[np.uint8]], paths: Sequence[Path], clusters: Clusters, folder: Path) -> None:
    """Draw a sheet a cluster and an overview: a row of the most typical pictures of each."""
    shown: list[NDArray[np.uint8]] = []
    captions: list[str] = []
    for number, rows in enumerate(clusters.order):
        chosen = _spread(rows, _SHEET_PICTURES)
        title = f"{_name(number)}: {len(chosen)} of {len(rows)} pictures, the most typical first"
        sheet = picture_sheet([images[row] for row in chosen], [paths[row].name for row in chosen], 8, _TILE_PX, title)
        write_sheet(folder / "sheets" / f"{_name(number)}.png", sheet)
        typical = rows[:_OVERVIEW_PICTURES].tolist()
        blank = _OVERVIEW_PICTURES - len(typical)
        shown += [images[row] for row in typical] + [np.zeros((1, 1), np.uint8)] * blank
        captions += [f"{_name(number)} ({len(rows)})"] + [""] * (_OVERVIEW_PICTURES - 1)
    title = f"{len(clusters.order)} clusters of {len(images)} pictures: the most typical of each"
    write_sheet(folder / "overview.png", picture_sheet(shown, captions, _OVERVIEW_PICTURES, _TILE_PX, title))


def _spread(rows: NDArray[np.int64], most: int) -> list[int]:
    """Return at most `most` rows, evenly taken from first to last."""
    places = np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int)
    return [int(row) for row in rows[places]]
