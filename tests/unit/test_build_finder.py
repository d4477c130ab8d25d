"""Plans of finder files, built for real by TensorRT-RTX without a GPU; what can't be built is refused in one line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines import FrameEngineConfig, open_frame_engine, read_finder_card, shipped_model
from engines.build import BuildRequest, build
from engines.finder_card import FinderKind
from engines.frame_onnx import FrameOnnxEngine
from engines.frame_parity import FrameParity
from engines.frame_tensor_rt import FrameTensorRtEngine
from engines.gpu import Gpu
from engines.plan import Plan
from engines.plan_cache import PlanCache
from engines.tensor_rt import TensorRtEngine
from shadowline.errors import EngineError, EngineMismatch, StationError
from tests.ensemble import draw_crops
from tests.finder_files import write_finder
from tests.nvidia import driver_is_there

SIZE = (64, 96)


def make(model: Path, cache: Path, **others: Any) -> Plan:
    facts = {"model": model, "cache": cache, "target": "tensor_rt", "capability": "8.9"}
    return build(BuildRequest.model_validate(facts | others), lambda step, part: None)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Frames of `SIZE` in a file."""
    np.save(tmp_path / "frames.npy", draw_crops(12, 1, SIZE[1])[:, :, : SIZE[0]])
    return tmp_path / "frames.npy"


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("kind", ["heatmap", "anomaly", "detector"])
def test_a_plan_of_a_finder_is_built_for_one_size_proved_and_found_again(
    tmp_path: Path, frames: Path, kind: FinderKind, precision: str
) -> None:
    model = write_finder(tmp_path / "finder.onnx", kind)
    facts = {"input_px": SIZE, "precision": precision, "crops": frames, "max_flip_share": 0.5}
    plan = make(model, tmp_path / "plans", **facts)
    passport = plan.passport
    assert plan.read_engine()
    assert passport.key.input_px == SIZE
    assert passport.card == read_finder_card(plan.model).model_copy(update={"input_px": SIZE})
    assert (passport.card.precision, passport.key.runtime) == (precision, "tensorrt_rtx")
    if precision == "fp32":
        assert passport.parity is None, "no GPU here: there is nothing to compare"
    else:
        assert isinstance(passport.parity, FrameParity)
        assert passport.parity.frames == 6, "half of them: no range was measured on these"
        assert passport.parity.mean_error <= 0.05
    assert make(model, tmp_path / "plans", **facts) == plan


def test_a_file_of_a_fixed_size_needs_no_other_word(tmp_path: Path) -> None:
    plan = make(write_finder(tmp_path / "finder.onnx", facts={"input_px": SIZE}), tmp_path / "plans")
    assert plan.passport.key.input_px == SIZE
    with pytest.raises(EngineMismatch, match=r"a finder file: it belongs in \[regions\] model"):
        TensorRtEngine(plan)


def test_another_size_is_another_plan(tmp_path: Path) -> None:
    model = write_finder(tmp_path / "finder.onnx")
    plans = {make(model, tmp_path / "plans", input_px=size).folder for size in (SIZE, (64, 64))}
    assert len(plans) == 2


def test_on_onnx_runtime_a_plan_takes_any_size_as_its_file_does(tmp_path: Path, frames: Path) -> None:
    facts = {"target": "onnx_runtime", "capability": None, "precision": "int8", "crops": frames, "max_flip_share": 0.5}
    plan = make(write_finder(tmp_path / "finder.onnx"), tmp_path / "plans", **facts)
    assert plan.passport.key.input_px is None
    with FrameOnnxEngine(plan.model) as engine:
        assert engine.card.precision == "int8"
        assert engine.run(np.zeros((1, 1, 128, 64), np.uint8))["heat"].shape == (1, 16, 8)


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "any size": ({}, {}, "a plan takes frames of one size: --input-px HEIGHT WIDTH, multiples of 8"),
    "no multiple of the stride": ({}, {"input_px": (60, 96)}, "frames of (60, 96): must be multiples of 8"),
    "another size than the file's": (
        {"facts": {"input_px": SIZE}},
        {"input_px": (64, 64)},
        "takes frames of (64, 96) alone, not of (64, 64)",
    ),
    "INT8 without frames": ({}, {"input_px": SIZE, "precision": "int8"}, "int8 needs crops to measure its ranges on"),
    "outputs of another name": ({"renamed": {"heat": "map"}}, {"input_px": SIZE}, "output is `map`, must be `heat`"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_be_built_is_one_line_and_leaves_nothing(tmp_path: Path, case: str) -> None:
    file, request, words = REFUSED[case]
    model = write_finder(tmp_path / "finder.onnx", **file)
    with pytest.raises(EngineError) as caught:
        make(model, tmp_path / "plans", **request)
    assert words in str(caught.value)
    assert PlanCache(tmp_path / "plans").plans() == []


def test_frames_of_another_size_are_refused(tmp_path: Path, frames: Path) -> None:
    model = write_finder(tmp_path / "finder.onnx", facts={"input_px": (64, 64)})
    with pytest.raises(EngineError, match=r"frames.npy: frames are uint8 .* must be uint8 \[N,1,64,64\]"):
        make(model, tmp_path / "plans", crops=frames)


def test_a_conversion_that_finds_otherwise_is_refused(tmp_path: Path) -> None:
    frames = np.full((4, 1, *SIZE), 200, np.uint8)
    frames[1::2] = 0  # no range was measured on anything as dark
    np.save(tmp_path / "frames.npy", frames)
    model = write_finder(tmp_path / "finder.onnx")
    with pytest.raises(EngineMismatch, match=r"are found by one of the two only, more than 10\.0%: refused"):
        make(
            model,
            tmp_path / "plans",
            input_px=SIZE,
            precision="int8",
            crops=tmp_path / "frames.npy",
            max_flip_share=0.1,
        )


def test_a_classifier_s_plan_is_for_no_size_of_frames_and_no_finder(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="it names crops: a size of frames is for finder files"):
        make(shipped_model(), tmp_path / "plans", input_px=SIZE)
    plan = make(shipped_model(), tmp_path / "plans", target="onnx_runtime", capability=None)
    with pytest.raises(EngineMismatch, match=r"a classifier: it belongs in \[engine\] model"):
        FrameTensorRtEngine(plan)


def test_the_newest_plan_of_the_file_runs_whatever_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Gpu(0, "NVIDIA L4", "8.9", "580.1", "0", None, None, True, None, None, None, "")
    monkeypatch.setattr("engines.build.find_gpu", lambda index: here)
    model = write_finder(tmp_path / "finder.onnx")
    plan = make(model, tmp_path / "plans", input_px=SIZE)
    config = FrameEngineConfig(model=model, backend="tensor_rt", cache=tmp_path / "plans")
    engine = open_frame_engine(config)
    assert engine.card == plan.passport.card
    other = write_finder(tmp_path / "other.onnx", facts={"threshold": 0.3})
    with pytest.raises(EngineMismatch, match="not the plan for this station: model_sha256 is"):
        open_frame_engine(config.model_copy(update={"model": other}))
    empty = config.model_copy(update={"cache": tmp_path / "nothing"})
    with pytest.raises(EngineMismatch, match=r"no plan has been built: station engine build"):
        open_frame_engine(empty)


@pytest.mark.skipif(driver_is_there(), reason="there is a driver")
def test_without_a_gpu_a_plan_is_refused_in_one_line(tmp_path: Path) -> None:
    model = write_finder(tmp_path / "finder.onnx")
    plan = make(model, tmp_path / "plans", input_px=SIZE)
    with pytest.raises(EngineError, match="no NVIDIA driver"), FrameTensorRtEngine(plan):
        pass
    with pytest.raises(StationError, match="no NVIDIA driver"):
        open_frame_engine(FrameEngineConfig(model=model, backend="tensor_rt", cache=tmp_path / "plans"))
