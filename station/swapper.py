"""Brings a new model into the running line: built, proved, replayed, shadowed, switched, watched. The swap thread.

Whatever fails on the way leaves the live model where it is; what fails after the switch brings the previous one back.
Compiling and every first contact with a model file happen in a process of their own.
"""

import logging
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.build import BuildRequest
from engines.build_process import BuildProcess
from engines.model import Precision
from engines.plan import Plan
from engines.plan_cache import PlanCache
from shadowline.errors import EngineError, StationError
from station.clock import Clock
from station.config import Config, EngineConfig, SwapConfig
from station.engine import build_request, model_file, open_plan
from station.event import ModelAction
from station.model import Model
from station.models import Models, Watch
from station.trial import disagreements, draw_crops_apart, make_model

__all__ = ["Report", "Stage", "SwapStatus", "Swapper"]

logger = logging.getLogger(__name__)

Stage: TypeAlias = Literal["idle", "preparing", "building", "replaying", "shadowing", "switching", "probation"]

Report: TypeAlias = Callable[[ModelAction, str, str], None]
"""Gets what happened, which model it is about and a detail."""

_ENOUGH_CROPS: Final = 128
"""Crops of the line that are enough to prove a build on; with fewer, drawn ones are taken."""
_POLL_S: Final = 0.2
_IDLE_S: Final = 1.0
"""How often models that failed are freed while no job comes."""


@dataclass(frozen=True, slots=True)
class SwapStatus:
    """Where the swap thread is. `job` counts the jobs begun; `outcome` and `report` are of the last that ended."""

    job: int = 0
    stage: Stage = "idle"
    detail: str = ""
    part: float = 0.0
    outcome: ModelAction | None = None
    report: str = ""


class _RolledBack(StationError):
    """The new model was taken into use and given up again."""


class Swapper:
    """Runs in a `Worker`, one job at a time. What the methods below call is the swap thread's own."""

    def __init__(self, config: Config, settled: EngineConfig, models: Models, report: Report, clock: Clock) -> None:
        """`settled` is the engine's table with `auto` decided: new models run on that back end."""
        self._config = config
        self._settled = settled
        self._models = models
        self._report = report
        self._clock = clock
        self._job: Callable[[], str] | None = None
        self._wanted = threading.Condition()
        self._stopping = False
        self._build: BuildProcess | None = None
        self._drawn: NDArray[np.uint8] | None = None
        self.status = SwapStatus()
        self.shadowed: Counter[str] = Counter()
        """Crops that candidates named beside the live model, by its label; never reset."""
        self.disagreed: Counter[str] = Counter()
        """Those that they named otherwise."""

    def swap(self, model: Path | None, precision: Precision | None) -> int:
        """Begin to bring in `model`, or the configured one, and return the job's number. Any thread.

        Raises `StationError` while another job is under way.
        """
        request = build_request(self._settled, self._config.swap, model, precision)
        return self._begin(lambda: self._swap(request))

    def roll_back(self) -> int:
        """Begin to bring back the previous model; as `swap`."""
        return self._begin(self._roll_back)

    def prepare(self, job: Callable[[], str]) -> int:
        """Begin `job`, which calls `make` and leaves the live model to others; as `swap`."""
        return self._begin(job, "preparing")

    def make(self, config: Config, why: str) -> tuple[Model, str]:
        """Return the model of `config`, built, proved and entered, and what was found out. Within a job.

        Raises `StationError` when it can't be used; `why` says what it is for.
        """
        request = build_request(self._settled, config.swap, model_file(config.engine))
        self._report("building", request.model.name, why)
        with ExitStack() as undo:
            engine = open_plan(self._make_plan(request), self._settled)
            undo.callback(engine.__exit__, None, None, None)
            model = make_model(engine, config, why, self._models.live.judge.finders)
            findings = self._compare_golden(model)
            undo.pop_all()
        return model, findings

    def adopt(self, config: Config) -> None:
        """Let `config` hold for the jobs to come. Raises `StationError` while a model is on its way into use."""
        with self._wanted:
            if self.status.stage != "preparing":
                self._refuse_second()
            self._config = config

    def run(self, ready: Callable[[], None]) -> None:
        """Do jobs until stopped."""
        ready()
        while not self._stopping:
            if (job := self._next_job()) is not None:
                outcome, report = self._finish(job)
                self._models.stop_watch()
                self.status = replace(self.status, stage="idle", detail="", part=0.0, outcome=outcome, report=report)
            self._models.release()

    def stop(self) -> None:
        """End the job under way, the live model staying as it is, and then the thread. Any thread."""
        with self._wanted:
            self._stopping = True
            self._wanted.notify_all()
        if self._build is not None:
            self._build.kill()
        self._models.wake()

    def _begin(self, job: Callable[[], str], stage: Stage = "building") -> int:
        with self._wanted:
            self._refuse_second()
            self._job = job
            self.status = SwapStatus(self.status.job + 1, stage, "waiting")
            self._wanted.notify_all()
            return self.status.job

    def _refuse_second(self) -> None:
        if self._job is not None or self.status.stage != "idle":
            raise StationError(f"another model is on its way in ({self.status.stage}): wait for it")

    def _next_job(self) -> Callable[[], str] | None:
        """Wait for a job; None when there was none for a while, or the station stops."""
        with self._wanted:
            if self._job is None and not self._stopping:
                self._wanted.wait(_IDLE_S)
            job, self._job = self._job, None
            return None if self._stopping else job

    def _finish(self, job: Callable[[], str]) -> tuple[ModelAction, str]:
        """Do a job, tell of its end and return it."""
        outcome: ModelAction
        try:
            outcome, report = "kept", job()
        except _RolledBack as fault:
            outcome, report = "rolled_back", str(fault)
        except (StationError, OSError) as fault:  # a full disk ends the job, not the line
            outcome, report = "refused", str(fault)
        logger.log(logging.INFO if outcome == "kept" else logging.WARNING, "model %s: %s", outcome, report)
        self._report(outcome, self._models.live.title, report)
        return outcome, report

    def _enter(self, stage: Stage, detail: str = "", part: float = 0.0) -> None:
        """Say where the job is. Raises `StationError` when the station stops."""
        if self._stopping:
            raise StationError("the station stops: the model was not exchanged")
        self._show(stage, detail, part)

    def _show(self, stage: Stage, detail: str, part: float) -> None:
        self.status = replace(self.status, stage=stage, detail=detail, part=part)

    def _swap(self, request: BuildRequest) -> str:
        self._enter("building", str(request.model))
        self._report("building", request.model.name, str(request.model))
        plan = self._make_plan(request)
        with ExitStack() as undo:
            engine = open_plan(plan, self._settled)
            undo.callback(engine.__exit__, None, None, None)
            candidate = make_model(engine, self._config, "swapped in", self._models.live.judge.finders)
            findings = [self._compare_golden(candidate), self._replay(candidate)]
            before = self._shadow(candidate, findings)
            undo.pop_all()
        return self._exchange(candidate, before, findings)

    def _make_plan(self, request: BuildRequest) -> Plan:
        """Have the plan built and proved on crops of this line, or on drawn ones while there are few."""
        with tempfile.TemporaryDirectory() as folder:
            crops = Path(folder) / "crops.npy"
            np.save(crops, self._proving_crops())
            self._build = BuildProcess(request.model_copy(update={"crops": crops}))
            try:
                plan = self._build.run(lambda step, part: self._enter(self.status.stage, step, part))
                PlanCache(request.cache).trim(self._swap_config.max_plans, plan)
                return plan
            finally:
                self._build = None

    def _proving_crops(self) -> NDArray[np.uint8]:
        recent = self._models.recent(self._models.live.engine.card.crop)
        if recent is not None and len(recent.labels) >= _ENOUGH_CROPS:
            return recent.crops
        if self._drawn is None:  # it takes seconds, and they are the same every time
            self._drawn = draw_crops_apart(2 * _ENOUGH_CROPS)
        return self._drawn

    def _compare_golden(self, candidate: Model) -> str:
        before, after = self._models.live.golden, candidate.golden
        if before is None or after is None:
            return "no golden set"
        if after < before - self._swap_config.golden_loss:
            raise EngineError(f"names {after:.2%} of the golden set rightly, the live model {before:.2%}: refused")
        return f"golden set {after:.2%} (live {before:.2%})"

    def _replay(self, candidate: Model) -> str:
        """Let the candidate name the line's last crops."""
        self._enter("replaying")
        sample = self._models.recent(candidate.engine.card.crop)
        if sample is None:
            return "nothing to replay"
        disagreed = sum(disagreements(candidate, sample).values())
        self._refuse_disagreement(disagreed, len(sample.labels), "of the last crops")
        return f"{disagreed} of the last {len(sample.labels)} crops named otherwise"

    def _shadow(self, candidate: Model, findings: list[str]) -> Watch:
        """Let the candidate name what the live model names, for a while, and return what the line did meanwhile."""
        limits = self._swap_config
        self._report("shadowing", candidate.title, findings[-1])
        watch = self._models.start_watch(candidate.engine.card.crop)
        until_ns = self._clock.tick_ns() + round(limits.shadow_s * 1e9)
        seen, otherwise = 0, Counter[str]()
        while seen < limits.shadow_crops and self._clock.tick_ns() < until_ns:
            self._enter("shadowing", f"{seen} crops, {otherwise.total()} named otherwise", seen / limits.shadow_crops)
            if not watch.samples:
                self._models.wait(_POLL_S)
                continue
            sample = watch.samples.popleft()
            seen += len(sample.labels)
            found = disagreements(candidate, sample)
            self.shadowed.update(sample.labels)
            self.disagreed.update(found)
            otherwise.update(found)
        self._models.stop_watch()
        self._refuse_disagreement(otherwise.total(), seen, "of the shadowed crops")
        by_label = ", ".join(f"{count} {label}" for label, count in otherwise.most_common()) or "none"
        findings.append(f"of {seen} shadowed crops named otherwise: {by_label}")
        return watch

    def _exchange(self, candidate: Model, before: Watch, findings: list[str]) -> str:
        """Switch between two frames and watch what comes of it."""
        old = self._models.live
        watch = self._switch(candidate)
        self._report("swapped", candidate.title, "; ".join(findings))
        limits = self._swap_config
        until_ns = self._clock.tick_ns() + round(limits.shadow_s * 1e9)
        while watch.frames < limits.probation_frames and self._clock.tick_ns() < until_ns and not self._stopping:
            part = watch.frames / limits.probation_frames
            self._show("probation", f"{watch.frames} frames, {watch.late} late", part)
            if self._models.live is not candidate:
                raise _RolledBack(f"{candidate.title} failed in use, back to {self._models.live.title}")
            if watch.late > limits.max_late_share * limits.probation_frames and self._later(watch, before):
                self._switch(old)
                raise _RolledBack(
                    f"{candidate.title}: {watch.late} of {watch.frames} decisions late "
                    f"({watch.us_per_crop:.0f} µs a crop, before {before.us_per_crop:.0f}), back to {old.title}"
                )
            self._models.wait(_POLL_S)
        timing = f"{watch.us_per_crop:.0f} µs a crop (before {before.us_per_crop:.0f})"
        return f"{old.title} → {candidate.title}: {'; '.join(findings)}; {timing}, {watch.late} late of {watch.frames}"

    def _later(self, watch: Watch, before: Watch) -> bool:
        return watch.late_share > before.late_share + self._swap_config.max_late_share

    def _switch(self, model: Model) -> Watch:
        """Offer `model`, wait until a frame boundary takes it, and return what is counted from then on."""
        self._models.offer(model)
        while self._models.offers:
            if self._stopping and self._models.withdraw() and model is not self._models.previous:
                model.engine.__exit__(None, None, None)
            self._enter("switching", "waiting for the next frame")
            self._models.wait(_POLL_S)
        return self._models.start_watch()

    def _roll_back(self) -> str:
        previous = self._models.previous
        if previous is None:
            raise StationError("there is no model to go back to")
        left = self._models.live
        self._switch(previous)
        self._report("swapped", previous.title, f"back from {left.title}")
        return f"{left.title} → {previous.title}: rolled back by hand"

    def _refuse_disagreement(self, disagreed: int, crops: int, which: str) -> None:
        if crops and disagreed / crops > self._swap_config.max_disagreement:
            raise EngineError(f"names {disagreed} of {crops} {which} otherwise than the live model: refused")

    @property
    def _swap_config(self) -> SwapConfig:
        return self._config.swap
