"""What every training with Lightning shares: its machine, its memory, how it ends and goes on. Needs torch."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import lightning
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException
from pydantic import BaseModel, ConfigDict, Field

from shadowline.errors import StationError

__all__ = ["Machine", "epochs_done", "keep_memory", "stop_told", "workers_of"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


class Machine(BaseModel):
    """What a training runs on; decides how long it takes, not what comes out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accelerator: str = "auto"
    """`auto`, `cpu` or `gpu`."""
    devices: int = Field(default=1, ge=1)
    """GPUs of this machine."""
    nodes: int = Field(default=1, ge=1)
    """Machines; start the same command on each, as Lightning's own launcher or torchrun says."""
    workers: int | None = Field(default=None, ge=0)
    """Processes that draw crops; without it none on a CPU and up to eight beside a GPU."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of torch on a CPU; all cores without it."""


def keep_memory() -> None:
    """Let the C library keep freed memory for the next step: giving pages back and forth costs a fifth of the time."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


@contextlib.contextmanager
def stop_told(folder: Path) -> Iterator[None]:
    """Make an error of SIGTERM, at which Lightning would leave the process without a word and with exit code 0."""
    try:
        yield
    except SIGTERMException as stop:
        raise StationError(f"{folder}: stopped by SIGTERM, not finished: go on with --resume") from stop


def epochs_done(checkpoint: Path | None) -> int:
    """Return how many epochs a checkpoint of an epoch's end has behind it."""
    if checkpoint is None:
        return 0
    return int(torch.load(checkpoint, map_location="cpu", weights_only=False)["epoch"]) + 1


def workers_of(machine: Machine, trainer: lightning.Trainer) -> int:
    """Return how many processes draw crops or pictures beside this one."""
    if machine.workers is not None:
        return machine.workers
    on_gpu = isinstance(trainer.accelerator, lightning.pytorch.accelerators.CUDAAccelerator)
    return min(8, (os.cpu_count() or 2) - 1) if on_gpu else 0
