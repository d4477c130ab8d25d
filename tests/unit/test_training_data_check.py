"""The report on a folder of pictures: every fault with a plain sentence, a severity and examples; and its command."""

import json
import re

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from shadowline.errors import ConfigError, StationError
from training.command_data import data_app
from training.data.check import DataReport, check


def picture(seed, side=48):
    return np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)


@pytest.fixture
def root(tmp_path):
    """Two sound classes of 24 pictures."""
    root = tmp_path / "pictures"
    for number, label in enumerate("ab"):
        (root / label).mkdir(parents=True)
        for index in range(24):
            cv2.imwrite(str(root / label / f"{label}{index}.png"), picture(100 * number + index))
    return root


def found(report):
    return [(finding.severity, finding.text) for finding in report.findings]


def add(path, image):
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), image)


def test_a_sound_folder_has_no_findings(root):
    report = check(root)
    assert report.findings == ()
    assert not report.failed()
    assert report.classes == report.groups == {"a": 24, "b": 24}
    assert (report.sizes, report.bit_depths, report.imbalance) == ({"48x48": 48}, {8: 48}, 1.0)


@pytest.mark.parametrize(
    ("spoil", "severity", "text", "example"),
    [
        (lambda r: (r / "c").mkdir(), "error", "class c has 0 usable pictures", None),
        (lambda r: add(r / "c" / "c.png", picture(900)), "error", "class c has 1 usable pictures", None),
        (
            lambda r: [add(r / "c" / f"{i}.png", picture(900 + i)) for i in range(2)],
            "warning",
            "class c has 2 pictures in 2 groups; it will be missing on a side",
            None,
        ),
        (
            lambda r: [add(r / "c" / f"{i}.png", picture(900 + i)) for i in range(5)],
            "warning",
            "class c has only 5 pictures",
            None,
        ),
        (lambda r: (r / "a" / "x.png").write_bytes(b"x"), "warning", "files that can't be read.*: 1", "a/x.png"),
        (lambda r: add(r / "a" / "x.png", np.zeros((9, 9), np.uint8)), "warning", "one grey level.*: 1", "a/x.png"),
        (
            lambda r: add(r / "b" / "x.png", picture(3)),
            "warning",
            "stand in several classes.*: 1",
            "a/a3.png = b/x.png",
        ),
        (
            lambda r: add(r / "a" / "x.png", picture(3)),
            "note",
            "exact copies in their class.*: 1",
            "a/a3.png = a/x.png",
        ),
        (
            lambda r: add(r / "b" / "x.png", picture(3) // 2 + 60),
            "note",
            "groups that hold several classes: 1",
            "a/a3.png = b/x.png",
        ),
        (
            lambda r: add(r / "a" / "x.png", picture(900).astype(np.uint16)),
            "warning",
            "bit depths are mixed: 48 of 8 and 1 of 10 bits",
            None,
        ),
        (lambda r: add(r / "a" / "x.png", picture(900, 60)), "note", "pictures have 2 sizes", None),
    ],
)
def test_each_fault_is_one_finding(root, spoil, severity, text, example):
    spoil(root)
    report = check(root)
    hits = [finding for finding in report.findings if re.search(text, finding.text)]
    assert [finding.severity for finding in hits] == [severity]
    assert hits[0].examples == (() if example is None else (example,))
    assert report.failed() == (severity == "error")


def test_an_unbalanced_folder_is_warned_of(tmp_path):
    for label, count in (("a", 66), ("b", 6)):
        for index in range(count):
            add(tmp_path / label / f"{index}.png", picture(index + 1000 * count))
    report = check(tmp_path)
    assert report.imbalance == 11.0
    assert any(text.startswith("the largest class has over 10 times") for _, text in found(report))


def test_one_class_alone_and_no_class_at_all_are_errors(tmp_path, root):
    (tmp_path / "one").mkdir()
    (root / "a").rename(tmp_path / "one" / "a")
    assert ("error", "there is one class folder; a network needs two classes or more") in found(check(tmp_path / "one"))
    with pytest.raises(StationError, match="no class folders"):
        check(tmp_path / "one" / "a")


def test_nothing_readable_is_reported_too(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        (tmp_path / label / "x.png").write_bytes(b"x")
    report = check(tmp_path)
    assert report.failed()
    assert report.imbalance is None


def test_strips_lower_the_number_of_groups(root):
    assert check(root, group_pattern=r"^[ab](\d)").groups == {"a": 10, "b": 10}


@pytest.fixture
def boxes(tmp_path, root):
    """Boxes of all pictures of `root` but one, one of a wrong name, one beyond the picture, and a stranger's."""
    folder = tmp_path / "boxes"
    folder.mkdir()
    for path in root.glob("*/*.png"):
        name, right = ("odd" if path.stem == "a1" else path.parent.name), (90 if path.stem == "a2" else 40)
        corners = f"<xmin>4</xmin><ymin>4</ymin><xmax>{right}</xmax><ymax>40</ymax>"
        xml = f"<annotation><object><name>{name}</name><bndbox>{corners}</bndbox></object></annotation>"
        (folder / f"{path.stem}.xml").write_text(xml)
    (folder / "a0.xml").rename(folder / "stranger.xml")
    return folder


def test_faults_of_boxes_are_findings_with_their_pictures(root, boxes):
    shown = {finding.text: finding.examples for finding in check(root, boxes).findings}
    assert shown == {
        "boxes that are missing: no file of the picture's name: 1": ("a/a0.png (a0.xml)",),
        "boxes of a name that is no class, dropped: 1": ("a/a1.png (odd)",),
        "boxes that reach beyond their picture, cut to it: 1": ("a/a2.png (a at 4, 4, 90, 40)",),
        "boxes none of which has the picture's own label: 1": ("a/a1.png (a, but boxes of nothing)",),
        "files of boxes that belong to no picture: 1": ("stranger.xml",),
    }
    assert "of a name that is no class" not in str(check(root, boxes, {"odd": "a"}).findings)


def test_the_command_prints_writes_a_sheet_a_class_and_passes(root, boxes, tmp_path):
    out = tmp_path / "sheets"
    words = ["check", str(root), "--boxes", str(boxes), "--alias", "odd=a", "--box-size", "96x96", "--sheets", str(out)]
    done = CliRunner().invoke(data_app, words)
    assert done.exit_code == 0
    assert re.search(r"a\s+│ 24 ", done.output)
    assert "boxes that are missing" in done.output
    assert "outside" not in done.output
    assert str(out) in done.output
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "b.png"]
    assert cv2.imread(str(out / "a.png")).shape[1] > 8 * 128


def test_the_command_fails_on_errors_and_prints_json(root, tmp_path):
    (root / "c").mkdir()
    done = CliRunner().invoke(data_app, ["check", str(root), "--sheets", str(tmp_path / "s"), "--json"])
    assert done.exit_code == 1
    assert DataReport.model_validate(json.loads(done.stdout)).classes == {"a": 24, "b": 24, "c": 0}


@pytest.mark.parametrize("words", [["--alias", "odd"], ["--alias", "=a"], ["--box-size", "96"], ["--box-size", "0x9"]])
def test_a_word_that_says_nothing_is_refused(root, words):
    with pytest.raises(ConfigError, match=f"{words[0]} .*: expected"):
        CliRunner().invoke(data_app, ["check", str(root), *words], catch_exceptions=False)


def test_real_folders_have_the_faults_that_are_known(data):
    gc10 = data / "gc10"
    report = check(gc10 / "images-224", gc10 / "annotations", group_pattern=r"img_\d+_(\w+)_")
    texts = {finding.text.rpartition(": ")[0]: finding for finding in report.findings}
    assert texts["pictures that stand in several classes and are left out; keep each in one"].text.endswith(": 12")
    assert any("of a name that is no class" in text for text in texts)
    assert not report.failed()
