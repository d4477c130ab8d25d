"""Cards of finder files: what contradicts itself is refused, what is said comes back."""

import pytest
from pydantic import ValidationError

from engines import FinderCard
from tests.finder_files import finder_card


@pytest.mark.parametrize("kind", ["heatmap", "anomaly", "detector"])
def test_a_card_comes_back_from_its_json(kind):
    card = finder_card(kind, scale=(0.78, 2.0), input_px=(64, 128), overlap_px=16, metrics={"test": {"n": 3.0}})
    assert FinderCard.model_validate_json(card.model_dump_json()) == card


def test_what_is_not_said_leaves_the_heat_as_it_is():
    card = FinderCard(kind="heatmap", name="a", threshold=0.3)
    assert (card.low, card.high, card.nms_iou, card.scale, card.input_px) == (0, 1, 1, (1, 1), None)


CONTRADICTIONS = {
    "kind": ({"kind": "guess"}, "kind"),
    "a detector without labels": ({"kind": "detector", "labels": ()}, "a detector has labels"),
    "an anomaly map with labels": ({"kind": "anomaly", "labels": ("a",)}, "an anomaly map has no labels"),
    "a label twice": ({"labels": ("a", "b", "a")}, "twice"),
    "an empty label": ({"labels": ("a", " ")}, "a label is empty"),
    "low above high": ({"low": 3.0, "high": 2.0}, "low 3.0 is not below high 2.0"),
    "infinite": ({"high": float("inf")}, "finite"),
    "a size that is no multiple": ({"input_px": (64, 100)}, "not multiples of the stride 8"),
    "tiles that share all": ({"input_px": (64, 128), "overlap_px": 64}, "leaves nothing"),
    "threshold": ({"threshold": 1.5}, "threshold"),
    "scale": ({"scale": (0.0, 1.0)}, "scale"),
    "unknown key": ({"colour": "red"}, "colour"),
    "no name": ({"name": ""}, "name"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_card_that_contradicts_itself_is_refused(case):
    facts, words = CONTRADICTIONS[case]
    with pytest.raises(ValidationError, match=words):
        finder_card(**facts)
