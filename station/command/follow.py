"""Shows a job of the station until it ends. Main thread."""

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["Job", "follow"]

_POLL_S = 0.2


class Job(Protocol):
    """Where the station's swap thread is; `stage` is `idle` at the end."""

    job: int
    stage: str
    detail: str
    part: float


_J = TypeVar("_J", bound=Job)


def follow(begun: _J, look: Callable[[], _J]) -> _J:
    """Return what `look` says when the job that `begun` names is at its end, with a bar on stderr until then."""
    status = begun
    told = TextColumn("{task.fields[detail]}")
    columns = (TextColumn("{task.description:<10}"), BarColumn(), told, TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0, detail="")
        while status.job == begun.job and status.stage != "idle":
            bar.update(task, description=status.stage, completed=status.part, detail=status.detail[:60])
            time.sleep(_POLL_S)
            status = look()
    return status
