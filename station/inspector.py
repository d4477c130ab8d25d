"""Inspect frames: regions, crops, labels, verdict, one after the other. Pure; called from the inspect thread."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from engines import Answers
from shadowline.errors import CalibrationError, EngineError
from station.clock import Clock
from station.crops import cut_crops
from station.frame import Frame, InvalidReason, Missing
from station.inspection import Asked, Inspection, Stages
from station.model import Model
from station.overlap import Overlap
from station.regions import RegionFinder, Regions
from station.verdict import Defect, Verdict

__all__ = ["Inspector"]


_NO_REGIONS = Regions.none()
_NONE_GOES_ON = np.empty(0, np.bool_)
_NOT_ASKED = ("", 0.0)

T = TypeVar("T")


@dataclass(slots=True)
class _Look:
    """One frame on its way: what was found in it, and why it can't be judged."""

    frame: Frame
    stages: Stages
    regions: Regions = _NO_REGIONS
    goes_on: NDArray[np.bool_] = field(default_factory=lambda: _NONE_GOES_ON)
    asked: tuple[int, ...] = ()
    """Which regions the network is to name, and below their boxes, crops and answers."""
    boxes: NDArray[np.int32] = field(default_factory=lambda: _NO_REGIONS.box)
    crops: NDArray[np.uint8] | None = None
    answers: Answers | None = None
    reason: InvalidReason | None = None
    detail: str = ""

    def fail(self, reason: InvalidReason, detail: str = "") -> None:
        """Make the frame invalid."""
        self.reason, self.detail = reason, detail


class Inspector:
    """The steps from a frame to its inspection, with one finder a camera and one model for all."""

    model: Model
    """Names the regions; may be exchanged between two frames."""
    previous: Model | None
    """Takes over, in the same frame, when the model fails."""
    failure: str
    """Why another model took over; empty while none did."""
    budget_ms: float
    """From capture to decision; may change between two frames."""
    finders: Mapping[str, RegionFinder]
    """One a camera; may change between two frames."""
    reserve: Model | None
    """Takes over where there is no previous model, or that fails as well; may be the model itself."""

    def __init__(
        self,
        finders: Mapping[str, RegionFinder],
        model: Model,
        budget_ms: float,
        clock: Clock,
        previous: Model | None = None,
        reserve: Model | None = None,
        check: Callable[[Frame], None] = lambda frame: None,
    ) -> None:
        """`check` raises `CalibrationError` for a frame that is not of its camera's calibration."""
        self.model = model
        self.reserve = reserve
        self.previous = previous
        self.failure = ""
        self._check = check
        self.finders = finders
        self._overlaps = {camera: Overlap() for camera in finders}
        self.budget_ms = budget_ms
        self._clock = clock

    def inspect(self, frames: Sequence[Frame]) -> list[Inspection]:
        """Return the one inspection of each of `frames`, their regions named in one run of the network.

        What goes wrong with a frame on the way makes it `invalid`, never an exception.
        """
        looks = [self._look(frame) for frame in frames]
        self._classify(looks)
        return [self._decide(look) for look in looks]

    def learn(self, frame: Frame) -> None:
        """Let the finder learn from `frame`, which was just inspected; called when its event is on its way."""
        self.finders[frame.camera].learn(frame.image)

    def keep_warm(self) -> None:
        """Run the network on one old crop: a GPU that idles is slow again. If it fails the previous one takes over."""
        try:
            self.model.engine.classify(self.model.room(1)[:1])
        except EngineError as error:
            with suppress(EngineError):
                self._fall_back(error)

    def miss(self, missing: Missing) -> Iterator[Inspection]:
        """Yield an `invalid` inspection for each frame of the run `missing`."""
        for sequence in range(missing.sequence, missing.sequence + missing.count):
            yield self._invalid(missing, sequence, missing.reason, Stages())

    def _look(self, frame: Frame) -> _Look:
        """Find the regions of `frame`, those left out that the frame before has shown."""
        look = _Look(frame, Stages(wait_ns=self._clock.tick_ns() - frame.captured_tick_ns))
        start_ns = self._clock.tick_ns()
        try:
            self._check(frame)
            regions = self.finders[frame.camera].find(frame.image)
        except CalibrationError as error:
            look.fail(InvalidReason.CALIBRATION, str(error))
            return look
        except EngineError as error:
            look.fail(InvalidReason.ENGINE, str(error))
            return look
        look.regions, look.goes_on = self._overlaps[frame.camera].sift(frame, regions)
        look.asked = _to_ask(look.regions)
        if regions.invalid is not None:
            look.fail(InvalidReason(regions.invalid))
        look.stages.regions_ns = self._clock.tick_ns() - start_ns
        return look

    def _classify(self, looks: Sequence[_Look]) -> None:
        """Let the network name the regions of all `looks`; a model that fails is left for the next one."""
        full = [look for look in looks if look.reason is None and look.asked]
        while full:
            try:
                self._answer(full)
                return
            except EngineError as error:
                try:
                    self._fall_back(error)
                except EngineError:
                    for look in full:
                        look.fail(InvalidReason.ENGINE, str(error))
                    return

    def _answer(self, looks: Sequence[_Look]) -> None:
        """Cut the crops of `looks` into one batch and give each its answers; the time is shared by number of crops."""
        model = self.model
        counts = [len(look.asked) for look in looks]
        room = model.room(sum(counts))
        ends = np.cumsum(counts).tolist()
        for look, end in zip(looks, ends, strict=True):
            start_ns = self._clock.tick_ns()
            every = look.regions.box
            look.boxes = every if len(look.asked) == len(every) else every[list(look.asked)]
            crop = model.engine.card.crop
            look.crops = cut_crops(look.frame.image, look.boxes, crop, room[end - len(look.asked) :])
            look.stages.crops_ns = self._clock.tick_ns() - start_ns
        start_ns = self._clock.tick_ns()
        answers = model.engine.classify(room[: ends[-1]])
        spent_ns = self._clock.tick_ns() - start_ns
        if self._successor is not None and not answers.is_finite:
            raise EngineError("it answers with numbers that are not finite")
        for look, end in zip(looks, ends, strict=True):
            look.answers = answers.rows(end - len(look.asked), end)
            look.stages.classify_ns = spent_ns * len(look.asked) // ends[-1]

    def _decide(self, look: _Look) -> Inspection:
        if look.reason is None and look.answers is not None and not look.answers.is_finite:
            look.fail(InvalidReason.NOT_FINITE)
        if look.reason is not None:
            return self._invalid(look.frame, look.frame.sequence, look.reason, look.stages, look.detail)
        start_ns = self._clock.tick_ns()
        judge = self.model.judge
        answers = [] if look.answers is None else judge.name(look.answers)
        defects = self._describe(look, answers)
        verdict, reason = judge.judge(defects)
        look.stages.verdict_ns = self._clock.tick_ns() - start_ns
        asked = None if look.crops is None else Asked(look.crops, look.boxes, tuple(label for label, _ in answers))
        return self._settle(look.frame, look.frame.sequence, verdict, reason, defects, look.stages, asked=asked)

    @property
    def _successor(self) -> Model | None:
        """Who takes over from the model; None where it is the last."""
        if self.previous is not None:
            return self.previous
        return None if self.reserve is self.model else self.reserve

    def _fall_back(self, error: EngineError) -> None:
        """Let the next model take over; raises `error` where there is none."""
        successor = self._successor
        if successor is None:
            raise error
        self.model, self.previous, self.failure = successor, None, self.failure or str(error)

    def _describe(self, look: _Look, answers: Sequence[tuple[str, float]]) -> tuple[Defect, ...]:
        """Return the regions of `look` with their names; `answers` are the network's to those that it was asked of."""
        regions, judge = look.regions, self.model.judge
        told = None if look.answers is None else look.answers.novelty
        answer = _spread(answers, look, _NOT_ASKED)
        names = [
            answer if named is None else judge.settle(named, answer)
            for named, answer in zip(regions.named, answer, strict=True)
        ]
        return tuple(
            Defect(label, confidence, (box[0], box[1], box[2], box[3]), area, depth, novelty, goes_on, found_by, score)
            for (label, confidence), box, area, depth, novelty, goes_on, found_by, score in zip(
                names,
                regions.box.tolist(),
                regions.area.tolist(),
                regions.depth.tolist(),
                _spread([] if told is None else told.tolist(), look, None),
                look.goes_on.tolist(),
                regions.found_by,
                regions.score.tolist(),
                strict=True,
            )
        )

    def _invalid(
        self, about: Frame | Missing, sequence: int, reason: InvalidReason, stages: Stages, detail: str = ""
    ) -> Inspection:
        return self._settle(about, sequence, Verdict.INVALID, reason.value, (), stages, detail)

    def _settle(
        self,
        about: Frame | Missing,
        sequence: int,
        verdict: Verdict,
        reason: str,
        defects: tuple[Defect, ...],
        stages: Stages,
        detail: str = "",
        asked: Asked | None = None,
    ) -> Inspection:
        latency_ns = self._clock.tick_ns() - about.captured_tick_ns
        late = latency_ns > self.budget_ms * 1e6
        return Inspection(about, sequence, verdict, reason, latency_ns, late, defects, stages, detail, asked)


def _spread(values: Sequence[T], look: _Look, other: T) -> Sequence[T]:
    """Return one value a region of `look`: `values`, where there are some, of those that were asked, else `other`."""
    if len(values) == len(look.regions):
        return values
    spread = [other] * len(look.regions)
    for row, value in zip(look.asked, values, strict=False):
        spread[row] = value
    return spread


def _to_ask(regions: Regions) -> tuple[int, ...]:
    """Return the regions whose name is the network's, or hangs on it."""
    if not any(regions.named):
        return tuple(range(len(regions)))
    return tuple(row for row, named in enumerate(regions.named) if named is None or named.confirm)
