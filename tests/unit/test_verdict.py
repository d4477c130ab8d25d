import numpy as np
import pytest

from shadowline.errors import ConfigError
from station.config import RuleConfig, VerdictConfig
from station.verdict import UNKNOWN, Defect, Judge, Verdict

LABELS = ("patches", "scratches")


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
    assert Judge(config, LABELS, 0.5).judge(defects) == (Verdict(verdict), reason)


def test_below_the_floor_a_region_is_unknown_and_never_guessed() -> None:
    probabilities = np.array([[0.45, 0.55], [0.35, 0.65]], np.float32)
    assert [label for label, _ in Judge(VerdictConfig(), LABELS, 0.6).name(probabilities)] == [UNKNOWN, "scratches"]
    strict = VerdictConfig(confidence_floor=0.7)
    assert [label for label, _ in Judge(strict, LABELS, 0.6).name(probabilities)] == [UNKNOWN, UNKNOWN]


def test_refuses_a_rule_for_a_label_that_the_model_does_not_know() -> None:
    with pytest.raises(ConfigError, match=r"scratch: not a label of the model \(patches, scratches, unknown\)"):
        Judge(VerdictConfig(rules={"scratch": RuleConfig()}), LABELS, 0.5)
