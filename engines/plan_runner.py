"""A plan that can be loaded, run and freed: what both engines on TensorRT stand on. Lives in the inspect thread."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.plan import Plan, file_sha256
from engines.plan_session import PlanSession, load_session
from shadowline.errors import EngineError

__all__ = ["PlanRunner"]

logger = logging.getLogger(__name__)


class PlanRunner:
    """The plan `plan` on the GPU `gpu`, not yet loaded."""

    def __init__(self, plan: Plan, gpu: int) -> None:
        key = plan.passport.key
        self.name = f"{key.runtime} {key.version} {key.precision}"
        """Runtime, version, precision and, once it is loaded, GPU."""
        self.plan = plan
        self._gpu = gpu
        self._opened = ExitStack()
        self._session: PlanSession | None = None

    def load(self, warm_up: Callable[[int], None]) -> str:
        """Load the plan, let `warm_up` run one row and then the most, and return the hash of the plan's model file.

        Raises what `warm_up` and `load_session` raise.
        """
        sha256 = file_sha256(self.plan.model)
        with ExitStack() as opening:
            session = load_session(opening, self.plan, self._gpu)
            opening.callback(setattr, self, "_session", None)
            self._session = session
            self.name = session.name
            for count in (1, session.max_batch):
                warm_up(count)
            self._opened = opening.pop_all()
        return sha256

    def free(self) -> None:
        """Free everything; may be repeated."""
        try:
            self._opened.close()
        except EngineError as fault:
            logger.error("%s: not everything was freed, only the end of this process frees it: %s", self.name, fault)

    def run(self, rows: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Return the outputs for rows of the right shape, in new arrays. Raises `EngineError`."""
        if self._session is None:
            raise EngineError(f"{self.plan.folder}: the engine is not entered")
        return self._session.run(rows)
