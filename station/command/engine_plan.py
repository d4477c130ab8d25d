"""What the commands of `station engine` share: a build that shows its steps, a plan by its name. Main thread."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from engines.build import BuildRequest
from engines.build_process import BuildProcess
from engines.plan import Plan
from engines.plan_cache import PlanCache, default_cache
from shadowline.errors import StationError

__all__ = ["find_plan", "run_build"]


def run_build(request: BuildRequest) -> Plan:
    """Build in a process of its own, showing its steps, and return the plan."""
    with _progress() as show:
        return BuildProcess(request).run(show)


def find_plan(word: str, cache: Path | None) -> Plan:
    """Return the plan in the folder `word`, or the one of the cache whose name begins with it."""
    if Path(word).is_dir():
        return Plan.read(Path(word))
    plans = PlanCache(cache or default_cache())
    found = [plan for plan in plans.plans() if plan.folder.name.startswith(word)]
    if len(found) != 1:
        have = ", ".join(plan.folder.name[:12] for plan in plans.plans()) or "none"
        raise StationError(f"{word}: {'several plans begin' if found else 'no plan begins'} so; there are: {have}")
    return found[0]


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """Show steps as they come: a bar on a terminal, a line a step elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<44}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=1.0)
        last = ""

        def show(step: str, part: float) -> None:
            nonlocal last
            bar.update(task, description=step[:44], completed=part)
            if not console.is_terminal and step.partition(":")[0] != last:
                last = step.partition(":")[0]
                typer.echo(last, err=True)

        yield show
