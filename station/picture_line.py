"""Single pictures through the finder, crops, network and rules of a line. Lives in the thread that makes it."""

import numpy as np

from calibration.flat_field import FlatField
from engines import Answers, Engine
from station.clock import HostClock
from station.config import Config, FinderConfig, shadow_of, with_shadow
from station.crops import cut_crops, whole_image
from station.frame import Frame, Image
from station.inspection import Inspection
from station.inspector import Inspector
from station.model import Model
from station.regions import FrameEngines, open_finder
from station.verdict import Judge

__all__ = ["PictureLine"]

_NO_BUDGET_MS = 60_000


class PictureLine:
    """The line's own inspector, fed with pictures that have nothing to do with each other."""

    def __init__(
        self,
        config: Config,
        engine: Engine,
        engines: FrameEngines,
        regions: FinderConfig | None = None,
        flat_field: FlatField | None = None,
    ) -> None:
        """Each picture is its own background, whatever `regions` (those of `config`, unless one camera's) say.

        Raises `ConfigError` for rules that the model can't follow, `EngineError` for a finder that can't be run.
        """
        regions = _each_its_own_background(regions or config.regions)
        finders = {"file": open_finder(regions, flat_field, engines)}
        self.engine = engine
        self.judge = Judge(config.verdict, engine.card, engines.labels(regions))
        self._inspector = Inspector(finders, Model(engine, self.judge), _NO_BUDGET_MS, HostClock())
        self._crop = np.zeros((1, 1, engine.card.crop.size_px, engine.card.crop.size_px), np.uint8)

    def inspect(self, image: Image) -> Inspection:
        """Return the inspection of `image`; what goes wrong makes it `invalid`."""
        return self._inspector.inspect([Frame("file", 1, image, captured_ns=0, captured_tick_ns=0)])[0]

    def ask_of_whole(self, image: Image) -> Answers:
        """Return what the network says of the whole of `image` as one crop; valid until the next call."""
        return self.engine.classify(cut_crops(image, whole_image(image), self.engine.card.crop, self._crop))


def _each_its_own_background(regions: FinderConfig) -> FinderConfig:
    if (shadow := shadow_of(regions)) is None:
        return regions
    return with_shadow(regions, shadow.model_copy(update={"background": "frame"}))
