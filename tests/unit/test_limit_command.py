"""`station calibrate limit` as people use it, and the limit that the station takes at its start."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import Result
from numpy.typing import NDArray
from typer.testing import CliRunner

from calibration import CalibrationStore
from shadowline.errors import CalibrationError, ConfigError
from station.calibrated import open_calibration
from station.command import app as station
from station.command.calibrate import app
from station.config import FinderConfig, parts_of, shadow_of
from station.config_file import load

HEIGHT, WIDTH = 160, 320
REGIONS = "contrast = 0\noffset_levels = 2\nspeck_px = 2"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path)


def write_config(folder: Path, regions: str = REGIONS, camera: str = "") -> Path:
    path = folder / "config.toml"
    path.write_text(f"""
        calibration.folder = "kept"
        [[camera]]
        name = "top"
        type = "simulated"
        rate_hz = 0
        width_px = {WIDTH}
        height_px = {HEIGHT}
        defects_per_frame = 0
        pitch_mm = 0.5
        {camera}
        [regions]
        {regions}
    """)
    return path


def limit(config: Path, *words: object) -> Result:
    arguments = ["limit", "top", *map(str, words), "--config", str(config)]
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def draw(folder: Path, count: int, dents: tuple[int, ...] = ()) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        random = np.random.default_rng(number)
        image = np.clip(np.linspace(110, 150, WIDTH) + random.normal(0, 4, (HEIGHT, WIDTH)), 0, 255).astype(np.uint8)
        if number in dents:
            image[40:60, 100:130] = 60
        cv2.imwrite(str(folder / f"{number}.png"), image)
    return folder


def opened(config: Path) -> FinderConfig:
    settings = load(config)
    return open_calibration(settings, settings.camera[0]).regions


def test_from_a_camera_for_a_rate_a_metre(tmp_path: Path, config: Path) -> None:
    done = limit(config, "--per-metre", 10, "--frames", 60, "--plot", tmp_path / "curve.png", "--keep-all")
    assert "for 10 false regions a metre" in done.stdout
    assert "with 95 % confidence" in done.stdout
    assert "60 frames, 4.8 m" in done.stdout
    assert "top limit 1 is in use" in done.stdout
    assert cv2.imread(str(tmp_path / "curve.png")).shape == (500, 800, 3)
    record = CalibrationStore(tmp_path / "kept").current("limit", "top")
    assert record is not None
    assert record.binding.camera == "simulated top"
    assert record.figures["low_per_metre"] < 10 < record.figures["high_per_metre"]
    assert opened(config).noise_sigmas == record.settings["noise_sigmas"][0]


def test_from_pictures_with_zones_polarity_and_area(tmp_path: Path, config: Path) -> None:
    pictures = draw(tmp_path / "pictures", 60)
    words = ("--per-frame", 2, "--pictures", pictures, "--zones", 2, "--polarity", "dark", "--min-area", 9, "--json")
    record = json.loads(limit(config, *words).stdout)
    assert record["looks_defective"] == record["not_judged"] == []
    strict = [row["rate"] for row in record["curve"] if row["noise_sigmas"] > record["settings"]["noise_sigmas"][0]]
    assert strict == sorted(strict, reverse=True)
    assert strict[-1] == 0
    chosen = opened(config)
    assert isinstance(chosen.noise_sigmas, tuple)
    assert chosen.noise_sigmas == tuple(record["settings"]["noise_sigmas"])
    assert (chosen.polarity, chosen.min_area_px) == ("dark", 9)
    assert chosen.speck_px == 2


def test_frames_that_look_defective_are_named_and_left_out(tmp_path: Path, config: Path) -> None:
    words = ("--per-frame", 1, "--min-area", 8)
    sound = limit(config, *words, "--pictures", draw(tmp_path / "sound", 60), "--json")
    marred = draw(tmp_path / "marred", 60, dents=(7, 30))
    done = limit(config, *words, "--pictures", marred)
    assert "left out, look defective: 7.png, 30.png" in done.stdout
    store = CalibrationStore(tmp_path / "kept")
    clean, left = store.history("top", "limit")
    assert left.settings["noise_sigmas"] == pytest.approx(json.loads(sound.stdout)["settings"]["noise_sigmas"], rel=0.1)
    assert (clean.figures["frames_left_out"], left.figures["frames_left_out"]) == (0, 2)
    with pytest.raises(CalibrationError, match=r"12 of 60 frames look defective, first 0\.png, 5\.png"):
        limit(config, *words, "--pictures", draw(tmp_path / "bad", 60, dents=tuple(range(0, 60, 5))))


def voc(box: tuple[int, int, int, int]) -> str:
    corners = "".join(
        f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<annotation><object><bndbox>{corners}</bndbox></object></annotation>"


@pytest.mark.parametrize("form", ["boxes", "mask"])
def test_known_defects_are_left_out_and_their_share_is_told(tmp_path: Path, config: Path, form: str) -> None:
    pictures, known = draw(tmp_path / "pictures", 60, dents=tuple(range(0, 60, 5))), tmp_path / "known"
    known.mkdir()
    mask: NDArray[np.uint8] = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[40:60, 100:130] = 255
    for number in range(0, 60, 5):
        if form == "boxes":
            (known / f"{number}.xml").write_text(voc((100, 40, 130, 60)))
        else:
            cv2.imwrite(str(known / f"{number}.png"), mask)
    done = limit(config, "--per-frame", 1, "--min-area", 8, "--pictures", pictures, "--known", known)
    assert "known found" in done.stdout
    assert "100%" in done.stdout
    assert "look defective" not in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--per-metre or --per-frame"),
        (("--per-metre", 1, "--per-frame", 1), "--per-metre or --per-frame"),
        (("--per-frame", "nan", "--frames", 5), "a number above 0"),
        (("--per-frame", 0.01, "--frames", 20), "too few"),
        (("--per-frame", 1, "--known", "."), "--known goes with --pictures"),
        (("--per-frame", 1, "--pictures", "nowhere"), "can't be read"),
    ],
)
def test_what_cannot_be_chosen_is_refused_and_nothing_is_kept(
    tmp_path: Path, config: Path, words: tuple[object, ...], message: str
) -> None:
    with pytest.raises(CalibrationError, match=message):
        limit(config, *words)
    assert not (tmp_path / "kept").exists()


def test_pictures_and_boxes_that_are_none_are_refused(tmp_path: Path, config: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CalibrationError, match="no pictures"):
        limit(config, "--per-frame", 1, "--pictures", empty)
    pictures = draw(tmp_path / "pictures", 5)
    (pictures / "torn.png").write_bytes((pictures / "0.png").read_bytes()[:500])
    with pytest.raises(CalibrationError, match="1 of 6 pictures can't be read"):
        limit(config, "--per-frame", 1, "--pictures", pictures)
    (pictures / "torn.png").unlink()
    for text, message in (("<annotation>", "Pascal VOC"), (voc((9, 9, 5, 5)), "without area")):
        (empty / "0.xml").write_text(text)
        with pytest.raises(CalibrationError, match=message):
            limit(config, "--per-frame", 1, "--pictures", pictures, "--known", empty)


def test_moving_light_is_refused(tmp_path: Path) -> None:
    flickering = write_config(tmp_path, "offset_levels = 4\ncontrast = 0.02", "faults = { flicker = 0.1 }")
    with pytest.raises(CalibrationError, match=r"light moves|steady the light"):
        limit(flickering, "--per-frame", 1, "--frames", 40)


def test_without_a_limit_the_configured_one_stays(config: Path) -> None:
    assert opened(config) == load(config).regions


def saved(config: Path) -> None:
    limit(config, "--per-frame", 3, "--frames", 40, "--keep-all")


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        (REGIONS + "\nscale = 2", "scale 1, not 2"),
        (REGIONS.replace("offset_levels = 2", "offset_levels = 3"), "offset_levels 2.0, not 3.0"),
    ],
)
def test_a_limit_chosen_with_other_settings_is_refused_at_the_start(
    tmp_path: Path, config: Path, regions: str, message: str
) -> None:
    saved(config)
    with pytest.raises(CalibrationError, match=message):
        opened(write_config(tmp_path, regions))


def test_what_a_limit_replaces_may_change(tmp_path: Path, config: Path) -> None:
    saved(config)
    before = opened(config)
    assert opened(write_config(tmp_path, REGIONS + "\nnoise_sigmas = 9\nmin_area_px = 40")) == before


RECIPES = """
    [engine]
    backend = "fake"
    [recipe.rough.regions]
    contrast = 0.01
    {rough}
    [recipe.rough.limit]
    {limit}
    [recipe.large.regions]
    min_area_px = 300
"""


def test_a_limit_is_chosen_for_one_recipe_and_told_by_check(tmp_path: Path) -> None:
    config = write_config(tmp_path, REGIONS + RECIPES.format(rough="noise_sigmas = 9\nmin_area_px = 5", limit=""))
    saved(config)
    words = ("--per-frame", 3, "--frames", 40, "--keep-all")
    done = limit(config, *words, "--recipe", "rough")
    assert "top limit 2 is kept: [recipe.rough.limit] top = 2 uses it" in done.stdout
    record = CalibrationStore(tmp_path / "kept").current("limit", "top")
    assert record is not None
    assert record.number == 1
    write_config(tmp_path, REGIONS + RECIPES.format(rough="", limit="top = 2"))
    told = CliRunner().invoke(station, ["check", "--config", str(config)], catch_exceptions=False).stdout
    assert "recipe rough: camera top by top limit 2\n" in told
    assert "recipe large: camera top: min_area_px 300, before what top limit 1 says\n" in told
    with pytest.raises(ConfigError, match=r"no \[recipe.roguh\]; there are large, rough"):
        limit(config, *words, "--recipe", "roguh")


def test_a_flat_field_that_came_later_is_told(tmp_path: Path, config: Path) -> None:
    saved(config)
    store = CalibrationStore(tmp_path / "kept")
    record = store.current("limit", "top")
    assert record is not None
    gain = np.ones((HEIGHT, WIDTH), np.float32)
    store.save("flat-field", "top", record.binding, {"level": 100.0}, {"gain": gain, "dark": 0 * gain}, {})
    with pytest.raises(CalibrationError, match="no flat field: run station calibrate limit again"):
        opened(config)


@pytest.mark.parametrize(
    "damage", [{"noise_sigmas": []}, {"noise_sigmas": [-1.0]}, {"noise_sigmas": [50.0]}, {"per": "mile"}, {"more": 1}]
)
def test_a_record_that_is_no_limit_is_refused(tmp_path: Path, config: Path, damage: dict[str, Any]) -> None:
    saved(config)
    store = CalibrationStore(tmp_path / "kept")
    record = store.current("limit", "top")
    assert record is not None
    store.save("limit", "top", record.binding, {}, {}, record.settings | damage)
    with pytest.raises(CalibrationError, match=r"top limit 2: .*run station calibrate limit again"):
        opened(config)


def test_in_a_combination_the_limit_is_that_of_the_shadows(tmp_path: Path, config: Path) -> None:
    limit(config, "--per-frame", 2, "--pictures", draw(tmp_path / "pictures", 60))
    alone = opened(config)
    heat = {"type": "heatmap", "model": str(tmp_path / "heat.onnx")}
    lines = [f'{key} = "{value}"' for key, value in heat.items()]
    combined = ['type = "combine"', "[[regions.finders]]", REGIONS, "[[regions.finders]]", *lines]
    together = opened(write_config(tmp_path, "\n".join(combined)))
    assert parts_of(together)[0] == alone
    assert shadow_of(opened(write_config(tmp_path, "\n".join(lines)))) is None


def test_without_shadows_there_is_no_limit_to_choose(tmp_path: Path) -> None:
    config = write_config(tmp_path, 'type = "heatmap"\nmodel = "heat.onnx"')
    with pytest.raises(ConfigError, match=r"\[regions\] type heatmap seeks no shadows"):
        limit(config, "--per-frame", 1)
