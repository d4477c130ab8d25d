"""Calibrations are kept whole, with their history, and nothing else is taken for one."""

import hashlib
import json
import multiprocessing
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from calibration import Binding, CalibrationStore, Record
from shadowline.errors import CalibrationError

BINDING = Binding(camera="Maker model 7", lens="f/8", exposure_us=120.0, width_px=4, height_px=3)


def save(store: CalibrationStore, level: float = 1.0, **changes: object) -> Record:
    what = {
        "kind": "flat-field",
        "camera": "top",
        "binding": BINDING,
        "figures": {"level": level},
        "arrays": {"gain": np.full((3, 4), level, np.float32)},
        "settings": {"columns": False, "zones": [1, 2]},
    }
    return store.save(**what | changes)  # type: ignore[arg-type]


def test_what_is_saved_comes_back_and_is_in_use(tmp_path: Path) -> None:
    store = CalibrationStore(tmp_path / "new" / "folder")
    assert store.current("flat-field", "top") is None
    assert store.history() == []
    saved = save(store)
    assert store.current("flat-field", "top") == saved
    assert saved.made.endswith("+00:00")
    assert saved.settings == {"columns": False, "zones": [1, 2]}
    assert np.array_equal(store.arrays(saved)["gain"], np.ones((3, 4), np.float32))


def test_numbers_count_up_for_each_camera_and_kind_and_an_older_one_can_be_used_again(tmp_path: Path) -> None:
    store = CalibrationStore(tmp_path)
    first, second = save(store, 1), save(store, 2)
    save(store, camera="side")
    save(store, kind="limit")
    assert [one.title for one in store.history()] == [
        "side flat-field 1",
        "top flat-field 1",
        "top flat-field 2",
        "top limit 1",
    ]
    assert [one.number for one in store.history("top", "flat-field")] == [1, 2]
    store.use(first)
    assert store.current("flat-field", "top") == first
    assert save(store).number == second.number + 1


def test_an_export_unpacks_into_the_same_folder_again(tmp_path: Path) -> None:
    store = CalibrationStore(tmp_path / "a")
    save(store, 1), save(store, 2), save(store, camera="side")
    store.use(store.history("top")[0])
    store.export(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        archive.extractall(tmp_path / "b")
    other = CalibrationStore(tmp_path / "b")
    assert other.history() == store.history()
    assert other.current("flat-field", "top") == store.history("top")[0]
    assert not other.damaged()


@pytest.mark.parametrize(
    "changes",
    [
        {"figures": {"level": float("nan")}},
        {"camera": "../elsewhere"},
        {"kind": "weather"},
        {"arrays": {"gain": np.array([{}], object)}},
        {"settings": {"made by": object()}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_can_not_be_kept_is_refused_and_leaves_nothing(tmp_path: Path, changes: dict[str, object]) -> None:
    store = CalibrationStore(tmp_path)
    kept = save(store)
    with pytest.raises(CalibrationError):
        save(store, **changes)
    assert store.history() == [kept]
    assert store.current("flat-field", "top") == kept


def cut(place: Path) -> None:
    path = place / "arrays.npz"
    path.write_bytes(path.read_bytes()[:-20])


def foreign(place: Path) -> None:
    np.savez(place / "arrays.npz", gain=np.ones((3, 4), np.float32))


def pickled(place: Path) -> None:
    np.savez(place / "arrays.npz", allow_pickle=True, gain=np.array([{}], object))


def change_record(place: Path, **changes: object) -> None:
    path = place / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut arrays": (cut, "was changed or cut off"),
    "foreign arrays": (foreign, "was changed or cut off"),
    "pickle": (pickled, "was changed or cut off"),
    "no arrays": (lambda place: (place / "arrays.npz").unlink(), "can't be read"),
    "newer schema": (lambda place: change_record(place, schema_version=2), "schema_version"),
    "not json": (lambda place: (place / "record.json").write_text("{"), "not a calibration's record"),
    "another's record": (lambda place: change_record(place, camera="side"), "put into another's folder"),
    "huge record": (lambda place: (place / "record.json").write_text(" " * (1 << 21)), "too large"),
    "zero width": (lambda place: change_record(place, binding=BINDING.model_dump() | {"width_px": 0}), "width_px"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_calibration_is_told_by_its_path_and_the_others_stand(tmp_path: Path, fault: str) -> None:
    store = CalibrationStore(tmp_path)
    good = save(store)
    save(store)
    damage, words = FAULTS[fault]
    damage(tmp_path / "top" / "flat-field" / "0002")
    with pytest.raises(CalibrationError, match=words) as told:
        store.arrays(store.current("flat-field", "top") or good)
    assert str(tmp_path / "top" / "flat-field" / "0002") in str(told.value)
    assert len(store.damaged()) == 1
    assert good in store.history()


def test_a_file_of_numbers_that_are_not_arrays_is_refused(tmp_path: Path) -> None:
    store = CalibrationStore(tmp_path)
    record = save(store)
    place = tmp_path / "top" / "flat-field" / "0001"
    (place / "arrays.npz").write_bytes(b"no zip")
    change_record(place, sha256=hashlib.sha256(b"no zip").hexdigest())
    with pytest.raises(CalibrationError, match="no arrays in it"):
        store.arrays(store.current("flat-field", "top") or record)


def test_what_a_killed_writer_left_is_no_calibration(tmp_path: Path) -> None:
    store = CalibrationStore(tmp_path)
    first = save(store)
    left = tmp_path / "top" / "flat-field" / ".making"
    left.mkdir()
    (left / "arrays.npz").write_bytes(b"half")
    assert store.history() == [first]
    assert save(store).number == 2
    assert not left.exists()


def test_a_folder_that_can_not_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "top").write_text("a file where a folder must be")
    with pytest.raises(CalibrationError, match="can't write to the calibration folder"):
        save(CalibrationStore(tmp_path))
    with pytest.raises(CalibrationError, match="can't be written"):
        CalibrationStore(tmp_path).export(tmp_path / "none" / "all.zip")


def save_many(folder: Path) -> None:
    for _ in range(8):
        save(CalibrationStore(folder))


def test_writers_at_once_get_numbers_of_their_own(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=save_many, args=(tmp_path,)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
        writer.close()
    assert [one.number for one in CalibrationStore(tmp_path).history()] == list(range(1, 17))
