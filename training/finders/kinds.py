"""The kinds of finders that can be trained, each as its steps from recipe to finder file and report. Needs torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from engines.finder_card import FinderCard
from engines.model import Precision
from training.finders.anomaly import fit_anomaly
from training.finders.anomaly_export import export_anomaly
from training.finders.anomaly_recipe import AnomalyRecipe
from training.finders.anomaly_report import painted_sheet, write_anomaly_report
from training.finders.detect import fit_detector
from training.finders.detect_answers import Views
from training.finders.detect_export import export_detector
from training.finders.detect_recipe import DetectRecipe
from training.finders.detect_report import marks_sheet, write_detect_report
from training.finders.heat import fit_heat
from training.finders.heat_export import export_heat
from training.finders.heat_recipe import HeatRecipe
from training.finders.heat_report import write_heat_report
from training.finders.recipe import FinderRecipe
from training.finders.runs import Opened

__all__ = ["Kind", "Measured", "anomaly_map", "detector", "heat_map"]

_Recipe = TypeVar("_Recipe", bound=FinderRecipe)


class Measured(Protocol):
    """A written finder file."""

    @property
    def card(self) -> FinderCard:
        """What it is and what it is worth."""

    @property
    def us_per_frame(self) -> float:
        """The network alone, one thread, median."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[_Recipe]):
    """How one kind is fitted into a run folder, exported and reported."""

    recipe: type[_Recipe]
    fit: Callable[..., Opened[_Recipe]]
    export: Callable[[Opened[_Recipe], Mapping[Precision, Path]], Mapping[Precision, Measured]]
    report: Callable[[Opened[_Recipe], Any], None]
    sheet: Callable[[Opened[_Recipe]], NDArray[np.uint8]]
    """A picture of what is learnt from."""
    sheet_name: str = "marks.png"


def detector(views: Views = 1) -> Kind[DetectRecipe]:
    """Boxes and labels; `views` of each picture in its finder file."""
    export = partial(export_detector, views=views)
    return Kind(DetectRecipe, fit_detector, export, write_detect_report, _marks)


def heat_map() -> Kind[HeatRecipe]:
    """Heat of defects that were marked."""
    return Kind(HeatRecipe, fit_heat, export_heat, write_heat_report, _marks)


def anomaly_map() -> Kind[AnomalyRecipe]:
    """Heat of whatever is not as defect-free pictures are."""
    return Kind(AnomalyRecipe, fit_anomaly, export_anomaly, write_anomaly_report, painted_sheet, "painted.png")


def _marks(run: Opened[Any]) -> NDArray[np.uint8]:
    return marks_sheet(run.pictures.sides["train"])
