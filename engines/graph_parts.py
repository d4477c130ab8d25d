"""Which nodes of an ONNX graph belong to its networks, and which prepare for them or conclude from them. Pure."""

from collections.abc import Iterable, Sequence, Set
from typing import Any, Final, TypeAlias

__all__ = ["LAYERS", "NOTHING_INSIDE", "Model", "below", "kinds_of", "tail_of", "with_parts", "written"]

Model: TypeAlias = Any
"""An `onnx.ModelProto`."""

LAYERS: Final = frozenset({"Conv", "Gemm", "MatMul"})
NOTHING_INSIDE: Final = "there is no layer to convert between its first and its last one: use it as it is"


def kinds_of(nodes: Sequence[Any], kinds: Set[str]) -> set[int]:
    """Return the numbers of the nodes of `kinds`."""
    return {index for index, node in enumerate(nodes) if node.op_type in kinds}


def below(nodes: Sequence[Any], starts: Set[int]) -> set[int]:
    """Return the numbers of the nodes that have one of `starts` upstream; a graph's nodes stand in order."""
    reached: set[str] = set()
    found = set()
    for index, node in enumerate(nodes):
        if not reached.isdisjoint(node.input):
            found.add(index)
        if index in starts or index in found:
            reached.update(node.output)
    return found


def _above(nodes: Sequence[Any], output: str) -> set[int]:
    """Return the numbers of the nodes that the value `output` is made by."""
    wanted, found = {output}, set()
    for index in reversed(range(len(nodes))):
        if not wanted.isdisjoint(nodes[index].output):
            found.add(index)
            wanted.update(nodes[index].input)
    return found


def tail_of(nodes: Sequence[Any]) -> set[int]:
    """Return the numbers of the last layer of each path and of everything downstream of it.

    What only the novelty is made by belongs to it from where it leaves the way to the probabilities, layers and all.
    """
    novel = _above(nodes, "novelty") - _above(nodes, "probabilities")
    layers = kinds_of(nodes, LAYERS) - novel
    last = {layer for layer in layers if not below(nodes, {layer}) & layers}
    return last | below(nodes, last) | novel


def written(nodes: Iterable[Any]) -> set[str]:
    """Return the names of the values that the nodes make."""
    return {name for node in nodes for name in node.output}


def with_parts(model: Model, nodes: Iterable[Any], constants: Iterable[Any]) -> Model:
    """Return `model` with other nodes and constants."""
    whole = type(model)()
    whole.CopyFrom(model)
    for field in ("node", "initializer"):
        whole.graph.ClearField(field)
    whole.graph.node.extend(nodes)
    whole.graph.initializer.extend(constants)
    return whole
