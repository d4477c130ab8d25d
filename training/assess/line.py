"""The station's own steps over single pictures, as a configuration has them: what it finds, names and decides. One
thread.
"""

import math
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines import Engine, FrameEngine
from station.clock import HostClock
from station.config import CombineConfig, Config, DetectorConfig, FinderConfig, VerdictConfig, shadow_of, with_shadow
from station.engine import open_engine
from station.frame import Frame, Image
from station.inspection import Inspection
from station.inspector import Inspector
from station.model import Model
from station.regions import FrameEngines, open_finder
from station.verdict import Defect, Judge, Verdict
from training.assess.matching import Boxed

__all__ = ["STAGES", "Line", "Seen", "UsedModel", "open_line"]

STAGES = ("regions", "crops", "classify", "verdict")
_CANDIDATE = 0.01
"""A detector's boxes of this score are candidates."""
_MOST_CANDIDATES = 4096
_CAMERA = "pictures"
_NEVER_LATE_MS = 1e9


@dataclass(frozen=True, slots=True)
class Seen:
    """What the station makes of one picture: its verdict, its named regions as configured, and what each step took.

    `candidates` are the regions by their likeliest label, without floors and, of a detector, from a score of 0.01 on:
    what average precision is measured on. `us` float64 [4] are microseconds of `STAGES`, `cpu_us` those of processor
    time that they took in all threads.
    """

    verdict: Verdict
    reason: str
    regions: Boxed
    candidates: Boxed
    us: NDArray[np.float64]
    cpu_us: float


@dataclass(frozen=True, slots=True)
class UsedModel:
    """A file that finds or names: its name, its hash, and the hash of the pictures that it learnt from."""

    name: str
    sha256: str
    data_sha256: str


class Line:
    """One configuration's steps, fed with pictures that have nothing to do with each other."""

    models: tuple[UsedModel, ...]
    """What finds and what names."""
    labels: tuple[str, ...]
    """What regions can be called, `unknown` aside."""

    def __init__(self, config: Config, engine: Engine, engines: FrameEngines) -> None:
        regions = _single_pictures(config.regions)
        self._configured = _inspector(regions, config.verdict, engine, engines)
        self.labels = self._configured.model.judge.labels
        self.models = (_used(engine), *(_used(finder.engine) for finder in engines.all_of(regions)))
        self._candidates = _inspector(
            _with_candidates(regions), _without_floors(config.verdict, engine), engine, engines
        )

    def look(self, image: Image) -> Seen:
        """Return what the station makes of a picture [H,W]."""
        start_ns = time.process_time_ns()
        inspection = _inspect(self._configured, image)
        cpu_ns = time.process_time_ns() - start_ns
        stages = inspection.stages
        steps_ns = (stages.regions_ns, stages.crops_ns, stages.classify_ns, stages.verdict_ns)
        candidates = _inspect(self._candidates, image)
        return Seen(
            inspection.verdict,
            inspection.reason,
            _boxed(inspection),
            _boxed(candidates),
            np.array(steps_ns, np.float64) / 1e3,
            cpu_ns / 1e3,
        )


@contextmanager
def open_line(config: Config) -> Iterator[Line]:
    """Yield the steps of `config`, engines entered. Raises `ConfigError` or `EngineError` as the station does."""
    with FrameEngines(config.swap.cache) as engines, closing(open_engine(config.engine, config.swap)) as opened:
        yield Line(config, opened.engine, engines)


def _used(engine: Engine | FrameEngine) -> UsedModel:
    return UsedModel(engine.card.name, engine.sha256, engine.card.data_sha256)


def _inspector(regions: FinderConfig, verdict: VerdictConfig, engine: Engine, engines: FrameEngines) -> Inspector:
    finder = open_finder(regions, None, engines)
    model = Model(engine, Judge(verdict, engine.card, engines.labels(regions)))
    return Inspector({_CAMERA: finder}, model, _NEVER_LATE_MS, HostClock())


def _inspect(inspector: Inspector, image: Image) -> Inspection:
    return inspector.inspect([Frame(_CAMERA, 1, image, captured_ns=0, captured_tick_ns=0)])[0]


def _single_pictures(regions: FinderConfig) -> FinderConfig:
    """Return the finder for pictures that do not follow each other: each is its own background."""
    shadow = shadow_of(regions)
    return regions if shadow is None else with_shadow(regions, shadow.model_copy(update={"background": "frame"}))


def _with_candidates(regions: FinderConfig) -> FinderConfig:
    """Return the finder with every box that its detectors can tell from nothing."""
    if isinstance(regions, CombineConfig):
        return regions.model_copy(update={"finders": tuple(map(_with_candidates, regions.finders))})
    if isinstance(regions, DetectorConfig):
        return regions.model_copy(update={"threshold": _CANDIDATE, "max_regions": _MOST_CANDIDATES})
    return regions


def _without_floors(verdict: VerdictConfig, engine: Engine) -> VerdictConfig:
    """Return rules by which every region is called what it is likeliest."""
    limit = None if engine.card.novelty_limit is None else sys.float_info.max
    return verdict.model_copy(update={"confidence_floor": 0.0, "label_floors": {}, "novelty_limit": limit})


def _boxed(inspection: Inspection) -> Boxed:
    defects = inspection.defects
    return Boxed(
        np.array([defect.box_px for defect in defects], np.int32).reshape(-1, 4),
        tuple(defect.label for defect in defects),
        np.array([_sureness(defect) for defect in defects], np.float64),
    )


def _sureness(defect: Defect) -> float:
    """Return how sure the finder was times how sure the name is; what the finder itself named counts once."""
    if math.isclose(defect.confidence, defect.score, rel_tol=1e-6):
        return defect.confidence
    return defect.confidence * defect.score
