"""The suite itself, run on the CPU; and on the GPU where one is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engines import shipped_model
from engines.build import BuildRequest
from engines.build_process import BuildProcess
from engines.gpu import find_gpus
from engines.plan import Plan
from shadowline.errors import EngineError, EngineMismatch
from tests.gpu.child import run_child
from tests.gpu.engines import Backend, Refusal, Subject, damaged_copies, prepare
from tests.gpu.report import as_markdown, missed
from tests.gpu.section import Section
from tests.gpu.suite import QUICK, SECTIONS, run_suite

ROOT = Path(__file__).parents[2]
CPU_ONLY = {"copies", "full_gpu"}


def has_gpu() -> bool:
    try:
        return bool(find_gpus())
    except EngineError:
        return False


needs_gpu = pytest.mark.skipif(not has_gpu(), reason="no NVIDIA GPU")


def run_command(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.gpu", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command writes for the shipped model on the CPU."""
    path = tmp_path_factory.mktemp("gpu") / "sub" / "gpu.json"
    done = run_command("--quick", "--backend", "cpu", "--model", str(shipped_model()), "--json", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Crops a second by batch" in done.stdout
    return path


def test_every_section_has_figures_or_a_reason(results: Path) -> None:
    sections = json.loads(results.read_text())["sections"]
    assert set(sections) == {section.name for section in SECTIONS}
    for name, section in sections.items():
        assert len(section["engines"]) + len(section["not_run"]) == 1
        assert bool(section["not_run"]) == (name in CPU_ONLY)


def test_says_what_it_was_measured_on(results: Path) -> None:
    machine = json.loads(results.read_text())["machine"]
    assert machine["packages"]["onnxruntime"]
    assert machine["gpu"]


def test_the_reference_agrees_with_itself(results: Path) -> None:
    (rows,) = json.loads(results.read_text())["sections"]["correctness"]["engines"].values()
    assert [row["batch"] for row in rows] == ["drawn", "noise", 1, 7, 8, 32, 33, 100]
    assert [row["flips"] for row in rows] == [0] * len(rows)


def test_the_markdown_tells_figures_and_what_was_not_run(results: Path) -> None:
    text = results.with_suffix(".md").read_text()
    assert text == as_markdown(json.loads(results.read_text()))
    assert "| cpu int8 neu-compact | both |" in text
    assert "**not run**: cpu int8 neu-compact: an engine on the CPU copies nothing" in text


def test_a_missed_target_is_told(results: Path) -> None:
    report = json.loads(results.read_text())
    assert missed(report) == []
    (rows,) = report["sections"]["correctness"]["engines"].values()
    rows[0]["met"] = False
    (words,) = missed(report)
    assert "Answers against ONNX Runtime on the CPU: cpu int8 neu-compact: batch drawn" in words


def test_what_can_not_be_had_is_not_run_with_its_reason(tmp_path: Path) -> None:
    found = prepare([shipped_model()], ["cuda"], tmp_path, print)
    if not has_gpu():
        (refusal,) = found
        assert isinstance(refusal, Refusal)
        assert "provider cuda" in refusal.reason
        results = run_suite([shipped_model()], ["cuda"], list(SECTIONS), True, tmp_path / "gpu.json", print)
        assert results["not_run"] == {refusal.name: refusal.reason}
        assert not any(section["engines"] for section in results["sections"].values())


def test_a_model_that_is_none_ends_the_command_in_one_line(tmp_path: Path) -> None:
    done = run_command("--quick", "--model", str(tmp_path / "nowhere.onnx"), "--json", str(tmp_path / "gpu.json"))
    assert done.returncode == 2
    assert "No such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_process_that_dies_with_the_engine_is_told_apart_from_one_that_leaves_it(tmp_path: Path) -> None:
    subject = Subject("cpu", "int8", shipped_model(), shipped_model())
    assert run_child(subject) == "answered"
    assert run_child(subject, "kill") == "answered died of SIGKILL"
    damaged = damaged_copies(subject, tmp_path)["empty"]
    assert run_child(damaged).startswith("refused: ")


def test_copies_of_a_plan_are_damaged_as_they_say(tmp_path: Path) -> None:
    request = BuildRequest(model=shipped_model(), cache=tmp_path / "plans", target="tensor_rt", capability="8.9")
    plan = BuildProcess(request).run(lambda step, part: None)
    copies = damaged_copies(Subject("tensor_rt", "int8", shipped_model(), plan.folder), tmp_path)
    signed = copies.pop("cut in half, passport agrees")
    assert len(Plan.read(signed.file).read_engine()) == plan.passport.engine_bytes // 2
    for copy in copies.values():
        with pytest.raises(EngineMismatch):
            Plan.read(copy.file).read_engine()
    assert plan.read_engine()


@needs_gpu
@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
@pytest.mark.parametrize("backend", ["tensor_rt", "cuda"])
def test_keeps_its_targets_on_the_gpu(
    tmp_path_factory: pytest.TempPathFactory, backend: Backend, section: Section
) -> None:
    cache = tmp_path_factory.getbasetemp() / "plans"
    for found in prepare([shipped_model()], [backend], cache, print):
        if isinstance(found, Refusal):
            pytest.skip(found.reason)
        rows = section.measure(found, QUICK)
        assert [row for row in rows if row.get("met") is False] == []
