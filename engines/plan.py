"""Built engines on disk: what a plan is good for, its passport, and the cache that never hands out the wrong one. Pure.

A plan is a folder of the cache, named by the digest of its key:

    <cache>/<digest>/passport.json   a `Passport`: who made what from what, when, how right and how fast it is
    <cache>/<digest>/model.onnx      the model file in the plan's precision
    <cache>/<digest>/engine.plan     the compiled network; none for the runtime `onnx_runtime`, which needs none
"""

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engines.model import ModelCard, Precision
from engines.parity import Parity
from shadowline.errors import EngineError, EngineMismatch

__all__ = ["ANY", "Passport", "Plan", "PlanCache", "PlanKey", "Profile", "Runtime", "default_cache", "file_sha256"]

Runtime: TypeAlias = Literal["onnx_runtime", "tensorrt", "tensorrt_rtx"]

ANY: Final = "any"
"""In a plan that was built away from its machine: fits whatever the machine has."""

_PASSPORT = "passport.json"
_MODEL = "model.onnx"
_ENGINE = "engine.plan"
_BUILDING = ".building-"
_DIGEST = re.compile("[0-9a-f]{24}")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Profile(_Record):
    """Crops in one run that a plan is made for."""

    min_batch: Annotated[int, Field(ge=1, le=256)] = 1
    opt_batch: Annotated[int, Field(ge=1, le=256)] = 8
    """The size that the plan is fastest for."""
    max_batch: Annotated[int, Field(ge=1, le=256)] = 32

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.min_batch <= self.opt_batch <= self.max_batch:
            raise ValueError(f"batches {self.min_batch} ≤ {self.opt_batch} ≤ {self.max_batch} are not in order")
        return self


class PlanKey(_Record):
    """Everything that a plan depends on. Where one field differs it is another plan."""

    model_sha256: str
    """Hash of the model file that it was built from."""
    precision: Precision
    calibration_sha256: str = ""
    """Hash of the crops that INT8 ranges were measured on; empty where none were needed."""
    runtime: Runtime
    version: str
    """Version of the runtime."""
    driver: str = ""
    gpu: str = ""
    capability: str = ""
    """Compute capability, `8.9`; these three are empty for a runtime on the CPU."""
    profile: Profile = Profile()

    @property
    def digest(self) -> str:
        """The name of the plan's folder."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:24]

    def differences(self, wanted: "PlanKey") -> list[str]:
        """Return in words which fields keep this plan from serving `wanted`."""
        return [
            f"{name} is {have}, must be {want}"
            for (name, have), want in zip(self.model_dump().items(), wanted.model_dump().values(), strict=True)
            if have not in (ANY, want)
        ]


class Passport(_Record):
    """What stands beside a plan: a person can read what it is, and a station can prove it."""

    schema_version: Literal[1] = 1
    key: PlanKey
    card: ModelCard
    engine_sha256: str
    """Hash of the file that runs: `engine.plan`, or `model.onnx` where there is no plan."""
    engine_bytes: int
    source: str
    """The model file as it was named."""
    shadowline: str
    built: str
    """UTC, ISO 8601."""
    built_by: str
    build_s: float
    workspace_mib: int = 0
    parity: Parity | None = None
    """Against ONNX Runtime on the file it was built from; None where both are the same file on the same runtime."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A built engine in the cache. The file that runs is whole when `check` returns."""

    folder: Path
    passport: Passport

    @property
    def model(self) -> Path:
        """The model file in the plan's precision."""
        return self.folder / _MODEL

    @property
    def engine(self) -> Path:
        """The file that the runtime loads."""
        return self.model if self.passport.key.runtime == "onnx_runtime" else self.folder / _ENGINE

    def read_engine(self) -> bytes:
        """Return the bytes of the file that runs. Raises `EngineMismatch` when they are not those that were built."""
        try:
            content = self.engine.read_bytes()
        except OSError as fault:
            raise EngineError(f"{self.engine}: can't read the plan: {fault.strerror}") from fault
        if len(content) != self.passport.engine_bytes:
            raise EngineMismatch(
                f"{self.engine}: {len(content)} bytes, its passport says {self.passport.engine_bytes}: build it again"
            )
        if hashlib.sha256(content).hexdigest() != self.passport.engine_sha256:
            raise EngineMismatch(f"{self.engine}: not the bytes that its passport names: damaged; build it again")
        return content

    @staticmethod
    def read(folder: Path) -> "Plan":
        """Return the plan in `folder`. Raises `EngineMismatch` when its passport is missing or not one."""
        try:
            passport = Passport.model_validate_json((folder / _PASSPORT).read_bytes())
        except OSError as fault:
            raise EngineMismatch(f"{folder}: no plan: can't read {_PASSPORT}: {fault.strerror}") from fault
        except ValidationError as fault:
            first = fault.errors()[0]
            key = ".".join(map(str, first["loc"])) or _PASSPORT
            raise EngineMismatch(f"{folder}: its passport can't be read: {key}: {first['msg']}") from fault
        return Plan(folder, passport)

    @staticmethod
    def write(folder: Path, passport: Passport) -> "Plan":
        """Lay `passport` beside the files in `folder`, on the disk for good."""
        text = passport.model_dump_json(indent=2)
        with (folder / _PASSPORT).open("w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        return Plan(folder, passport)


class PlanCache:
    """The plans of one folder. Several processes may use it: a plan appears whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def plans(self) -> list[Plan]:
        """Return the plans with a readable passport, newest first."""
        plans = []
        for folder in self._folders():
            try:
                plans.append(Plan.read(folder))
            except EngineMismatch:
                continue
        return sorted(plans, key=lambda plan: plan.passport.built, reverse=True)

    def damaged(self) -> dict[Path, str]:
        """Return the folders that are no usable plan and why: what a build left, what was cut off or changed."""
        found = {path: "left over from a build that did not end" for path in self._left_overs()}
        for folder in self._folders():
            try:
                Plan.read(folder).read_engine()
            except EngineError as fault:
                found[folder] = str(fault)
        return found

    def find(self, wanted: PlanKey) -> Plan:
        """Return the plan that serves `wanted`. Raises `EngineMismatch`, naming where the nearest one differs."""
        candidates = [(plan.passport.key.differences(wanted), plan) for plan in self.plans()]
        if not candidates:
            raise EngineMismatch(f"{self.folder}: no plan has been built: station engine build MODEL.onnx")
        differences, plan = min(candidates, key=lambda candidate: len(candidate[0]))
        if differences:
            raise EngineMismatch(f"{plan.folder}: not the plan for this station: {'; '.join(differences)}")
        return plan

    @contextmanager
    def adding(self, key: PlanKey) -> Iterator[Path]:
        """Yield an empty folder for the files of plan `key`; with a passport in it, it takes its place in the cache.

        Only one process adds a key at a time, another waits. What is left by an exception is removed.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / f".{key.digest}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                building = self.folder / f"{_BUILDING}{key.digest}-{os.getpid()}"
                for left in self.folder.glob(f"{_BUILDING}{key.digest}-*"):
                    shutil.rmtree(left)  # the lock is ours: whoever made it is dead
                building.mkdir()
                try:
                    yield building
                    if (building / _PASSPORT).exists():
                        self._take_place(building, self.folder / key.digest)
                finally:
                    shutil.rmtree(building, ignore_errors=True)
        except OSError as fault:
            raise EngineError(f"{self.folder}: can't write to the plan cache: {fault.strerror}") from fault

    def remove(self, folder: Path) -> int:
        """Remove one plan or left-over and return how many bytes it held."""
        try:
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            shutil.rmtree(folder)
        except OSError as fault:
            raise EngineError(f"{folder}: can't be removed: {fault.strerror}") from fault
        return size

    def _take_place(self, building: Path, place: Path) -> None:
        if place.exists():
            shutil.rmtree(place)
        os.rename(building, place)

    def _folders(self) -> list[Path]:
        return [path for path in self._listing() if path.is_dir() and _DIGEST.fullmatch(path.name)]

    def _left_overs(self) -> list[Path]:
        """Return folders of builds that no process works on: their lock is free."""
        return [path for path in self._listing() if path.name.startswith(_BUILDING) and self._abandoned(path)]

    def _abandoned(self, building: Path) -> bool:
        digest = building.name.removeprefix(_BUILDING).partition("-")[0]
        try:
            with (self.folder / f".{digest}.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # it is held, or this user may not look
            return False
        return True

    def _listing(self) -> list[Path]:
        try:
            return sorted(self.folder.iterdir())
        except FileNotFoundError:
            return []
        except OSError as fault:
            raise EngineError(f"{self.folder}: can't read the plan cache: {fault.strerror}") from fault


def default_cache() -> Path:
    """Return the folder for plans: the service's cache (systemd's CACHE_DIRECTORY), else the user's (XDG)."""
    if service := os.environ.get("CACHE_DIRECTORY"):
        return Path(service.partition(":")[0]) / "plans"
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shadowline" / "plans"
    except RuntimeError as fault:
        raise EngineError("this user has no home for plans: name a folder by [build] cache or --cache") from fault


def file_sha256(path: Path) -> str:
    """Return the hash of a model file. Raises `EngineError` when it can't be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as fault:
        raise EngineError(f"{path}: can't read the model file: {fault.strerror}") from fault
