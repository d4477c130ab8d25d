import threading

import pytest

from shadowline.errors import CameraError, StationError
from station.worker import Ready, Worker


def test_runs_for_the_length_of_the_block() -> None:
    stop, steps = threading.Event(), []

    def target(ready: Ready) -> None:
        steps.append("start")
        ready()
        stop.wait()
        steps.append("end")

    with Worker("test", target, stop.set) as worker:
        assert steps == ["start"]
        assert worker.alive
    assert steps == ["start", "end"]
    assert not worker.alive


def test_a_failure_before_ready_is_raised_on_entering() -> None:
    def target(ready: Ready) -> None:
        raise CameraError("no such camera")

    with pytest.raises(CameraError, match="no such camera"), Worker("test", target, lambda: None):
        pytest.fail("entered all the same")


def test_a_later_failure_is_kept_for_the_main_thread() -> None:
    go = threading.Event()

    def target(ready: Ready) -> None:
        ready()
        go.wait()
        raise ValueError("later")

    with Worker("test", target, go.set) as worker:
        assert worker.failure is None
    assert isinstance(worker.failure, ValueError)


def test_a_thread_that_never_gets_ready_or_never_ends_is_named() -> None:
    release = threading.Event()

    def target(ready: Ready) -> None:
        release.wait()

    with pytest.raises(StationError, match=r"thread slow was not ready within 0.01 s"):
        Worker("slow", target, lambda: None, start_s=0.01).__enter__()

    def stubborn(ready: Ready) -> None:
        ready()
        release.wait()

    worker = Worker("stuck", stubborn, lambda: None, join_s=0.01).__enter__()
    with pytest.raises(StationError, match=r"thread stuck did not end within 0.01 s"):
        worker.__exit__(None, None, None)
    release.set()
    worker.__exit__(None, None, None)
    for thread in threading.enumerate():
        if thread.name == "slow":
            thread.join()
