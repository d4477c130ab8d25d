"""Kernels are compiled at install and only loaded on the line: read-only, without a home, by content."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import station
from shadowline.kernel_cache import COMPILE_COMMAND

PACKAGES = Path(station.__file__).parents[1]
LOAD = """
import logging, sys
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
from shadowline import kernel_cache
from station.regions import open_finder
from station.config import RegionsConfig
import numpy as np
finder = open_finder(RegionsConfig(), None)
finder.find(np.full((200, 200), 128, np.uint8))
finder.find(np.full((200, 200), 128 << 8, np.uint16))
open_finder(RegionsConfig(), None)
stats = [dispatcher.stats for dispatcher, _ in kernel_cache._registry]
print("hits", sum(sum(one.cache_hits.values()) for one in stats))
print("misses", sum(sum(one.cache_misses.values()) for one in stats))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation of its own with its kernels compiled."""
    root = tmp_path_factory.mktemp("installed")
    for package in ("shadowline", "station", "engines", "calibration"):
        ignored = shutil.ignore_patterns("kernels", "__pycache__", "models")
        shutil.copytree(PACKAGES / package, root / package, ignore=ignored)
    assert "compiled" in python(root, "-m", "station.regions.compile")
    return root


def python(root: Path, *arguments: str) -> str:
    """Run Python as a service user would: no home, no XDG or NUMBA variables."""
    environment = {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}
    command = [sys.executable, "-P", *arguments]
    return subprocess.run(command, env=environment, cwd="/", check=True, capture_output=True, text=True).stdout


def copy(installed: Path, target: Path) -> Path:
    shutil.copytree(installed, target, copy_function=shutil.copyfile)  # new times: only content may count
    return target


def test_a_read_only_installation_loads_and_compiles_nothing(installed: Path, tmp_path: Path) -> None:
    root = copy(installed, tmp_path / "copy")
    kernels = root / "shadowline" / "kernels"
    before = sorted(path.name for path in kernels.iterdir())
    for path in (*kernels.iterdir(), kernels, kernels.parent):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        output = python(root, "-c", LOAD)
    finally:
        for path in (kernels.parent, kernels):
            path.chmod(0o755)
    assert "misses 0" in output
    assert "hits 0" not in output
    assert "WARNING" not in output
    assert sorted(path.name for path in kernels.iterdir()) == before


def test_compiling_again_compiles_nothing(installed: Path) -> None:
    assert "nothing to compile" in python(installed, "-m", "station.regions.compile")


@pytest.mark.parametrize("fault", ["missing", "stale", "damaged"])
def test_without_a_fitting_cache_it_compiles_in_memory_and_says_so_once(
    installed: Path, tmp_path: Path, fault: str
) -> None:
    root = copy(installed, tmp_path / "copy")
    kernels = root / "shadowline" / "kernels"
    if fault == "missing":
        shutil.rmtree(kernels)
    elif fault == "stale":
        with (root / "station" / "regions" / "components.py").open("a") as source:
            source.write("\n")
    else:
        for path in kernels.iterdir():
            path.write_bytes(path.read_bytes()[:20])
    before = sorted((path.name, path.stat().st_size) for path in kernels.glob("*"))
    output = python(root, "-c", LOAD)
    assert "hits 0" in output
    assert output.count("WARNING") == 1
    assert COMPILE_COMMAND in output
    assert sorted((path.name, path.stat().st_size) for path in kernels.glob("*")) == before
