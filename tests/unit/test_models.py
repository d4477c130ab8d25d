"""The live model, the one before it and the one that waits: who has which when, and what is kept of the frames."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engines import CropCut, FakeEngine
from shadowline.errors import EngineError
from station.clock import ManualClock
from station.config import VerdictConfig
from station.crops import cut_crops
from station.frame import Frame, Image
from station.inspection import Inspection
from station.inspector import Inspector
from station.model import Model
from station.models import Models
from station.regions import Regions
from station.verdict import Judge, Verdict
from station.worker import Ready, Worker

PICTURE = np.random.default_rng(0).integers(0, 256, (60, 80), np.uint8)


class Boxes:
    """A finder that finds `count` boxes in each picture."""

    def __init__(self) -> None:
        self.count = 2

    def find(self, image: Image) -> Regions:
        boxes = np.array([[3 * index, 5, 8, 8] for index in range(self.count)], np.int32).reshape(-1, 4)
        flat = np.zeros(self.count)
        return Regions(boxes, flat.astype(np.int32), flat.astype(np.float32), np.zeros((self.count, 2), np.float32))

    def learn(self, image: Image) -> None:
        pass


def made(label: str = "dent", side_px: int = 16) -> Model:
    """Return a model that names every crop `label`, entered."""
    engine = FakeEngine((label,), crop=CropCut(size_px=side_px, context=1.0, min_side_px=side_px))
    return Model(engine.__enter__(), Judge(VerdictConfig(), engine.card))


def usable(model: Model) -> bool:
    """Whether the model's engine was not freed."""
    try:
        model.engine.classify(model.room(1)[:1])
    except EngineError:
        return False
    return True


class Line:
    """An inspector with its models; `inspect` does with one frame what the inspect thread does."""

    def __init__(
        self,
        live: Model,
        previous: Model | None = None,
        recent_crops: int = 100,
        reserve: Model | None = None,
        file: Path | None = None,
    ) -> None:
        self.finder = Boxes()
        self.clock = ManualClock()
        self.models = Models(live, previous, recent_crops, reserve, file)
        self.inspector = Inspector({"top": self.finder}, live, 20.0, self.clock, previous, reserve)

    def inspect(self, late: bool = False) -> Inspection:
        frame = Frame("top", 1, PICTURE, 0, self.clock.tick_ns())
        if late:
            self.clock.sleep(1)
        (inspection,) = self.inspector.inspect([frame])
        if self.inspector.failure:
            self.models.fail_over(self.inspector)
        self.models.observe(frame, inspection, self.inspector)
        self.models.exchange(self.inspector)
        return inspection

    def bring(self, model: Model) -> None:
        self.models.offer(model)
        self.inspect()

    @property
    def state(self) -> tuple[Model, Model | None]:
        """Live and previous model, which the inspector must have too."""
        assert (self.inspector.model, self.inspector.previous) == (self.models.live, self.models.previous)
        return self.models.live, self.models.previous


def test_an_offered_model_takes_over_after_the_frame_and_the_old_one_stands_by() -> None:
    old, new = made("old"), made("new")
    line = Line(old)
    line.models.offer(new)
    assert line.state == (old, None)
    assert line.inspect().reason == "old"
    assert line.state == (new, old)
    assert line.inspect().reason == "new"
    assert line.models.exchange(line.inspector) is False


def test_a_model_is_freed_when_nobody_can_use_it_any_more_and_not_before() -> None:
    first, second, third = made(), made(), made()
    line = Line(first)
    line.bring(second)
    line.models.release()
    assert usable(first)
    line.bring(third)
    assert usable(first), "only the swap thread frees"
    line.models.release()
    assert [usable(model) for model in (first, second, third)] == [False, True, True]
    line.models.close()
    assert not usable(second)
    assert not usable(third)


def test_closing_frees_a_model_that_still_waits() -> None:
    waiting = made()
    line = Line(made())
    line.models.offer(waiting)
    line.models.close()
    assert not usable(waiting)


def test_going_back_and_forth_keeps_both() -> None:
    one, other = made(), made()
    line = Line(one, other)
    for live, previous in ((other, one), (one, other), (other, one)):
        line.bring(live)
        line.models.release()
        assert line.state == (live, previous)
    assert usable(one)
    assert usable(other)


def test_what_is_withdrawn_in_time_never_takes_over() -> None:
    line = Line(made())
    new = made()
    line.models.offer(new)
    assert line.models.withdraw()
    line.inspect()
    assert line.models.live is not new
    line.bring(new)
    assert not line.models.withdraw(), "it was taken"
    assert line.models.live is new


def broken() -> Model:
    """Return a model that fails in use."""

    def fail(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise EngineError("gone")

    engine = FakeEngine(("dent",), fail, CropCut(size_px=16, context=1.0, min_side_px=16))
    return Model(engine.__enter__(), Judge(VerdictConfig(), engine.card))


def test_after_a_fail_over_the_previous_model_is_the_only_one() -> None:
    failing, spare = broken(), made("spare")
    line = Line(failing, spare)
    assert line.inspect().reason == "spare"
    assert line.state == (spare, None)
    assert line.inspector.failure == ""
    line.models.release()
    with pytest.raises(EngineError, match="not entered"):
        failing.engine.classify(failing.room(1))
    assert usable(spare)


def test_a_way_back_that_was_offered_while_the_live_model_failed_is_taken_once() -> None:
    failing, spare = broken(), made("spare")
    line = Line(failing, spare)
    line.models.offer(spare)
    line.inspect()
    line.inspect()
    assert line.state == (spare, None)
    line.bring(made("next"))
    line.models.release()
    assert line.models.previous is spare
    assert usable(spare)


def test_an_offer_stands_over_a_fail_over() -> None:
    failing, spare, new = broken(), made(), made()
    line = Line(failing, spare)
    line.models.offer(new)
    line.inspect()
    assert line.state == (new, spare)


def test_the_reserve_outlives_every_exchange_and_takes_over_in_the_end() -> None:
    reserve = made("reserve")
    line = Line(reserve, reserve=reserve)
    first, second = broken(), broken()
    for model in (first, second):
        line.models.offer(model)
        line.models.exchange(line.inspector)
        line.models.release()
    assert usable(reserve)
    assert line.inspect().reason == "reserve"
    assert line.state == (reserve, None)
    line.models.release()
    for failed in (first, second):
        with pytest.raises(EngineError, match="not entered"):
            failed.engine.classify(failed.room(1))
    line.models.close()
    assert not usable(reserve)


def test_a_model_that_failed_before_anybody_looked_waits_no_more() -> None:
    spare = made("spare")
    line = Line(spare)
    line.bring(broken())
    assert not line.models.offers
    line.inspect()
    assert line.state == (spare, None)
    assert not line.models.offers


def test_the_last_crops_are_kept_up_to_their_number_with_their_names() -> None:
    line = Line(made("dent"), recent_crops=5)
    cut = line.models.live.engine.card.crop
    assert line.models.recent(cut) is None
    for _ in range(10):
        line.inspect()
    sample = line.models.recent(cut)
    assert sample is not None
    assert sample.labels == ("dent",) * 4
    assert sample.crops.shape == (4, 1, 16, 16)
    boxes = line.finder.find(PICTURE).box
    assert np.array_equal(sample.crops[:2], cut_crops(PICTURE, boxes, cut, np.empty((2, 1, 16, 16), np.uint8)))


def test_more_crops_in_a_frame_than_are_kept_leave_none() -> None:
    line = Line(made(), recent_crops=5)
    line.finder.count = 6
    line.inspect()
    assert line.models.recent(line.models.live.engine.card.crop) is None


def test_kept_crops_stay_as_they_were_when_the_next_frame_is_cut() -> None:
    line = Line(made())
    cut = line.models.live.engine.card.crop
    line.inspect()
    before = line.models.recent(cut)
    line.models.live.room(2)[:] = 0
    after = line.models.recent(cut)
    assert before is not None
    assert after is not None
    assert np.array_equal(before.crops, after.crops)


def test_another_cut_gets_no_crops() -> None:
    line = Line(made(side_px=16))
    line.inspect()
    assert line.models.recent(made(side_px=32).engine.card.crop) is None


@pytest.mark.parametrize("change", ["exchange", "fail over"])
def test_a_change_forgets_the_crops_that_another_model_named(change: str) -> None:
    line = Line(made(), made())
    cut = line.models.live.engine.card.crop
    line.inspect()
    assert line.models.recent(cut) is not None
    if change == "exchange":
        line.bring(made())
    else:
        line.inspector.model, line.inspector.previous = made(), None
        line.models.fail_over(line.inspector)
    assert line.models.recent(cut) is None


def test_a_watch_counts_what_came_after_its_start() -> None:
    line = Line(made())
    line.inspect()
    watch = line.models.start_watch()
    for late in (True, False, False, True):
        line.inspect(late)
    line.finder.count = 0
    line.inspect()
    assert (watch.frames, watch.late, watch.crops) == (5, 2, 8)
    assert watch.late_share == 0.4
    assert not watch.samples, "nobody wants them"
    line.models.stop_watch()
    line.inspect()
    assert watch.frames == 5


def test_an_empty_watch_has_no_share_and_no_time() -> None:
    watch = Line(made()).models.start_watch()
    assert (watch.late_share, watch.us_per_crop) == (0, 0)


def test_a_watch_has_the_time_of_a_crop() -> None:
    line = Line(made())

    def classify(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        line.clock.sleep(300e-6)
        return np.ones((len(crops), 1), np.float32)

    engine = FakeEngine(("dent",), classify, CropCut(size_px=16, context=1.0, min_side_px=16)).__enter__()
    line.bring(Model(engine, Judge(VerdictConfig(), engine.card)))
    watch = line.models.start_watch()
    line.finder.count = 3
    line.inspect()
    assert watch.us_per_crop == pytest.approx(100)


@pytest.mark.parametrize("side_px", [16, 32])
def test_samples_are_cut_as_the_candidate_cuts(side_px: int) -> None:
    line = Line(made("dent", 16))
    cut = CropCut(size_px=side_px, context=2.0 if side_px == 32 else 1.0, min_side_px=16)
    watch = line.models.start_watch(cut)
    line.inspect()
    (sample,) = watch.samples
    boxes = line.finder.find(PICTURE).box
    assert sample.labels == ("dent", "dent")
    assert np.array_equal(sample.crops, cut_crops(PICTURE, boxes, cut, np.empty((2, 1, side_px, side_px), np.uint8)))


def test_samples_that_nobody_takes_are_bounded_and_the_oldest_stay() -> None:
    line = Line(made("first"), recent_crops=0)
    watch = line.models.start_watch(line.models.live.engine.card.crop)
    line.inspect()
    line.bring(made("later"))
    for _ in range(200):
        line.inspect()
    assert len(watch.samples) == 64
    assert watch.samples[0].labels == ("first", "first")
    assert watch.frames == 202


def test_a_clean_frame_leaves_no_sample() -> None:
    line = Line(made())
    line.finder.count = 0
    watch = line.models.start_watch(line.models.live.engine.card.crop)
    assert line.inspect().verdict is Verdict.ACCEPT
    assert (watch.frames, len(watch.samples)) == (1, 0)


def test_waiting_ends_with_a_watched_frame_with_an_exchange_and_when_woken() -> None:
    line = Line(made())
    for happens in (lambda: line.inspect(), lambda: line.bring(made()), line.models.wake):
        line.models.start_watch()
        ended = threading.Event()
        waiting = threading.Thread(target=lambda done=ended: (line.models.wait(60), done.set()))
        waiting.start()
        while not ended.wait(0.01):
            happens()
        waiting.join()


@pytest.fixture
def _hasty_threads() -> Iterator[None]:
    """Let threads take turns as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_hasty_threads")
def test_models_come_and_go_at_full_speed_and_nothing_is_torn() -> None:
    line = Line(made("of 16", 16), recent_crops=50)
    end = threading.Event()
    cuts = [CropCut(size_px=side, context=1.0, min_side_px=side) for side in (16, 24)]

    def inspect(ready: Ready) -> None:
        ready()
        while not end.is_set():
            assert line.inspect().reason in ("of 16", "of 24")

    with Worker("inspect", inspect, end.set) as inspecting:
        for number in range(2000):
            change(line.models, number, inspecting)
            kept = [line.models.recent(cut) for cut in cuts]
            while number % 10 == 0 and not any(kept) and inspecting.alive:
                kept = [line.models.recent(cut) for cut in cuts]
            for cut, sample in zip(cuts, kept, strict=True):
                if sample is not None:
                    assert sample.crops.shape == (len(sample.labels), 1, cut.size_px, cut.size_px)
                    assert set(sample.labels) == {f"of {cut.size_px}"}
            line.models.release()
    assert inspecting.failure is None
    live, previous = line.state
    assert usable(live)
    assert previous is None or usable(previous)
    line.models.close()
    assert not usable(live)


def change(models: Models, number: int, inspecting: Worker) -> None:
    """Offer a new model or, mostly, the previous one, and see that it is taken, or withdraw it."""
    side = (16, 24)[number % 2]
    back = models.previous if number % 3 else None
    offered = back or made(f"of {side}", side)
    models.offer(offered)
    if number % 5 == 0 and models.withdraw():
        return
    while models.live is not offered and inspecting.alive:
        models.wait(0.001)


def test_a_recipe_is_not_judged_by_the_reserve_of_another() -> None:
    reserve, failing = made("reserve"), broken()
    line = Line(broken(), reserve=reserve, file=Path("own.onnx"))
    line.models.keep(Path("other.onnx"), failing, 1)
    line.models.change_file(Path("other.onnx"), VerdictConfig(), line.inspector)
    assert line.state == (failing, None)
    assert line.inspect().reason == "engine"
    line.models.change_file(Path("own.onnx"), VerdictConfig(), line.inspector)
    assert line.inspect().reason == "reserve"
    assert line.models.prepared() == (Path("other.onnx"),)


def test_a_change_of_file_puts_the_live_model_aside_and_gives_up_the_way_back() -> None:
    before, live, other = made(), made(), made("other")
    line = Line(live, before, file=Path("own.onnx"))
    line.models.keep(Path("other.onnx"), other, 1)
    line.models.change_file(Path("other.onnx"), VerdictConfig(), line.inspector)
    line.models.release()
    assert [usable(model) for model in (before, live, other)] == [False, True, True]
    assert line.inspect().reason == "other"
    line.models.close()
    assert not usable(live)


def test_a_model_that_was_given_up_goes() -> None:
    waiting = made()
    line = Line(made())
    line.models.keep(Path("other.onnx"), waiting, 1)
    line.models.drop(Path("other.onnx"))
    line.models.drop(Path("other.onnx"))
    line.models.release()
    assert not usable(waiting)
