import errno
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from shadowline.errors import ConfigError, StationError
from station.archive.evidence import RECORD, decode, encode
from station.archive.shelf import DAMAGED, minutes, names, owned, put_away, read_entry, read_evidence, sweep, take_away
from station.event import encode as encode_message
from tests.evidence import NOON_NS, fill, make_event

MINUTE = "2026-11-21/top/1200"


def entry_of(place: Path):  # type: ignore[no-untyped-def]
    return read_entry(place.parents[3], "/".join(place.parts[-4:-1]), place.name)


def test_evidence_lies_by_day_camera_and_minute_and_has_the_published_bytes(tmp_path: Path) -> None:
    event = make_event(12_345, ("scratches", "patches"), coil="A-17")
    (place,) = fill(tmp_path, [event], frame=True)
    assert place == tmp_path / MINUTE / "000000012345-0123456789ab"
    assert sorted(os.listdir(place)) == ["crop-000.png", "crop-001.png", "event.json", "frame.jpg"]
    assert encode_message(event) in (place / RECORD).read_bytes()
    entry = entry_of(place)
    assert (entry.event, entry.camera, entry.verdict, entry.coil) == (12_345, "top", "reject", "A-17")
    assert (entry.labels, entry.counts_as, entry.pictures, entry.size) == (
        ("scratches", "patches"),
        "scratches",
        3,
        20_480 + 4096 * (-(-(place / "frame.jpg").stat().st_size // 4096) - 1),
    )


def cut_the_record(place: Path) -> None:
    (place / RECORD).write_bytes((place / RECORD).read_bytes()[:100])


def cut_a_crop(place: Path) -> None:
    (place / "crop-000.png").write_bytes(b"")


def another_version(place: Path) -> None:
    (place / RECORD).write_bytes((place / RECORD).read_bytes().replace(b"evidence/1", b"evidence/2"))


def a_defect_that_is_not_there(place: Path) -> None:
    (place / RECORD).write_bytes((place / RECORD).read_bytes().replace(b'"defect":0', b'"defect":9'))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no record": lambda place: (place / RECORD).unlink(),
    "a cut record": cut_the_record,
    "an empty record": lambda place: (place / RECORD).write_bytes(b""),
    "no text": lambda place: (place / RECORD).write_bytes(b"\xff\xfe\x00"),
    "deeply nested": lambda place: (place / RECORD).write_bytes(b"[" * 100_000),
    "a folder in its place": lambda place: ((place / RECORD).unlink(), (place / RECORD).mkdir()),
    "of a newer version": another_version,
    "a wrong number": a_defect_that_is_not_there,
    "a cut crop": cut_a_crop,
    "a crop gone": lambda place: (place / "crop-000.png").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_not_whole_counts_as_damaged_and_stays(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    (place,) = fill(tmp_path, [make_event(7, ("patches", "scratches"))])
    damage(place)
    entry = entry_of(place)
    assert (entry.event, entry.camera, entry.verdict, entry.counts_as) == (7, "top", DAMAGED, DAMAGED)
    assert entry.size >= 4096
    assert place.is_dir()


def test_a_record_says_what_is_wrong(tmp_path: Path) -> None:
    (place,) = fill(tmp_path, [make_event(7)])
    cut_the_record(place)
    with pytest.raises(StationError, match=r"event\.json: not the event of a piece of evidence: .*truncated"):
        read_evidence(place)
    (place / RECORD).unlink()
    with pytest.raises(StationError, match=r"event\.json: can't be read: No such file"):
        read_evidence(place)


def test_an_outsiders_names_for_pictures_are_refused(tmp_path: Path) -> None:
    (place,) = fill(tmp_path, [make_event(7)])
    content = (place / RECORD).read_bytes()
    for name in (b"../../etc/passwd", b"crop-0.png\\n", b"/frame.jpg"):
        with pytest.raises(msgspec.ValidationError):
            decode(content.replace(b"crop-000.png", name))
    evidence = decode(content)
    assert encode(evidence, encode_message(evidence.event)) == content


def test_only_what_is_named_like_evidence_is_found(tmp_path: Path) -> None:
    (place,) = fill(tmp_path, [make_event(7)])
    for stranger in (
        "lost+found",
        "2026-11-21/notes",
        "2026-11-21/top/12-00",
        "2026-11-21/TOP/1200",
        "21-11-2026/top/1200",
    ):
        (tmp_path / stranger / place.name).mkdir(parents=True)
    for name in ("7", "000000000008-0123456789AB", "000000000008-0123456789ab ", "ü\n\udcff", ".hidden"):
        (place.parent / name).mkdir()
    (place.parent / "000000000009-0123456789ab").write_text("a file")
    (place.parent / "000000000010-0123456789ab").symlink_to(place)
    assert list(minutes(tmp_path)) == [MINUTE]
    assert names(tmp_path, MINUTE) == {place.name}


def test_a_folder_without_a_file_of_ours_is_nothing(tmp_path: Path) -> None:
    (tmp_path / MINUTE / "000000000008-0123456789ab").mkdir(parents=True)
    (tmp_path / MINUTE / "000000000008-0123456789ab" / "notes.txt").write_text("mine")
    assert read_entry(tmp_path, MINUTE, "000000000008-0123456789ab") is None


def test_what_goes_takes_its_empty_folders_along(tmp_path: Path) -> None:
    first, second = fill(tmp_path, [make_event(1), make_event(2, captured_ns=NOON_NS + 10**9)])
    take_away(tmp_path, str(first.relative_to(tmp_path)))
    assert (first.exists(), second.exists()) == (False, True)
    take_away(tmp_path, str(second.relative_to(tmp_path)))
    assert os.listdir(tmp_path) == [".work"]
    take_away(tmp_path, str(second.relative_to(tmp_path)))


def test_a_strangers_file_stays_where_evidence_goes(tmp_path: Path) -> None:
    (place,) = fill(tmp_path, [make_event(1)])
    (place / "notes.txt").write_text("mine")
    (place / "crop-000.png.bak").write_text("mine")
    take_away(tmp_path, str(place.relative_to(tmp_path)))
    assert sorted(os.listdir(place)) == ["crop-000.png.bak", "notes.txt"]


def test_half_written_evidence_is_gone_at_the_next_opening(tmp_path: Path) -> None:
    with owned(tmp_path):
        half = tmp_path / ".work" / "000000000001-0123456789ab"
        half.mkdir()
        (half / "crop-000.png").write_bytes(b"half")
    with owned(tmp_path):
        assert os.listdir(tmp_path / ".work") == []


def test_what_can_not_be_written_whole_is_not_there_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = Path.write_bytes

    def write(path: Path, content: bytes) -> int:
        if path.name == RECORD:
            raise OSError(errno.ENOSPC, "No space left on device")
        return really(path, content)

    with owned(tmp_path):
        monkeypatch.setattr(Path, "write_bytes", write)
        with pytest.raises(OSError, match="No space"):
            put_away(tmp_path, f"{MINUTE}/000000000001-0123456789ab", {"crop-000.png": b"12", RECORD: b"12"})
        assert os.listdir(tmp_path / ".work") == []
        assert not (tmp_path / "2026-11-21").exists()


def test_what_was_swept_away_under_way_is_not_there_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = Path.write_bytes

    def write(path: Path, content: bytes) -> int:
        written = really(path, content)
        if path.name == RECORD:
            sweep(tmp_path)
        return written

    with owned(tmp_path):
        monkeypatch.setattr(Path, "write_bytes", write)
        with pytest.raises(FileNotFoundError):
            put_away(tmp_path, f"{MINUTE}/000000000001-0123456789ab", {"crop-000.png": b"12", RECORD: b"12"})
        assert os.listdir(tmp_path / ".work") == []
        assert names(tmp_path, MINUTE) == set()


def test_an_archive_belongs_to_one_process(tmp_path: Path) -> None:
    another = pytest.raises(ConfigError, match=r"\[archive\] folder .*/archive: another station uses it")
    with owned(tmp_path / "archive"), another:
        owned(tmp_path / "archive").__enter__()
    with owned(tmp_path / "archive"):
        pass


def test_a_place_that_can_not_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for bad in (tmp_path / "file", tmp_path / "file" / "archive", tmp_path / "missing" / "archive"):
        with pytest.raises(ConfigError, match=r"\[archive\] folder /"):
            owned(bad).__enter__()
