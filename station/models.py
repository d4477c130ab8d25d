"""Where the inspect thread finds the model of the next frame, and where it leaves what a swap is judged by.

Each model belongs to a file, by whose path recipes ask for it; those of other recipes wait until they are asked for.

The inspect thread pays for it one look a frame and, where regions were named, one copy of their crops.
"""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.model import CropCut
from station.config import VerdictConfig
from station.crops import cut_crops
from station.frame import Frame
from station.inspection import Asked, Inspection
from station.inspector import Inspector
from station.model import Model

__all__ = ["Models", "Sample", "Watch"]

_SAMPLES = 64
"""Frames that may wait for a shadow; while it is behind, further ones are left out."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The crops uint8 [n,1,S,S] of one frame, and what the live model named them."""

    crops: NDArray[np.uint8]
    labels: tuple[str, ...]


@dataclass(slots=True)
class Watch:
    """What is counted from now on, and the crops as a candidate cuts them (`cut`), where one wants them."""

    cut: CropCut | None = None
    frames: int = 0
    late: int = 0
    crops: int = 0
    classify_ns: int = 0
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=_SAMPLES))

    @property
    def late_share(self) -> float:
        """Part of the frames that were decided late."""
        return self.late / max(self.frames, 1)

    @property
    def us_per_crop(self) -> float:
        """Mean time that naming one crop took."""
        return self.classify_ns / 1e3 / max(self.crops, 1)


class Models:
    """The live model, the one before it, at most one that waits for the next frame, and those of other recipes.

    All but those last ones serve the same file: a recipe is never judged by the model of another.
    """

    def __init__(
        self,
        live: Model,
        previous: Model | None,
        recent_crops: int,
        reserve: Model | None = None,
        file: Path | None = None,
    ) -> None:
        """Keep `recent_crops` of the last crops; `reserve` is never retired and may be the live one.

        `file` is what the live model and the reserve serve, None for a fake one.
        """
        self.live = live
        self.previous = previous
        self.file = file
        self._reserve, self._reserve_file = reserve, file
        self._prepared: dict[Path | None, Model] = {}
        self._offered: Model | None = None
        self._retired: list[Model] = []
        self._watch: Watch | None = None
        self._recent: deque[Sample] = deque()
        self._recent_count = 0
        self._max_recent = recent_crops
        self._changed = threading.Condition()

    def exchange(self, inspector: Inspector) -> bool:
        """Bring the inspector the model that waits, between two frames; whether there was one. Inspect thread."""
        offered = self._offered
        if offered is None:
            return False
        with self._changed:
            if self._offered is not offered:  # withdrawn meanwhile
                return False
            self._offered = None
            if offered is self.live:  # it took over meanwhile from one that failed
                return False
            if self.previous is not offered:
                self._retire(self.previous)
            self.previous, self.live = self.live, offered
            inspector.model, inspector.previous = self.live, self.previous
            self._forget_recent()
            self._changed.notify_all()
        return True

    def judge_by(self, rules: VerdictConfig) -> None:
        """Let every model judge by `rules`, between two frames. Inspect thread, while no model is on its way in.

        Raises `ConfigError` when one of them can't; then all judge as before.
        """
        with self._changed:
            models = [model for model in (self.live, self.previous, self._reserve_now) if model is not None]
            judges = [model.judge.by(rules) for model in models]
            for model, judge in zip(models, judges, strict=True):
                model.judge = judge

    def prepared(self) -> tuple[Path | None, ...]:
        """Return the files for which a model is ready beside the live one, the last used at the end. Any thread."""
        with self._changed:
            return tuple(self._prepared)

    def keep(self, file: Path | None, model: Model, most: int) -> None:
        """Let `model` wait until a recipe asks for `file`; beyond `most` the one unused longest goes. Swap thread."""
        with self._changed:
            self._retire(self._prepared.pop(file, None))
            self._prepared[file] = model
            while len(self._prepared) > most:
                self._retire(self._prepared.pop(next(iter(self._prepared))))

    def drop(self, file: Path | None) -> None:
        """Let the model of `file` go, if one waits. Any thread."""
        with self._changed:
            self._retire(self._prepared.pop(file, None))

    def change_file(self, file: Path | None, rules: VerdictConfig, inspector: Inspector) -> None:
        """Let the model of `file`, live or prepared, judge by `rules` from the next frame on. Inspect thread.

        Raises `ConfigError` when it can't; then all is as before. While no model is on its way in.
        """
        if file == self.file:
            self.judge_by(rules)
            return
        with self._changed:
            model = self._prepared[file]
            model.judge = model.judge.by(rules)
            del self._prepared[file]
            self._prepared[self.file] = self.live
            self._retire(self.previous)
            self.live, self.previous, self.file = model, None, file
            inspector.model, inspector.previous = model, None
            inspector.reserve = self._reserve_now
            if inspector.reserve is not None:
                inspector.reserve.judge = inspector.reserve.judge.by(rules)
            self._forget_recent()

    @property
    def _reserve_now(self) -> Model | None:
        """The reserve, where it serves the live model's file."""
        return self._reserve if self.file == self._reserve_file else None

    def fail_over(self, inspector: Inspector) -> None:
        """Note that the previous model has taken over from the live one, which is retired. Inspect thread."""
        with self._changed:
            for failed in (self.live, self.previous):
                if failed is not inspector.model:
                    self._retire(failed)
            self.live, self.previous = inspector.model, None
            inspector.failure = ""
            self._forget_recent()
            self._changed.notify_all()

    def observe(self, frame: Frame, inspection: Inspection, inspector: Inspector) -> None:
        """Keep crops and figures of an inspected frame; its picture is still there. Inspect thread."""
        asked, watch, model = inspection.asked, self._watch, inspector.model
        sample = None
        if asked is not None and (self._max_recent or watch):
            sample = Sample(asked.crops.copy(), asked.labels)
            self._remember(sample)
        if watch is None:
            return
        watch.frames += 1
        watch.late += inspection.late
        watch.crops += len(asked.labels) if asked else 0
        watch.classify_ns += inspection.stages.classify_ns
        if asked and sample and watch.cut and len(watch.samples) < _SAMPLES:
            if watch.cut != model.engine.card.crop:
                sample = Sample(_cut(frame, asked, watch.cut), sample.labels)
            watch.samples.append(sample)
        with self._changed:
            self._changed.notify_all()

    def offer(self, model: Model) -> None:
        """Let `model` name the regions from the next frame on. Swap thread."""
        with self._changed:
            self._offered = model

    @property
    def offers(self) -> bool:
        """Whether a model still waits for the next frame; one that was taken may have failed since."""
        return self._offered is not None

    def pair(self) -> tuple[Model, Model | None]:
        """Return the live model and the one before it at one moment. Any thread."""
        with self._changed:
            return self.live, self.previous

    def withdraw(self) -> bool:
        """Take back what was offered and not yet taken; whether there was such. Swap thread."""
        with self._changed:
            waiting, self._offered = self._offered is not None, None
            return waiting

    def start_watch(self, cut: CropCut | None = None) -> Watch:
        """Count from now on into the value returned, which replaces the one before. Swap thread."""
        watch = Watch(cut)
        self._watch = watch
        return watch

    def stop_watch(self) -> None:
        """Count no more. Swap thread."""
        self._watch = None

    def wait(self, timeout_s: float) -> None:
        """Wait until a frame was watched or a model changed, or for `timeout_s`. Swap thread."""
        with self._changed:
            self._changed.wait(timeout_s)

    def wake(self) -> None:
        """End a `wait`. Any thread."""
        with self._changed:
            self._changed.notify_all()

    def recent(self, cut: CropCut) -> Sample | None:
        """Return the last crops as one sample; None without any, or when the live model cuts them otherwise."""
        with self._changed:
            kept, live = list(self._recent), self.live
        if not kept or live.engine.card.crop != cut:
            return None
        return _join(kept)

    def release(self) -> None:
        """Free the models that are neither live nor previous any more. Swap thread."""
        with self._changed:
            retired, self._retired = self._retired, []
        for model in retired:
            model.engine.__exit__(None, None, None)

    def close(self) -> None:
        """Free all models, when nobody uses them any more."""
        everyone = (self._offered, self.previous, self.live, self._reserve, *self._prepared.values())
        self._retired += [model for model in everyone if model is not None]
        self.release()

    def _retire(self, model: Model | None) -> None:
        if model is not None and model is not self._reserve:
            self._retired.append(model)

    def _forget_recent(self) -> None:
        """Drop the last crops: they carry the names of a model that went."""
        self._recent.clear()
        self._recent_count = 0

    def _remember(self, sample: Sample) -> None:
        self._recent.append(sample)
        self._recent_count += len(sample.labels)
        while self._recent_count > self._max_recent:
            self._recent_count -= len(self._recent.popleft().labels)


def _cut(frame: Frame, asked: Asked, cut: CropCut) -> NDArray[np.uint8]:
    room = np.empty((len(asked.boxes), 1, cut.size_px, cut.size_px), np.uint8)
    return cut_crops(frame.image, asked.boxes, cut, room)


def _join(samples: Sequence[Sample]) -> Sample:
    labels = tuple(label for sample in samples for label in sample.labels)
    return Sample(np.concatenate([sample.crops for sample in samples]), labels)
