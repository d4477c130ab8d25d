from typing import Any

import numpy as np
import pytest

from engines import Answers, CropCut, ModelCard
from shadowline.errors import ConfigError
from station.config import RuleConfig, VerdictConfig
from station.regions import FinderLabels, Named
from station.verdict import UNKNOWN, Defect, Judge, Verdict

LABELS = ("patches", "scratches")
CUT = CropCut(size_px=16, context=1.0, min_side_px=16)


def card(**facts: Any) -> ModelCard:
    return ModelCard(name="small", labels=LABELS, crop=CUT, **facts)


def defect(label: str, confidence: float = 0.9, area_px: int = 100) -> Defect:
    return Defect(label, confidence, (0, 0, 10, 10), area_px, -20.0)


CASES = {
    "no region": ({}, [], "accept", ""),
    "any defect by default": ({}, [defect("patches")], "reject", "patches"),
    "unknown by default": ({}, [defect(UNKNOWN, 0.2)], "reject", UNKNOWN),
    "two labels": ({}, [defect("scratches"), defect("patches")], "reject", "scratches, patches"),
    "accepted label": ({"patches": {"action": "accept"}}, [defect("patches")], "accept", ""),
    "unknown has a rule": ({UNKNOWN: {"action": "accept"}}, [defect(UNKNOWN)], "accept", ""),
    "too small": ({"patches": {"min_area_px": 101}}, [defect("patches")], "accept", ""),
    "large enough": ({"patches": {"min_area_px": 100}}, [defect("patches")], "reject", "patches"),
    "not sure enough": ({"patches": {"min_confidence": 0.95}}, [defect("patches")], "accept", ""),
    "too few": ({"patches": {"min_count": 3}}, [defect("patches")] * 2, "accept", ""),
    "enough": ({"patches": {"min_count": 3}}, [defect("patches")] * 3, "reject", "patches"),
}


@pytest.mark.parametrize(("rules", "defects", "verdict", "reason"), CASES.values(), ids=CASES)
def test_judges(rules: dict[str, dict[str, object]], defects: list[Defect], verdict: str, reason: str) -> None:
    config = VerdictConfig(rules={label: RuleConfig.model_validate(rule) for label, rule in rules.items()})
    assert Judge(config, card()).judge(defects) == (Verdict(verdict), reason)


def names(config: VerdictConfig, model: ModelCard, rows: list[list[float]], novelty: list[float] | None = None) -> str:
    """Return the labels that rows of probabilities get, by their first letters."""
    answers = Answers(np.array(rows, np.float32), None if novelty is None else np.array(novelty, np.float32))
    return "".join(label[0] for label, _ in Judge(config, model).name(answers))


UNSURE = [[0.65, 0.35], [0.45, 0.55], [0.35, 0.65], [0.15, 0.85]]
FLOORS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "the model's": ({}, {"confidence_floor": 0.6}, "puss"),
    "configured for all": ({"confidence_floor": 0.7}, {"confidence_floor": 0.6}, "uuus"),
    "the model's for one label": ({}, {"label_floors": {"scratches": 0.8}}, "puus"),
    "lower for one label": ({}, {"confidence_floor": 0.7, "label_floors": {"scratches": 0.6}}, "uuss"),
    "configured for all, before the model's for one": (
        {"confidence_floor": 0.6},
        {"label_floors": {"scratches": 0.8}},
        "puss",
    ),
    "configured for one": ({"label_floors": {"scratches": 0.6}}, {"label_floors": {"scratches": 0.8}}, "puss"),
    "configured for one and all": ({"confidence_floor": 0.9, "label_floors": {"scratches": 0.6}}, {}, "uuss"),
}


@pytest.mark.parametrize("case", FLOORS)
def test_below_its_floor_a_region_is_unknown_and_never_guessed(case: str) -> None:
    config, facts, expected = FLOORS[case]
    assert names(VerdictConfig(**config), card(**facts), UNSURE) == expected


LIMITS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "none": ({}, {}, "ppp"),
    "the model's": ({}, {"novelty_limit": 2.0}, "ppu"),
    "configured, higher": ({"novelty_limit": 3.0}, {"novelty_limit": 1.0}, "ppp"),
    "configured, lower": ({"novelty_limit": -1.5}, {"novelty_limit": 1.0}, "puu"),
    "with a floor": ({"confidence_floor": 0.995}, {"novelty_limit": 2.0}, "uuu"),
}


@pytest.mark.parametrize("case", LIMITS)
def test_beyond_the_novelty_limit_a_region_is_unknown_however_sure_its_label(case: str) -> None:
    config, facts, expected = LIMITS[case]
    assert names(VerdictConfig(**config), card(**facts), [[0.99, 0.01]] * 3, [-2, 2, 2.5]) == expected


def test_an_unknown_region_keeps_the_confidence_of_its_most_probable_label() -> None:
    answers = Answers(np.array([[0.25, 0.75]], np.float32), np.array([9], np.float32))
    assert Judge(VerdictConfig(), card(novelty_limit=1.0)).name(answers) == [(UNKNOWN, 0.75)]


def test_of_several_labels_the_most_probable_names_the_region() -> None:
    several = card(head="multi_label", label_floors={"patches": 0.95})
    assert names(VerdictConfig(), several, [[0.8, 0.9], [0.9, 0.8], [0.1, 0.2]]) == "suu"


def test_refuses_a_rule_for_a_label_that_the_model_does_not_know() -> None:
    with pytest.raises(ConfigError, match=r"rules\] scratch: not a label of the model \(patches, scratches, unknown\)"):
        Judge(VerdictConfig(rules={"scratch": RuleConfig()}), card())


@pytest.mark.parametrize("label", ["scratch", UNKNOWN])
def test_refuses_a_floor_for_a_label_that_the_model_does_not_know(label: str) -> None:
    with pytest.raises(ConfigError, match=rf"label_floors\] {label}: not a label of the model \(patches, scratches\)"):
        Judge(VerdictConfig(label_floors={label: 0.5}), card())


def test_refuses_a_novelty_limit_where_the_model_has_none() -> None:
    with pytest.raises(ConfigError, match=r"\[verdict\] novelty_limit: small has none of its own"):
        Judge(VerdictConfig(novelty_limit=2.0), card())


FINDERS: dict[str, tuple[dict[str, Any], FinderLabels, str]] = {
    "kept without a rule": (
        {},
        FinderLabels(kept=("crack",)),
        r"\[regions\] crack: .* add \[verdict.rules.crack\], or naming",
    ),
    "never confirmed": (
        {"rules": {"crack": {}}},
        FinderLabels(kept=("crack",), confirmed=("crack",)),
        r"\[regions\] crack: .*never confirms",
    ),
    "a floor for what no model names": (
        {"rules": {"crack": {}}, "label_floors": {"crack": 0.5}},
        FinderLabels(kept=("crack",)),
        r"\[verdict.label_floors\] crack",
    ),
    "a rule for what nobody gives": ({"rules": {"dent": {}}}, FinderLabels(), r"\[verdict.rules\] dent"),
}


@pytest.mark.parametrize("case", FINDERS)
def test_a_finders_label_that_nobody_can_judge_is_refused(case: str) -> None:
    config, finders, message = FINDERS[case]
    with pytest.raises(ConfigError, match=message):
        Judge(VerdictConfig.model_validate(config), card(), finders)


def test_a_finders_own_label_has_a_rule() -> None:
    rules = VerdictConfig(rules={"crack": RuleConfig(min_area_px=50)})
    judge = Judge(rules, card(), FinderLabels(kept=("crack", "patches", UNKNOWN)))
    assert judge.labels == (*LABELS, "crack")
    assert judge.judge([defect("crack", area_px=40)]) == (Verdict.ACCEPT, "")
    assert judge.judge([defect("crack", area_px=60)]) == (Verdict.REJECT, "crack")
    with pytest.raises(ConfigError, match=r"crack: .*has no rule"):
        judge.by(VerdictConfig())


@pytest.mark.parametrize(
    ("named", "answer", "label"),
    [
        (Named("patches", 0.6), ("", 0.0), "patches"),
        (Named("patches", 0.6, confirm=True), ("patches", 0.9), "patches"),
        (Named("patches", 0.6, confirm=True), ("scratches", 0.9), UNKNOWN),
        (Named("patches", 0.6, confirm=True), (UNKNOWN, 0.9), UNKNOWN),
    ],
)
def test_a_name_stands_or_is_unknown(named: Named, answer: tuple[str, float], label: str) -> None:
    assert Judge(VerdictConfig(), card()).settle(named, answer) == (label, 0.6)
