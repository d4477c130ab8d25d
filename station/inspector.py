"""Inspect frames: regions, crops, labels, verdict, one after the other. Pure; called from the inspect thread."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines import Answers
from shadowline.errors import CalibrationError, EngineError
from station.clock import Clock
from station.crops import cut_crops
from station.frame import Frame, InvalidReason, Missing
from station.inspection import Inspection, Stages
from station.model import Model
from station.overlap import Overlap
from station.regions import RegionFinder, Regions
from station.verdict import Defect, Verdict

__all__ = ["Inspector"]


_NO_REGIONS = Regions.none()
_NONE_GOES_ON = np.empty(0, np.bool_)


@dataclass(slots=True)
class _Look:
    """One frame on its way: what was found in it, and why it can't be judged."""

    frame: Frame
    stages: Stages
    regions: Regions = _NO_REGIONS
    goes_on: NDArray[np.bool_] = field(default_factory=lambda: _NONE_GOES_ON)
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
        """`reserve` takes over where there is no previous model, or that fails as well.

        `check` raises `CalibrationError` for a frame that is not of its camera's calibration.
        """
        self.model = model
        self._reserve = reserve
        self.previous = previous
        self.failure = ""
        self._check = check
        self._finders = finders
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
        self._finders[frame.camera].learn(frame.image)

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
            regions = self._finders[frame.camera].find(frame.image)
        except CalibrationError as error:
            look.fail(InvalidReason.CALIBRATION, str(error))
            return look
        look.regions, look.goes_on = self._overlaps[frame.camera].sift(frame, regions)
        if regions.invalid is not None:
            look.fail(InvalidReason(regions.invalid))
        look.stages.regions_ns = self._clock.tick_ns() - start_ns
        return look

    def _classify(self, looks: Sequence[_Look]) -> None:
        """Let the network name the regions of all `looks`; a model that fails is left for the next one."""
        full = [look for look in looks if look.reason is None and len(look.regions)]
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
        counts = [len(look.regions) for look in looks]
        room = model.room(sum(counts))
        ends = np.cumsum(counts).tolist()
        for look, end in zip(looks, ends, strict=True):
            start_ns = self._clock.tick_ns()
            crop = model.engine.card.crop
            look.crops = cut_crops(look.frame.image, look.regions.box, crop, room[end - len(look.regions) :])
            look.stages.crops_ns = self._clock.tick_ns() - start_ns
        start_ns = self._clock.tick_ns()
        answers = model.engine.classify(room[: ends[-1]])
        spent_ns = self._clock.tick_ns() - start_ns
        if self._successor is not None and not answers.is_finite:
            raise EngineError("it answers with numbers that are not finite")
        for look, end in zip(looks, ends, strict=True):
            look.answers = answers.rows(end - len(look.regions), end)
            look.stages.classify_ns = spent_ns * len(look.regions) // ends[-1]

    def _decide(self, look: _Look) -> Inspection:
        if look.reason is None and look.answers is not None and not look.answers.is_finite:
            look.fail(InvalidReason.NOT_FINITE)
        if look.reason is not None:
            return self._invalid(look.frame, look.frame.sequence, look.reason, look.stages, look.detail)
        start_ns = self._clock.tick_ns()
        defects = self._name(look)
        verdict, reason = self.model.judge.judge(defects)
        look.stages.verdict_ns = self._clock.tick_ns() - start_ns
        return self._settle(look.frame, look.frame.sequence, verdict, reason, defects, look.stages, crops=look.crops)

    @property
    def _successor(self) -> Model | None:
        """Who takes over from the model; None where it is the last."""
        if self.previous is not None:
            return self.previous
        return None if self._reserve is self.model else self._reserve

    def _fall_back(self, error: EngineError) -> None:
        """Let the next model take over; raises `error` where there is none."""
        successor = self._successor
        if successor is None:
            raise error
        self.model, self.previous, self.failure = successor, None, self.failure or str(error)

    def _name(self, look: _Look) -> tuple[Defect, ...]:
        regions, answers = look.regions, look.answers
        if answers is None:
            return ()
        return tuple(
            Defect(label, confidence, (box[0], box[1], box[2], box[3]), area, depth, novelty, goes_on)
            for (label, confidence), box, area, depth, novelty, goes_on in zip(
                self.model.judge.name(answers),
                regions.box.tolist(),
                regions.area.tolist(),
                regions.depth.tolist(),
                [None] * len(regions) if answers.novelty is None else answers.novelty.tolist(),
                look.goes_on.tolist(),
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
        crops: NDArray[np.uint8] | None = None,
    ) -> Inspection:
        latency_ns = self._clock.tick_ns() - about.captured_tick_ns
        late = latency_ns > self.budget_ms * 1e6
        return Inspection(about, sequence, verdict, reason, latency_ns, late, defects, stages, detail, crops)
