import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from shadowline.errors import StationError
from station.archive.evidence import RECORD, Evidence, encode
from station.archive.export import MANIFEST, Exported, export
from station.archive.index import Filter, open_index
from station.archive.pictures import encode_crop
from station.archive.reconcile import reconcile
from station.archive.shelf import Entry, put_away
from station.crops import crop_square
from station.event import InspectionEvent
from station.event import encode as encode_message
from tests.evidence import CUT, NOON_NS, fill, make_event
from training.data.check import check
from training.data.tree import read_tree

EVENTS = [
    make_event(1, ("patches", "scratches"), captured_ns=NOON_NS, coil="A-17"),
    make_event(2, ("patches", "unknown"), captured_ns=NOON_NS + 10**9),
    make_event(3, (), "invalid", captured_ns=NOON_NS + 2 * 10**9),
    make_event(4, ("patches",), captured_ns=NOON_NS + 3 * 10**9),
]


def entries(archive: Path) -> list[Entry]:
    """Return what is in the archive, the newest first."""
    with open_index(archive) as index:
        for _ in reconcile(archive, index):
            pass
        return list(index.find(Filter()))


def exported(archive: Path, target: Path, *labels: str, most: int | None = None) -> Exported:
    *_, done = export(archive, entries(archive), target, frozenset(labels), most)
    return done


def files(target: Path) -> list[str]:
    return sorted(str(path.relative_to(target)) for path in target.rglob("*.png"))


def test_training_takes_the_folder_as_it_is(tmp_path: Path) -> None:
    fill(tmp_path / "archive", EVENTS, frame=True)
    done = exported(tmp_path / "archive", tmp_path / "set")
    tree = read_tree(tmp_path / "set")
    assert dict(done.written) == {"patches": 3, "scratches": 1}
    assert sorted(tree.labels) == ["patches", "patches", "patches", "scratches"]
    assert tree.skipped == {}
    assert check(tmp_path / "set").classes == {"patches": 3, "scratches": 1}


def test_each_picture_says_where_it_came_from(tmp_path: Path) -> None:
    fill(tmp_path / "archive", EVENTS)
    exported(tmp_path / "archive", tmp_path / "set", "scratches")
    (line,) = (tmp_path / "set" / MANIFEST).read_text().splitlines()
    sample: dict[str, Any] = json.loads(line)
    assert sample["path"] == "scratches/top-000000000001-0123456789ab-20-40-12-10.png"
    assert files(tmp_path / "set") == [sample["path"]]
    assert (sample["label"], sample["camera"], sample["event"], sample["coil"]) == ("scratches", "top", 1, "A-17")
    assert (sample["box_px"], sample["shown_px"], sample["scale"]) == ([20, 40, 12, 10], [10, 29, 32, 32], 1)


def test_labels_are_chosen_and_unknown_only_when_named(tmp_path: Path) -> None:
    fill(tmp_path / "archive", EVENTS)
    exported(tmp_path / "archive", tmp_path / "set", "unknown", "scratches")
    assert [Path(name).parent.name for name in files(tmp_path / "set")] == ["scratches", "unknown"]


def test_of_each_label_the_first_so_many(tmp_path: Path) -> None:
    fill(tmp_path / "archive", EVENTS)
    exported(tmp_path / "archive", tmp_path / "set", most=2)
    assert [name.split("-")[1] for name in files(tmp_path / "set") if name.startswith("patches")] == [
        "000000000002",
        "000000000004",
    ]


def test_odd_labels_stay_in_the_folder(tmp_path: Path) -> None:
    odd = ("../out", "..", ".hidden", "a/b", "Größe 2", "%")
    fill(tmp_path / "archive", [make_event(1, odd)])
    done = exported(tmp_path / "archive", tmp_path / "set")
    assert sorted(path.name for path in (tmp_path / "set").iterdir() if path.is_dir()) == [
        "%25",
        "%2E.",
        "%2E.%2Fout",
        "%2Ehidden",
        "Gr%C3%B6%C3%9Fe 2",
        "a%2Fb",
    ]
    assert done.written.total() == len(files(tmp_path / "set")) == 6
    assert sorted(read_tree(tmp_path / "set").labels)


def test_what_was_changed_since_is_left_out_and_said(tmp_path: Path) -> None:
    first, second, *_ = fill(tmp_path / "archive", EVENTS)
    found = entries(tmp_path / "archive")
    content = bytearray((first / "crop-000.png").read_bytes())
    content[60] ^= 1
    (first / "crop-000.png").write_bytes(content)
    (second / RECORD).write_bytes(b"{")
    *_, done = export(tmp_path / "archive", found, tmp_path / "set", frozenset())
    assert dict(done.written) == {"patches": 1}
    assert [line.partition(": ")[2][:26] for line in done.skipped] == [
        "not the event of a piece o",
        "was changed since it was w",
    ]


def test_sixteen_bits_become_the_eight_that_the_model_sees(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 4000, (120, 200), np.uint16)
    event: InspectionEvent = make_event(1, ("patches",))
    picture, content = encode_crop(image, 0, crop_square(event.defects[0].box_px, CUT, 200, 120))
    evidence = Evidence(event, (picture,), "patches", 1)
    (tmp_path / "archive" / ".work").mkdir(parents=True)
    place = "2026-11-21/top/1200/000000000001-0123456789ab"
    put_away(tmp_path / "archive", place, {picture.file: content, RECORD: encode(evidence, encode_message(event))})
    exported(tmp_path / "archive", tmp_path / "set")
    (name,) = files(tmp_path / "set")
    x, y, width, height = picture.box_px
    written = cv2.imread(str(tmp_path / "set" / name), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(written, image[y : y + height, x : x + width] // 256)


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "archive", EVENTS)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.png").write_text("")
    with pytest.raises(StationError, match=r"set: is not empty: name a new folder"):
        exported(tmp_path / "archive", tmp_path / "set")
    with pytest.raises(StationError, match=r"can't be written: Not a directory"):
        exported(tmp_path / "archive", tmp_path / "set" / "mine.png" / "set")
