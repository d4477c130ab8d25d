"""A thread that says when it is ready, hands on what fails in it, and ends with its block. Main thread's tool."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from shadowline.errors import StationError

__all__ = ["Worker"]

Ready = Callable[[], None]


class Worker:
    """Runs `target(ready)` in a thread for the length of a `with` block.

    Entering returns when the target has called `ready`, or re-raises what it failed with. Leaving calls `stop` and
    joins. What fails between is kept in `failure`, for the main thread to raise.
    """

    def __init__(
        self,
        name: str,
        target: Callable[[Ready], None],
        stop: Callable[[], None],
        start_s: float = 60.0,
        join_s: float = 10.0,
    ) -> None:
        self.name = name
        self.failure: BaseException | None = None
        self._target = target
        self._stop = stop
        self._start_s = start_s
        self._join_s = join_s
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def join(self) -> None:
        """Wait until the thread has ended by itself."""
        self._thread.join()

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(self._start_s):
            self._stop()
            raise StationError(f"thread {self.name} was not ready within {self._start_s:g} s")
        if self.failure is not None:
            self._thread.join()
            raise self.failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._thread.join(self._join_s)
        if self._thread.is_alive():
            raise StationError(f"thread {self.name} did not end within {self._join_s:g} s")

    def _run(self) -> None:
        try:
            self._target(self._ready.set)
        except BaseException as error:  # noqa: BLE001 - the main thread must hear of anything
            self.failure = error
        finally:
            self._ready.set()
