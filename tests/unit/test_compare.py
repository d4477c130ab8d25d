"""Runs beside each other: the order, paired differences, what can't be compared, speed, plot and table."""

import io
import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
from rich.console import Console

from engines import shipped_model
from shadowline.errors import StationError
from training.compare import compare, comparison_table, write_comparison
from training.data import Manifest, Picture
from training.evaluation import Evaluation
from training.report import ReportMetrics
from training.report.metrics import measure
from training.report.predictions import predictions_file, write_predictions

LABELS = ("dent", "scratch")


def answers(wrong, n=80):
    """Return answers to n crops of two classes, of which the first `wrong` of each class are named wrongly."""
    classes = np.arange(n) % 2
    missed = np.arange(n) // 2 < wrong
    chances = np.where((classes ^ missed)[:, None] == np.arange(2), 0.9, 0.1).astype(np.float32)
    names = tuple(f"{i:03}.png" for i in range(n))
    return Evaluation(names, np.zeros((n, 1, 16, 16), np.uint8), np.eye(2, dtype=np.float32)[classes], chances)


def run(folder, answers, us_per_crop=None, labels=LABELS, side="test"):
    """Leave of a run what a comparison reads of its report."""
    report = folder / "report"
    report.mkdir(parents=True)
    metrics = ReportMetrics(
        title=folder.name,
        labels=labels,
        multi_label=False,
        facts={},
        us_per_crop=us_per_crop,
        sides={side: measure(answers, labels, multi_label=False)},
    )
    (report / "metrics.json").write_text(metrics.model_dump_json())
    write_predictions(report / predictions_file(side), answers, labels, multi_label=False)
    return folder


def names(comparison):
    return [entry.run.rpartition("/")[2] for entry in comparison.entries]


def test_the_best_comes_first_and_the_faster_of_equals(tmp_path):
    runs = [
        run(tmp_path / "worst", answers(9), 100),
        run(tmp_path / "slow", answers(1), 900),
        run(tmp_path / "untimed", answers(1)),
        run(tmp_path / "fast", answers(1), 300, side="test/whole"),
    ]
    comparison = compare(runs)
    assert names(comparison) == ["fast", "slow", "untimed", "worst"]
    assert comparison.entries[0].metrics.accuracy.value == pytest.approx(78 / 80)
    assert [entry.on_front for entry in comparison.entries] == [True, False, False, True]


def test_macro_f1_and_accuracy_can_rank_differently(tmp_path):
    many = replace(answers(0, 100), targets=np.eye(2, dtype=np.float32)[(np.arange(100) < 10).astype(int)])
    lazy = replace(many, probabilities=np.tile(np.float32([0.9, 0.1]), (100, 1)))
    eager = replace(many, probabilities=np.eye(2, dtype=np.float32)[(np.arange(100) < 25).astype(int)])
    runs = [run(tmp_path / "lazy", lazy), run(tmp_path / "eager", eager)]
    assert names(compare(runs, by="accuracy")) == ["lazy", "eager"]
    assert names(compare(runs, by="macro_f1")) == ["eager", "lazy"]


def test_differences_are_drawn_in_pairs_in_any_order_of_the_crops(tmp_path):
    order = np.random.default_rng(0).permutation(80)
    one = answers(9)
    shuffled = Evaluation(tuple(one.names[i] for i in order), one.crops, one.targets[order], one.probabilities[order])
    runs = [run(tmp_path / "good", answers(8)), run(tmp_path / "less", shuffled)]
    best, less = compare(runs, by="accuracy").entries
    assert best.behind.low == best.behind.high == 0
    assert less.behind.value == pytest.approx(2 / 80)
    assert 0 <= less.behind.low < less.behind.value < less.behind.high
    apart = best.metrics.accuracy.high - less.metrics.accuracy.low
    assert less.behind.high < 0.5 * apart, "pairs leave the crops out that both name alike"


def test_a_clear_difference_is_told_from_a_chance_one(tmp_path):
    runs = [run(tmp_path / str(wrong), answers(wrong)) for wrong in (1, 2, 20)]
    _, near, far = compare(runs).entries
    assert near.behind.low <= 0 < near.behind.value
    assert far.behind.low > 0.2


def manifest(folder, tested="same", learnt="same"):
    """Leave a manifest in which one test picture and one that was learnt from have these hashes."""
    pictures = [Picture(path=f"{i:03}.png", label="dent", sha256="same", group=i, split="test") for i in range(80)]
    pictures[5] = pictures[5].model_copy(update={"sha256": tested})
    pictures.append(Picture(path="learnt.png", label="dent", sha256=learnt, group=99, split="train"))
    (folder / "manifest.json").write_text(Manifest(seed=1, labels=LABELS, pictures=pictures).model_dump_json())


def test_runs_with_other_test_crops_are_ranked_but_not_set_against_each_other(tmp_path):
    part = answers(5)
    part = Evaluation(part.names[:60], part.crops[:60], part.targets[:60], part.probabilities[:60])
    runs = [run(tmp_path / "all", answers(1)), run(tmp_path / "part", part)]
    best, other = compare(runs).entries
    assert best.not_comparable == ""
    assert other.behind is None
    assert other.not_comparable == "other test crops: 60, of which the best run has 60"


def test_runs_with_other_classes_or_other_truth_are_not_set_against_each_other(tmp_path):
    swapped = replace(answers(5), targets=answers(5).targets[::-1])
    runs = [
        run(tmp_path / "best", answers(0)),
        run(tmp_path / "classes", answers(3), labels=("dent", "scale")),
        run(tmp_path / "truth", swapped),
    ]
    reasons = {entry.run.rpartition("/")[2]: entry.not_comparable for entry in compare(runs).entries}
    assert reasons == {"best": "", "classes": "other classes", "truth": "other true labels"}


@pytest.mark.parametrize(
    ("hashes", "reason"),
    [({}, ""), ({"learnt": "other"}, ""), ({"tested": "other"}, "other pictures under the same names")],
)
def test_test_pictures_are_known_by_their_hash_where_runs_have_a_manifest(tmp_path, hashes, reason):
    runs = [run(tmp_path / "best", answers(0)), run(tmp_path / "less", answers(3))]
    manifest(runs[0])
    manifest(runs[1], **hashes)
    assert compare(runs).entries[1].not_comparable == reason


def test_a_model_file_is_timed_where_the_report_has_no_time(tmp_path):
    stored, timed = run(tmp_path / "stored", answers(0), 5.0), run(tmp_path / "timed", answers(1))
    for folder in (stored, timed):
        shutil.copyfile(shipped_model(), folder / "model.onnx")
    first, second = compare([stored, timed]).entries
    assert (first.us_per_crop, first.timed_here) == (5.0, False)
    assert second.us_per_crop > 1
    assert second.timed_here


def test_a_run_without_a_report_and_a_run_given_twice_are_refused(tmp_path):
    good = run(tmp_path / "good", answers(0))
    with pytest.raises(StationError, match=r"none.report.metrics\.json: no metrics of a report"):
        compare([good, tmp_path / "none"])
    with pytest.raises(StationError, match="given twice"):
        compare([good, tmp_path / "none" / ".." / "good"])
    (good / "report" / "predictions-test.csv").unlink()
    with pytest.raises(StationError, match=r"predictions-test\.csv: no predictions"):
        compare([good])


def test_what_is_written_reads_back_and_is_a_picture(tmp_path):
    runs = [run(tmp_path / "a", answers(1), 200), run(tmp_path / "b", answers(4), 90), run(tmp_path / "c", answers(6))]
    comparison = compare(runs)
    write_comparison(comparison, tmp_path / "out" / "deep")
    back = json.loads((tmp_path / "out" / "deep" / "comparison.json").read_text())
    assert [entry["on_front"] for entry in back["entries"]] == [True, True, False]
    assert min(cv2.imread(str(tmp_path / "out" / "deep" / "pareto.png")).shape[:2]) > 400


def test_without_any_time_there_is_no_plot(tmp_path):
    write_comparison(compare([run(tmp_path / "a", answers(1))]), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["comparison.json"]


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path):
    comparison = compare([run(tmp_path / "a", answers(1))])
    (tmp_path / "file").write_text("")
    with pytest.raises(StationError, match="can't write the comparison"):
        write_comparison(comparison, tmp_path / "file")


def test_the_table_says_what_is_chance_and_what_is_not_comparable(tmp_path):
    part = answers(10, 60)
    runs = [
        run(tmp_path / "best", answers(1), 200),
        run(tmp_path / "near", answers(2), 300),
        run(tmp_path / "part", part),
    ]
    console = Console(width=250, record=True, file=io.StringIO())
    console.print(comparison_table(compare(runs)))
    rows = {words[1]: line for line in console.export_text().splitlines() if len(words := line.split()) > 4}
    best, near, other = rows["best"], rows["near"], rows["part"]
    assert "97.50" in best
    assert "200 *" in best
    assert "may be chance" in near
    assert "other test crops: 60, of which the best run has 60" in other
