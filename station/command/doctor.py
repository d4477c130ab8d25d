"""`station doctor`: what this computer has and what is missing, for a person or a bug report. Main thread."""

import json
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

import typer

from shadowline import __version__
from station.command.options import AsJson

__all__ = ["doctor"]


def doctor(as_json: AsJson = False) -> None:
    """Show versions, the network runtimes that load, and whether the kernels are compiled for this processor."""
    report = _report()
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    for name, value in report.items():
        typer.echo(f"{name:<14} {_in_words(value)}")


def _report() -> dict[str, Any]:
    import onnxruntime  # after shadowline, which silences it

    packages = [line.split(";")[0].strip() for line in requires("shadowline") or [] if "extra" not in line]
    names = [name.split(">")[0].split("=")[0] for name in packages]
    return {
        "shadowline": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "packages": {name: _version(name) for name in names},
        "opencv": {name: _version(name) for name in ("opencv-python-headless", "opencv-python")},
        "providers": onnxruntime.get_available_providers(),
        "kernels": _kernels(),
    }


def _kernels() -> dict[str, Any]:
    """Load the kernels and say how long it took, and whether any had to be compiled."""
    start_s = time.monotonic()
    from station.regions.compile import compiled_now

    return {"compiled_now": compiled_now(), "loaded_s": round(time.monotonic() - start_s, 2)}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {'–' if inner is None else inner}" for name, inner in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
