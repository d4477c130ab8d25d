"""What must live as long as the console: one that ends too early is named, with why."""

import asyncio
import threading
from collections.abc import Callable

from station.console.workers import Workers


def test_a_thread_that_ends_is_a_fault() -> None:
    workers, ending, failing = Workers(), threading.Event(), threading.Event()

    def end(ready: Callable[[], None]) -> None:
        ready()
        ending.wait()

    def fail(ready: Callable[[], None]) -> None:
        ready()
        failing.wait()
        raise ValueError("no row")

    with workers.thread("feed", end, ending.set) as feed, workers.thread("strip", fail, failing.set) as strip:
        assert workers.faults() == []
        failing.set()
        strip.join()
        assert workers.faults() == ["thread strip failed: ValueError('no row')"]
        ending.set()
        feed.join()
        assert workers.faults() == ["thread feed has ended", "thread strip failed: ValueError('no row')"]


def test_a_task_may_end_and_be_cancelled_but_not_fail() -> None:
    workers = Workers()

    async def fail() -> None:
        raise ValueError("no picture")

    async def run() -> None:
        cancelled = workers.task("cancelled", asyncio.sleep(60))
        cancelled.cancel()
        await asyncio.gather(cancelled, workers.task("ended", asyncio.sleep(0)), return_exceptions=True)
        assert workers.faults() == []
        await asyncio.gather(workers.task("live", fail()), return_exceptions=True)

    asyncio.run(run())
    assert workers.faults() == ["task live failed: ValueError('no picture')"]
