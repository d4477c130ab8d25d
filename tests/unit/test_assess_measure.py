"""From what was asked to figures: pictures gathered, shown, assessed; never what was learnt."""

import cv2
import pytest
from pydantic import ValidationError

from shadowline.errors import StationError
from station.config_file import load
from tests.assessed import GOOD, config_text, write_marked
from training.assess.measure import gather, measure
from training.assess.sought import Sought
from training.assess.subjects import Subject
from training.data import MarkSettings, manifest_of, read_manifest

ASKED = Sought(marks=MarkSettings(pictures="pictures", masks="masks", good={GOOD}), fractions=(0.5, 0.25, 0.25))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_marked(tmp_path_factory.mktemp("marked"))


def test_a_finder_that_sees_the_spots_is_measured_whole(data, tmp_path):
    chosen = gather(data, ASKED, "all", [])
    threads = cv2.getNumThreads()
    found = measure(Subject("shadow", load(config_text(tmp_path))), chosen)
    assert cv2.getNumThreads() == threads
    one = found.assessment
    assert (one.pictures, one.good, one.defects, one.regions) == (16, 8, 8, 0.5)
    assert (one.covered.value, one.missed.value, one.escaped.value, one.false_rejects.value) == (1.0, 0, 0, 0)
    assert one.map50.value == pytest.approx(1.0)
    assert (one.labels["spot"].recall_50, one.labels["spot"].precision_50) == (1.0, 1.0)
    assert "not known whether fake learnt" in one.notes[0]
    assert len(found.seen) == 16


def test_the_sides_are_those_of_the_run(data, tmp_path):
    own = gather(data, ASKED, "all", [])
    manifest = manifest_of({"train": own.pictures[:10], "val": own.pictures[10:12], "test": own.pictures[12:]}, 1)
    (tmp_path / "manifest.json").write_text(manifest.model_dump_json())
    chosen = gather(data, ASKED, "test", [tmp_path])
    assert [one.path for one in chosen.pictures] == [one.path for one in own.pictures[12:]]
    assert chosen.splits[str(tmp_path)] == read_manifest(tmp_path / "manifest.json")


def test_a_finder_is_refused_the_pictures_that_it_learnt(data, tmp_path):
    everything = gather(data, ASKED, "all", [])
    learnt = next(iter(everything.splits.values())).sha256()
    file = config_text(tmp_path, "heatmap", facts={"data_sha256": learnt})
    subject = Subject("heatmap", load(file))
    with pytest.raises(StationError, match=r"drawn-heatmap has learnt from \d+ of these 16 pictures"):
        measure(subject, everything)
    test = measure(subject, gather(data, ASKED, "test", []))
    assert "drawn-heatmap" not in test.assessment.notes[0]


def test_labels_that_the_station_never_gives_are_told(data, tmp_path):
    aliased = Sought(marks=ASKED.marks.model_copy(update={"aliases": {"spot": "stain"}}))
    one = measure(Subject("shadow", load(config_text(tmp_path))), gather(data, aliased, "all", [])).assessment
    assert any(note.startswith("marked, but never said by shadow: stain") for note in one.notes)
    assert one.map50.value == 0
    assert one.region_recall.value == 1.0


def test_fractions_amiss_are_refused():
    with pytest.raises(ValidationError):
        Sought(fractions=(1, 2))
