"""Run a plan of a model file with TensorRT. Lives in the inspect thread."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from engines.answers import Answers
from engines.model import ModelCard
from engines.plan import Plan
from engines.plan_runner import PlanRunner
from engines.warm_up import check_answers, noise_crops
from shadowline.errors import EngineError, EngineMismatch

__all__ = ["TensorRtEngine"]


class TensorRtEngine:
    """A plan on the GPU `gpu`.

    Making one raises `EngineMismatch` for the plan of a finder file. Entering raises `MissingExtra` without TensorRT
    or pycuda, `EngineError` without a driver, GPU or memory, and `EngineMismatch` when the plan is damaged or was built
    for another GPU, driver or TensorRT.
    """

    card: ModelCard
    sha256: str
    """Hash of the model file in the plan's precision."""

    def __init__(self, plan: Plan, gpu: int = 0) -> None:
        card = plan.passport.card
        if not isinstance(card, ModelCard):
            raise EngineMismatch(f"{plan.folder}: the plan of a finder file: it belongs in [regions] model")
        self.card = card
        self._runner = PlanRunner(plan, gpu)
        self.name = self._runner.name

    def __enter__(self) -> Self:
        self.sha256 = self._runner.load(self._warm_up)
        self.name = self._runner.name
        return self

    def __exit__(self, *failure: object) -> None:
        self._runner.free()

    def classify(self, crops: NDArray[np.uint8]) -> Answers:
        side = self.card.crop.size_px
        if crops.dtype != np.uint8 or crops.shape[1:] != (1, side, side) or not len(crops):
            raise EngineError(f"{self.name}: crops are {crops.dtype} {crops.shape}, must be uint8 [N,1,{side},{side}]")
        return Answers(**self._runner.run(crops))

    def _warm_up(self, count: int) -> None:
        check_answers(self.classify(noise_crops(self.card, count)), self.card, str(self._runner.plan.folder))
