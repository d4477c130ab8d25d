"""Data sets: what the training package reads, checks and splits."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from shadowline.errors import StationError
from station.archive.export import NOT_A_DEFECT
from station.archive.index import open_index
from station.archive.reconcile import reconcile
from station.config.teach import TeachConfig
from station.console.database import Database
from station.console.teach.cutting import cut_out
from station.console.teach.decisions import Decisions, Did
from station.console.teach.item import Box, Item
from station.console.teach.queue import Queue
from station.console.teach.sets import GROUP_PATTERN, Sets
from station.console.tryout.inbox import Inbox
from station.crops import crop_square
from tests.evidence import NOON_NS, fill, make_event
from training.data.check import check
from training.data.groups import group_pictures
from training.data.marked import read_marked
from training.data.tree import read_tree
from training.finders.reviewed import REVIEWED, write_reviewed


class Review:
    """A reviewer with an archive of whole frames: events 1 to 12 of coils A to G, and one without a region."""

    def __init__(self, tmp_path: Path, database: Database) -> None:
        self.archive = tmp_path / "archive"
        events = [
            make_event(number, ("scratches", "unknown"), captured_ns=NOON_NS + number, coil="ABCDEFG"[number // 2])
            for number in range(1, 13)
        ]
        fill(self.archive, [*events, make_event(20, (), "invalid", coil="G")], frame=True)
        with open_index(self.archive) as index:
            for _ in reconcile(self.archive, index):
                pass
        Inbox(database)
        self.decisions = Decisions(database)
        self.queue = Queue(self.archive, TeachConfig(), database, self.decisions.is_finished)
        self.sets = Sets(tmp_path / "sets")
        self.count = 0

    def item(self, event: int, what: str = "0") -> Item:
        return self.queue.find(f"{event:012d}-0123456789ab.{what}")

    def decide(self, event: int, label: str, what: str = "0", box: Box | None = None) -> None:
        item, did = self.item(event, what), "not_a_defect" if label == NOT_A_DEFECT else "label"
        self.count += 1
        cut = cut_out(item, self.queue.place(item), None, box)
        self._add(item, did, label, box, cut)  # type: ignore[arg-type]

    def _add(self, item: Item, did: Did, label: str, box: Box | None, cut: tuple[bytes, Box]) -> None:
        self.decisions.add(f"id-{self.count}", item.id, "ann", did, label, box, item.source, cut)

    def make(self) -> Path:
        return self.sets.find(self.sets.make(self.decisions.labelled, "eve").id)[1]


@pytest.fixture
def review(tmp_path: Path) -> Iterator[Review]:
    with Database(tmp_path / "console.db") as database:
        yield Review(tmp_path, database)


def test_training_checks_it_and_finds_nothing_wrong(review: Review) -> None:
    for event in range(1, 13):
        review.decide(event, "scratches")
        review.decide(event, "dents" if event % 2 else NOT_A_DEFECT, "1")
    made = review.make()
    report = check(made, group_pattern=GROUP_PATTERN)
    assert report.classes == {"dents": 6, NOT_A_DEFECT: 6, "scratches": 12}
    assert [one for one in report.findings if one.severity == "error"] == []
    assert report.groups == {"dents": 6, NOT_A_DEFECT: 6, "scratches": 7}
    tree = read_tree(made)
    groups = group_pictures(tree, GROUP_PATTERN)
    assert len(set(groups.tolist())) == 7
    assert tree.skipped == {}


def test_of_too_few_coils_frames_are_shared_out_one_by_one_and_it_says_so(review: Review) -> None:
    for event in (2, 3, 4):
        review.decide(event, "scratches")
        review.decide(event, "dents", "1")
    made = review.make()
    about = review.sets.find(made.name)[0]
    assert (about.by_frame, about.groups) == (True, {"dents": 2, "scratches": 2})
    tree = read_tree(made)
    groups = dict(zip(tree.paths, group_pictures(tree, GROUP_PATTERN).tolist(), strict=True))
    assert len(set(groups.values())) == 3
    of_one = {number for path, number in groups.items() if "-000000000003-" in path}
    assert len(of_one) == 1


def test_a_crop_is_the_very_one_that_the_archive_has(review: Review) -> None:
    item = review.item(1)
    assert item.crop is not None
    content, shown = cut_out(item, review.queue.place(item), None, None)
    assert content == (review.queue.place(item) / item.crop.file).read_bytes()
    assert shown == item.crop.box_px


@pytest.mark.parametrize("whole", [True, False])
def test_a_drawn_box_is_cut_out_of_the_frame_or_of_the_crop_where_there_is_no_frame(
    review: Review, tmp_path: Path, whole: bool
) -> None:
    item = review.item(1)
    place = review.queue.place(item)
    assert item.crop is not None
    only = item if whole else Item(item.id, item.reason, item.source, item.place, item.crop)
    box = (4, 44, 8, 6)
    content, shown = cut_out(only, place, None, box)
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (shown[3], shown[2])
    frame = cv2.imread(str(place / ("frame.jpg" if whole else item.crop.file)), cv2.IMREAD_GRAYSCALE)
    left, top = (0, 0) if whole else item.crop.box_px[:2]
    assert (picture == frame[shown[1] - top :, shown[0] - left :][: shown[3], : shown[2]]).all()


def test_a_box_beside_the_picture_is_refused(review: Review) -> None:
    item = review.item(1)
    with pytest.raises(StationError, match="draw it again"):
        cut_out(item, review.queue.place(item), None, (500, 500, 10, 10))


def test_a_sent_picture_is_learnt_whole_or_where_the_box_is(review: Review) -> None:
    png = cv2.imencode(".png", np.arange(6000, dtype=np.uint8).reshape(60, 100))[1].tobytes()
    item = Item("sent.1", "sent", review.item(1).source)
    assert cut_out(item, None, png, None)[1] == (0, 0, 100, 60)
    assert cut_out(item, None, png, (10, 10, 20, 20))[1] == crop_of((10, 10, 20, 20), 100, 60)


def crop_of(box: Box, width: int, height: int) -> Box:
    from station.console.teach.cutting import _CUT

    left, top, right, bottom = crop_square(box, _CUT, width, height)
    return left, top, right - left, bottom - top


def test_finders_learn_from_it_with_boxes_drawn_anew_and_defects_that_were_missed(
    review: Review, tmp_path: Path
) -> None:
    for event in range(1, 5):
        review.decide(event, "scratches", box=(2, 42, 9, 9) if event == 1 else None)
        review.decide(event, NOT_A_DEFECT if event > 1 else "dents", "1")
    review.decide(20, "dents", "frame", (50, 60, 20, 10))
    notes = write_reviewed(review.make(), review.archive, tmp_path / "finders")
    pictures, _ = read_marked(tmp_path / "finders", REVIEWED)
    found = {one.path.rpartition("--")[2][:12]: (one.labels, one.boxes.tolist()) for one in pictures}
    assert found["000000000001"] == (("scratches", "dents"), [[2, 42, 9, 9], [20, 40, 12, 10]])
    assert found["000000000002"] == (("scratches",), [[0, 40, 12, 10]])
    assert found["000000000020"] == (("dents",), [[50, 60, 20, 10]])
    assert notes == ()


def test_where_too_little_was_reviewed_it_says_what_to_do(review: Review) -> None:
    review.decide(1, "scratches")
    review.decide(2, "scratches")
    review.decide(1, "dents", "1")
    with pytest.raises(StationError, match=r"review two classes with 2 pictures each \(dents: only 1 picture\)"):
        review.make()
    assert review.sets.all() == []


def test_a_class_of_one_and_one_picture_in_two_classes_are_left_out_and_told(review: Review) -> None:
    for event in (1, 2):
        review.decide(event, "scratches")
        review.decide(event, "dents", "1")
    review.decide(3, "pits", "1")
    item = review.item(1)
    copy = Item("000000000009-0123456789ab.0", item.reason, item.source)
    review.count += 1
    review._add(copy, "label", "dents", None, cut_out(item, review.queue.place(item), None, None))
    made = review.sets.make(review.decisions.labelled, "eve")
    assert made.classes == {"dents": 2, "scratches": 2}
    assert sorted(made.left_out) == [
        "000000000009-0123456789ab.0: the same pixels are scratches and dents",
        "pits: only 1 picture",
    ]


def test_the_zip_has_all_of_it_and_each_line_says_who_decided(review: Review) -> None:
    for event in (1, 2):
        review.decide(event, "scratches")
        review.decide(event, "dents", "1")
    made = review.make()
    with zipfile.ZipFile(review.sets.zip(made.name)) as archive:
        names = archive.namelist()
        lines = [json.loads(line) for line in archive.read(f"{made.name}/pictures.jsonl").splitlines()]
    assert len(names) == 6
    assert f"{made.name}/dents/coil_A_1--top-000000000001-0123456789ab-20-40-12-10.png" in names
    assert {(line["was"], line["label"], line["by"]) for line in lines} == {
        ("scratches", "scratches", "ann"),
        ("unknown", "dents", "ann"),
    }
    review.sets.delete(made.name)
    assert review.sets.all() == []
    with pytest.raises(StationError, match="no such data set"):
        review.sets.zip(made.name)
