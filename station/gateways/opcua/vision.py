"""The vision system between its clients, who drive it, and the station, which lets it work or not. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from station.gateways.opcua.states import Cause, State, Transition, caused, climb, inner

__all__ = ["Job", "Names", "Vision"]

_EXECUTING = (State.SINGLE_EXECUTION, State.CONTINUOUS_EXECUTION)
_KEEPS_RESULTS: tuple[Cause | None, ...] = ("Stop", None)
"""What ends a job and leaves it the results of pictures taken before."""


@dataclass(frozen=True, slots=True)
class Names:
    """What a client calls the things that a job is about."""

    measurement: str = ""
    part: str = ""
    recipe: str = ""
    product: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A run of one picture or of many; `since_ns` to `until_ns`, UTC, are the captures that it takes."""

    id: str
    names: Names = field(default_factory=Names)
    since_ns: int = 0
    until_ns: int | None = None

    def takes(self, captured_ns: int) -> bool:
        """Whether a picture that was taken then belongs to the job."""
        return captured_ns >= self.since_ns and (self.until_ns is None or captured_ns <= self.until_ns)


class Vision:
    """Knows the innermost state, and to which job a result belongs. Times are the station's UTC."""

    def __init__(self, goal: State, new_job: Callable[[], str]) -> None:
        """`goal` is where it goes by itself until a client calls for the first time; `new_job` names jobs."""
        self.state = State.PREOPERATIONAL
        self.fault = ""
        self.simulated = False
        self.job: Job | None = None
        self._ending: Job | None = None
        self._goal = goal
        self._new_job = new_job

    def call(self, cause: Cause, now_ns: int, names: Names | None = None) -> tuple[Transition, ...]:
        """Do what a client's method causes; nothing where it has no place in this state."""
        steps = caused(self.state, cause)
        self._go(steps, now_ns, names or Names())
        if steps:
            self._goal = self.state
        return steps

    def hear(self, fault: str, now_ns: int) -> tuple[Transition, ...]:
        """Learn why the station can't work now, or by an empty text that it can; go as high as that allows."""
        self.fault = fault
        if self.state is State.HALTED:
            return ()
        if fault and self.state is State.SINGLE_EXECUTION:
            self._goal = State.READY
        steps = climb(self.state, State.ERROR if fault else self._goal)
        self._go(steps, now_ns, Names())
        return steps

    def claim(self, captured_ns: int) -> Job | None:
        """Return the job that a result of a picture taken then belongs to, or None: it is no job's result."""
        for job in (self.job, self._ending):
            if job is not None and job.takes(captured_ns):
                return job
        return None

    def finish_single(self, now_ns: int) -> tuple[Transition, ...]:
        """End a single job, whose result is there; nothing in any other state."""
        if self.state is not State.SINGLE_EXECUTION:
            return ()
        steps = climb(self.state, State.READY)
        self._go(steps, now_ns, Names())
        self._goal, self._ending = State.READY, None
        return steps

    def _go(self, steps: tuple[Transition, ...], now_ns: int, names: Names) -> None:
        for step in steps:
            if self.state in _EXECUTING:
                self._end_job(step, now_ns)
            self.state = inner(step.end)
            if self.state in _EXECUTING:
                since_ns = now_ns if step.cause else 0
                self.job = Job(self._new_job(), names, since_ns)

    def _end_job(self, step: Transition, now_ns: int) -> None:
        """Leave the job what was captured before a stop, all that still comes after an error, or nothing."""
        ended = self.job if step.cause in _KEEPS_RESULTS else None
        if ended is not None and step.cause == "Stop":
            ended = replace(ended, until_ns=now_ns)
        self.job, self._ending = None, ended
