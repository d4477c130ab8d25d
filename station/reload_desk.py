"""Where the control thread asks the main thread to read the configuration again, and gets what came of it."""

from concurrent.futures import Future
from queue import Empty, SimpleQueue

from shadowline.errors import StationError
from station.control_protocol import Reloaded

__all__ = ["ReloadDesk"]

_WAIT_S = 8.0


class ReloadDesk:
    """Hands requests from one thread to another."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[Future[Reloaded]] = SimpleQueue()

    def ask(self) -> Reloaded:
        """Have the configuration read again. Control thread. Raises `StationError` when nobody does it in time."""
        asked: Future[Reloaded] = Future()
        self._waiting.put(asked)
        try:
            return asked.result(_WAIT_S)
        except TimeoutError:
            asked.cancel()
            raise StationError("the configuration was not read again in time: ask again, or send SIGHUP") from None

    def take(self) -> Future[Reloaded] | None:
        """Return a request that waits, to be given its result. Main thread."""
        while True:
            try:
                asked = self._waiting.get_nowait()
            except Empty:
                return None
            if asked.set_running_or_notify_cancel():
                return asked
