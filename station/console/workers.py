"""What must live as long as the console: one that ends before it ends the process, and systemd starts that anew.

Threads are begun by the main thread, tasks in the event loop; whoever watches the process asks for `faults`.
"""

import asyncio
from collections.abc import Callable, Coroutine

from station.worker import Ready, Worker

__all__ = ["Workers"]


class Workers:
    """The console's threads and tasks. Any thread may ask for `faults`."""

    def __init__(self) -> None:
        self._threads: tuple[Worker, ...] = ()
        self._failed: tuple[str, ...] = ()

    def thread(self, name: str, target: Callable[[Ready], None], stop: Callable[[], None]) -> Worker:
        """Return a `Worker` for the caller to enter; it runs from then on."""
        worker = Worker(name, target, stop)
        self._threads += (worker,)
        return worker

    def task(self, name: str, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Begin a task, which may be cancelled and may end, but must not fail. Event loop."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._settle)
        return task

    def faults(self) -> list[str]:
        """Return what has ended too early, and why; empty while all live."""
        return [*self._failed, *(_fault(worker) for worker in self._threads if not worker.alive)]

    def _settle(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed += (f"task {task.get_name()} failed: {error!r}",)


def _fault(worker: Worker) -> str:
    """Return how a thread that does not live has ended."""
    how = "has ended" if worker.failure is None else f"failed: {worker.failure!r}"
    return f"thread {worker.name} {how}"
