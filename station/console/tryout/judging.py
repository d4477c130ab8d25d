"""A picture through the pipeline of one choice, and everything about it that a person wants to see. Judging process."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.flat_field import FlatField
from engines import Engine, FakeEngine, OnnxRuntimeEngine
from engines.onnx_file import OnnxFile
from station.calibrated import open_calibration
from station.config import (
    CombineConfig,
    Config,
    FakeEngineConfig,
    FinderConfig,
    LearnedBase,
    OnnxRuntimeConfig,
    PartConfig,
    RuleConfig,
)
from station.console.tryout.messages import Choice, Judged, Region, Rule
from station.console.tryout.saliency import Saliency
from station.engine import model_file
from station.frame import Image
from station.inspection import Inspection, Stages
from station.picture_line import PictureLine
from station.regions import FrameEngines
from station.verdict import UNKNOWN, Defect, Judge

__all__ = ["Judging", "on_cpu"]

_MOST_REGIONS: Final = 24
_MOST_MAPS: Final = 4
_SHOWN_PX: Final = 1600


class Judging:
    """The pipeline of one choice, open for the length of a block.

    Networks run by ONNX Runtime on one CPU core: the line's GPU and its memory are the line's.
    """

    def __init__(self, config: Config, choice: Choice, camera: str) -> None:
        self._whole, config = config, config.by_recipe(choice.recipe)
        engine = _engine_on_cpu(config, choice.model)
        self._config = config.model_copy(update={"engine": engine, "regions": on_cpu(config.regions)})
        self._choice = choice
        self._camera = camera
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            engines = opening.enter_context(FrameEngines(self._config.swap.cache))
            self._engine = opening.enter_context(_open(self._config))
            regions, flat_field = self._calibrated()
            self._line = PictureLine(self._config, self._engine, engines, regions, flat_field)
            self._judge = self._line.judge
            file = model_file(self._config.engine)
            self._saliency = Saliency(self._engine, OnnxFile(file, optimised=False) if file else None)
            self._opened = opening.pop_all()
        return self

    def __exit__(self, *failure: object) -> None:
        self._opened.close()

    def judge(self, image: Image) -> Judged:
        """Return what the line would make of `image`. Raises `EngineError`."""
        start_ns = time.perf_counter_ns()
        inspection = self._line.inspect(image)
        judged_ns = time.perf_counter_ns() - start_ns
        regions = tuple(self._describe(inspection))
        whole = self._line.ask_of_whole(image).probabilities[0].tolist()
        card = self._engine.card
        return Judged(
            choice=self._choice.title,
            model=f"{card.name} {self._engine.sha256[:12]}".strip(),
            width_px=image.shape[1],
            height_px=image.shape[0],
            bits=image.dtype.itemsize * 8,
            verdict=inspection.verdict,
            reason=inspection.reason,
            detail=inspection.detail,
            novelty_limit=self._judge.novelty_limit,
            found=len(inspection.defects),
            regions=regions,
            whole=dict(zip(card.labels, whole, strict=True)),
            timings_ms=_timings(inspection.stages, judged_ns),
            saliency_by=self._saliency.by,
            shown=_shown(image),
        )

    def _calibrated(self) -> tuple[FinderConfig | None, FlatField | None]:
        """Return finder and flat field of the camera; none of a picture that is no camera's."""
        camera = next((one for one in self._whole.camera if one.name == self._camera), None)
        if camera is None:
            return None, None
        calibrated = open_calibration(self._whole, camera, self._choice.recipe)
        return on_cpu(calibrated.regions), calibrated.flat_field

    def _describe(self, inspection: Inspection) -> Iterator[Region]:
        """Yield the largest regions, those that the network was asked of with its answers."""
        asked = inspection.asked
        crops = np.empty((0, 1, 1, 1), np.uint8) if asked is None else asked.crops.copy()
        rows = {} if asked is None else {tuple(box): row for row, box in enumerate(asked.boxes.tolist())}
        answers = self._engine.classify(crops).probabilities.copy() if len(crops) else None
        for number, defect in enumerate(inspection.defects[:_MOST_REGIONS]):
            row = rows.get(defect.box_px)
            if row is None or answers is None:
                yield self._region(defect, None)
                continue
            best = int(answers[row].argmax())
            saliency = self._saliency.of(crops[row], best) if number < _MOST_MAPS else np.zeros((0, 0), np.float32)
            probabilities = dict(zip(self._engine.card.labels, answers[row].tolist(), strict=True))
            yield self._region(defect, probabilities, _png(crops[row, 0]), saliency)

    def _region(
        self,
        defect: Defect,
        probabilities: Mapping[str, float] | None,
        crop: bytes = b"",
        saliency: NDArray[np.float32] | None = None,
    ) -> Region:
        unknown_by, floor = _unknown_by(defect, probabilities, self._judge)
        return Region(
            label=defect.label,
            confidence=defect.confidence,
            box_px=defect.box_px,
            area_px=defect.area_px,
            depth=defect.depth,
            novelty=defect.novelty,
            found_by=defect.found_by,
            score=defect.score,
            rule=_rule(self._judge.rules[defect.label], defect),
            unknown_by=unknown_by,
            floor=floor,
            probabilities=None if probabilities is None else dict(probabilities),
            crop=crop,
            saliency=()
            if saliency is None
            else tuple(tuple(row) for row in saliency.astype(np.float64).round(3).tolist()),
        )


def on_cpu(regions: FinderConfig) -> FinderConfig:
    """Return `regions` with every network of a finder run by ONNX Runtime on one core."""
    if isinstance(regions, CombineConfig):
        return regions.model_copy(update={"finders": tuple(map(_part_on_cpu, regions.finders))})
    return _part_on_cpu(regions)


def _part_on_cpu(part: PartConfig) -> PartConfig:
    if not isinstance(part, LearnedBase):
        return part
    return part.model_copy(update={"backend": "onnx_runtime", "provider": "cpu", "threads": 1})


def _engine_on_cpu(config: Config, model: str) -> OnnxRuntimeConfig | FakeEngineConfig:
    if isinstance(config.engine, FakeEngineConfig) and not model:
        return config.engine
    return OnnxRuntimeConfig(model=Path(model) if model else model_file(config.engine))


def _open(config: Config) -> Engine:
    engine = config.engine
    if isinstance(engine, FakeEngineConfig):
        return FakeEngine(engine.labels)
    return OnnxRuntimeEngine(engine.model)


def _unknown_by(
    defect: Defect, probabilities: Mapping[str, float] | None, judge: Judge
) -> tuple[Literal["", "floor", "novelty", "finder"], float | None]:
    """Return why a region is `unknown`, and the floor that its most probable label is below of."""
    if defect.label != UNKNOWN:
        return "", None
    if probabilities is None:
        return "finder", None
    best = max(probabilities, key=probabilities.__getitem__)
    if probabilities[best] < judge.floors[best]:
        return "floor", judge.floors[best]
    beyond = judge.novelty_limit is not None and defect.novelty is not None and defect.novelty > judge.novelty_limit
    return ("novelty" if beyond else "finder"), None


def _rule(rule: RuleConfig, defect: Defect) -> Rule:
    counts = rule.action == "reject" and defect.confidence >= rule.min_confidence and defect.area_px >= rule.min_area_px
    return Rule(rule.action, rule.min_confidence, rule.min_area_px, rule.min_count, counts)


def _timings(stages: Stages, judged_ns: int) -> dict[str, float]:
    found = {
        "regions": stages.regions_ns,
        "crops": stages.crops_ns,
        "classify": stages.classify_ns,
        "verdict": stages.verdict_ns,
        "total": judged_ns,
    }
    return {stage: round(ns / 1e6, 3) for stage, ns in found.items()}


def _png(crop: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", crop)[1].tobytes()


def _shown(image: Image) -> bytes:
    """Return `image` as JPEG, its longer side no more than a screen's; uint16 shows its upper 8 bits."""
    grey: NDArray[Any] = image if image.dtype == np.uint8 else (image >> 8).astype(np.uint8)
    scale = _SHOWN_PX / max(grey.shape)
    if scale < 1:
        size = (max(round(grey.shape[1] * scale), 1), max(round(grey.shape[0] * scale), 1))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
