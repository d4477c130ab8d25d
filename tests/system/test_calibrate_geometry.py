"""`station calibrate target` and `geometry` as people call them: from pictures, from a camera, from a ruled target."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from calibration import CalibrationStore
from calibration.geometry import Geometry
from calibration.targets import Ruling, Sheet
from station.recording import RecordingWriter, Shot
from tests.rendered import STRIP, Eye, Place, tilted_places

ROOT = Path(__file__).parents[2]
SHEET = Sheet(columns=12, rows=9, square_mm=12.5)
SHEET_WORDS = ("--columns", "12", "--rows", "9", "--square-mm", "12.5")
RULED_WORDS = ("--kind", "ruled", "--pitch-mm", "4")
EYE = Eye()

CONFIG = """
[calibration]
folder = "calibrations"

[line.encoder]
type = "chunk"
mm_per_count = 0.125
bits = 16

[[camera]]
name = "top"
type = "replay"
path = "{path}"
rate_hz = 0
{more}
"""


def station(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "station", "calibrate", *words]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=100, check=False, env={"PYTHONPATH": str(ROOT)}
    )


def measured(folder: Path, *words: str) -> dict[str, Any]:
    done = station(folder, "geometry", "top", "--json", *words)
    assert done.returncode == 0, done.stderr
    record: dict[str, Any] = json.loads(done.stdout)
    return record


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of eleven views of a sheet."""
    folder = tmp_path_factory.mktemp("views")
    for number, place in enumerate([*tilted_places(), STRIP]):
        cv2.imwrite(str(folder / f"{number}.png"), EYE.see(SHEET.draw(), place))
    return folder


def configure(folder: Path, path: Path, more: str = "") -> Path:
    (folder / "config.toml").write_text(CONFIG.format(path=path, more=more), encoding="utf-8")
    return folder


def test_a_folder_of_pictures_becomes_a_geometry_in_use(pictures: Path, tmp_path: Path) -> None:
    configure(tmp_path, pictures)
    done = station(tmp_path, "geometry", "top", "--pictures", str(pictures), *SHEET_WORDS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("top geometry 1 is in use: 0.30")
    store = CalibrationStore(tmp_path / "calibrations")
    record = store.current("geometry", "top")
    assert record is not None
    assert record.settings["square_mm"] == 12.5
    assert record.binding.exposure_us is None
    geometry = Geometry.from_arrays(store.arrays(record))
    geometry.check_size(*EYE.size_px)
    assert geometry.mm_per_px[0] == pytest.approx(record.figures["across_mm_per_px"])
    misses = cv2.imread(str(tmp_path / "calibrations" / "top-geometry-0001.png"))
    assert misses.shape[1] == 1400


@pytest.mark.slow
def test_a_camera_gives_one_view_of_each_place(pictures: Path, tmp_path: Path) -> None:
    """Each picture comes twice, as of a sheet that is held still, and once aside, as of one on its way."""
    seen = tmp_path / "seen"
    with RecordingWriter(seen, "pgm") as writer:
        for path in sorted(pictures.iterdir(), key=lambda path: int(path.stem)):
            image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            for _ in range(2):
                writer.write(Shot(captured_ns=writer.pictures), image)
            writer.write(Shot(captured_ns=writer.pictures), np.roll(image, 7, axis=1))
        writer.write(Shot(captured_ns=writer.pictures), np.zeros_like(image))
    record = measured(configure(tmp_path, seen), *SHEET_WORDS)
    assert record["figures"]["views"] == 11
    assert record["figures"]["rms_px"] < 0.05
    assert record["settings"]["columns"] == 12


def test_a_pitch_that_contradicts_is_refused(pictures: Path, tmp_path: Path) -> None:
    configure(tmp_path, pictures, "pitch_mm = 0.6")
    done = station(tmp_path, "geometry", "top", "--pictures", str(pictures), *SHEET_WORDS)
    assert done.returncode == 2
    assert "from row to row, but pitch_mm says 0.6: measure the squares" in done.stderr
    assert not (tmp_path / "calibrations").exists()


def test_the_last_picture_has_to_show_the_sheet(pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "views"
    folder.mkdir()
    for path in pictures.iterdir():
        (folder / path.name).symlink_to(path)
    cv2.imwrite(str(folder / "11.png"), np.zeros((560, 900), np.uint8))
    done = station(configure(tmp_path, folder), "geometry", "top", "--pictures", str(folder), *SHEET_WORDS)
    assert done.returncode == 2
    assert "the last picture has to be that of the sheet on the strip" in done.stderr


def ruled_recording(folder: Path, counts: list[int | None]) -> Path:
    """Return a recording of a ruled target, a count with each block of 560 rows."""
    ruling = Ruling(bars=80, pitch_mm=4.0, length_mm=300.0)
    image = Eye(bend=(0, 0, 0, 0)).see(ruling.draw(), Place((0, 0, 400)))
    with RecordingWriter(folder / "ruled", "pgm") as writer:
        for count in counts:
            writer.write(Shot(captured_ns=writer.pictures, encoder=count), image)
    return folder / "ruled"


def test_the_encoder_tells_what_a_row_is(tmp_path: Path) -> None:
    """The counter wraps; each block of 560 rows is 1120 counts of 0.125 mm."""
    counts = [(65_000 + 1120 * block) % 65_536 for block in range(4)]
    record = measured(configure(tmp_path, ruled_recording(tmp_path, [*counts, None])), *RULED_WORDS)
    assert record["figures"]["along_mm_per_px"] == pytest.approx(0.25)
    assert record["figures"]["across_mm_per_px"] == pytest.approx(400 / EYE.focal_px, rel=1e-3)


def test_an_encoder_that_runs_backwards_is_refused(tmp_path: Path) -> None:
    configure(tmp_path, ruled_recording(tmp_path, [9000, 8000, 7000]))
    done = station(tmp_path, "geometry", "top", *RULED_WORDS)
    assert done.returncode == 2
    assert "mm from row to row: let the strip move forward, and check mm_per_count and reversed" in done.stderr


def test_rows_without_a_measure_are_refused(tmp_path: Path) -> None:
    configure(tmp_path, ruled_recording(tmp_path, [None]))
    done = station(tmp_path, "geometry", "top", *RULED_WORDS)
    assert done.returncode == 2
    assert "nothing tells how far apart the rows are: give --mm-per-row" in done.stderr


def test_a_camera_without_a_picture_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    done = station(configure(tmp_path, folder), "geometry", "top", *SHEET_WORDS)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("kind", ["charuco", "checkerboard", "ruled"])
def test_a_target_is_written(kind: str, tmp_path: Path) -> None:
    done = station(tmp_path, "target", "target.pdf", "--kind", kind, "--paper", "a3")
    assert done.returncode == 0, done.stderr
    assert "it must measure 25" in done.stdout or "it must measure 247.5 mm across" in done.stdout
    assert (tmp_path / "target.pdf").read_bytes().startswith(b"%PDF-1.6")
