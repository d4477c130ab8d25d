"""What the figures were measured on, and how much of the GPU's memory is in use. Pure."""

import os
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engines.gpu import find_gpu
from shadowline.errors import EngineError

__all__ = ["gpu_facts", "gpu_used_mib", "machine_facts"]

_PACKAGES = (
    "shadowline",
    "numpy",
    "opencv-python-headless",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnx",
    "tensorrt",
    "tensorrt-rtx",
    "pycuda",
)


def machine_facts() -> dict[str, Any]:
    """Return processor, system and package versions; a package that is not installed is None."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    return {
        "processor": ", ".join(sorted(models)) or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "gpu": gpu_facts(),
    }


def gpu_facts() -> dict[str, Any] | str:
    """Return what the driver says of the first GPU; else why there is none."""
    try:
        return asdict(find_gpu())
    except EngineError as fault:
        return str(fault)


def gpu_used_mib() -> int | None:
    """Return the memory in use on the first GPU, by whomever; None without one."""
    try:
        gpu = find_gpu()
    except EngineError:
        return None
    return None if gpu.memory_mib is None or gpu.free_mib is None else gpu.memory_mib - gpu.free_mib


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
