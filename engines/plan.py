"""A built engine on disk: what it was made for, its passport, and its files, which are whole or refused. Pure.

A plan is a folder of the cache, named by the digest of its key:

    <cache>/<digest>/passport.json   a `Passport`: who made what from what, when, how right and how fast it is
    <cache>/<digest>/model.onnx      the model file in the plan's precision
    <cache>/<digest>/engine.plan     the compiled network; none for the runtime `onnx_runtime`, which needs none
"""

import hashlib
import os
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engines.finder_card import FinderCard
from engines.frame_parity import FrameParity
from engines.model import ModelCard, Precision
from engines.parity import Parity
from shadowline.errors import EngineError, EngineMismatch

__all__ = ["ANY", "Passport", "Plan", "PlanKey", "Profile", "Runtime", "file_sha256"]

Runtime: TypeAlias = Literal["onnx_runtime", "tensorrt", "tensorrt_rtx"]

ANY: Final = "any"
"""In the key of a plan that was built for another machine: fits whatever it has. In a wanted key: whatever is there."""

_PASSPORT = "passport.json"
_MODEL = "model.onnx"
_ENGINE = "engine.plan"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Profile(_Record):
    """Crops or frames in one run that a plan is made for."""

    min_batch: Annotated[int, Field(ge=1, le=256)] = 1
    opt_batch: Annotated[int, Field(ge=1, le=256)] = 8
    """The size that the plan is fastest for."""
    max_batch: Annotated[int, Field(ge=1, le=256)] = 32

    def __str__(self) -> str:
        return f"{self.min_batch}/{self.opt_batch}/{self.max_batch}"

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
    """Hash of the crops or frames that INT8 ranges were measured on; empty where none were needed."""
    runtime: Runtime
    version: str
    """Version of the runtime."""
    driver: str = ""
    gpu: str = ""
    capability: str = ""
    """Compute capability, `8.9`; these three are empty for a runtime on the CPU."""
    profile: Profile = Profile()
    input_px: tuple[int, int] | None = None
    """Height and width of the frames that a finder's plan takes; None of one for crops, or for any size."""

    @property
    def digest(self) -> str:
        """The name of the plan's folder."""
        return hashlib.sha256(self.model_dump_json(exclude_none=True).encode()).hexdigest()[:24]

    def differences(self, wanted: "PlanKey", but: Set[str] = frozenset()) -> list[str]:
        """Return in words which fields, `but` these, keep this plan from serving `wanted`."""
        names = [name for name in type(self).model_fields if name not in but]
        fields = [(name, getattr(self, name), getattr(wanted, name)) for name in names]
        return [f"{name} is {a}, must be {b}" for name, a, b in fields if a != b and ANY not in (a, b)]


class Passport(_Record):
    """What stands beside a plan: a person can read what it is, and a station can prove it."""

    schema_version: Literal[1] = 1
    key: PlanKey
    card: ModelCard | FinderCard
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
    parity: Parity | FrameParity | None = None
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
    def is_in(folder: Path) -> bool:
        """Return whether `folder` holds a finished plan: its passport is written last."""
        return (folder / _PASSPORT).exists()

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


def file_sha256(path: Path) -> str:
    """Return the hash of a model file. Raises `EngineError` when it can't be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as fault:
        raise EngineError(f"{path}: can't read the model file: {fault.strerror}") from fault
