"""The run folder: what each training leaves, written whole or not at all, and read back. Needs torch."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shadowline.errors import StationError
from station.config import Table
from training.data import Manifest, Tree, read_manifest
from training.networks import Ensemble, open_network
from training.recipe import Recipe

__all__ = [
    "Run",
    "RunPaths",
    "check_tree",
    "full_disk_told",
    "load_run",
    "read_settings",
    "save_ensemble",
    "save_network",
    "save_settings",
    "write_whole",
]


class RunPaths:
    """Where things lie in a run folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recipe = folder / "recipe.json"
        self.manifest = folder / "manifest.json"
        self.metrics = folder / "metrics.jsonl"
        self.checkpoints = folder / "checkpoints"
        self.network = folder / "network.pt"
        self.members = folder / "members"
        self.model = folder / "model.onnx"
        self.model_fp32 = folder / "model-fp32.onnx"
        self.report = folder / "report"

    @property
    def last_checkpoint(self) -> Path:
        """What an interrupted training goes on from."""
        return self.checkpoints / "last.ckpt"


@dataclass(frozen=True, slots=True)
class Run:
    """A finished training: its settled recipe, its split, and the network in evaluation mode."""

    paths: RunPaths
    recipe: Recipe
    manifest: Manifest
    network: nn.Module


def read_settings(folder: Path) -> tuple[Recipe, Manifest]:
    """Return recipe and split of a run, finished or not. Raises `StationError` when it is none."""
    paths = RunPaths(folder)
    return _read_recipe(paths.recipe), read_manifest(paths.manifest)


def save_settings(folder: Path, recipe: Table, manifest: Manifest) -> None:
    """Write recipe and split of a new run. Raises `StationError` when the folder holds a run already."""
    paths = RunPaths(folder)
    if paths.recipe.exists():
        raise StationError(f"{folder}: holds a run already: go on with --resume, or take another --run folder")
    with full_disk_told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(paths.manifest, lambda path: path.write_text(manifest.model_dump_json(indent=1)))
        write_whole(paths.recipe, lambda path: path.write_text(recipe.model_dump_json(indent=1)))


def load_run(folder: Path) -> Run:
    """Read a finished run. Raises `StationError` when it is none, not finished, or damaged."""
    recipe, manifest = read_settings(folder)
    paths = RunPaths(folder)
    if paths.members.is_dir():
        members = sorted(paths.members.iterdir(), key=lambda path: int(path.name))
        networks = [_load_network(member, len(manifest.labels)) for member in members]
        temperatures = [float((member / "temperature").read_text()) for member in members]
        return Run(paths, recipe, manifest, Ensemble(networks, temperatures, recipe.head).eval())
    return Run(paths, recipe, manifest, _load_network(folder, len(manifest.labels)))


def save_network(folder: Path, network: nn.Module) -> None:
    """Write the weights of a finished training."""
    with full_disk_told(folder):
        write_whole(RunPaths(folder).network, lambda path: torch.save(network.state_dict(), path))


def save_ensemble(folder: Path, recipe: Recipe, runs: Sequence[Run], temperatures: Sequence[float]) -> None:
    """Write a run whose network is the mean of other runs', with copies of them, so that it stands alone."""
    save_settings(folder, recipe, runs[0].manifest)
    with full_disk_told(folder):
        for number, (run, temperature) in enumerate(zip(runs, temperatures, strict=True)):
            member = RunPaths(RunPaths(folder).members / str(number))
            member.folder.mkdir(parents=True)
            member.recipe.write_text(run.recipe.model_dump_json(indent=1))
            (member.folder / "temperature").write_text(str(temperature))
            torch.save(run.network.state_dict(), member.network)


def check_tree(tree: Tree, manifest: Manifest, where: Path) -> None:
    """Refuse pictures that are not those of the split. Raises `StationError` naming the first that differs."""
    now = dict(zip(tree.paths, tree.sha256, strict=True))
    for picture in manifest.pictures:
        if now.get(picture.path) != picture.sha256:
            state = "changed" if picture.path in now else "gone"
            raise StationError(f"{tree.root}: not the pictures of {where}: {picture.path} is {state}")


@contextlib.contextmanager
def full_disk_told(folder: Path) -> Iterator[None]:
    """Turn what writing raises into one line that says what is safe and what to do."""
    try:
        yield
    except (OSError, RuntimeError) as fault:
        if isinstance(fault, RuntimeError) and "write" not in str(fault):
            raise
        reason = getattr(fault, "strerror", None) or str(fault).splitlines()[0]
        raise StationError(
            f"{folder}: can't write: {reason}; what was complete before is unharmed: make room, then use --resume"
        ) from fault


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a file beside `path` and move it there when it is complete."""
    part = path.with_name(f".{path.name}.part")
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _read_recipe(path: Path) -> Recipe:
    try:
        return Recipe.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as fault:
        raise StationError(f"{path.parent}: not a run folder of `station train fit`") from fault


def _load_network(folder: Path, classes: int) -> nn.Module:
    paths = RunPaths(folder)
    recipe = _read_recipe(paths.recipe)
    if not paths.network.exists():
        hint = ": go on with `station train fit --resume`" if paths.last_checkpoint.exists() else ""
        raise StationError(f"{folder}: this run is not finished{hint}")
    network, _ = open_network(recipe, classes, start=False)
    try:
        network.load_state_dict(torch.load(paths.network, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError) as fault:
        raise StationError(f"{paths.network}: damaged, or not of this recipe: {str(fault).splitlines()[0]}") from fault
    return network.eval()
