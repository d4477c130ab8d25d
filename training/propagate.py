"""Carry a few labels over to many unlabelled crops along their likeness. Pure."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, eye_array
from scipy.sparse.linalg import cg
from sklearn.neighbors import kneighbors_graph

from shadowline.errors import StationError

__all__ = ["balanced", "likeness", "propagate"]

_NEIGHBOURS = 7
_REACH = 0.99


def likeness(features: NDArray[np.float32], neighbours: int = _NEIGHBOURS) -> csr_array:
    """Return the symmetric graph [n,n] that ties each crop to its nearest, weighted by their dot product (from 0).

    `features` [n,d] are rows of length 1, as `condense` makes them.
    """
    nearest = kneighbors_graph(features, min(neighbours, len(features) - 1)).tocoo()
    alike = (features[nearest.row] * features[nearest.col]).sum(1, dtype=np.float64)
    graph = csr_array((np.maximum(alike, 0.0), (nearest.row, nearest.col)), shape=nearest.shape)
    return csr_array(graph + graph.T)


def balanced(graph: csr_array) -> csr_array:
    """Return a graph with rows and columns divided by the root of their sums: its eigenvalues lie from -1 to 1."""
    scale = diags_array(1 / np.sqrt(np.maximum(graph.sum(1), 1e-9)))
    return csr_array(scale @ graph @ scale)


def propagate(
    features: NDArray[np.float32], labels: NDArray[np.int64], classes: int, neighbours: int = _NEIGHBOURS
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return a class number [n] and a confidence [n] for every crop, from the labels [n] of some; -1: not labelled.

    Label spreading (Zhou et al. 2004): each label flows along the graph of likeness, 0.99 of it on at every step. The
    labels given stay, with confidence 1. Each class sends equally much, however many labels it has; how many crops it
    has is not asked. A crop that no label reaches gets -1 and confidence 0. The confidence orders crops by how sure
    they are; it is no calibrated probability. Raises `StationError` when no crop is labelled or a label is no class.
    """
    known = labels >= 0
    if not known.any():
        raise StationError("no crop is labelled: name one of each class at least")
    if labels.max() >= classes:
        raise StationError(f"label {labels.max()} is beyond the {classes} classes")
    shares = _shares(features, labels, classes, neighbours)
    total = shares.sum(1)
    found = np.where(total > 0, shares.argmax(1), -1)
    confidence = np.divide(shares.max(1), total, out=np.zeros(len(total)), where=total > 0)
    return np.where(known, labels, found), np.where(known, 1.0, confidence).astype(np.float32)


def _shares(
    features: NDArray[np.float32], labels: NDArray[np.int64], classes: int, neighbours: int
) -> NDArray[np.float64]:
    """Return how much of each class reaches each crop [n,C]; the labelled crops of a class send 1 together."""
    flow = eye_array(len(labels)) - _REACH * balanced(likeness(features, neighbours))
    columns = []
    for number in range(classes):
        sent = (labels == number).astype(np.float64)
        columns.append(cg(flow, sent / max(sent.sum(), 1.0), rtol=1e-8)[0])
    return np.asarray(np.maximum(np.stack(columns, 1), 0.0), np.float64)
