"""Which limit each camera has while a recipe holds: the recipe's, the calibrated one, or that of `[regions]`."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration import Binding, CalibrationStore
from calibration.limit import Choice
from shadowline.errors import CalibrationError, ConfigError
from station.binding import refuse_strangers
from station.calibrated import by_recipe, calibration_id, open_calibration
from station.config import Config, RegionsConfig
from station.config_file import parse
from station.limit import LimitSettings
from station.recipe_check import calibrate_recipes

PLAIN = {"noise_sigmas": 9.0, "min_area_px": 9, "contrast": 0.1}
SEEN = ("noise_sigmas", "min_area_px", "polarity")


def keep(folder: Path, sigmas: float, *, in_use: bool, contrast: float = 0.1, device: str = "") -> None:
    """Keep one more limit of camera top, chosen with a least area of 20 px."""
    regions = RegionsConfig(contrast=contrast, min_area_px=20)
    settings = LimitSettings.of(regions, Choice((sigmas,), 1.0, 0.5, 2.0, 1.0), "frame", flat_field=False)
    binding, arrays = Binding(camera=device, width_px=256, height_px=128), {"sigmas": np.array(sigmas)}
    store = CalibrationStore(folder / "kept")
    store.save("limit", "top", binding, {}, arrays, settings.model_dump(mode="json"), in_use=in_use)


def read(folder: Path, **recipes: Any) -> Config:
    """Return a line of two cameras, of which one has limits."""
    cameras = [{"name": name, "type": "simulated", "width_px": 256, "height_px": 128} for name in ("top", "side")]
    tables = {"camera": cameras, "regions": PLAIN, "calibration": {"folder": "kept"}, "recipe": recipes}
    return parse(tables, folder / "config.toml")


def limits(config: Config, recipe: str) -> dict[str, tuple[Any, ...]]:
    plain = {camera.name: open_calibration(config, camera) for camera in config.camera}
    held = by_recipe(plain, config, recipe)
    for camera in config.camera:
        assert open_calibration(config, camera, recipe) == held[camera.name]
    return {name: tuple(getattr(one.regions, key) for key in SEEN) for name, one in held.items()}


CASES: dict[str, tuple[dict[str, Any], tuple[Any, ...], tuple[Any, ...]]] = {
    "nothing": ({}, (5.0, 20, "both"), (9.0, 9, "both")),
    "one key": ({"regions": {"min_area_px": 70}}, (5.0, 70, "both"), (9.0, 70, "both")),
    "all that a limit says, and more": (
        {"regions": {"noise_sigmas": 2.0, "min_area_px": 7, "polarity": "dark", "contrast": 0.2}},
        (2.0, 7, "dark"),
        (2.0, 7, "dark"),
    ),
    "a limit of its own": ({"limit": {"top": 2}}, (4.0, 20, "both"), (9.0, 9, "both")),
    "a limit that fits its own contrast": (
        {"limit": {"top": 3}, "regions": {"contrast": 0.3}},
        (3.0, 20, "both"),
        (9.0, 9, "both"),
    ),
}


@pytest.mark.parametrize(("recipe", "top", "side"), CASES.values(), ids=CASES)
def test_the_recipe_goes_before_the_limit_and_the_limit_before_regions(
    tmp_path: Path, recipe: dict[str, Any], top: tuple[Any, ...], side: tuple[Any, ...]
) -> None:
    keep(tmp_path, 5.0, in_use=True)
    keep(tmp_path, 4.0, in_use=False)
    keep(tmp_path, 3.0, in_use=False, contrast=0.3)
    config = read(tmp_path, a=recipe)
    assert limits(config, "a") == {"top": top, "side": side}
    assert limits(config, "default") == {"top": (5.0, 20, "both"), "side": (9.0, 9, "both")}


def test_the_id_is_that_of_the_limits_that_hold(tmp_path: Path) -> None:
    keep(tmp_path, 5.0, in_use=True)
    keep(tmp_path, 4.0, in_use=False)
    everything = {"noise_sigmas": 2.0, "min_area_px": 7, "polarity": "dark"}
    config = read(tmp_path, own={"limit": {"top": 2}}, none={"regions": everything}, same={"budget_ms": 9.0})
    plain = {camera.name: open_calibration(config, camera) for camera in config.camera}
    ids = {name: calibration_id(held) for name, held in calibrate_recipes(config, plain).items()}
    assert ids["same"] == ids["default"]
    assert ids["none"] is None
    assert len({ids["own"], ids["default"], None}) == 3


def test_every_recipe_whose_limit_can_not_be_used_has_a_line(tmp_path: Path) -> None:
    keep(tmp_path, 5.0, in_use=True)
    config = read(
        tmp_path, high={"regions": {"contrast": 0.3, "noise_sigmas": 2.0}}, good={}, gone={"limit": {"top": 8}}
    )
    plain = {camera.name: open_calibration(config, camera) for camera in config.camera}
    with pytest.raises(ConfigError) as fault:
        calibrate_recipes(config, plain)
    high, gone = str(fault.value).splitlines()
    assert high == (
        "[recipe.high] camera top: top limit 1 was chosen with contrast 0.1, not 0.3: run station calibrate limit "
        "again; --recipe high gives this recipe its own"
    )
    assert gone.startswith("[recipe.gone] ")
    assert gone.endswith("no limit 8 of camera top; there are: 1")


def test_a_recipes_limit_of_another_device_is_refused(tmp_path: Path) -> None:
    keep(tmp_path, 5.0, in_use=True)
    keep(tmp_path, 4.0, in_use=False, device="acme 7")
    config = read(tmp_path, a={"limit": {"top": 2}})
    with pytest.raises(CalibrationError, match="top limit 2 was made with acme 7, but this is simulated top"):
        refuse_strangers(config, config.camera[0], "simulated top")
    refuse_strangers(read(tmp_path), config.camera[0], "simulated top")
