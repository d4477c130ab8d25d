"""Inspect a frame: regions, crops, labels, verdict, one after the other. Pure; called from the inspect thread."""

from collections.abc import Iterator, Mapping
from contextlib import suppress

import numpy as np

from engines import Answers
from shadowline.errors import CalibrationError, EngineError
from station.clock import Clock
from station.crops import cut_crops
from station.frame import Frame, InvalidReason, Missing
from station.inspection import Inspection, Stages
from station.model import Model
from station.regions import RegionFinder, Regions
from station.verdict import Defect, Verdict

__all__ = ["Inspector"]


class Inspector:
    """The steps from a frame to its inspection, with one finder a camera and one model for all."""

    model: Model
    """Names the regions; may be exchanged between two frames."""
    previous: Model | None
    """Takes over, in the same frame, when the model fails."""
    failure: str
    """Why another model took over; empty while none did."""

    def __init__(
        self,
        finders: Mapping[str, RegionFinder],
        model: Model,
        budget_ms: float,
        clock: Clock,
        previous: Model | None = None,
        reserve: Model | None = None,
    ) -> None:
        """`reserve` takes over where there is no previous model, or that fails as well."""
        self.model = model
        self._reserve = reserve
        self.previous = previous
        self.failure = ""
        self._finders = finders
        self._budget_ns = round(budget_ms * 1e6)
        self._clock = clock

    def inspect(self, frame: Frame) -> Inspection:
        """Return the one inspection of `frame`; what goes wrong on the way makes it `invalid`, never an exception."""
        stages = Stages(wait_ns=self._clock.tick_ns() - frame.captured_tick_ns)
        try:
            regions = self._find(frame, stages)
            if regions.invalid is not None:
                return self._invalid(frame, frame.sequence, InvalidReason(regions.invalid), stages)
            answers = self._classify_or_fall_back(frame, regions, stages)
        except CalibrationError as error:
            return self._invalid(frame, frame.sequence, InvalidReason.CALIBRATION, stages, str(error))
        except EngineError as error:
            return self._invalid(frame, frame.sequence, InvalidReason.ENGINE, stages, str(error))
        if not answers.is_finite:
            return self._invalid(frame, frame.sequence, InvalidReason.NOT_FINITE, stages)
        start_ns = self._clock.tick_ns()
        defects = self._name(regions, answers)
        verdict, reason = self.model.judge.judge(defects)
        stages.verdict_ns = self._clock.tick_ns() - start_ns
        return self._settle(frame, frame.sequence, verdict, reason, defects, stages)

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

    def _find(self, frame: Frame, stages: Stages) -> Regions:
        start_ns = self._clock.tick_ns()
        regions = self._finders[frame.camera].find(frame.image)
        stages.regions_ns = self._clock.tick_ns() - start_ns
        return regions

    def _classify_or_fall_back(self, frame: Frame, regions: Regions, stages: Stages) -> Answers:
        while True:
            try:
                answers = self._classify(frame, regions, stages)
                if self._successor is not None and not answers.is_finite:
                    raise EngineError("it answers with numbers that are not finite")
                return answers
            except EngineError as error:
                self._fall_back(error)

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

    def _classify(self, frame: Frame, regions: Regions, stages: Stages) -> Answers:
        model = self.model
        if not len(regions):
            return Answers(np.empty((0, len(model.judge.labels)), np.float32))
        start_ns = self._clock.tick_ns()
        crops = cut_crops(frame.image, regions.box, model.engine.card.crop, model.room(len(regions)))
        cut_ns = self._clock.tick_ns()
        answers = model.engine.classify(crops)
        stages.crops_ns = cut_ns - start_ns
        stages.classify_ns = self._clock.tick_ns() - cut_ns
        return answers

    def _name(self, regions: Regions, answers: Answers) -> tuple[Defect, ...]:
        if not len(regions):
            return ()
        return tuple(
            Defect(label, confidence, (box[0], box[1], box[2], box[3]), area, depth, novelty)
            for (label, confidence), box, area, depth, novelty in zip(
                self.model.judge.name(answers),
                regions.box.tolist(),
                regions.area.tolist(),
                regions.depth.tolist(),
                [None] * len(regions) if answers.novelty is None else answers.novelty.tolist(),
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
    ) -> Inspection:
        latency_ns = self._clock.tick_ns() - about.captured_tick_ns
        late = latency_ns > self._budget_ns
        return Inspection(about, sequence, verdict, reason, latency_ns, late, defects, stages, detail)
