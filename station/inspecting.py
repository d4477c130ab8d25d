"""The inspect thread: takes frames, inspects, settles and sends them, and lets the model change between two of them."""

import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec

from engines.model import ModelCard
from shadowline.errors import CalibrationError, ConfigError, StationError
from station.archive.archive import Archive
from station.archive.selection import refuse_strangers
from station.calibrated import Calibrated, calibration_id
from station.clock import Clock
from station.config import DEFAULT, Config, FakeEngineConfig, name_of, parts_of
from station.coverage import Coverage, Span
from station.engine import OpenEngine, model_file, open_engine
from station.event import (
    CoverageEvent,
    EngineRecord,
    FinderRecord,
    InspectionEvent,
    ModelAction,
    ModelEvent,
    Origin,
)
from station.frame import Frame, InvalidReason
from station.frame_queue import FrameQueue
from station.inspection import Inspection
from station.inspection_event import Scale, make_inspection_event
from station.inspector import Inspector
from station.ledger import Ledger
from station.metrics import Metrics
from station.model import Model
from station.models import Models
from station.optics import Optics
from station.outbox import Outbox
from station.recipe_book import Change
from station.recipe_check import judge_recipes
from station.regions import FrameEngines, RegionFinder, open_finder, reopen_finder
from station.trial import make_model
from station.verdict import Verdict

__all__ = ["Inspecting"]

logger = logging.getLogger(__name__)

_IDLE_S = 0.1
_ADOPT_S = 5.0


class Inspecting:
    """Runs in a `Worker`. `models` and `opened` are there when it is ready."""

    models: Models
    opened: OpenEngine
    cards: dict[Path | None, ModelCard]
    """Of the model files of all recipes."""
    _engines: FrameEngines

    def __init__(
        self,
        config: Config,
        calibrated: Mapping[str, Calibrated],
        scales: Mapping[str, Scale],
        origin: Origin,
        queue: FrameQueue,
        ledger: Ledger,
        outbox: Outbox,
        metrics: Metrics,
        clock: Clock,
        first_verdict: Callable[[], None],
        optics: Optics,
        coverages: Mapping[str, Coverage],
        archive: Archive | None,
    ) -> None:
        """`origin` still lacks the model; `first_verdict` is called once, when a frame was really judged."""
        self.origin = msgspec.structs.replace(origin, calibration=calibration_id(calibrated))
        self.engine = EngineRecord("starting", (), "")
        self._config = config.at_start
        self._whole = config
        self._cameras = len(config.camera)
        self._scales = scales
        self._calibrated = calibrated
        self._queue = queue
        self._ledger = ledger
        self._outbox = outbox
        self._metrics = metrics
        self._clock = clock
        self._optics = optics
        self._coverages = coverages
        self._archive = archive
        self._first_verdict: Callable[[], None] | None = first_verdict
        self._offered: tuple[Change, Future[None]] | None = None

    def run(self, ready: Callable[[], None]) -> None:
        """Inspect until the queue is closed and empty, then free the models."""
        config = self._config
        with (
            closing(self._queue),
            FrameEngines(config.swap.cache) as engines,
            closing(open_engine(config.engine, config.swap)) as opened,
        ):
            self.opened, self._engines = opened, engines
            finders = {
                name: open_finder(one.regions, one.flat_field, engines) for name, one in self._calibrated.items()
            }
            live = make_model(opened.engine, config, opened.why, engines.labels(config.regions))
            self._check_recipes(live)
            reserve = self._make_reserve(live)
            inspector = Inspector(
                finders, live, config.station.budget_ms, self._clock, reserve=reserve, check=self._check_size
            )
            self.models = Models(live, None, config.swap.recent_crops, reserve, model_file(config.engine))
            with closing(self.models):
                self._name(live)
                self._name_finders()
                ready()
                self._work(inspector)
                self._end_coverage()

    def adopt(self, change: Change) -> None:
        """Let `change` hold from its first frame on, and return when it does. One thread at a time.

        Raises `ConfigError` when a model can't follow its rules, `StationError` when no frame ends in time; then what
        held before goes on.
        """
        adopted: Future[None] = Future()
        self._offered = (change, adopted)
        try:
            adopted.result(_ADOPT_S)
        except TimeoutError:
            if adopted.cancel():
                raise StationError(f"no frame ended within {_ADOPT_S:g} s: try again") from None
            adopted.result()

    def _check_size(self, frame: Frame) -> None:
        geometry = self._scales[frame.camera].geometry
        if geometry is not None:
            geometry.check_size(frame.image.shape[1], frame.image.shape[0])

    def _check_recipes(self, live: Model) -> None:
        """Raise `ConfigError` for a recipe that can't be used, and for a label of the archive that nobody gives."""
        self.cards = {model_file(self._config.engine): live.engine.card}
        judges = [live.judge, *judge_recipes(self._whole, self.cards, live.judge.finders).values()]
        refuse_strangers(self._whole.archive, [label for judge in judges for label in judge.labels])

    def _make_reserve(self, live: Model) -> Model | None:
        """Return the model on the CPU that takes over when all others fail; it may be the live one."""
        if self.opened.wanted:
            return live
        if self.opened.reserve is None:
            return None
        why = "the engines before it failed"
        return make_model(self.opened.reserve, self._config, why, live.judge.finders)

    def _work(self, inspector: Inspector) -> None:
        settled = self.opened.settled
        keep_warm_ms = 0.0 if isinstance(settled, FakeEngineConfig) else settled.keep_warm_ms
        idle_s = keep_warm_ms / 1e3 or _IDLE_S
        while True:
            try:
                item = self._queue.get(idle_s)
            except TimeoutError:
                self._idle(inspector, keep_warm_ms > 0)
                continue
            if item is None:
                return
            if self._offered is not None and item.captured_tick_ns >= self._offered[0].since_ns:
                self._adopt(inspector)
            if isinstance(item, Frame):
                self._inspect(inspector, self._gather(item))
            else:
                for inspection in inspector.miss(item):
                    self._settle(inspection)

    def _gather(self, frame: Frame) -> list[Frame]:
        """Return `frame` with what the other cameras have waiting by now, one each: they share a run of the network.

        While a change waits for its first frame, there is none beside that could be it.
        """
        frames = [frame]
        while (
            self._offered is None
            and len(frames) < self._cameras
            and (beside := self._queue.get_beside([one.camera for one in frames]))
        ):
            frames.append(beside)
        return frames

    def _inspect(self, inspector: Inspector, frames: list[Frame]) -> None:
        inspections = inspector.inspect(frames)
        if inspector.failure:
            self._fail_over(inspector)
        events = [self._settle(inspection) for inspection in inspections]
        for frame, inspection, event in zip(frames, inspections, events, strict=True):
            if self._archive is not None:
                self._archive.offer(frame, event, inspector.model.engine.card.crop)
            inspector.learn(frame)
            if inspection.verdict is not Verdict.INVALID or inspection.reason == InvalidReason.DARK:
                self._optics.offer(frame)
            self.models.observe(frame, inspection, inspector)
            self._queue.give_back(frame)
        self._exchange(inspector)

    def _idle(self, inspector: Inspector, keep_warm: bool) -> None:
        """Between frames that are long in coming: keep the network warm, and let the model change all the same."""
        if keep_warm:
            inspector.keep_warm()
            if inspector.failure:
                self._fail_over(inspector)
        self._exchange(inspector)
        if self._offered is not None:
            self._adopt(inspector)

    def _fail_over(self, inspector: Inspector) -> None:
        """Tell that the previous model has taken over; the frame at hand is already its own."""
        failed, failure = self.models.live, inspector.failure
        self.models.fail_over(inspector)
        self._name(inspector.model)
        logger.error("model %s failed, %s takes over: %s", failed.title, inspector.model.title, failure)
        self.report("failed_over", inspector.model.title, f"{failed.title} failed: {failure}")

    def _exchange(self, inspector: Inspector) -> None:
        """Between two frames: take the model that waits."""
        if self.models.exchange(inspector):
            self._name(inspector.model)

    def _adopt(self, inspector: Inspector) -> None:
        """Between two frames: take the change that waits."""
        assert self._offered is not None
        (change, adopted), self._offered = self._offered, None
        if not adopted.set_running_or_notify_cancel():
            return
        try:
            self._change(inspector, change)
        except ConfigError as fault:
            adopted.set_exception(fault)
        else:
            adopted.set_result(None)

    def _change(self, inspector: Inspector, change: Change) -> None:
        """Let all of `change` hold. Raises `ConfigError` when it can't; then nothing has changed."""
        config, before = change.config, inspector.model
        finders = self._reopen(inspector, change.calibrated)
        self.models.change_file(model_file(config.engine), config.verdict, inspector)
        new_finders = config.regions != self._config.regions
        self._config, self._calibrated = config, change.calibrated
        inspector.finders = finders
        inspector.budget_ms = config.station.budget_ms
        self._metrics.set_recipe(change.recipe or DEFAULT, config.station)
        self.origin = msgspec.structs.replace(
            self.origin,
            config=change.sha256,
            recipe=change.recipe,
            calibration=calibration_id(change.calibrated),
        )
        if new_finders:
            self._name_finders()
        if inspector.model is not before:
            self._name(inspector.model)
            self.report("swapped", inspector.model.title, f"recipe {change.recipe or DEFAULT}")

    def _reopen(self, inspector: Inspector, calibrated: Mapping[str, Calibrated]) -> Mapping[str, RegionFinder]:
        """Return the finders by `calibrated`: the same ones, but where a limit changes."""
        return {
            name: reopen_finder(finder, self._calibrated[name].regions, calibrated[name].regions, self._engines)
            for name, finder in inspector.finders.items()
        }

    def _settle(self, inspection: Inspection) -> InspectionEvent:
        """Enter the inspection in the ledger, send its event and return it."""
        verdict, reason = inspection.verdict, inspection.reason
        if self._first_verdict is not None:
            if reason == InvalidReason.CALIBRATION:
                raise CalibrationError(inspection.detail)
            if verdict is not Verdict.INVALID:
                self._first_verdict()
                self._first_verdict = None
        self._ledger.settle(inspection.about.camera, inspection.sequence, verdict, reason, inspection.late)
        camera = inspection.about.camera
        if complaint := self._optics.complaint(camera):
            inspection = replace(inspection, detail="; ".join(filter(None, (inspection.detail, complaint))))
        event = make_inspection_event(inspection, self.origin, self._config.station.budget_ms, self._scales[camera])
        spans = self._coverages[camera].take(event) if camera in self._coverages else ()
        self._outbox.put(event)
        self._tell_coverage(camera, spans)
        return event

    def _tell_coverage(self, camera: str, spans: Iterable[Span]) -> None:
        """Send the stretches that are settled."""
        for span in spans:
            start_mm, end_mm = round(span.start_mm, 3), round(span.end_mm, 3)
            self._outbox.put(
                CoverageEvent(0, self.origin, camera, span.coil, start_mm, end_mm, span.reason, span.ends_coil, 0)
            )

    def _end_coverage(self) -> None:
        for camera, coverage in self._coverages.items():
            self._tell_coverage(camera, coverage.close())

    def _name(self, model: Model) -> None:
        """Let events, heartbeat and metrics name the model in use."""
        engine = model.engine
        self.engine = EngineRecord(engine.name, model.judge.labels, engine.sha256, model.why)
        self.origin = msgspec.structs.replace(self.origin, model=model.title)
        self._metrics.set_engine(self.engine, self.opened.stands_in(engine))
        logger.info("regions are named by %s on %s: %s", model.title, engine.name, model.why)

    def _name_finders(self) -> None:
        """Let events and metrics name the finder files in use."""
        opened = self._engines.all_of(self._config.regions)
        records = [
            FinderRecord(one.name, one.engine.card.kind, one.engine.sha256[:12], one.threshold) for one in opened
        ]
        self.origin = msgspec.structs.replace(self.origin, finders=tuple(records))
        self._metrics.set_finders([name_of(part) for part in parts_of(self._config.regions)])
        for one in opened:
            logger.info("%s finds regions by %s, threshold %g", one.name, one.title, one.threshold)

    def report(self, action: ModelAction, model: str, detail: str) -> None:
        """Send what happens to a model. Inspect and swap thread."""
        self._outbox.put(ModelEvent(0, self.origin, action, model, detail, self._clock.utc_ns(), 0))
