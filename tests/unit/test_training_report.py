"""The report of a training: its numbers against scikit-learn's, its folder, its page, and where evidence lies."""

import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, brier_score_loss, f1_score
from torch import nn

from engines import OnnxRuntimeEngine, read_card, shipped_model
from shadowline.errors import StationError
from training.data import read_grey
from training.evaluate import evaluate_crops, whole_crops
from training.evaluation import Evaluation
from training.report import examples, read_metrics, read_predictions, write_report
from training.report.gradcam import gradcam
from training.report.intervals import error_bound, macro_f1s, mean_precisions, picture_of, resamples
from training.report.metrics import ReportMetrics, measure
from training.report.plots import confusion_chart, learning_chart
from training.report.theme import DARK, LIGHT
from training.report.words import percent, summary
from training.scores import named_labels, score, score_multi_label

LABELS = ("dent", "scale, rolled", "scratch")
CHARTS = {"confusion.png", "precision_recall.png", "reliability.png", "worst.png"}
CURVES = [
    {"epoch": epoch, "learning_rate": 1e-3, "train_loss": 1 / (epoch + 1), "val_loss": 1.5 / (epoch + 1)}
    for epoch in range(3)
]


def drawn(n=60, seed=0, skill=2.0, side=24):
    """Return answers that are mostly right: crops of noise, each class with its own level."""
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % 3
    logits = rng.normal(0, 1, (n, 3)) + skill * np.eye(3)[classes]
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    crops = np.clip(rng.normal(80 * classes[:, None, None, None] + 40, 12, (n, 1, side, side)), 0, 255)
    names = tuple(f"{LABELS[c]}/{i:03}.png" for i, c in enumerate(classes))
    return Evaluation(names, crops.astype(np.uint8), np.eye(3, dtype=np.float32)[classes], chances.astype(np.float32))


def certain(classes, named, confidence=0.9):
    """Return answers of three classes that name `named` with one confidence."""
    chances = np.full((len(classes), 3), (1 - confidence) / 2, np.float32)
    chances[np.arange(len(classes)), named] = confidence
    names = tuple(f"{i}.png" for i in range(len(classes)))
    crops = np.zeros((len(classes), 1, 16, 16), np.uint8)
    return Evaluation(names, crops, np.eye(3, dtype=np.float32)[np.asarray(classes)], chances)


def several(n=80, seed=3):
    """Return multi-label truth and rounded chances, so that there are ties and crops without a label."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((n, 3)) < (0.5, 0.3, 0.1)).astype(np.float32)
    chances = np.clip(0.5 * targets + rng.random((n, 3)) * 0.6, 0, 1).round(1).astype(np.float32)
    return targets, chances


def told(answers, multi_label=False, side="test"):
    sides = {side: measure(answers, LABELS, multi_label)}
    metrics = ReportMetrics(title="x", labels=LABELS, multi_label=multi_label, facts={}, us_per_crop=None, sides=sides)
    return " ".join(summary(metrics))


def test_the_figures_are_those_of_scikit_learn():
    answers = drawn()
    scores = score(answers.probabilities, answers.classes, LABELS)
    named = answers.probabilities.argmax(1)
    assert 0.5 < scores.accuracy < 1
    assert scores.macro_f1 == pytest.approx(f1_score(answers.classes, named, average="macro"))
    areas = [average_precision_score(answers.targets[:, c], answers.probabilities[:, c]) for c in range(3)]
    assert [one.average_precision for one in scores.per_class.values()] == pytest.approx(areas)
    assert scores.mean_average_precision == pytest.approx(np.mean(areas))
    assert scores.brier == pytest.approx(brier_score_loss(answers.classes, answers.probabilities))


def test_multi_label_figures_count_each_label_and_ties_are_one_step():
    targets, chances = several()
    scores = score_multi_label(chances, targets, LABELS)
    named = chances >= 0.5
    assert scores.accuracy == pytest.approx((named == (targets > 0)).all(1).mean())
    assert scores.macro_f1 == pytest.approx(f1_score(targets, named, average="macro"))
    area = average_precision_score(targets, chances, average="macro")
    assert scores.mean_average_precision == pytest.approx(area)


def test_a_multi_label_mistake_stands_beside_what_took_its_place_or_beside_no_label():
    targets = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]], np.float32)
    chances = np.array([[0, 1, 1], [1, 1, 0], [0, 0, 0], [1, 0, 0]], np.float32)
    confusion = score_multi_label(chances, targets, LABELS).confusion
    assert confusion == [[1, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]]


def test_a_class_that_does_not_occur_has_no_average_precision_and_does_not_count():
    scores = score(np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1]], np.float32), np.array([0, 1]), LABELS)
    assert scores.per_class["scratch"].average_precision is None
    assert scores.mean_average_precision == 1
    assert scores.macro_f1 == scores.macro_precision == scores.macro_recall == 1


def test_each_resample_gives_what_scikit_learn_gives_for_its_weights():
    targets, chances = several()
    true, named = targets > 0, named_labels(chances, multi_label=True)
    weights = resamples([f"{i}.png" for i in range(len(targets))])[:5]
    f1s = [f1_score(targets, named, average="macro", sample_weight=row) for row in weights]
    areas = [average_precision_score(targets, chances, average="macro", sample_weight=row) for row in weights]
    assert macro_f1s(true, named, weights).tolist() == pytest.approx(f1s)
    assert mean_precisions(chances, true, weights).tolist() == pytest.approx(areas)


@pytest.mark.parametrize(
    ("name", "picture"),
    [
        ("dent/1.png", "dent/1.png"),
        ("dent/1.png (10, 0, 40, 35)", "dent/1.png"),
        ("strip 3 frame 2 [-1, 5, 9, 9]", "strip 3 frame 2"),
        ("dent/photo (1, 2).png", "dent/photo (1, 2).png"),
    ],
)
def test_a_crop_belongs_to_its_picture(name, picture):
    assert picture_of(name) == picture


def test_crops_of_one_picture_are_drawn_together():
    weights = resamples(["a.png (1, 2, 3, 4)", "b.png", "a.png (5, 6, 7, 8)"])
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 0] + weights[:, 1] == 2).all()
    assert set(weights[:, 1].tolist()) == {0, 1, 2}


def test_intervals_hold_the_figure_and_narrow_with_more_crops():
    few, many = (measure(drawn(n), LABELS, multi_label=False) for n in (30, 600))
    for side in (few, many):
        for figure in (side.accuracy, side.macro_f1, side.mean_average_precision):
            assert 0 <= figure.low <= figure.value <= figure.high <= 1
    assert many.accuracy.high - many.accuracy.low < 0.5 * (few.accuracy.high - few.accuracy.low)


def test_no_mistake_is_not_told_as_never_wrong():
    assert error_bound(0, 100) == pytest.approx(1 - 0.05 ** (1 / 100))
    words = told(certain([0, 1, 2] * 20, [0, 1, 2] * 20))
    assert "60 of 60 test crops" in words
    assert f"less than {percent(error_bound(0, 60))}" in words


def test_doubt_that_goes_with_mistakes_is_measured():
    answers = certain([0, 1, 2, 0], [0, 1, 2, 1])
    chances = answers.probabilities.copy()
    chances[3] = (0.4, 0.5, 0.1)
    side = measure(replace(answers, probabilities=chances, novelty=np.float32([1, 9, 1, 5])), LABELS, False)
    assert side.doubt_auroc == 1
    assert side.novelty_auroc == pytest.approx(2 / 3)
    assert side.sure_share == 0.75
    assert side.sure_accuracy == 1


def test_the_summary_names_the_weak_class_and_what_it_is_taken_for():
    words = told(certain([0] * 30 + [1] * 30 + [2] * 5, [0] * 30 + [0] * 10 + [1] * 20 + [2] * 5))
    assert "55 of 65 test crops" in words
    assert "Without a mistake: scratch." in words
    assert "Weakest: scale, rolled. 66.7 % of its crops are found" in words
    assert "scale, rolled named dent (10×)" in words
    assert "rough figures: scratch (5)" in words


def test_the_summary_of_several_labels_tells_the_overlooked_from_the_invented():
    targets = np.array([[1, 0, 0]] * 4 + [[0, 1, 0]] * 6, np.float32)
    chances = np.array([[0, 0, 0]] * 3 + [[1, 0, 0]] + [[0, 1, 1]] * 6, np.float32)
    answers = replace(certain([0] * 10, [0] * 10), targets=targets, probabilities=chances)
    words = told(answers, multi_label=True)
    assert "1 of 10 test crops, of which it learnt nothing, have all labels right" in words
    assert "scratch named where there is none (6×), dent overlooked (3×)." in words


@pytest.mark.parametrize(
    ("confidence", "right", "belief"),
    [(0.99, 7, "too high"), (0.5, 10, "too low"), (0.9, 9, "can be taken at its word")],
)
def test_the_summary_says_whether_confidence_can_be_believed(confidence, right, belief):
    named = [0] * right + [1] * (10 - right)
    assert belief in told(certain([0] * 10, named, confidence))


@pytest.mark.parametrize(
    ("share", "text"), [(1, "100 %"), (0.9999, "99.9 %"), (0.996, "99.6 %"), (0.0001, "0.1 %"), (0, "0 %")]
)
def test_only_what_is_whole_is_called_so(share, text):
    assert percent(share) == text


def write(folder, sides=None, **changes):
    given = {"curves": CURVES, "facts": {"network": "tiny"}, "saliency": None} | changes
    write_report(folder, "tiny <b>", LABELS, sides or {"val": drawn(30, 1), "test": drawn()}, **given)


def test_the_folder_holds_everything_and_reads_back(tmp_path):
    answers = drawn()
    write(
        tmp_path / "report",
        {"val/whole": drawn(30, 1), "test/whole": answers, "test/box": drawn(20, 2)},
        saliency=lambda crops: np.zeros((len(crops), *crops.shape[2:]), np.float32),
        us_per_crop=250.0,
    )
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    tables = {f"predictions-{side}.csv" for side in ("val-whole", "test-whole", "test-box")}
    assert {path.name for path in (tmp_path / "report").iterdir()} == CHARTS | tables | {
        "curves.png",
        "gradcam.png",
        "index.html",
        "metrics.json",
    }
    metrics = read_metrics(tmp_path / "report" / "metrics.json")
    assert metrics.main_side == "test/whole"
    assert metrics.us_per_crop == 250
    right = answers.probabilities.argmax(1) == answers.classes
    assert metrics.sides["test/whole"].accuracy.value == pytest.approx(right.mean())
    assert metrics.sides["test/whole"].scores == score(answers.probabilities, answers.classes, LABELS)
    for path in (tmp_path / "report").glob("*.png"):
        assert min(cv2.imread(str(path)).shape[:2]) > 150


def test_without_curves_and_saliency_their_pictures_are_left_out(tmp_path):
    write(tmp_path / "report", curves=[])
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == CHARTS | {"index.html", "metrics.json", "predictions-test.csv", "predictions-val.csv"}
    page = (tmp_path / "report" / "index.html").read_text()
    assert "How it learnt" not in page
    assert "Grad-CAM" not in page


def test_the_page_asks_for_nothing_and_runs_nothing(tmp_path):
    write(tmp_path / "report", facts={"recipe": "<script>alert(1)</script>"})
    page = (tmp_path / "report" / "index.html").read_text()
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "tiny &lt;b&gt;" in page
    sources = re.findall(r'(?:src|srcset|href)="([^"]{0,40})', page)
    assert len(sources) == 9
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"https?://|url\(|@import", page)
    assert all(label in page for label in LABELS)


def test_each_answer_reads_back_by_name(tmp_path):
    targets, chances = several(20)
    answers = Evaluation(
        tuple(f"{20 - i:02}.png" for i in range(20)), np.zeros((20, 1, 16, 16), np.uint8), targets, chances
    )
    write(tmp_path / "report", {"test": answers}, multi_label=True)
    back = read_predictions(tmp_path / "report" / "predictions-test.csv")
    assert list(back.names) == sorted(answers.names)
    assert (back.true == (targets > 0)[::-1]).all()
    assert (back.probabilities == chances[::-1]).all()
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert len(metrics["sides"]["test"]["scores"]["confusion"]) == 4


def test_a_report_that_fails_leaves_the_old_one_and_nothing_else(tmp_path):
    write(tmp_path / "report")
    before = {path: path.read_bytes() for path in (tmp_path / "report").iterdir()}

    def broken(crops):
        raise StationError("no maps")

    with pytest.raises(StationError, match="no maps"):
        write(tmp_path / "report", saliency=broken)
    assert {path: path.read_bytes() for path in (tmp_path / "report").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_report_takes_the_place_of_the_old_one(tmp_path):
    write(tmp_path / "report")
    write(tmp_path / "report", {"test": drawn(30)}, curves=[])
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert "curves.png" not in names
    assert "predictions-val.csv" not in names
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StationError, match="can't write the report"):
        write(tmp_path / "file" / "report")


def test_a_side_without_crops_is_refused(tmp_path):
    empty = Evaluation((), np.empty((0, 1, 16, 16), np.uint8), *[np.empty((0, 3), np.float32)] * 2)
    with pytest.raises(StationError, match="no crop on side test"):
        write(tmp_path / "report", {"val": drawn(), "test": empty})
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("content", [None, "name,true\n", '{"title": 1}'])
def test_what_is_no_report_is_told(tmp_path, content):
    path = tmp_path / "file"
    if content is not None:
        path.write_text(content)
    with pytest.raises(StationError, match="no metrics of a report"):
        read_metrics(path)


@pytest.mark.parametrize("content", [None, "", "name,true,named,right,confidence,novelty,a\nx,a,a,1,0.9,,much\n"])
def test_what_is_no_table_of_answers_is_told(tmp_path, content):
    path = tmp_path / "file"
    if content is not None:
        path.write_text(content)
    with pytest.raises(StationError, match="no predictions of a report"):
        read_predictions(path)


@pytest.fixture
def captions(monkeypatch):
    """What is written below the pictures of the sheets made in a test."""
    seen = []

    def recorded(images, words, *rest):
        seen.extend(words)
        return examples_sheet(images, words, *rest)

    examples_sheet = examples.picture_sheet
    monkeypatch.setattr(examples, "picture_sheet", recorded)
    return seen


def test_the_worst_sheet_starts_with_the_surest_mistake(captions):
    answers = certain([0] * 20, [0] * 17 + [1, 1, 2])
    chances = answers.probabilities.copy()
    chances[18], chances[4] = (0.01, 0.98, 0.01), (0.5, 0.3, 0.2)
    examples.worst_sheet(replace(answers, probabilities=chances), LABELS, multi_label=False)
    assert captions[0] == "dent\n-> scale, rolled 98.0 %\n18.png"
    assert captions[2] == "dent\n-> scratch 90.0 %\n19.png"
    assert captions[3] == "dent 50.0 %\n4.png"
    assert len(captions) == 12


def test_the_saliency_sheet_has_a_row_a_class_with_its_surest_and_its_worst(captions):
    answers = certain([0] * 5 + [1], [0, 0, 0, 0, 2, 1])
    chances = answers.probabilities.copy()
    chances[2] = (0.98, 0.01, 0.01)
    examples.saliency_sheet(
        replace(answers, probabilities=chances), LABELS, False, lambda crops: np.ones((len(crops), 16, 16), np.float32)
    )
    assert captions[:6] == ["dent", "98.0 %", "dent", "90.0 %", "dent\n-> scratch", "90.0 %"]
    assert captions[6:] == ["scale, rolled", "90.0 %", "", "", "", ""]


def test_the_overlay_is_warm_only_where_evidence_is():
    places = np.zeros((16, 16), np.float32)
    places[4:8, 4:8] = 1
    picture = examples.overlay(np.full((16, 16), 100, np.uint8), places).astype(int)
    blue, _, red = picture[5, 5]
    assert red > blue + 20
    assert (picture[0, 0] == 100).all()


def test_charts_bear_many_classes_and_a_single_epoch():
    labels = tuple(f"class {i}" for i in range(30))
    chances = np.eye(30, dtype=np.float32)
    many = score(chances, np.arange(30), labels)
    light, dark = (cv2.imdecode(np.frombuffer(confusion_chart(many, t), np.uint8), 1) for t in (LIGHT, DARK))
    assert light.shape == dark.shape
    assert light.mean() > 180 > 70 > dark.mean()
    assert cv2.imdecode(np.frombuffer(learning_chart(CURVES[:1], LIGHT), np.uint8), 1) is not None


class Levels(nn.Module):
    """Two maps, of bright and of dark places, pooled by their mean; class 0 is bright, class 1 dark."""

    def __init__(self, outputs=2):
        super().__init__()
        self.last = nn.Linear(2, outputs, bias=False)
        self.last.weight.data = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])[-outputs:]

    def maps(self, crops):
        assert not self.training
        away = crops.float() / 128 - 1
        return nn.functional.avg_pool2d(torch.cat([away.relu(), (-away).relu()], 1), 4)

    def pool(self, maps):
        return maps.mean((2, 3))

    def head(self, features):
        return self.last(features)


def marked(n=1):
    """Return grey crops with a bright square at the upper left and a smaller dark one at the lower right."""
    crops = np.full((n, 1, 32, 32), 128, np.uint8)
    crops[:, :, 4:12, 4:12] = 250
    crops[:, :, 24:28, 24:28] = 5
    return crops


def test_saliency_lies_on_what_speaks_for_the_named_class():
    places = gradcam(Levels(), marked(40))
    assert places.shape == (40, 32, 32)
    assert places.dtype == np.float32
    assert places.min() == 0
    assert places.max() == 1
    assert (places == places[0]).all()
    assert places[0, 6:10, 6:10].min() > 0.5
    assert places[0, 4:12, 4:12].sum() > 0.6 * places[0].sum()
    assert places[0, 20:, 20:].max() == 0


@pytest.mark.parametrize("outputs", [2, 1])
def test_saliency_of_a_class_that_was_asked_for(outputs):
    bright, dark = gradcam(Levels(outputs), marked(2), [0, 1])
    assert np.unravel_index(bright.argmax(), bright.shape) < (12, 12)
    assert np.unravel_index(dark.argmax(), dark.shape) >= (24, 24)
    assert dark[:16, :16].max() == 0


def test_saliency_is_nothing_where_nothing_speaks_and_leaves_no_gradient():
    network = Levels().train()
    with torch.inference_mode():
        places = gradcam(network, np.full((1, 1, 32, 32), 128, np.uint8))
    assert not places.any()
    assert network.last.weight.grad is None


def test_a_report_of_real_pictures(tmp_path, data):
    paths = [path for folder in sorted((data / "neu" / "images").iterdir()) for path in sorted(folder.iterdir())[:6]]
    card = read_card(shipped_model())
    crops = whole_crops([read_grey(path) for path in paths], card.crop)
    targets = np.array([[path.parent.name == label for label in card.labels] for path in paths], np.float32)
    with OnnxRuntimeEngine(shipped_model()) as engine:
        answers = evaluate_crops(engine, tuple(path.name for path in paths), crops, targets)
    write_report(tmp_path / "report", "real", card.labels, {"all": answers}, [], {}, None)
    metrics = read_metrics(tmp_path / "report" / "metrics.json")
    assert metrics.main_side == "all"
    assert metrics.sides["all"].n == 36
    assert metrics.sides["all"].accuracy.value >= 0.9
