"""Which TensorRT is installed: `tensorrt` or `tensorrt_rtx`, one programming interface under two names. Pure."""

import importlib
import importlib.util
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, TypeAlias

from shadowline.errors import EngineError, MissingExtra

__all__ = ["Flavour", "find_flavour", "load_flavour"]

Flavour: TypeAlias = Literal["tensorrt", "tensorrt_rtx"]

_FLAVOURS: tuple[Flavour, ...] = ("tensorrt", "tensorrt_rtx")


def find_flavour() -> tuple[Flavour, str]:
    """Return the flavour that is installed and its version, without loading it. Raises `MissingExtra`."""
    for flavour in _FLAVOURS:
        if importlib.util.find_spec(flavour) is not None:
            try:
                return flavour, version(flavour)
            except PackageNotFoundError:
                continue
    raise MissingExtra("TensorRT", "gpu")


def load_flavour(flavour: Flavour) -> Any:
    """Load and return the module. Raises `MissingExtra` or, when its libraries don't load, `EngineError`."""
    try:
        return importlib.import_module(flavour)
    except ModuleNotFoundError as fault:
        raise MissingExtra(flavour, "gpu" if flavour == "tensorrt" else "rtx") from fault
    except (ImportError, OSError) as fault:
        raise EngineError(f"{flavour} is installed but does not load: {fault}") from fault
