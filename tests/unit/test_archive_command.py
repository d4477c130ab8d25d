import json
from pathlib import Path

import cv2
import pytest

from shadowline.errors import ConfigError, StationError
from tests.evidence import DAY_NS, NOON_NS, fill, make_event, run_command
from training.data.tree import read_tree

EVENTS = [
    make_event(11, ("patches", "scratches"), captured_ns=NOON_NS, coil="A-17"),
    make_event(12, ("unknown",), "accept", captured_ns=NOON_NS + DAY_NS, camera="bottom"),
    make_event(13, (), "invalid", captured_ns=NOON_NS + 2 * DAY_NS),
]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    fill(tmp_path / "archive", EVENTS, frame=True)
    run_command("index", "--folder", tmp_path / "archive")
    return tmp_path / "archive"


LISTED = {
    "everything": ((), [13, 12, 11]),
    "a label": (("--label", "scratches"), [11]),
    "a camera": (("--camera", "bottom"), [12]),
    "a coil": (("--coil", "A-17"), [11]),
    "days": (("--since", "2026-11-22", "--until", "2026-11-22"), [12]),
    "a verdict": (("--verdict", "invalid"), [13]),
    "events": (("--from", "12", "--to", "13"), [13, 12]),
    "the newest": (("--limit", "1"), [13]),
}


@pytest.mark.parametrize(("words", "events"), LISTED.values(), ids=LISTED)
def test_list(archive: Path, words: tuple[str, ...], events: list[int]) -> None:
    lines = run_command("list", "--folder", archive, "--json", *words).splitlines()
    assert [json.loads(line)["event"] for line in lines] == events


def test_list_for_people(archive: Path) -> None:
    said = run_command("list", "--folder", archive)
    assert [line.split()[0] for line in said.splitlines()] == ["event", "13", "12", "11"]
    assert "patches, scratches" in said
    assert run_command("list", "--folder", archive, "--camera", "none") == "nothing fits\n"


def test_show_says_what_each_picture_is_and_draws_them_on_a_sheet(archive: Path, tmp_path: Path) -> None:
    said = run_command("show", "11", "--folder", archive, "--sheet", tmp_path / "sheet.png")
    assert said.splitlines()[0] == str(archive / "2026-11-21/top/1200/000000000011-0123456789ab")
    assert "crop-001.png: scratches 0.90, 79 px; shows 32×32 px at 10, 29" in said
    assert "frame.jpg: the whole frame; shows 200×120 px at 0, 0" in said
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[1] == 3 * 192
    shown = json.loads(run_command("show", "11", "--folder", archive, "--json"))
    assert shown["evidence"]["event"]["position"]["coil"] == "A-17"


def test_show_says_what_was_changed(archive: Path) -> None:
    (path,) = archive.glob("2*/*/*/000000000013-*/frame.jpg")
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(StationError, match=r"frame\.jpg: was changed since it was written"):
        run_command("show", "13", "--folder", archive)


def test_export(archive: Path, tmp_path: Path) -> None:
    said = run_command("export", tmp_path / "set", "--folder", archive)
    assert said.splitlines() == ["1 patches", "1 scratches", f"2 pictures in {tmp_path}/set"]
    assert read_tree(tmp_path / "set").labels == ("patches", "scratches")
    said = run_command("export", tmp_path / "more", "--folder", archive, "--label", "unknown", "--since", "2026-11-22")
    assert said.splitlines() == ["1 unknown", f"1 pictures in {tmp_path}/more"]


def test_index_is_made_from_the_files_and_says_what_it_did(archive: Path) -> None:
    (record,) = archive.glob("2*/*/*/000000000011-*/event.json")
    record.write_text("{")
    said = run_command("index", "--folder", archive, "--anew")
    assert said == "3 entered, 1 of them damaged; 0 struck out; 3 in the index\n"
    assert run_command("list", "--folder", archive, "--verdict", "damaged", "--json").count("\n") == 1
    for path in archive.glob("index.db*"):
        path.write_bytes(b"damaged")
    with pytest.raises(StationError, match="station archive index"):
        run_command("list", "--folder", archive)
    assert run_command("index", "--folder", archive).startswith("3 entered")


def test_info(archive: Path) -> None:
    facts = json.loads(run_command("info", "--folder", archive, "--json"))
    assert (facts["pieces"], set(facts["bytes_by_label"])) == (3, {"patches", "unknown", "invalid"})
    assert (facts["oldest"], facts["newest"]) == ("2026-11-21 12:00:00", "2026-11-23 12:00:00")
    assert run_command("info", "--folder", archive).startswith(f"{archive}: 3 pieces, 0.1 MB; ")


REFUSED = {
    "no such event": (("show", "999999"), "nothing was kept of event 999999"),
    "no day": (("list", "--since", "yesterday"), "yesterday: not a day; write it like 2026-11-21"),
}


@pytest.mark.parametrize(("words", "message"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_word_is_said_in_one_line(archive: Path, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(StationError, match=message) as caught:
        run_command(*words, "--folder", archive)
    assert "\n" not in str(caught.value)


def test_without_an_archive_the_command_says_so(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[[camera]]\nname = "top"\ntype = "simulated"\n')
    with pytest.raises(ConfigError, match=r"\[archive\] folder is not set"):
        run_command("list", "--config", config)
    with pytest.raises(ConfigError, match="no such folder"):
        run_command("list", "--folder", tmp_path / "none")
