"""Which engine a configuration gets on this computer, why, and what is said where it can't have it."""

import sys
from contextlib import closing
from pathlib import Path

import onnx
import pytest

from engines import read_card, shipped_model
from engines.build import plan_key
from engines.gpu import Gpu
from engines.plan import Passport, Plan, PlanKey, Profile
from engines.plan_cache import PlanCache
from engines.warm_up import noise_crops
from shadowline.errors import EngineError, EngineMismatch, MissingExtra
from station.config import (
    AutoEngineConfig,
    FakeEngineConfig,
    OnnxRuntimeConfig,
    SwapConfig,
    TensorRtConfig,
)
from station.engine import OpenEngine, build_request, open_engine, open_plan
from tests.nvidia import driver_is_there

GPU = Gpu(0, "NVIDIA L4", "8.9", "580.65", "00000000:01:00.0", 23034, 22000, True, 300, 2040, 41, "")
CONFIGS = {"tensor_rt": TensorRtConfig(backend="tensor_rt"), "auto": AutoEngineConfig(backend="auto")}


without_driver = pytest.mark.skipif(driver_is_there(), reason="this computer has an NVIDIA driver")


@pytest.fixture
def swap(tmp_path: Path) -> SwapConfig:
    return SwapConfig(cache=tmp_path / "plans")


@pytest.fixture
def gpu_for_plans(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    """Let plans be looked up for a GPU that is not there; running one still asks the driver."""
    monkeypatch.setattr("engines.build.find_gpu", lambda index: GPU)
    monkeypatch.setattr("station.engine.require_pycuda", lambda: None)
    return GPU


@pytest.fixture
def without_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    for flavour in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, flavour, None)


def answers(opened: OpenEngine) -> bool:
    """Whether engine and reserve name crops."""
    engines = [engine for engine in (opened.engine, opened.reserve) if engine is not None]
    return all(len(engine.classify(noise_crops(engine.card, 2)).probabilities) == 2 for engine in engines)


def check_is_cpu(opened: OpenEngine, why: str) -> None:
    assert opened.engine.name.startswith("onnx_runtime CPUExecutionProvider")
    assert why in opened.why
    assert "\n" not in opened.why
    assert (opened.reserve, opened.wanted) == (None, False)
    assert answers(opened)


def lay(swap: SwapConfig, key: PlanKey) -> Plan:
    """Put a plan of the shipped model with a passport for `key` into the cache; its compiled network is none."""
    assert swap.cache is not None
    cache = PlanCache(swap.cache)
    with cache.adding(key) as folder:
        (folder / "model.onnx").write_bytes(shipped_model().read_bytes())
        (folder / "engine.plan").write_bytes(b"no plan")
        passport = Passport(
            key=key,
            card=read_card(shipped_model()),
            engine_sha256="",
            engine_bytes=7,
            source="",
            shadowline="",
            built="",
            built_by="",
            build_s=0,
        )
        Plan.write(folder, passport)
    return cache.find(key)


def key_for(config: TensorRtConfig | AutoEngineConfig, swap: SwapConfig) -> PlanKey:
    return plan_key(build_request(config, swap), read_card(shipped_model()))


def test_onnx_runtime_is_taken_as_configured_and_freed_on_closing(swap: SwapConfig) -> None:
    config = OnnxRuntimeConfig(threads=2, max_batch=4)
    with closing(open_engine(config, swap)) as opened:
        check_is_cpu(opened, "as configured")
        assert opened.settled is config
    with pytest.raises(EngineError, match="not entered"):
        answers(opened)


def test_the_fake_engine_is_taken_as_configured(swap: SwapConfig) -> None:
    with closing(open_engine(FakeEngineConfig(backend="fake", labels=("a", "b")), swap)) as opened:
        assert opened.engine.card.labels == ("a", "b")
        assert answers(opened)


@pytest.mark.skipif(driver_is_there(), reason="the provider may be there")
def test_a_provider_that_is_not_there_is_refused_never_replaced(swap: SwapConfig) -> None:
    with pytest.raises(EngineError, match=r"provider cuda is not in this onnxruntime: pip install onnxruntime-gpu"):
        open_engine(OnnxRuntimeConfig(provider="cuda"), swap)


@without_driver
def test_without_a_driver_the_best_is_the_cpu_and_it_says_what_is_missing(swap: SwapConfig) -> None:
    config = AutoEngineConfig(backend="auto", threads=3, max_batch=4, opt_batch=2, keep_warm_ms=5)
    with closing(open_engine(config, swap)) as opened:
        check_is_cpu(opened, "no TensorRT: no NVIDIA driver on this computer: install it")
        assert "this onnxruntime is without CUDA" in opened.why
        settled = OnnxRuntimeConfig(threads=3, max_batch=4)
        assert opened.settled == settled


@without_driver
def test_tensor_rt_without_a_driver_is_refused(swap: SwapConfig) -> None:
    with pytest.raises(EngineError, match=r"^no NVIDIA driver on this computer: install it") as fault:
        open_engine(TensorRtConfig(backend="tensor_rt"), swap)
    assert not isinstance(fault.value, EngineMismatch)


@pytest.mark.usefixtures("without_tensorrt")
def test_without_tensorrt_the_missing_package_is_named(swap: SwapConfig) -> None:
    with pytest.raises(MissingExtra, match=r"^TensorRT is not installed: pip install 'shadowline\[gpu\]'$"):
        open_engine(TensorRtConfig(backend="tensor_rt"), swap)


@pytest.mark.parametrize("backend", ["tensor_rt", "auto"])
def test_without_pycuda_no_plan_is_waited_for(swap: SwapConfig, monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    monkeypatch.setattr("engines.build.find_gpu", lambda index: GPU)
    monkeypatch.setitem(sys.modules, "pycuda", None)
    if backend == "tensor_rt":
        with pytest.raises(MissingExtra, match=r"^pycuda is not installed: pip install 'shadowline\[gpu\]'$"):
            open_engine(CONFIGS[backend], swap)
        return
    with closing(open_engine(CONFIGS[backend], swap)) as opened:
        assert "no TensorRT: pycuda is not installed: pip install 'shadowline[gpu]'" in opened.why
        assert not opened.wanted


@without_driver
@pytest.mark.usefixtures("without_tensorrt")
def test_without_tensorrt_the_best_is_the_cpu(swap: SwapConfig) -> None:
    with closing(open_engine(AutoEngineConfig(backend="auto"), swap)) as opened:
        check_is_cpu(opened, "no TensorRT: TensorRT is not installed: pip install 'shadowline[gpu]'")


@without_driver
def test_cuda_that_does_not_load_is_said(swap: SwapConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("station.engine.has_provider", lambda provider: True)
    with closing(open_engine(AutoEngineConfig(backend="auto"), swap)) as opened:
        check_is_cpu(opened, "; no CUDA: ")
        assert "provider cuda is not in this onnxruntime" in opened.why


@pytest.mark.usefixtures("gpu_for_plans")
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_without_any_plan_the_cpu_stands_in_until_one_is_built(
    swap: SwapConfig, config: TensorRtConfig | AutoEngineConfig
) -> None:
    with closing(open_engine(config, swap)) as opened:
        assert opened.wanted
        assert opened.why == (
            f"until a plan is built: {swap.cache}: no plan has been built: station engine build MODEL.onnx"
        )
        assert opened.settled is config, "the plan that is built is for the GPU"
        assert opened.engine.name.startswith("onnx_runtime CPU")
        assert answers(opened)


@pytest.mark.usefixtures("gpu_for_plans")
@pytest.mark.parametrize("backend", CONFIGS)
def test_where_rebuilding_is_not_wanted_the_start_is_refused(swap: SwapConfig, backend: str) -> None:
    config = CONFIGS[backend].model_copy(update={"on_mismatch": "refuse"})
    with pytest.raises(EngineMismatch, match=r"no plan has been built: station engine build"):
        open_engine(config, swap)


OTHER = {
    "driver": "550.1",
    "gpu": "NVIDIA A2",
    "capability": "8.6",
    "version": "9.9.9",
    "model_sha256": "0" * 64,
    "precision": "fp32",
    "profile": Profile(opt_batch=8, max_batch=16),
}


@pytest.mark.usefixtures("gpu_for_plans")
@pytest.mark.parametrize("field", OTHER)
def test_a_plan_that_differs_is_never_loaded_and_the_field_is_named(swap: SwapConfig, field: str) -> None:
    config = TensorRtConfig(backend="tensor_rt")
    wanted = key_for(config, swap)
    lay(swap, wanted.model_copy(update={field: OTHER[field]}))
    with closing(open_engine(config, swap)) as opened:
        assert opened.wanted
        assert f"not the plan for this station: {field} is " in opened.why
        assert opened.why.count(", must be ") == 1
    with pytest.raises(EngineMismatch, match=rf"not the plan for this station: {field} is "):
        open_engine(config.model_copy(update={"on_mismatch": "refuse"}), swap)


@without_driver
@pytest.mark.usefixtures("gpu_for_plans")
def test_a_fitting_plan_is_run_or_refused_and_the_best_falls_back(swap: SwapConfig) -> None:
    config = TensorRtConfig(backend="tensor_rt")
    lay(swap, key_for(config, swap))
    with pytest.raises(EngineError, match="no NVIDIA driver"):
        open_engine(config, swap)
    with closing(open_engine(AutoEngineConfig(backend="auto"), swap)) as opened:
        check_is_cpu(opened, "no TensorRT: no NVIDIA driver")


def bad_file(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.onnx"
    match kind:
        case "empty":
            path.touch()
        case "no model":
            path.write_bytes(b"\x08\x07" * 1000)
        case "cut off":
            path.write_bytes(shipped_model().read_bytes()[:100_000])
        case "without metadata":
            model = onnx.load(shipped_model())
            del model.metadata_props[:]
            onnx.save(model, path)
    return path


@pytest.mark.usefixtures("gpu_for_plans")
@pytest.mark.parametrize("backend", ["onnx_runtime", "tensor_rt", "auto"])
@pytest.mark.parametrize("kind", ["missing", "empty", "no model", "cut off", "without metadata"])
def test_a_bad_model_file_is_refused_by_every_back_end(
    swap: SwapConfig, tmp_path: Path, backend: str, kind: str
) -> None:
    path = bad_file(kind, tmp_path)
    config = {**CONFIGS, "onnx_runtime": OnnxRuntimeConfig()}[backend].model_copy(update={"model": path})
    with pytest.raises(EngineError, match=rf"^{path}: ") as fault:
        open_engine(config, swap)
    assert "\n" not in str(fault.value)


def test_what_is_built_follows_the_back_end(swap: SwapConfig, tmp_path: Path) -> None:
    config = TensorRtConfig(backend="tensor_rt", gpu=1, precision="fp16", opt_batch=4, max_batch=16)
    request = build_request(config, swap)
    assert (request.target, request.gpu, request.precision, request.model) == (
        "tensor_rt",
        1,
        "fp16",
        shipped_model(),
    )
    assert request.profile == Profile(opt_batch=4, max_batch=16)
    assert request.cache == swap.cache
    other = build_request(config, swap, tmp_path / "new.onnx", "int8")
    assert (other.model, other.precision) == (tmp_path / "new.onnx", "int8")
    on_cpu = build_request(OnnxRuntimeConfig(max_batch=4, model=tmp_path / "own.onnx"), swap)
    assert (on_cpu.target, on_cpu.precision, on_cpu.model) == ("onnx_runtime", None, tmp_path / "own.onnx")
    assert on_cpu.profile == Profile(opt_batch=4, max_batch=4)


@pytest.mark.parametrize(
    "config", [OnnxRuntimeConfig(max_batch=4), FakeEngineConfig(backend="fake")], ids=["onnx_runtime", "fake"]
)
def test_a_plan_runs_on_the_back_end_that_was_settled(
    swap: SwapConfig, config: OnnxRuntimeConfig | FakeEngineConfig
) -> None:
    request = build_request(config, swap)
    plan = lay(swap, plan_key(request, read_card(request.model)))
    engine = open_plan(plan, config)
    try:
        assert engine.name.startswith("onnx_runtime CPU")
        assert engine.classify(noise_crops(engine.card, 6)).probabilities.shape == (6, len(engine.card.labels))
    finally:
        engine.__exit__(None, None, None)


@without_driver
@pytest.mark.usefixtures("gpu_for_plans")
def test_a_plan_for_a_gpu_that_is_not_there_is_refused(swap: SwapConfig) -> None:
    config = TensorRtConfig(backend="tensor_rt")
    with pytest.raises(EngineError, match="no NVIDIA driver"):
        open_plan(lay(swap, key_for(config, swap)), config)
