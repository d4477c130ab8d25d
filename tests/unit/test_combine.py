"""What several finders found is told once, by all who found it, and nothing that differs is lost."""

import numpy as np
import pytest

from station.frame import Image
from station.regions import Named, Regions
from station.regions.combine import CombineFinder, merge_regions
from tests.finders import boxes_of

Box = tuple[int, int, int, int]


def regions(name: str, *boxes: Box, named: tuple[Named | None, ...] = (), score: float = 1.0) -> Regions:
    box = np.array(boxes, np.int32).reshape(-1, 4)
    area = box[:, 2:].prod(1).astype(np.int32)
    centroid = (box[:, :2] + box[:, 2:] / 2).astype(np.float32)
    count = len(box)
    score_of = np.full(count, score, np.float32)
    return Regions(box, area, np.zeros(count, np.float32), centroid, None, (name,) * count, score_of, named)


CRACK, DENT = Named("crack", 0.8), Named("dent", 0.9)
HEAT = regions("heatmap", (100, 100, 50, 40), score=0.7)

# found by one, found by the other, what comes of it: box, who, name
CASES: dict[str, tuple[list[Regions], list[tuple[Box, str, Named | None]]]] = {
    "apart": (
        [regions("shadow", (0, 0, 20, 20)), HEAT],
        [((100, 100, 50, 40), "heatmap", None), ((0, 0, 20, 20), "shadow", None)],
    ),
    "much the same: around both": (
        [regions("shadow", (95, 105, 50, 40)), HEAT],
        [((95, 100, 55, 45), "shadow+heatmap", None)],
    ),
    "touching": (
        [regions("shadow", (140, 130, 50, 40)), HEAT],
        [((140, 130, 50, 40), "shadow", None), ((100, 100, 50, 40), "heatmap", None)],
    ),
    "specks inside": (
        [regions("shadow", (101, 101, 5, 5), (120, 120, 6, 6), (149, 110, 4, 4)), HEAT],
        [((100, 100, 50, 40), "shadow+heatmap", None), ((149, 110, 4, 4), "shadow", None)],
    ),
    "the surest name's box": (
        [regions("shadow", (95, 95, 60, 50)), HEAT, regions("detector", (102, 101, 48, 40), named=(CRACK,))],
        [((102, 101, 48, 40), "shadow+heatmap+detector", CRACK)],
    ),
    "a name inside a larger one explains not the whole": (
        [HEAT, regions("detector", (110, 110, 10, 10), named=(CRACK,))],
        [((100, 100, 50, 40), "heatmap", None), ((110, 110, 10, 10), "detector", CRACK)],
    ),
    "specks inside a name": (
        [regions("shadow", (101, 101, 5, 5)), regions("detector", (100, 100, 50, 40), named=(CRACK,))],
        [((100, 100, 50, 40), "shadow+detector", CRACK)],
    ),
    "named differently": (
        [regions("one", (100, 100, 50, 40), named=(CRACK,)), regions("two", (100, 100, 51, 41), named=(DENT,))],
        [((100, 100, 51, 41), "two", DENT), ((100, 100, 50, 40), "one", CRACK)],
    ),
    "named alike": (
        [
            regions("one", (100, 100, 50, 40), named=(Named("crack", 0.9, True),)),
            regions("two", (100, 100, 51, 41), named=(CRACK,)),
        ],
        [((100, 100, 50, 40), "one+two", Named("crack", 0.9, False))],
    ),
    "unknown gives way to a name": (
        [
            regions("anomaly", (98, 98, 55, 44), named=(Named("unknown", 0.9),)),
            regions("detector", (100, 100, 50, 40), named=(CRACK,)),
        ],
        [((100, 100, 50, 40), "anomaly+detector", CRACK)],
    ),
    "unknown stands where there is no name": (
        [regions("shadow", (98, 98, 55, 44)), regions("anomaly", (100, 100, 50, 40), named=(Named("unknown", 0.9),))],
        [((98, 98, 55, 44), "shadow+anomaly", Named("unknown", 0.9))],
    ),
    "two of one finder are two": (
        [regions("detector", (0, 0, 30, 30), (1, 1, 29, 29), named=(CRACK, CRACK)), regions("shadow")],
        [((0, 0, 30, 30), "detector", CRACK), ((1, 1, 29, 29), "detector", CRACK)],
    ),
    "nothing at all": ([regions("shadow"), regions("heatmap")], []),
}


@pytest.mark.parametrize("case", CASES)
def test_merging(case: str) -> None:
    found, expected = CASES[case]
    merged = merge_regions(found, 0.5)
    assert list(zip(map(tuple, boxes_of(merged)), merged.found_by, merged.named, strict=True)) == expected
    assert merged.area.tolist() == sorted(merged.area.tolist(), reverse=True)


def test_the_score_is_that_of_who_says_one() -> None:
    merged = merge_regions([regions("shadow", (100, 100, 50, 40), (0, 0, 5, 5)), HEAT], 0.5)
    assert merged.score.tolist() == pytest.approx([0.7, 1.0])
    sure = regions("anomaly", (101, 100, 50, 40), score=1.0)
    assert merge_regions([HEAT, sure], 0.5).score.tolist() == [1.0]


def test_how_much_must_overlap_is_configured() -> None:
    found = [regions("shadow", (110, 105, 50, 40)), HEAT]
    assert [len(merge_regions(found, iou)) for iou in (0.3, 0.9)] == [1, 2]


class Fixed:
    """Finds what it was given, and counts what it learns from."""

    def __init__(self, found: Regions) -> None:
        self.found, self.learnt = found, 0

    def find(self, image: Image) -> Regions:
        return self.found

    def learn(self, image: Image) -> None:
        self.learnt += 1


@pytest.mark.parametrize("reason", ["dark", "overfull", "not_finite"])
@pytest.mark.parametrize("first", [True, False])
def test_a_frame_that_one_finder_can_not_judge_is_invalid(reason: str, first: bool) -> None:
    parts = [Fixed(Regions.none(reason)), Fixed(HEAT)]
    found = CombineFinder(parts if first else parts[::-1], 0.5).find(np.zeros((4, 4), np.uint8))
    assert (len(found), found.invalid) == (0, reason)


def test_all_of_them_learn() -> None:
    parts = [Fixed(HEAT), Fixed(HEAT)]
    CombineFinder(parts, 0.5).learn(np.zeros((4, 4), np.uint8))
    assert [part.learnt for part in parts] == [1, 1]


def test_a_thousand_regions_are_merged_like_few() -> None:
    places = [(x * 20, y * 20, 10, 10) for x in range(25) for y in range(20)]
    shifted = [(x + 1, y, w, h) for x, y, w, h in places]
    merged = merge_regions([regions("shadow", *places), regions("heatmap", *shifted)], 0.5)
    assert len(merged) == 500
    assert set(merged.found_by) == {"shadow+heatmap"}
