"""Plans built for real, by TensorRT-RTX without a GPU; what can't be built is refused in one line, nothing left."""

import hashlib
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
import tensorrt_rtx as trt
from onnx import helper, numpy_helper
from pydantic import ValidationError

import shadowline
from engines import ModelCard, read_card, shipped_model
from engines.border import border_of
from engines.build import BuildRequest, build, plan_key
from engines.build_process import BuildProcess
from engines.compile import compile_plan
from engines.model import METADATA_KEY
from engines.onnx_file import onnx_runtime_version
from engines.plan import ANY, Plan, Profile
from engines.plan_cache import PlanCache
from engines.tensor_rt import TensorRtEngine
from shadowline.errors import EngineError, EngineMismatch, MissingExtra
from tests.ensemble import draw_crops, write_ensemble
from tests.nvidia import driver_is_there
from tests.tiny import CARD, write_model

FP32 = shipped_model().with_name("neu-compact-fp32.onnx")
CAPABILITY = "8.9"
SIDE = 16
SMALL = ModelCard.model_validate(
    {"name": "small", "labels": ["a", "b"], "crop": {"size_px": SIDE, "context": 1.0, "min_side_px": SIDE}}
)
LIMITS = {"fp16": 0.005, "int8": 0.4}
"""Largest difference of a probability from fp32; see tests/unit/test_precision.py."""
NOISE_FLIPS = 0.3
"""Part of one label's crops that may flip: these are noise, near the border of many labels."""


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass
class Build:
    """One build in a process of its own, and the progress that it told."""

    request: BuildRequest
    told: list[tuple[str, float]] = field(default_factory=list)

    def run(self) -> Plan:
        return BuildProcess(self.request).run(lambda step, part: self.told.append((step, part)))

    @property
    def steps(self) -> list[str]:
        """What was done, each kind once, in order."""
        return list(dict.fromkeys(step.partition(":")[0] for step, _ in self.told))


def request_of(model: Path, cache: Path, **others: Any) -> BuildRequest:
    facts = {"model": model, "cache": cache, "target": "tensor_rt", "capability": CAPABILITY}
    return BuildRequest.model_validate(facts | others)


def folders(cache: Path) -> list[str]:
    """Return every folder of the cache: plans, and what is or was being built."""
    return [path.name for path in cache.iterdir() if path.is_dir()] if cache.exists() else []


@pytest.fixture(scope="session")
def five(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ensemble") / "five.onnx"
    write_ensemble(path)
    return path


@pytest.fixture(scope="session")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """A file of crops for any model."""
    folder = tmp_path_factory.mktemp("crops")

    def crops_for(model: Path) -> Path:
        side = read_card(model).crop.size_px
        np.save(folder / f"{side}.npy", draw_crops(256, 1, side))
        return folder / f"{side}.npy"

    return crops_for


BUILDS: dict[str, tuple[str, Any, str]] = {
    "fp32": ("fp32", None, "fp32"),
    "fp16": ("fp32", "fp16", "fp16"),
    "int8": ("fp32", "int8", "int8"),
    "the shipped INT8 file": ("shipped", None, "int8"),
    "ensemble in fp32": ("five", "fp32", "fp32"),
    "ensemble in fp16": ("five", "fp16", "fp16"),
    "ensemble in int8": ("five", "int8", "int8"),
}


@pytest.mark.parametrize("case", BUILDS)
def test_a_plan_is_built_proved_and_found_again(
    case: str, five: Path, crops: Callable[[Path], Path], tmp_path: Path
) -> None:
    name, asked, precision = BUILDS[case]
    model = {"fp32": FP32, "shipped": shipped_model(), "five": five}[name]
    facts = {"precision": asked, "crops": crops(model), "profile": Profile(opt_batch=4, max_batch=16)}
    request = request_of(model, tmp_path, **facts, max_flip_share=NOISE_FLIPS)
    one = Build(request)
    plan = one.run()

    assert plan.engine.name == "engine.plan"
    assert hashlib.sha256(plan.read_engine()).hexdigest() == plan.passport.engine_sha256
    key, passport = plan.passport.key, plan.passport
    assert (key.runtime, key.version, key.capability) == ("tensorrt_rtx", trt.__version__, CAPABILITY)
    assert (key.driver, key.gpu) == (ANY, ANY)
    assert (key.model_sha256, key.precision, key.profile) == (sha256(model), precision, request.profile)
    assert passport.card == read_card(plan.model)
    assert passport.card.precision == precision
    assert passport.source == str(model)
    assert passport.shadowline == shadowline.__version__

    converted = asked not in (None, "fp32")
    assert passport.card.made_from == (sha256(model) if converted else read_card(model).made_from)
    assert bool(key.calibration_sha256) == (converted and precision == "int8")
    if converted:
        assert passport.parity is not None
        assert passport.parity.crops == 128, "half of them: no range was measured on these"
        assert passport.parity.flip_share <= 0.05
        assert passport.parity.max_error <= LIMITS[precision]
    else:
        assert passport.parity is None

    first = f"converting to {precision}" if converted else f"taking it as it is, {precision}"
    assert one.steps == ["reading the model", first, "compiling", *(["proving"] if converted else [])]
    parts = [part for step, part in one.told if step.startswith("compiling")]
    assert 0 == parts[0] < max(parts) <= 1
    assert len(set(parts)) > 10

    made = plan.engine.stat().st_mtime_ns
    again = Build(request)
    assert again.run() == plan
    assert plan.engine.stat().st_mtime_ns == made
    assert again.steps == ["reading the model"]
    assert folders(tmp_path) == [key.digest]


def test_a_plan_for_onnx_runtime_is_the_model_file_itself(crops: Callable[[Path], Path], tmp_path: Path) -> None:
    facts = {"target": "onnx_runtime", "capability": None, "precision": "int8", "crops": crops(FP32)}
    one = Build(request_of(FP32, tmp_path, **facts, max_flip_share=NOISE_FLIPS))
    plan = one.run()
    assert plan.engine == plan.model
    assert (plan.passport.key.runtime, plan.passport.key.version) == ("onnx_runtime", onnx_runtime_version())
    assert plan.passport.key.driver == plan.passport.key.gpu == plan.passport.key.capability == ""
    assert {path.name for path in plan.folder.iterdir()} == {"model.onnx", "passport.json"}
    assert one.steps == ["reading the model", "converting to int8", "proving"]


def test_another_precision_profile_or_calibration_is_another_plan(
    crops: Callable[[Path], Path], tmp_path: Path
) -> None:
    others = tmp_path / "others.npy"
    np.save(others, draw_crops(64, 2, read_card(shipped_model()).crop.size_px))
    base: dict[str, Any] = {"target": "onnx_runtime", "capability": None, "crops": crops(FP32), "max_flip_share": 1}
    changes: list[dict[str, Any]] = [
        {},
        {"precision": "fp16"},
        {"precision": "int8"},
        {"precision": "int8", "crops": others},
    ]
    changes.append({"profile": Profile(max_batch=64)})
    plans = [at_once(request_of(FP32, tmp_path / "cache", **(base | change))) for change in changes]
    assert len({plan.folder for plan in plans}) == len(changes)


@pytest.mark.parametrize("facts", [{}, {"novelty_limit": 3.0}])
def test_a_plan_keeps_novelty_with_a_limit_and_without(tmp_path: Path, facts: dict[str, float]) -> None:
    novel = at_once(
        request_of(write_model(tmp_path / "novel.onnx", CARD | facts, novelty="Squeeze"), tmp_path / "cache")
    )
    plain = at_once(request_of(write_model(tmp_path / "plain.onnx"), tmp_path / "cache"))
    assert [b"novelty" in plan.read_engine() for plan in (novel, plain)] == [True, False]
    assert novel.passport.card == ModelCard.model_validate(CARD | facts)


def test_a_graph_without_the_novelty_of_its_card_is_not_compiled(tmp_path: Path) -> None:
    model, card = write_model(tmp_path / "plain.onnx"), ModelCard.model_validate(CARD | {"novelty_limit": 3.0})
    key = plan_key(request_of(model, tmp_path), card)
    with pytest.raises(EngineMismatch, match="no float32 output `novelty`"):
        compile_plan(model, card.name, border_of(card), key, 64, tmp_path / "timing", lambda part, phase: None)


def test_a_damaged_plan_is_built_again(tmp_path: Path) -> None:
    plan = Build(request_of(FP32, tmp_path)).run()
    whole = plan.read_engine()
    plan.engine.write_bytes(whole[: len(whole) // 2])
    one = Build(request_of(FP32, tmp_path))
    assert len(one.run().read_engine()) > len(whole) // 2
    assert "compiling" in one.steps


def test_of_two_builds_of_one_plan_one_compiles(tmp_path: Path) -> None:
    builds = [Build(request_of(FP32, tmp_path)) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(Build.run, builds)
    assert first == second
    assert sorted("compiling" in build.steps for build in builds) == [False, True]
    assert folders(tmp_path) == [first.passport.key.digest]


def write_small(path: Path, body: str, **weights: Any) -> Path:
    """Write a model file whose graph is `body`, from `levels` float32 [N,1,16,16] and `row` [N,256] to `x` [N,1]."""
    model = onnx.parser.parse_model(f"""<ir_version: 10, opset_import: ["": 20]>
        small (uint8[N,1,{SIDE},{SIDE}] crops) => (float[N,2] probabilities) {{
            levels = Cast<to=1>(crops)
            row = Flatten(levels)
            {body}
            two = Concat<axis=1>(x, x)
            probabilities = Softmax(two)
        }}""")
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    helper.set_model_props(model, {METADATA_KEY: SMALL.model_dump_json()})
    onnx.save(model, path)
    return path


def unknown_operator(folder: Path) -> Path:
    return write_small(
        folder / "small.onnx",
        "square = Squeeze(levels, one)  det = Det(square)  column = Unsqueeze(det, one)  x = Mul(column, nought)",
        one=np.array([1]),
        nought=np.float32(0),
    )


def changed(folder: Path, change: Callable[[Any], object]) -> Path:
    """Write the shipped model with `change` done to it."""
    model = onnx.load(FP32)
    change(model)
    onnx.save(model, folder / "changed.onnx")
    return folder / "changed.onnx"


def fix_the_batch(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4


def set_the_opset(model: Any) -> None:
    model.opset_import[0].version = 99


def holding(folder: Path, content: bytes) -> Path:
    (folder / "model.onnx").write_bytes(content)
    return folder / "model.onnx"


def too_large(folder: Path) -> Path:
    with (folder / "large.onnx").open("wb") as file:
        file.truncate(2**31)  # a hole: nothing of it is on the disk
    return folder / "large.onnx"


MODELS: dict[str, tuple[Callable[[Path], Path], type[EngineError], str]] = {
    "an operator that TensorRT does not know": (
        unknown_operator,
        EngineError,
        "small: tensorrt_rtx can't take it: operator Det, node 3",
    ),
    "a fixed batch": (
        lambda folder: changed(folder, fix_the_batch),
        EngineMismatch,
        "input `crops` is [4, 1, {side}, {side}], must be ['N', 1, {side}, {side}] with any N".format(
            side=read_card(FP32).crop.size_px
        ),
    ),
    "an opset of the future": (lambda folder: changed(folder, set_the_opset), EngineError, "Opset 99"),
    "an empty file": (lambda folder: holding(folder, b""), EngineError, "not a complete ONNX model"),
    "a text": (lambda folder: holding(folder, b"no model\n"), EngineError, "not a complete ONNX model"),
    "half a file": (
        lambda folder: holding(folder, FP32.read_bytes()[:1_000_000]),
        EngineError,
        "not a complete ONNX model",
    ),
    "more than 2 GiB": (too_large, EngineError, "over 2 GiB, where one ONNX file ends"),
    "a folder": (lambda folder: folder, EngineError, "not a file"),
    "nothing": (lambda folder: folder / "nothing.onnx", EngineError, "can't read the model file: No such file"),
}


def in_a_process(request: BuildRequest) -> Plan:
    return Build(request).run()


def at_once(request: BuildRequest) -> Plan:
    return build(request, lambda step, part: None)


def refusal(
    request: BuildRequest, kind: type[Exception] = EngineError, run: Callable[[BuildRequest], Plan] = in_a_process
) -> str:
    """Return the one line that refuses `request`; nothing is left in the cache."""
    before, children = folders(request.cache), set(psutil.Process().children())
    with pytest.raises(kind) as refused:
        run(request)
    assert refused.type is kind
    assert "\n" not in str(refused.value)
    assert folders(request.cache) == before
    assert set(psutil.Process().children()) == children
    return str(refused.value)


@pytest.mark.parametrize("case", MODELS)
def test_a_model_file_that_can_not_be_built_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    make, kind, words = MODELS[case]
    model = make(tmp_path)
    said = refusal(request_of(model, tmp_path / "cache"), kind, at_once)
    assert words in said
    assert said.startswith((f"{model}: ", "small: "))


@pytest.mark.parametrize("capability", ["9.0", "1.0", "89"])
def test_a_capability_that_is_not_built_for_is_named_with_those_that_are(tmp_path: Path, capability: str) -> None:
    said = refusal(request_of(FP32, tmp_path, capability=capability))
    assert f"does not build for compute capability {capability}, only for " in said
    assert CAPABILITY in said
    assert "or the CUDA provider of ONNX Runtime" in said


@pytest.mark.skipif(driver_is_there(), reason="this computer has an NVIDIA driver")
def test_without_a_driver_a_plan_for_this_computer_is_refused(tmp_path: Path) -> None:
    assert refusal(request_of(FP32, tmp_path, capability=None)).startswith("no NVIDIA driver on this computer: install")


def hide(packages: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes that this one starts not find `packages`."""
    (folder / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({packages}))\n")
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)


@pytest.mark.parametrize(
    ("packages", "words"),
    [
        (("tensorrt", "tensorrt_rtx"), "TensorRT is not installed: pip install 'shadowline[gpu]'"),
        (("onnx",), "onnx is not installed: pip install 'shadowline[build]'"),
    ],
)
def test_a_missing_package_is_named_with_its_pip_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packages: tuple[str, ...], words: str
) -> None:
    hide(packages, tmp_path, monkeypatch)
    assert refusal(request_of(FP32, tmp_path / "cache"), MissingExtra) == words


def saved(folder: Path, array: Any) -> Path:
    np.save(folder / "crops.npy", array, allow_pickle=True)
    return folder / "crops.npy"


def saved_bytes(folder: Path, content: bytes) -> Path:
    (folder / "crops.npy").write_bytes(content)
    return folder / "crops.npy"


def saved_archive(folder: Path) -> Path:
    np.savez(folder / "crops.npz", crops=draw_crops(4, 1, 96))
    return folder / "crops.npz"


CROPS: dict[str, tuple[Callable[[Path], Path | None], str]] = {
    "none": (lambda folder: None, "int8 needs crops to measure its ranges on: --crops FOLDER"),
    "no file": (lambda folder: folder / "crops.npy", "no crops (.npy) can be read from it"),
    "an empty file": (lambda folder: saved_bytes(folder, b""), "no crops (.npy) can be read from it"),
    "a text": (lambda folder: saved_bytes(folder, b"no crops"), "no crops (.npy) can be read from it"),
    "cut off": (
        lambda folder: saved_bytes(folder, saved(folder, draw_crops(4, 1, 96)).read_bytes()[:-1]),
        "no crops (.npy) can be read from it",
    ),
    "an archive": (saved_archive, "no crops (.npy) can be read from it"),
    "objects": (lambda folder: saved(folder, np.array([{}])), "no crops (.npy) can be read from it"),
    "floats": (
        lambda folder: saved(folder, np.zeros((4, 1, 96, 96), np.float32)),
        "holds float32 (4, 1, 96, 96), must be uint8 [n,1,S,S] with n ≥ 1",
    ),
    "no rows": (lambda folder: saved(folder, np.zeros((0, 1, 96, 96), np.uint8)), "holds uint8 (0, 1, 96, 96), must"),
    "a number": (lambda folder: saved(folder, np.uint8(3)), "holds uint8 (), must be"),
    "of three channels": (
        lambda folder: saved(folder, np.zeros((4, 3, 96, 96), np.uint8)),
        "holds uint8 (4, 3, 96, 96), must be",
    ),
}


@pytest.mark.parametrize("case", CROPS)
def test_int8_without_usable_crops_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    make, words = CROPS[case]
    request = request_of(FP32, tmp_path / "cache", precision="int8", crops=make(tmp_path))
    assert words in refusal(request, run=at_once)


@pytest.mark.timeout(300)
def test_crops_cut_for_another_model_are_scaled_to_this_one(tmp_path: Path) -> None:
    crops = saved(tmp_path, draw_crops(128, 1, 64))
    plan = Build(request_of(FP32, tmp_path / "cache", precision="int8", crops=crops, max_flip_share=1)).run()
    assert plan.passport.parity is not None
    assert plan.passport.parity.crops == 64


def test_a_plan_that_flips_more_labels_than_allowed_never_comes_into_the_cache(
    five: Path, crops: Callable[[Path], Path], tmp_path: Path
) -> None:
    facts = {"target": "onnx_runtime", "capability": None, "precision": "int8", "crops": crops(five)}
    strict = request_of(five, tmp_path, **facts, max_flip_share=0)
    words = "of 128 crops change their label, more than 0.0%: refused"
    assert words in refusal(strict, EngineMismatch)
    assert PlanCache(tmp_path).plans() == []

    plan = Build(strict.model_copy(update={"max_flip_share": 1})).run()
    assert plan.passport.parity is not None
    assert plan.passport.parity.flips > 0
    assert words in refusal(strict, EngineMismatch), "nor is it handed out of it"


@pytest.mark.parametrize(
    "wrong",
    [{"workspace_mib": 0}, {"max_flip_share": 1.5}, {"precision": "fp8"}, {"target": "tvm"}, {"limit_s": 0}, {"x": 1}],
)
def test_a_request_that_makes_no_sense_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        request_of(FP32, tmp_path, **wrong)


@pytest.fixture
def held_up(tmp_path: Path) -> BuildRequest:
    """A build that comes to its proof, the plan being compiled, and has so many crops there that it takes long."""
    np.save(tmp_path / "crops.npy", np.zeros((8000, 1, 64, 64), np.uint8))
    return request_of(FP32, tmp_path / "cache", precision="fp16", crops=tmp_path / "crops.npy")


def end_when_proving(process: BuildProcess, end: Callable[[], None]) -> str:
    """Run the build, call `end` once its plan waits for its proof, and return how the build failed."""

    def watch(step: str, part: float) -> None:
        if step == "proving":
            end()

    children = set(psutil.Process().children())
    with pytest.raises(EngineError) as failed:
        process.run(watch)
    assert set(psutil.Process().children()) == children
    return str(failed.value)


def kill_the_child() -> None:
    (child,) = (child for child in psutil.Process().children() if "engines.build_process" in child.cmdline())
    os.kill(child.pid, signal.SIGKILL)


def test_a_build_process_that_is_killed_is_an_engine_error_and_its_left_over_goes(held_up: BuildRequest) -> None:
    said = end_when_proving(BuildProcess(held_up), kill_the_child)
    assert said == f"{FP32}: the build process died of SIGKILL without a word"
    cache = PlanCache(held_up.cache)
    ((left, why),) = cache.damaged().items()
    assert why == "left over from a build that did not end"
    assert (left / "engine.plan").stat().st_size > 1000
    assert cache.plans() == []

    plan = Build(held_up.model_copy(update={"crops": None})).run()
    assert folders(held_up.cache) == [plan.folder.name]
    assert cache.damaged() == {}


def test_a_build_is_stopped_from_another_thread(held_up: BuildRequest) -> None:
    process = BuildProcess(held_up)

    def stop() -> None:
        thread = threading.Thread(target=process.kill)
        thread.start()
        thread.join()

    assert end_when_proving(process, stop) == f"{FP32}: the build was stopped"


def test_a_build_that_was_stopped_before_it_began_does_not_begin(held_up: BuildRequest) -> None:
    process = BuildProcess(held_up)
    process.kill()
    assert end_when_proving(process, lambda: None) == f"{FP32}: the build was stopped"


def test_a_build_that_takes_too_long_is_ended(held_up: BuildRequest) -> None:
    process = BuildProcess(held_up.model_copy(update={"limit_s": 1}))
    assert end_when_proving(process, lambda: None) == f"{FP32}: the build took longer than 1 s and was ended"


def test_who_watches_may_give_up(held_up: BuildRequest) -> None:
    def give_up() -> None:
        raise EngineError("enough")

    assert end_when_proving(BuildProcess(held_up), give_up) == "enough"


@pytest.mark.skipif(driver_is_there(), reason="this computer has an NVIDIA driver")
@pytest.mark.parametrize("damaged", [False, True])
def test_a_plan_does_not_run_without_a_driver_and_says_so(tmp_path: Path, damaged: bool) -> None:
    plan = Build(request_of(FP32, tmp_path)).run()
    if damaged:
        plan.engine.write_bytes(plan.engine.read_bytes()[:1000])
    engine = TensorRtEngine(plan)
    with pytest.raises(EngineError, match=r"^no NVIDIA driver on this computer: install it"):
        engine.__enter__()
    with pytest.raises(EngineError, match="not entered"):
        engine.classify(draw_crops(1, 1, 64))
    engine.__exit__(None, None, None)
