"""Run a plan of a finder file with TensorRT. Lives in the inspect thread."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from engines.finder_card import FinderCard
from engines.frame_engine import Found, check_frames
from engines.frame_warm_up import check_found, noise_frames
from engines.plan import Plan
from engines.plan_runner import PlanRunner
from shadowline.errors import EngineMismatch

__all__ = ["FrameTensorRtEngine"]


class FrameTensorRtEngine:
    """A plan of a finder file, for frames of the one size that it was built for, on the GPU `gpu`.

    Making one raises `EngineMismatch` for the plan of a classifier; entering raises what `load_session` raises.
    """

    card: FinderCard
    sha256: str
    """Hash of the finder file in the plan's precision."""

    def __init__(self, plan: Plan, gpu: int = 0) -> None:
        card = plan.passport.card
        if not isinstance(card, FinderCard):
            raise EngineMismatch(f"{plan.folder}: the plan of a classifier: it belongs in [engine] model")
        self.card = card
        self._runner = PlanRunner(plan, gpu)
        self.name = self._runner.name

    def __enter__(self) -> Self:
        self.sha256 = self._runner.load(self._warm_up)
        self.name = self._runner.name
        return self

    def __exit__(self, *failure: object) -> None:
        self._runner.free()

    def run(self, frames: NDArray[np.uint8]) -> Found:
        check_frames(frames, self.card, self.name)
        return self._runner.run(frames)

    def _warm_up(self, count: int) -> None:
        frames = noise_frames(self.card, count)
        check_found(self.run(frames), frames, self.card, str(self._runner.plan.folder))
