"""What clients' methods ask of the station, and the waiting for its answer. Server's thread; `due` is the gateway's."""

import asyncio
import itertools
import logging
import queue
from collections import deque
from collections.abc import Mapping

from station.control_protocol import Request
from station.gateways.base import Ask
from station.gateways.opcua.arguments import Error

__all__ = ["Asking"]

logger = logging.getLogger(__name__)

_MOST = 32


class Asking:
    """Hands requests to the gateway, and answers to who waits for them."""

    def __init__(self, answer_s: float) -> None:
        self._answer_s = answer_s
        self._numbers = itertools.count(1)
        self._asked: queue.SimpleQueue[Ask] = queue.SimpleQueue()
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self._late: deque[int] = deque(maxlen=_MOST)
        """Requests whose clients were told that no answer came."""

    async def ask(self, request: Request) -> Error:
        """Return what came of a request."""
        if len(self._waiting) >= _MOST:
            return Error.REFUSED
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._asked.put(Ask(number, request))
        try:
            refusal = await asyncio.wait_for(answer, self._answer_s)
        except TimeoutError:
            self._late.append(number)
            return Error.SILENT
        finally:
            del self._waiting[number]
        if refusal:
            logger.warning("the station refuses what a client asks: %s", refusal)
        return Error.REFUSED if refusal else Error.OK

    def answer(self, answers: Mapping[int, str]) -> list[str]:
        """Take the station's answers; return refusals that came too late for who asked."""
        for number, refusal in answers.items():
            waiting = self._waiting.get(number)
            if waiting is not None and not waiting.done():
                waiting.set_result(refusal)
        return [refusal for number, refusal in answers.items() if refusal and number in self._late]

    def due(self) -> tuple[Ask, ...]:
        """Return what was asked since the last time. Any thread."""
        found = []
        while not self._asked.empty():
            found.append(self._asked.get_nowait())
        return tuple(found)
