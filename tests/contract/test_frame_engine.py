"""What every engine of a finder file keeps, run on each of them and on each kind of file."""

import gc
import weakref

import numpy as np
import onnxruntime
import pytest

from engines import FakeFrameEngine, FrameOnnxEngine
from engines.precision import convert_finder
from shadowline.errors import EngineError
from tests.finder_files import STRIDE, finder_card, write_finder

SIDES = (64, 128)
FIXED = {"input_px": SIDES}


def by_darkness(frames):
    """Return the mean darkness of each square of a stride."""
    count, _, height, width = frames.shape
    squares = frames.reshape(count, height // STRIDE, STRIDE, width // STRIDE, STRIDE)
    return {"heat": (1 - squares.mean((2, 4)) / 255).astype(np.float32)}


def converted(folder, precision):
    source, target = write_finder(folder / "fp32.onnx"), folder / f"{precision}.onnx"
    convert_finder(source, target, precision, [frames_for(1, seed) for seed in range(4)])
    return target


ENGINES = {
    "fake": lambda folder: FakeFrameEngine(finder_card(), by_darkness),
    "onnx_runtime, heat": lambda folder: FrameOnnxEngine(write_finder(folder / "a.onnx")),
    "onnx_runtime, heat of a fixed size": lambda folder: FrameOnnxEngine(write_finder(folder / "a.onnx", facts=FIXED)),
    "onnx_runtime, heat by label": lambda folder: FrameOnnxEngine(
        write_finder(folder / "a.onnx", facts={"labels": ("hole", "stain", "scratch")})
    ),
    "onnx_runtime, anomaly": lambda folder: FrameOnnxEngine(write_finder(folder / "a.onnx", "anomaly")),
    "onnx_runtime, boxes": lambda folder: FrameOnnxEngine(write_finder(folder / "a.onnx", "detector")),
    "onnx_runtime, boxes of a fixed size": lambda folder: FrameOnnxEngine(
        write_finder(folder / "a.onnx", "detector", facts=FIXED)
    ),
    "onnx_runtime with two threads": lambda folder: FrameOnnxEngine(write_finder(folder / "a.onnx"), threads=2),
    "onnx_runtime in fp16": lambda folder: FrameOnnxEngine(converted(folder, "fp16")),
    "onnx_runtime in INT8": lambda folder: FrameOnnxEngine(converted(folder, "int8")),
}


@pytest.fixture(params=ENGINES)
def make(request, tmp_path):
    return lambda: ENGINES[request.param](tmp_path)


@pytest.fixture
def engine(make):
    with make() as entered:
        yield entered


def frames_for(count, seed=0, sides=SIDES):
    return np.random.default_rng(seed).integers(0, 256, (count, 1, *sides), np.uint8)


def dark_spot(x, y):
    """Return a white frame with a black square of 32 pixels around a point."""
    frame = np.full((1, 1, *SIDES), 255, np.uint8)
    frame[0, 0, y - 16 : y + 16, x - 16 : x + 16] = 0
    return frame


def told(engine, frames):
    """Return all that the engine says of the frames, kept beyond its next call."""
    return {name: part.copy() for name, part in engine.run(frames).items()}


def same(first, second, tolerance=0.0):
    return first.keys() == second.keys() and all(np.allclose(first[n], second[n], atol=tolerance) for n in first)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_answers_in_the_shapes_of_the_card(engine, count):
    card, found = engine.card, engine.run(frames_for(count))
    cells = SIDES[0] // card.stride, SIDES[1] // card.stride
    if card.kind == "detector":
        boxes, scores, labels = (found[name] for name in ("boxes", "scores", "labels"))
        assert boxes.shape == (*scores.shape, 4)
        assert labels.shape == scores.shape == (count, scores.shape[1])
        assert (boxes.dtype, scores.dtype, labels.dtype) == (np.float32, np.float32, np.int64)
        assert (np.diff(scores) <= 0).all()
    else:
        assert found.keys() == {"heat"}
        assert found["heat"].shape == (count, *((len(card.labels),) if card.labels else ()), *cells)
        assert found["heat"].dtype == np.float32


def test_a_dark_spot_is_found_where_it_is(engine):
    x, y = 96, 24
    found = engine.run(dark_spot(x, y))
    if engine.card.kind == "detector":
        x0, y0, x1, y1 = found["boxes"][0, 0]
        at = ((x0 + x1) / 2, (y0 + y1) / 2)
    else:
        heat = found["heat"][0]
        heat = heat if heat.ndim == 2 else heat[0]
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        at = ((column + 0.5) * engine.card.stride, (row + 0.5) * engine.card.stride)
    assert np.abs(np.subtract(at, (x, y))).max() <= 16


def test_the_same_frames_get_the_same_answer(engine):
    frames = frames_for(3)
    first = told(engine, frames)
    engine.run(frames_for(2, seed=1))
    assert same(first, told(engine, frames))


def test_several_frames_are_answered_like_one_by_one(engine):
    frames = frames_for(3)
    together, alone = told(engine, frames), [told(engine, frame[None]) for frame in frames]
    assert same(together, {name: np.concatenate([one[name] for one in alone]) for name in together}, 1e-4)


def test_frames_are_only_read(engine):
    frames = frames_for(2)
    frames.setflags(write=False)
    before = frames.copy()
    engine.run(frames)
    assert np.array_equal(frames, before)


def test_a_part_of_a_larger_buffer_is_answered_like_its_copy(engine):
    buffer = frames_for(1, sides=(SIDES[0] + 8, SIDES[1] + 24))
    part = buffer[:, :, 3 : 3 + SIDES[0], 5 : 5 + SIDES[1]]
    assert same(told(engine, part), told(engine, part.copy()))


def test_any_multiple_of_the_stride_goes_where_the_card_names_no_size(engine):
    other = frames_for(1, sides=(SIDES[0] + engine.card.stride, SIDES[1]))
    if engine.card.input_px is None:
        assert engine.run(other)
    else:
        with pytest.raises(EngineError, match=r"must be uint8 \[N,1,64,128\]"):
            engine.run(other)


WRONG_FRAMES = {
    "not a multiple": lambda frames: frames[:, :, 1:],
    "channels": lambda frames: np.repeat(frames, 3, axis=1),
    "element": lambda frames: frames.astype(np.uint16),
    "one picture": lambda frames: frames[0, 0],
    "none": lambda frames: frames[:0],
}


@pytest.mark.parametrize("case", WRONG_FRAMES)
def test_frames_of_another_shape_or_type_are_an_engine_error_and_it_still_answers(engine, case):
    frames = frames_for(2)
    before = told(engine, frames)
    with pytest.raises(EngineError, match=r"frames are .* must be uint8 \[N,1,"):
        engine.run(WRONG_FRAMES[case](frames))
    assert same(before, told(engine, frames))


def test_is_used_only_between_entering_and_leaving(make):
    engine = make()
    with pytest.raises(EngineError, match="not entered"):
        engine.run(frames_for(1))
    with engine:
        engine.run(frames_for(1))
    with pytest.raises(EngineError, match="not entered"):
        engine.run(frames_for(1))


def test_leaving_twice_is_safe_and_entering_again_works(make):
    engine = make()
    with engine:
        before = told(engine, frames_for(1))
    engine.__exit__(None, None, None)
    with engine:
        assert same(before, told(engine, frames_for(1)))


def test_says_who_it_is(engine):
    assert engine.name
    assert engine.card.name
    assert len(engine.sha256) in (0, 64)


def test_leaving_frees_the_network(tmp_path, monkeypatch):
    sessions = []
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda *args, **kwargs: sessions.append(weakref.ref(session := real(*args, **kwargs))) or session,
    )
    with FrameOnnxEngine(write_finder(tmp_path / "a.onnx")):
        assert any(session() is not None for session in sessions)
    gc.collect()
    assert [session() for session in sessions] == [None]


def test_not_a_number_passes_through():
    def with_a_gap(frames):
        found = by_darkness(frames)
        found["heat"][0, 0, 0] = np.nan
        return found

    with FakeFrameEngine(finder_card(), with_a_gap) as engine:
        assert np.isnan(engine.run(frames_for(1))["heat"]).sum() == 1
