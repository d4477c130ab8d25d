"""`station calibrate` with the flat field, as people use it: from folders, from a camera, and what is kept."""

import json
import zipfile
from pathlib import Path

import cv2
import pytest
from click.testing import Result
from typer.testing import CliRunner

from calibration import CalibrationStore
from shadowline.errors import CalibrationError, ConfigError
from station.command.calibrate import app
from tests.lit import LitCamera

HEIGHT, WIDTH = 96, 160


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(f"""
        calibration.folder = "kept"
        [[camera]]
        name = "top"
        type = "simulated"
        rate_hz = 0
        width_px = {WIDTH}
        height_px = {HEIGHT}
    """)
    return path


def calibrate(config: Path, *words: object, **more: str) -> Result:
    return CliRunner().invoke(app, [*map(str, words), "--config", str(config)], catch_exceptions=False, **more)


def write(folder: Path, camera: LitCamera, level: float, count: int) -> Path:
    folder.mkdir(parents=True)
    for index in range(count):
        cv2.imwrite(str(folder / f"{index}.png"), camera.expose(camera.sheet(level)))
    return folder


def test_from_folders_with_a_check_of_linearity(tmp_path: Path, config: Path) -> None:
    camera = LitCamera(HEIGHT, WIDTH)
    bright, dark = write(tmp_path / "bright", camera, 140, 24), write(tmp_path / "dark", camera, 0, 16)
    for us in (100, 200, 400):
        write(tmp_path / "linear" / str(us), camera, us / 2.5, 2)
    words = ("flat-field", "top", "--bright", bright, "--dark", dark, "--linearity", tmp_path / "linear")
    done = calibrate(config, *words, "--lens", "f/8", "--json")
    record = json.loads(done.stdout)
    assert (record["binding"]["lens"], record["binding"]["camera"]) == ("f/8", "")
    assert record["figures"]["linearity_error"] < 0.01
    assert record["figures"]["dark_level"] == pytest.approx(4, abs=0.5)
    store = CalibrationStore(tmp_path / "kept")
    current = store.current("flat-field", "top")
    assert current is not None
    assert (
        (camera.sheet(140) * camera.gain + camera.dark - store.arrays(current)["dark"]) / store.arrays(current)["gain"]
    ).std() < 1


def test_from_a_camera_that_says_who_it_is(tmp_path: Path, config: Path) -> None:
    done = calibrate(config, "flat-field", "top", "--no-dark", "--frames", 64, input="\n")
    assert "top flat-field 1 is in use: 64 bright and no dark frames" in done.stdout
    current = CalibrationStore(tmp_path / "kept").current("flat-field", "top")
    assert current is not None
    assert current.binding.camera == "simulated top"


def test_a_camera_that_sees_light_gives_no_dark_frames(config: Path) -> None:
    with pytest.raises(CalibrationError, match="the dark frames are not dark"):
        calibrate(config, "flat-field", "top", "--yes", "--frames", 32, "--dark-frames", 16)


def test_a_refusal_at_the_prompt_takes_nothing(tmp_path: Path, config: Path) -> None:
    assert calibrate(config, "flat-field", "top", input="n\n").exit_code == 1
    assert not (tmp_path / "kept").exists()


def test_what_is_kept_can_be_seen_chosen_and_exported(tmp_path: Path, config: Path) -> None:
    assert "no calibration yet" in calibrate(config, "list").stdout
    for _ in range(2):
        calibrate(config, "flat-field", "top", "--no-dark", "--frames", 64, "--yes")
    assert [line.split()[-1] for line in calibrate(config, "list").stdout.splitlines()[1:]] == ["–", "use"]
    assert [json.loads(line)["number"] for line in calibrate(config, "list", "--json").stdout.splitlines()] == [1, 2]
    assert "top flat-field 1 is in use" in calibrate(config, "use", "top", "flat-field", 1).stdout
    assert "float32 (96, 160)" in calibrate(config, "show", "top", "flat-field").stdout
    assert json.loads(calibrate(config, "show", "top", "flat-field", "--json").stdout)["number"] == 1
    with pytest.raises(CalibrationError, match="no flat-field 7 of camera top; there are: 1, 2"):
        calibrate(config, "use", "top", "flat-field", 7)
    calibrate(config, "export", tmp_path / "all.zip")
    assert len(zipfile.ZipFile(tmp_path / "all.zip").namelist()) == 5
    (tmp_path / "kept" / "top" / "flat-field" / "0002" / "arrays.npz").write_bytes(b"")
    listed = calibrate(config, "list")
    assert listed.exit_code == 1
    assert "was changed or cut off" in listed.stderr


def test_bad_folders_and_words_are_refused_before_anything_is_written(tmp_path: Path, config: Path) -> None:
    camera = LitCamera(HEIGHT, WIDTH)
    bright, bent = write(tmp_path / "bright", camera, 140, 24), tmp_path / "bent"
    other = write(tmp_path / "other", LitCamera(HEIGHT, WIDTH + 1), 140, 24)
    for us in (100, 200, 400):
        write(bent / str(us), camera, 200 * (us / 400) ** 0.45, 2)
    (tmp_path / "empty").mkdir()
    write(tmp_path / "broken", camera, 140, 24)
    (tmp_path / "broken" / "3.png").write_bytes(b"\x89PNG\r\n cut")
    cases = {
        "0 pictures": ("--bright", tmp_path / "empty"),
        "gone: can't be read": ("--bright", tmp_path / "gone"),
        "3.png: unreadable": ("--bright", tmp_path / "broken"),
        "off a straight line": ("--bright", bright, "--linearity", bent),
        "not the name of an exposure": ("--bright", bright, "--linearity", tmp_path),
        "choose one": ("--bright", bright, "--dark", bright, "--no-dark"),
        "frames have width_px 161, but 160 is configured": ("--bright", other),
    }
    for words, options in cases.items():
        with pytest.raises(CalibrationError, match=words):
            calibrate(config, "flat-field", "top", *options)
    with pytest.raises(ConfigError, match="no camera side"):
        calibrate(config, "flat-field", "side", "--bright", bright)
    assert not (tmp_path / "kept").exists()
