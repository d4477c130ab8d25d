"""What operators confirmed becomes a training set: whole frames, boxes under the labels that somebody chose."""

import json
import re
import shutil
from pathlib import Path

import pytest

from shadowline.errors import StationError
from tests.evidence import fill, make_event, run_command
from training.data.marked import read_marked
from training.finders.reviewed import NOT_A_DEFECT, REVIEWED, write_reviewed


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of three frames of two coils, all whole."""
    events = [
        make_event(1, ["scratches", "inclusion"], coil="c1"),
        make_event(2, ["scratches"], coil="c1"),
        make_event(3, ["patches"], coil="c 2/x"),
    ]
    fill(tmp_path / "archive", events, frame=True)
    return tmp_path / "archive"


@pytest.fixture
def crops(archive: Path, tmp_path: Path) -> Path:
    """The archive's export, as nobody has looked through it yet."""
    run_command("index", "--folder", archive)
    run_command("export", tmp_path / "crops", "--folder", archive)
    return tmp_path / "crops"


def move(crops: Path, label: str, number: int, target: str) -> None:
    """Move a frame's crop of a label into another folder, as somebody would with a file browser."""
    (file,) = (crops / label).glob(f"*-{number:012d}-*.png")
    (crops / target).mkdir(exist_ok=True)
    shutil.move(file, crops / target / file.name)


def test_moved_crops_name_the_boxes_and_a_false_alarm_leaves_a_good_frame(
    archive: Path, crops: Path, tmp_path: Path
) -> None:
    move(crops, "inclusion", 1, "rolled-in_scale")
    move(crops, "scratches", 2, NOT_A_DEFECT)
    assert write_reviewed(crops, archive, tmp_path / "set") == ()
    pictures, notes = read_marked(tmp_path / "set", REVIEWED)
    first, second, third = sorted(pictures, key=lambda one: one.path.rpartition("--")[2])
    assert first.labels == ("scratches", "rolled-in_scale")
    assert first.boxes.tolist() == [[0, 40, 12, 10], [20, 40, 12, 10]]
    assert first.size_px == (200, 120)
    assert second.is_good
    assert third.labels == ("patches",)
    assert first.group == second.group != third.group
    assert notes == ()


def test_boxes_that_somebody_drew_take_the_place_of_the_regions_and_missed_ones_are_added(
    archive: Path, crops: Path, tmp_path: Path
) -> None:
    (crop,) = crops.glob("patches/*.png")
    missed = crop.with_name(re.sub(r"-\d+-\d+-\d+-\d+\.png$", "-100-10-30-20.png", crop.name))
    shutil.copy(crop, missed)
    lines = [{"path": f"patches/{crop.name}", "drawn_px": [1, 41, 9, 9]}, {"path": f"patches/{missed.name}"}]
    (crops / "pictures.jsonl").write_text("\n".join(map(json.dumps, lines)))
    write_reviewed(crops, archive, tmp_path / "set")
    (found,) = (one for one in read_marked(tmp_path / "set", REVIEWED)[0] if "patches" in one.labels)
    assert found.boxes.tolist() == [[1, 41, 9, 9], [100, 10, 30, 20]]


def test_a_manifest_that_is_none_is_told(archive: Path, crops: Path, tmp_path: Path) -> None:
    (crops / "pictures.jsonl").write_text("no JSON")
    with pytest.raises(StationError, match=r"pictures\.jsonl: can't be read"):
        write_reviewed(crops, archive, tmp_path / "set")


def test_a_frame_with_a_region_that_nobody_judged_is_left_out_and_told(
    archive: Path, crops: Path, tmp_path: Path
) -> None:
    shutil.rmtree(crops / "inclusion")
    (note,) = write_reviewed(crops, archive, tmp_path / "set")
    assert "with a region that nobody judged, left out: 1" in note
    assert len(read_marked(tmp_path / "set", REVIEWED)[0]) == 2


def test_changed_and_vanished_evidence_is_told(archive: Path, crops: Path, tmp_path: Path) -> None:
    first, second, _ = sorted(archive.glob("*/*/*/*"), key=lambda place: place.name)
    (first / "frame.jpg").write_bytes(b"x")
    shutil.rmtree(second)
    notes = write_reviewed(crops, archive, tmp_path / "set")
    assert [note.partition(",")[0] for note in notes] == [
        "frames whose evidence is damaged",
        "frames no longer in the archive",
    ]


def test_frames_of_which_only_crops_were_kept_leave_nothing_to_learn_from(tmp_path: Path) -> None:
    fill(tmp_path / "archive", [make_event(1)])
    run_command("index", "--folder", tmp_path / "archive")
    run_command("export", tmp_path / "crops", "--folder", tmp_path / "archive")
    with pytest.raises(StationError, match=r"no frame of .*\n.*of which only crops were kept"):
        write_reviewed(tmp_path / "crops", tmp_path / "archive", tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_a_folder_without_exported_crops_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StationError, match="no crops of `station archive export`"):
        write_reviewed(tmp_path, tmp_path, tmp_path / "set")


def test_what_was_written_before_is_not_written_over(archive: Path, crops: Path, tmp_path: Path) -> None:
    write_reviewed(crops, archive, tmp_path / "set")
    with pytest.raises(StationError, match="is there already: go on with --resume"):
        write_reviewed(crops, archive, tmp_path / "set")
