"""`station engine` as people and scripts call it: what it prints, what it writes, and how it ends."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from engines import OnnxRuntimeEngine, read_card, read_finder_card, shipped_model
from engines.build import BuildRequest, build
from engines.frame_parity import FrameParity
from engines.model import Precision
from engines.parity import Parity
from engines.plan import Passport, Plan
from engines.plan_cache import PlanCache
from tests.ensemble import draw_crops, write_ensemble
from tests.finder_files import write_finder
from tests.tiny import write_model

ROOT = Path(__file__).parents[2]
FP32 = shipped_model().with_name("neu-compact-fp32.onnx")
LABELS = read_card(FP32).labels
CPU = ("--target", "onnx_runtime")

Engine = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """Run `station engine …` to its end, with a cache of its own, and insist on its exit code."""

    def run(*words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("STATION__", "NOTIFY"))}
        plain.pop("CACHE_DIRECTORY", None)
        done = subprocess.run(
            [sys.executable, "-m", "station", "engine", *map(str, words)],
            capture_output=True,
            text=True,
            timeout=90,
            cwd=ROOT,
            env=plain | {"COLUMNS": "80", "XDG_CACHE_HOME": str(tmp_path / "cache")},
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    return run


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    return PlanCache(tmp_path / "cache" / "shadowline" / "plans")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Pictures of noise, in a folder for each label."""
    for number, crop in enumerate(draw_crops(60, 3, 96)):
        folder = tmp_path / "pictures" / LABELS[number % len(LABELS)]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{number}.png"), crop[0])
    return tmp_path / "pictures"


def make(cache: PlanCache, precision: Precision = "fp32") -> Plan:
    """Build a plan of the shipped model for ONNX Runtime."""
    return build(BuildRequest(model=FP32, cache=cache.folder, precision=precision), lambda step, part: None)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that refuses; nothing is on standard output."""
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("station: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0].removeprefix("station: ")


def width(text: str) -> int:
    return max(map(len, text.splitlines()))


def test_build_shows_passport_and_steps_and_again_the_plan_of_the_cache(engine: Engine, cache: PlanCache) -> None:
    done = engine("build", FP32, "--precision", "int8", *CPU)
    (plan,) = cache.plans()
    for words in (
        "plan       ",
        plan.folder.name,
        "precision  int8, ranges of crops ",
        "runs on    ONNX Runtime ",
        "batches    1 to 32, best at 8",
        "here       fits this computer",
        "labels flipped",
        "rolled-in_scale",
    ):
        assert words in done.stdout
    assert done.stderr.split("\n")[:3] == ["reading the model", "converting to int8", "proving"]
    again = engine("build", FP32, "--precision", "int8", *CPU)
    assert again.stdout == done.stdout
    assert again.stderr.strip() == "reading the model"


def test_a_conversion_that_flips_more_than_allowed_is_refused(engine: Engine, cache: PlanCache, tmp_path: Path) -> None:
    write_ensemble(tmp_path / "five.onnx")
    done = engine("build", tmp_path / "five.onnx", "--precision", "int8", *CPU, "--max-flips", "0", code=2)
    assert refused(done).endswith("crops change their label, more than 0.0%: refused")
    assert not cache.plans()


def test_build_for_another_machine_compiles_here(engine: Engine, cache: PlanCache, pictures: Path) -> None:
    done = engine("build", FP32, "--capability", "8.9", "--batches", "1", "4", "16", "--crops", pictures, "--json")
    passport = Passport.model_validate_json(done.stdout)
    assert (passport.key.runtime, passport.key.capability) == ("tensorrt_rtx", "8.9")
    assert passport.key.profile.model_dump() == {"min_batch": 1, "opt_batch": 4, "max_batch": 16}
    assert "compiling" in done.stderr.splitlines()
    assert "tensorrt_rtx" in engine("list").stdout
    (plan,) = cache.plans()
    assert "any GPU of 8.9" in engine("inspect", plan.folder).stdout


def test_build_writes_the_converted_file_where_it_is_wanted(engine: Engine, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "fp16.onnx"
    words = ("--precision", "fp16", *CPU, "--crops", pictures, "--out", out, "--json")
    passport = json.loads(engine("build", FP32, *words).stdout)
    with OnnxRuntimeEngine(out) as entered:
        assert entered.card.precision == "fp16"
        assert entered.card.made_from == passport["key"]["model_sha256"]
        assert entered.classify(draw_crops(2, 1, entered.card.crop.size_px)).probabilities.shape == (2, len(LABELS))
    environment = os.environ | {"STATION__ENGINE__BACKEND": "onnx_runtime", "STATION__ENGINE__MODEL": str(out)}
    checked = [sys.executable, "-m", "station", "check"]
    said = subprocess.run(checked, capture_output=True, text=True, cwd=ROOT, env=environment, check=True).stdout
    assert "good" in said


REFUSED: dict[str, tuple[list[str | Path], str]] = {
    "a model that is not there": ([FP32.with_name("none.onnx")], "can't read the model file: No such file"),
    "a capability that is not built for": (
        [FP32, "--capability", "9.0"],
        "does not build for compute capability 9.0, only for ",
    ),
    "a cache that can't be made": ([FP32, *CPU, "--cache", "/proc/plans"], "can't write to the plan cache"),
    "a place that can't be written": ([FP32, *CPU, "--out", "/proc/out.onnx"], "/proc/out.onnx: can't be written"),
    "a folder without pictures": ([FP32, *CPU, "--crops", ROOT / "station"], "no picture there"),
    "a folder that is not there": ([FP32, *CPU, "--crops", "/none"], "/none: "),
    "a converted file that is to become another": (
        [shipped_model(), *CPU, "--precision", "fp16"],
        "int8 can't become fp16: convert from its fp32 source",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_build_refuses_in_one_line(engine: Engine, pictures: Path, case: str) -> None:
    words, reason = REFUSED[case]
    assert reason in refused(engine("build", "--crops", pictures, *words, code=2))


def test_an_empty_cache_lists_how_a_plan_is_made(engine: Engine) -> None:
    assert "no plans yet; station engine build MODEL.onnx makes one" in " ".join(engine("list").stdout.split())
    assert engine("prune").stdout == "0 plans, 0.0 MB freed\n"


def test_list_inspect_and_prune_know_the_plans(engine: Engine, cache: PlanCache) -> None:
    fp16, fp32 = make(cache, "fp16"), make(cache)
    listed = engine("list")
    assert width(listed.stdout) <= 80
    for plan in (fp16, fp32):
        row = next(line for line in listed.stdout.splitlines() if line.startswith(plan.folder.name[:12]))
        assert plan.passport.key.precision in row
        assert plan.passport.built[:16] in row
        assert row.rstrip().endswith("fits")
    found = [Passport.model_validate(one) for one in json.loads(engine("list", "--json").stdout)]
    assert found == [plan.passport for plan in cache.plans()]

    inspected = engine("inspect", fp16.folder.name[:8]).stdout
    assert width(inspected) <= 80
    assert str(fp16.folder) in "".join(inspected.split())
    assert Passport.model_validate_json(engine("inspect", fp32.folder, "--json").stdout) == fp32.passport
    assert "no plan begins so; there are: " in refused(engine("inspect", "zzz", code=2))

    assert engine("prune").stdout == "0 plans, 0.0 MB freed\n"
    assert f"would remove {fp16.folder.name}: asked for" in engine("prune", "--all", "--dry-run").stdout
    assert len(cache.plans()) == 2
    assert f"removed {fp16.folder.name}: asked for" in engine("prune", "--all").stdout
    assert cache.plans() == []


def test_damage_is_named_and_pruned_and_the_whole_plan_stays(engine: Engine, cache: PlanCache) -> None:
    whole, damaged = make(cache), make(cache, "fp16")
    damaged.engine.write_bytes(damaged.engine.read_bytes()[:-1])
    left = cache.folder / ".building-000000000000000000000000-1"
    left.mkdir()

    listed = " ".join(engine("list").stdout.split())
    assert f"{left.name}: left over from a build that did not end; station engine prune removes it" in listed
    assert "build it again; station engine prune removes it" in listed
    assert "its passport says" in refused(engine("inspect", damaged.folder.name, code=2))
    said = engine("prune").stdout
    assert f"removed {left.name}: left over from a build that did not end" in said
    assert f"removed {damaged.folder.name}: " in said
    assert re.search(r"2 plans, [1-9]\.\d MB freed\n$", said)
    assert cache.plans() == [whole]
    assert cache.damaged() == {}


def test_prune_leaves_what_is_none_of_ours(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "home" / "photographs").mkdir(parents=True)
    assert engine("prune", "--all", "--cache", tmp_path / "home").stdout == "0 plans, 0.0 MB freed\n"
    assert (tmp_path / "home" / "photographs").is_dir()


@pytest.mark.parametrize("candidate", ["fp16", "int8", "file", "plan"])
def test_compare_tells_how_far_a_candidate_is_from_the_model(
    engine: Engine, cache: PlanCache, pictures: Path, candidate: str
) -> None:
    word: str | Path = candidate
    if candidate == "file":
        word = shipped_model()
    if candidate == "plan":
        word = make(cache, "fp16").folder.name[:10]
    crops = 30 if candidate == "int8" else 60  # its ranges were measured on the others
    parity = Parity.model_validate_json(engine("compare", FP32, word, "--crops", pictures, "--json").stdout)
    assert parity.crops == crops
    assert parity.candidate.endswith("int8" if candidate in ("int8", "file") else "fp16")
    assert parity.reference.endswith("fp32")
    assert parity.max_error > 0
    assert parity.accuracy is not None
    assert parity.labels.keys() == set(LABELS)


def test_compare_prints_what_an_engineer_reads(engine: Engine, pictures: Path) -> None:
    done = engine("compare", FP32, shipped_model(), "--crops", pictures)
    said = " ".join(done.stdout.split())
    assert "int8 against onnx_runtime CPUExecutionProvider fp32 on 60 crops: largest error 0." in said
    assert "the reference " in said
    assert width(done.stdout) <= 80
    assert all(label in said for label in LABELS)
    assert all(f"batch {batch:>3}: " in done.stdout for batch in (1, 8, 32))


def test_compare_ends_with_2_and_the_report_where_too_much_flips(engine: Engine, tmp_path: Path) -> None:
    write_model(tmp_path / "tiny.onnx")
    (tmp_path / "same.onnx").write_bytes((tmp_path / "tiny.onnx").read_bytes())
    write_model(tmp_path / "other.onnx", weight=-1)
    words = ("compare", tmp_path / "tiny.onnx", tmp_path / "same.onnx", "--max-flips", "0")
    assert "0 labels flipped" in engine(*words).stdout
    done = engine("compare", tmp_path / "tiny.onnx", tmp_path / "other.onnx", "--max-flips", "0", code=2)
    assert "labels flipped" in done.stdout
    assert "flipped: drawn " in done.stdout
    assert "more than 0.0%: refused" in done.stderr
    assert "no plan begins so" in refused(engine("compare", tmp_path / "tiny.onnx", "none", code=2))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_on_real_pictures_little_accuracy_is_lost(engine: Engine, data: Path, precision: str) -> None:
    done = engine("compare", FP32, precision, "--crops", data / "neu" / "images", "--json")
    parity = Parity.model_validate_json(done.stdout)
    assert parity.crops >= 600
    assert parity.accuracy is not None
    before, after = parity.accuracy
    assert before > 0.97
    assert after >= before - 0.002


def test_a_finder_file_is_built_shown_and_compared_as_a_model_file_is(
    engine: Engine, cache: PlanCache, pictures: Path, tmp_path: Path
) -> None:
    model = write_finder(tmp_path / "finder.onnx", facts={"threshold": 0.4})
    done = engine("build", model, "--precision", "int8", *CPU, "--crops", pictures, "--out", tmp_path / "int8.onnx")
    (plan,) = cache.plans()
    assert isinstance(plan.passport.parity, FrameParity)
    assert read_finder_card(tmp_path / "int8.onnx") == plan.passport.card
    assert re.search(r"^finder +drawn-heatmap, ", done.stdout, re.MULTILINE)
    assert "precision  int8, ranges of frames " in done.stdout
    assert "are found by one of the two only" in done.stdout
    assert f"{plan.folder.name[:12]}  drawn-heat" in engine("list").stdout
    assert engine("inspect", plan.folder.name).stdout == done.stdout
    compared = engine("compare", model, tmp_path / "int8.onnx", "--crops", pictures, "--json").stdout
    parity = FrameParity.model_validate_json(compared)
    assert (parity.frames, parity.candidate) == (60, "onnx_runtime CPUExecutionProvider int8")


def test_a_finder_s_plan_for_another_machine_is_of_one_size(engine: Engine, cache: PlanCache, tmp_path: Path) -> None:
    model = write_finder(tmp_path / "finder.onnx", "detector")
    words = ("build", model, "--capability", "8.9")
    assert refused(engine(*words, code=2)).endswith(
        "a plan takes frames of one size: --input-px HEIGHT WIDTH, multiples of 8"
    )
    shown = engine(*words, "--input-px", "256", "512").stdout
    (plan,) = cache.plans()
    assert plan.passport.key.input_px == (256, 512)
    assert plan.passport.key.profile.max_batch == 4
    assert "batches    1 to 4, best at 1, frames of 512×256" in shown
