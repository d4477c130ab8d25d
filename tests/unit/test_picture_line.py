"""Single pictures through the line's own inspector."""

import numpy as np

from engines import FakeEngine
from station.config import Config, SimulatedConfig
from station.picture_line import PictureLine
from station.regions import FrameEngines


def picture(dark: bool) -> np.ndarray:
    image = np.full((200, 300), 120, np.uint8)
    image += np.random.default_rng(0).integers(0, 4, image.shape, np.uint8)
    if dark:
        image[80:110, 120:170] = 20
    return image


def test_each_picture_is_its_own_background() -> None:
    config = Config(camera=(SimulatedConfig(name="top", type="simulated"),))
    assert config.regions.background == "running"  # type: ignore[union-attr]
    with FakeEngine(("dent",)) as engine, FrameEngines() as engines:
        line = PictureLine(config, engine, engines)
        verdicts = [line.inspect(picture(dark)).verdict for dark in (True, False, True)]
        assert verdicts == ["reject", "accept", "reject"]
        assert line.ask_of_whole(picture(True)).probabilities.tolist() == [[1.0]]
