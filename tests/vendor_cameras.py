"""Devices that vendors' libraries bring with them: a GenTL producer with three, pylon's emulator with two."""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["emulated_baslers", "viky_producer"]


def viky_producer() -> Path:
    """Return the GenTL producer in the genicam wheel, whose devices have serials 0, 1 and 2."""
    found = importlib.util.find_spec("genicam")
    if found is None or found.origin is None:
        pytest.skip("genicam, which brings the GenTL producer viky.cti, is not installed")
    return Path(found.origin).with_name("viky.cti")


@contextmanager
def emulated_baslers() -> Iterator[None]:
    """Have pylon emulate the devices 0815-0000 and 0815-0001 meanwhile."""
    if importlib.util.find_spec("pypylon") is None:
        pytest.skip("pypylon, which brings the emulated Basler cameras, is not installed")
    before = os.environ.get("PYLON_CAMEMU")
    os.environ["PYLON_CAMEMU"] = "2"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYLON_CAMEMU"]
        else:
            os.environ["PYLON_CAMEMU"] = before
