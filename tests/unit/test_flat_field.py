"""A flat field survives its file, and every fault of the file is one clear line."""

from pathlib import Path

import numpy as np
import pytest

from calibration import FlatField, load_flat_field, save_flat_field
from shadowline.errors import CalibrationError


def gain(height: int = 30, width: int = 40) -> np.ndarray:
    return np.random.default_rng(1).uniform(0.5, 1.5, (height, width)).astype(np.float32)


def test_round_trip_keeps_gain_and_notes(tmp_path: Path) -> None:
    path = tmp_path / "flat.npz"
    saved = FlatField(gain(), camera="top", lens="f/8 25 mm")
    save_flat_field(saved, path)
    loaded = load_flat_field(path)
    assert np.array_equal(loaded.gain, saved.gain)
    assert (loaded.camera, loaded.lens) == ("top", "f/8 25 mm")


def test_gain_is_normalised_to_mean_one_and_read_only() -> None:
    field = FlatField(gain() * 37)
    assert field.gain.dtype == np.float32
    assert field.gain.mean(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    assert not field.gain.flags.writeable


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (np.full((4, 4), np.nan, np.float32), "not finite"),
        (np.zeros((4, 4), np.float32), "no light"),
        (np.ones(4, np.float32), "shape"),
        (np.ones((4, 4), np.uint8), "float32"),
        (np.where(np.eye(20) > 0, 0.0, 1.0).astype(np.float32), "dead pixels"),
    ],
)
def test_an_impossible_gain_is_refused(bad: np.ndarray, words: str) -> None:
    with pytest.raises(CalibrationError, match=words):
        FlatField(bad)


def damaged_files(folder: Path) -> dict[str, Path]:
    good = folder / "good.npz"
    save_flat_field(FlatField(gain()), good)
    content = {"schema_version": np.int64(1), "gain": gain(), "camera": np.str_("a"), "lens": np.str_("b")}
    files = {name: folder / f"{name}.npz" for name in ("cut", "text", "empty", "old", "keyless", "pickle", "array")}
    files["cut"].write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    files["text"].write_text("no flat field")
    files["empty"].write_bytes(b"")
    np.savez(files["old"], **{**content, "schema_version": np.int64(99)})
    np.savez(files["keyless"], gain=gain())
    np.savez(files["pickle"], allow_pickle=True, **{**content, "gain": np.array([{}], object)})
    with files["array"].open("wb") as file:
        np.save(file, gain())
    corrupt = bytearray(good.read_bytes())
    corrupt[len(corrupt) // 2] ^= 0xFF
    files["corrupt"] = folder / "corrupt.npz"
    files["corrupt"].write_bytes(bytes(corrupt))
    files["missing"] = folder / "nowhere.npz"
    files["folder"] = folder
    return files


@pytest.mark.parametrize(
    "fault",
    ["cut", "text", "empty", "old", "keyless", "pickle", "array", "corrupt", "missing", "folder"],
)
def test_every_fault_of_the_file_is_one_line_that_names_it(tmp_path: Path, fault: str) -> None:
    path = damaged_files(tmp_path)[fault]
    with pytest.raises(CalibrationError) as caught:
        load_flat_field(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "flat.npz"
    with pytest.raises(CalibrationError, match=r"nowhere.*flat\.npz"):
        save_flat_field(FlatField(gain()), path)
