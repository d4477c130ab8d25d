"""What every engine keeps, run on each of them."""

import gc
import weakref

import numpy as np
import pytest

from engines import Answers, CropCut, FakeEngine, OnnxRuntimeEngine, read_card, shipped_model
from shadowline.errors import EngineError
from tests.tiny import CARD, write_model

MAX_BATCH = 4
CUT = CropCut(size_px=16, context=1.0, min_side_px=16)


def by_brightness(crops):
    """Name crops by their mean level; a crop of level 7 gets NaN."""
    level = crops.mean((1, 2, 3)) / 255
    answers = np.stack([level, 1 - level], 1)
    answers[(crops == 7).all((1, 2, 3))] = np.nan
    return answers.astype(np.float32)


def with_novelty(crops):
    """Name crops by their mean level, and tell how far that is from grey."""
    return Answers(by_brightness(crops), np.abs(crops.mean((1, 2, 3)) - 128))


ENGINES = {
    "fake": lambda folder: FakeEngine(("bright", "dark"), by_brightness, CUT),
    "fake of labels only": lambda folder: FakeEngine(("defect", "other", "third")),
    "fake with novelty": lambda folder: FakeEngine(("bright", "dark"), with_novelty, CUT, novelty_limit=9.0),
    "onnx_runtime": lambda folder: OnnxRuntimeEngine(max_batch=MAX_BATCH),
    "onnx_runtime with two threads": lambda folder: OnnxRuntimeEngine(threads=2, max_batch=MAX_BATCH),
    "onnx_runtime with novelty": lambda folder: OnnxRuntimeEngine(
        write_model(folder / "tiny.onnx", CARD | {"novelty_limit": 9.0}, novelty="Squeeze"), max_batch=MAX_BATCH
    ),
}


@pytest.fixture(params=ENGINES)
def make(request, tmp_path):
    return lambda: ENGINES[request.param](tmp_path)


def told(engine, crops):
    """Return all that the engine says of the crops, a row each, kept beyond its next call."""
    answers = engine.classify(crops)
    return np.column_stack([answers.probabilities, *([] if answers.novelty is None else [answers.novelty])])


@pytest.fixture
def engine(make):
    with make() as entered:
        yield entered


def crops_for(engine, count, seed=0):
    side = engine.card.crop.size_px
    return np.random.default_rng(seed).integers(0, 256, (count, 1, side, side), np.uint8)


@pytest.mark.parametrize("count", [1, 2, MAX_BATCH, MAX_BATCH + 1, 3 * MAX_BATCH + 2])
def test_answers_one_row_a_crop_for_any_number_of_crops(engine, count):
    probabilities = engine.classify(crops_for(engine, count)).probabilities
    assert probabilities.shape == (count, len(engine.card.labels))
    assert probabilities.dtype == np.float32


@pytest.mark.parametrize("count", [1, MAX_BATCH, 3 * MAX_BATCH + 2])
def test_one_novelty_a_crop_or_none(engine, count):
    crops = crops_for(engine, count)
    novelty = engine.classify(crops).novelty
    assert (novelty is not None) == (engine.card.novelty_limit is not None)
    if novelty is not None:
        assert novelty.dtype == np.float32
        assert novelty.shape == (count,)
    if novelty is not None and engine.card.name != read_card(shipped_model()).name:
        assert np.allclose(novelty, np.abs(crops.mean((1, 2, 3)) - 128), atol=1e-3)


def test_rows_are_probabilities(engine):
    probabilities = engine.classify(crops_for(engine, 9)).probabilities
    assert probabilities.min() >= 0
    assert np.allclose(probabilities.sum(1), 1, atol=1e-3)


def test_the_same_crops_get_the_same_answer(engine):
    crops = crops_for(engine, 6)
    first = told(engine, crops)
    engine.classify(crops_for(engine, 3, seed=1))
    assert np.array_equal(first, told(engine, crops))


def test_a_batch_is_answered_like_its_crops_one_by_one(engine):
    crops = crops_for(engine, MAX_BATCH + 2)
    batch = told(engine, crops)
    single = np.concatenate([told(engine, crop[None]) for crop in crops])
    assert np.allclose(batch, single, atol=1e-5)


def test_crops_are_only_read(engine):
    crops = crops_for(engine, 3)
    crops.setflags(write=False)
    before = crops.copy()
    engine.classify(crops)
    assert np.array_equal(crops, before)


def test_a_slice_of_a_larger_buffer_is_answered_like_its_copy(engine):
    buffer = crops_for(engine, 8)
    sliced = told(engine, buffer[2:5])
    assert np.array_equal(sliced, told(engine, buffer[2:5].copy()))


@pytest.mark.parametrize("damage", ["side", "channels", "element"])
def test_crops_of_another_shape_or_type_are_an_engine_error(engine, damage):
    crops = crops_for(engine, 2)
    wrong = {
        "side": crops[:, :, 1:],
        "channels": np.repeat(crops, 3, axis=1),
        "element": crops.astype(np.float32),
    }[damage]
    with pytest.raises(EngineError):
        engine.classify(wrong)


def test_still_answers_after_an_engine_error(engine):
    crops = crops_for(engine, 2)
    before = told(engine, crops)
    with pytest.raises(EngineError):
        engine.classify(crops[:, :, 1:])
    assert np.array_equal(before, told(engine, crops))


def test_is_used_only_between_entering_and_leaving(make):
    engine = make()
    side = 80
    with pytest.raises(EngineError, match="not entered"):
        engine.classify(np.zeros((1, 1, side, side), np.uint8))
    with engine:
        crops = crops_for(engine, 1)
        engine.classify(crops)
    with pytest.raises(EngineError, match="not entered"):
        engine.classify(crops)


def test_leaving_twice_is_safe_and_entering_again_works(make):
    engine = make()
    with engine:
        before = told(engine, crops_for(engine, 2))
    engine.__exit__(None, None, None)
    with engine:
        assert np.array_equal(before, told(engine, crops_for(engine, 2)))


def test_says_who_it_is(engine):
    assert engine.name
    assert len(set(engine.card.labels)) == len(engine.card.labels)
    assert len(engine.sha256) in (0, 64)


def test_leaving_frees_the_network(monkeypatch):
    sessions = []
    import onnxruntime

    real = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda *args, **kwargs: sessions.append(weakref.ref(session := real(*args, **kwargs))) or session,
    )
    with OnnxRuntimeEngine():
        assert any(session() is not None for session in sessions)
    gc.collect()
    assert [session() for session in sessions] == [None]


def test_not_a_number_passes_through(tmp_path):
    with ENGINES["fake"](tmp_path) as engine:
        crops = crops_for(engine, 3)
        crops[1] = 7
        answers = engine.classify(crops)
    assert np.isnan(answers.probabilities).all(1).tolist() == [False, True, False]
    assert not answers.is_finite


WRONG_FUNCTIONS = {
    "probabilities": (lambda crops: np.ones((len(crops), 3), np.float32), None, r"shape \(1, 3\)"),
    "novelty": (lambda crops: Answers(by_brightness(crops), np.ones(7)), None, r"novelty of shape \(7,\)"),
    "no novelty": (by_brightness, 1.0, "novelty_limit, and the function answered without novelty"),
}


@pytest.mark.parametrize("case", WRONG_FUNCTIONS)
def test_a_function_that_answers_wrongly_is_an_engine_error(case):
    function, limit, words = WRONG_FUNCTIONS[case]
    with FakeEngine(("a", "b"), function, CUT, limit) as engine, pytest.raises(EngineError, match=words):
        engine.classify(crops_for(engine, 1))
