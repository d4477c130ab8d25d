import numpy as np
import pytest
from numpy.typing import NDArray

from engines import Answers, CropCut, FakeEngine
from shadowline.errors import CalibrationError, EngineError
from station.clock import ManualClock
from station.config import RuleConfig, VerdictConfig
from station.frame import Frame, Image, InvalidReason, Missing
from station.inspector import Inspector
from station.model import Model
from station.regions import FinderLabels, Named, Regions
from station.verdict import Judge, Verdict

PICTURE = np.zeros((40, 60), np.uint8)


class FixedFinder:
    """Finds what it was given, or raises it."""

    def __init__(self, regions: Regions | Exception) -> None:
        self._regions = regions

    def find(self, image: Image) -> Regions:
        if isinstance(self._regions, Exception):
            raise self._regions
        return self._regions

    def learn(self, image: Image) -> None:
        pass


def regions(count: int) -> Regions:
    boxes = np.array([[index % 50, 5, 8, 8] for index in range(count)], np.int32).reshape(-1, 4)
    return Regions(
        boxes, np.full(count, 30, np.int32), np.full(count, -9, np.float32), np.zeros((count, 2), np.float32)
    )


class Rig:
    """An inspector between a fixed finder and a fake engine that counts the crops it got."""

    def __init__(
        self, found: Regions | Exception, answer: float | tuple[float, float] | Exception = 0.9, passes_ms: float = 0.0
    ) -> None:
        """`answer` is the probability of `patches`, with a novelty, whose limit is then 1, or without."""
        self.clock = ManualClock()
        self.crops: list[int] = []

        def classify(crops: NDArray[np.uint8]) -> Answers:
            self.crops.append(len(crops))
            self.clock.sleep(passes_ms / 1e3)
            if isinstance(answer, Exception):
                raise answer
            first, novelty = answer if isinstance(answer, tuple) else (answer, None)
            probabilities = np.tile(np.array([first, 1 - first], np.float32), (len(crops), 1))
            return Answers(probabilities, None if novelty is None else np.full(len(crops), novelty, np.float32))

        limit = 1.0 if isinstance(answer, tuple) else None
        engine = FakeEngine(("patches", "scratches"), classify, novelty_limit=limit)
        judge = Judge(VerdictConfig(), engine.card)
        with engine:
            self.inspector = Inspector({"top": FixedFinder(found)}, Model(engine, judge), 20.0, self.clock)
        self.engine = engine

    def inspect(self):  # type: ignore[no-untyped-def]
        with self.engine:
            return self.inspector.inspect([Frame("top", 7, PICTURE, 0, self.clock.tick_ns())])[0]


def test_a_clean_frame_is_accepted_without_troubling_the_network() -> None:
    rig = Rig(regions(0))
    result = rig.inspect()
    assert (result.verdict, result.reason, result.defects, result.sequence) == (Verdict.ACCEPT, "", (), 7)
    assert rig.crops == []


def test_regions_are_named_in_one_batch_and_judged() -> None:
    rig = Rig(regions(3))
    result = rig.inspect()
    assert (result.verdict, result.reason) == (Verdict.REJECT, "patches")
    assert rig.crops == [3]
    assert result.defects[2].box_px == (2, 5, 8, 8)
    assert result.defects[2].area_px == 30


@pytest.mark.parametrize(("answer", "label"), [((0.9, 0.5), "patches"), ((0.9, 1.5), "unknown"), (0.9, "patches")])
def test_each_defect_carries_its_novelty(answer, label: str) -> None:  # type: ignore[no-untyped-def]
    result = Rig(regions(2), answer).inspect()
    assert result.reason == label
    novelty = answer[1] if isinstance(answer, tuple) else None
    assert [(defect.label, defect.novelty) for defect in result.defects] == [(label, novelty)] * 2


def test_more_regions_than_the_buffer_holds() -> None:
    assert len(Rig(regions(500)).inspect().defects) == 500


INVALID = {
    "dark": (Regions.none("dark"), 0.9, InvalidReason.DARK),
    "overfull": (Regions.none("overfull"), 0.9, InvalidReason.OVERFULL),
    "flat field of another size": (CalibrationError("made for 10×10"), 0.9, InvalidReason.CALIBRATION),
    "engine raises": (regions(1), EngineError("out of memory"), InvalidReason.ENGINE),
    "not a number": (regions(1), float("nan"), InvalidReason.NOT_FINITE),
    "a finder's engine raises": (EngineError("out of memory"), 0.9, InvalidReason.ENGINE),
    "a finder's map is no number": (Regions.none("not_finite"), 0.9, InvalidReason.NOT_FINITE),
    "infinite": (regions(1), float("inf"), InvalidReason.NOT_FINITE),
    "novelty that is no number": (regions(1), (0.9, float("nan")), InvalidReason.NOT_FINITE),
}


@pytest.mark.parametrize(("found", "answer", "reason"), INVALID.values(), ids=INVALID)
def test_what_can_not_be_judged_is_invalid(found, answer, reason: InvalidReason) -> None:  # type: ignore[no-untyped-def]
    result = Rig(found, answer).inspect()
    assert (result.verdict, result.reason, result.defects) == (Verdict.INVALID, reason, ())


@pytest.mark.parametrize(("passes_ms", "late"), [(19.0, False), (21.0, True)])
def test_late_is_marked(passes_ms: float, late: bool) -> None:
    result = Rig(regions(1), passes_ms=passes_ms).inspect()
    assert (result.late, result.verdict) == (late, Verdict.REJECT)
    assert result.latency_ns == passes_ms * 1e6
    assert result.stages.classify_ns == passes_ms * 1e6


def test_each_missing_frame_gets_its_own_inspection() -> None:
    rig = Rig(regions(0))
    results = list(rig.inspector.miss(Missing("top", 4, InvalidReason.LOST, 0, 0, count=3)))
    assert [(result.sequence, result.verdict, result.reason) for result in results] == [
        (number, Verdict.INVALID, "lost") for number in (4, 5, 6)
    ]


class Network:
    """A model that counts its runs and fails while `fault` is set, and names every crop with its one label."""

    def __init__(self, label: str, fault: str = "", side_px: int = 16, answer: float = 1.0) -> None:
        self.fault = fault
        self.answer = answer
        self.runs: list[int] = []
        engine = FakeEngine((label,), self._classify, CropCut(size_px=side_px, context=1.0, min_side_px=side_px))
        self.model = Model(engine.__enter__(), Judge(VerdictConfig(), engine.card))

    def _classify(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.runs.append(len(crops))
        if self.fault:
            raise EngineError(self.fault)
        return np.full((len(crops), 1), self.answer, np.float32)


class Pair:
    """An inspector whose live network has another one standing by."""

    def __init__(self, live: Network, spare: Network | None, found: int = 3) -> None:
        self.clock = ManualClock()
        finder = FixedFinder(regions(found))
        self.inspector = Inspector({"top": finder}, live.model, 20.0, self.clock, spare.model if spare else None)

    def inspect(self, sequence: int = 1):  # type: ignore[no-untyped-def]
        return self.inspector.inspect([Frame("top", sequence, PICTURE, 0, self.clock.tick_ns())])[0]


def test_when_the_model_fails_the_previous_one_judges_the_same_frame_and_the_next_ones() -> None:
    live, spare = Network("new", "the GPU fell off the bus"), Network("old", side_px=32)
    pair = Pair(live, spare)
    first = pair.inspect(1)
    assert (first.verdict, first.reason, first.sequence, first.detail) == (Verdict.REJECT, "old", 1, "")
    assert [defect.label for defect in first.defects] == ["old"] * 3
    assert pair.inspector.failure == "the GPU fell off the bus"
    assert (pair.inspector.model, pair.inspector.previous) == (spare.model, None)
    assert pair.inspect(2).reason == "old"
    assert (live.runs, spare.runs) == ([3], [3, 3])


def test_when_both_models_fail_the_frame_is_invalid_and_the_last_one_is_tried_again() -> None:
    live, spare = Network("new", "no memory"), Network("old", "no driver")
    pair = Pair(live, spare)
    result = pair.inspect()
    assert (result.verdict, result.reason, result.detail) == (Verdict.INVALID, InvalidReason.ENGINE, "no driver")
    assert pair.inspector.failure == "no memory"
    spare.fault = ""
    assert pair.inspect().reason == "old"


def test_when_the_previous_one_fails_too_the_reserve_judges_the_same_frame() -> None:
    live, spare, reserve = Network("new", "no GPU"), Network("old", "no GPU either"), Network("on the CPU")
    inspector = Inspector({"top": FixedFinder(regions(1))}, live.model, 20.0, ManualClock(), spare.model, reserve.model)
    (inspection,) = inspector.inspect([Frame("top", 1, PICTURE, 0, 0)])
    assert (inspection.verdict, inspection.reason) == (Verdict.REJECT, "on the CPU")
    assert (inspector.model, inspector.previous, inspector.failure) == (reserve.model, None, "no GPU")
    reserve.fault = "no memory"
    assert inspector.inspect([Frame("top", 2, PICTURE, 0, 0)])[0].reason == InvalidReason.ENGINE


def test_a_model_that_answers_with_no_numbers_has_failed_while_another_stands_by() -> None:
    live, spare = Network("new", answer=float("nan")), Network("old")
    pair = Pair(live, spare)
    assert pair.inspect().reason == "old"
    assert "not finite" in pair.inspector.failure


def test_a_frame_without_regions_does_not_find_out_that_the_model_fails() -> None:
    pair = Pair(Network("new", "no memory"), Network("old"), found=0)
    assert pair.inspect().verdict is Verdict.ACCEPT
    assert pair.inspector.failure == ""


def test_keeping_warm_runs_the_network_on_one_crop() -> None:
    live, spare = Network("new"), Network("old")
    pair = Pair(live, spare)
    pair.inspector.keep_warm()
    assert (live.runs, spare.runs) == ([1], [])
    assert (pair.inspector.model, pair.inspector.failure) == (live.model, "")


def test_a_model_that_fails_while_it_is_kept_warm_is_left_before_the_next_frame() -> None:
    live, spare = Network("new", "no memory"), Network("old")
    pair = Pair(live, spare)
    pair.inspector.keep_warm()
    assert (pair.inspector.model, pair.inspector.failure) == (spare.model, "no memory")
    assert pair.inspect().reason == "old"


def test_keeping_warm_never_raises() -> None:
    live = Network("new", "no memory")
    pair = Pair(live, None)
    pair.inspector.keep_warm()
    assert (pair.inspector.model, pair.inspector.failure) == (live.model, "")
    assert pair.inspect().reason == InvalidReason.ENGINE


class Cameras:
    """An inspector of several cameras, each with its own finding."""

    def __init__(self, network: Network, *found: Regions | Exception) -> None:
        self.names = [f"cam{number}" for number in range(len(found))]
        finders = {name: FixedFinder(one) for name, one in zip(self.names, found, strict=True)}
        self.inspector = Inspector(finders, network.model, 20.0, ManualClock())

    def inspect(self):  # type: ignore[no-untyped-def]
        return self.inspector.inspect([Frame(name, 1, PICTURE, 0, 0) for name in self.names])


def test_frames_of_several_cameras_share_one_run_of_the_network() -> None:
    network = Network("patches")
    results = Cameras(network, regions(3), regions(0), regions(2)).inspect()
    assert [(result.about.camera, result.verdict, len(result.defects)) for result in results] == [
        ("cam0", Verdict.REJECT, 3),
        ("cam1", Verdict.ACCEPT, 0),
        ("cam2", Verdict.REJECT, 2),
    ]
    assert network.runs == [5]
    assert [None if result.asked is None else len(result.asked.crops) for result in results] == [3, None, 2]


def test_what_goes_wrong_with_one_camera_leaves_the_others_alone() -> None:
    network = Network("patches")
    results = Cameras(network, CalibrationError("made for 10×10"), Regions.none("dark"), regions(2)).inspect()
    assert [result.reason for result in results] == [InvalidReason.CALIBRATION, InvalidReason.DARK, "patches"]


def test_a_network_that_fails_makes_only_frames_with_regions_invalid() -> None:
    network = Network("patches", "no memory")
    results = Cameras(network, regions(3), regions(0)).inspect()
    assert [(result.verdict, result.detail) for result in results] == [
        (Verdict.INVALID, "no memory"),
        (Verdict.ACCEPT, ""),
    ]


def test_crops_of_each_camera_come_from_its_own_picture() -> None:
    seen = []

    def classify(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.extend(crops.mean((1, 2, 3)).tolist())
        bright = (crops.mean((1, 2, 3)) > 50).astype(np.float32)
        return np.stack([bright, 1 - bright], 1)

    engine = FakeEngine(("bright", "dark"), classify, CropCut(size_px=16, context=1.0, min_side_px=16))
    with engine:
        model = Model(engine, Judge(VerdictConfig(), engine.card))
        finders = {name: FixedFinder(regions(2)) for name in ("one", "two")}
        inspector = Inspector(finders, model, 20.0, ManualClock())
        frames = [Frame(name, 1, np.full((40, 60), grey, np.uint8), 0, 0) for name, grey in (("one", 10), ("two", 90))]
        results = inspector.inspect(frames)
    assert seen == [10, 10, 90, 90]
    assert [result.asked.crops.mean() for result in results if result.asked is not None] == [10, 90]
    assert [[defect.label for defect in result.defects] for result in results] == [["dark"] * 2, ["bright"] * 2]


def named_regions(*named: Named | None) -> Regions:
    plain = regions(len(named))
    return Regions(
        *(plain.box, plain.area, plain.depth, plain.centroid, None),
        ("detector",) * len(named),
        np.full(len(named), 0.75, np.float32),
        named,
    )


class NamedRig:
    """An inspector whose finder names regions, before a network that calls every crop `patches`."""

    def __init__(self, *named: Named | None, fails: bool = False) -> None:
        self.crops: list[int] = []

        def classify(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
            if fails:
                raise EngineError("out of memory")
            self.crops.append(len(crops))
            return np.tile(np.array([0.9, 0.1], np.float32), (len(crops), 1))

        rules = {"hole": RuleConfig(action="accept")}
        labels = FinderLabels(("hole", "scratches"), ("patches", "scratches"))
        with FakeEngine(("patches", "scratches"), classify) as engine:
            judge = Judge(VerdictConfig(rules=rules), engine.card, labels)
            finders = {"top": FixedFinder(named_regions(*named))}
            inspector = Inspector(finders, Model(engine, judge), 20.0, ManualClock())
            (self.result,) = inspector.inspect([Frame("top", 1, PICTURE, 0, 0)])

    @property
    def names(self) -> list[tuple[str, float]]:
        return [(defect.label, pytest.approx(defect.confidence)) for defect in self.result.defects]


NAMINGS: dict[str, tuple[list[Named | None], list[tuple[str, float]], list[int]]] = {
    "kept, and the network is not asked": (
        [Named("hole", 0.6), Named("scratches", 0.7)],
        [("hole", 0.6), ("scratches", 0.7)],
        [],
    ),
    "confirmed": ([Named("patches", 0.6, confirm=True)], [("patches", 0.6)], [1]),
    "not confirmed": ([Named("scratches", 0.6, confirm=True)], [("unknown", 0.6)], [1]),
    "left to the network": ([None, None], [("patches", 0.9), ("patches", 0.9)], [2]),
    "mixed": (
        [Named("hole", 0.6), None, Named("scratches", 0.7, confirm=True), Named("unknown", 0.8)],
        [("hole", 0.6), ("patches", 0.9), ("unknown", 0.7), ("unknown", 0.8)],
        [2],
    ),
}


@pytest.mark.parametrize("case", NAMINGS)
def test_names_that_a_finder_gives(case: str) -> None:
    named, names, crops = NAMINGS[case]
    rig = NamedRig(*named)
    assert (rig.names, rig.crops) == (names, crops)
    assert [(defect.found_by, defect.score) for defect in rig.result.defects] == [("detector", 0.75)] * len(named)


def test_what_the_network_was_asked_is_kept_with_its_own_names() -> None:
    rig = NamedRig(*NAMINGS["mixed"][0])
    asked = rig.result.asked
    assert asked is not None
    assert asked.labels == ("patches", "patches")
    assert asked.boxes.tolist() == [list(rig.result.defects[index].box_px) for index in (1, 2)]
    assert len(asked.crops) == 2
    assert NamedRig(Named("hole", 0.6)).result.asked is None


def test_names_that_are_kept_outlive_a_network_that_fails() -> None:
    assert NamedRig(Named("hole", 0.6), fails=True).result.verdict is Verdict.ACCEPT
    assert NamedRig(Named("hole", 0.6), None, fails=True).result.reason == InvalidReason.ENGINE
