"""The whole suite: every section on every engine, saved after each, with what could not run and why. Main thread."""

import datetime
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from engines.plan_cache import default_cache
from shadowline.errors import EngineError, MissingExtra
from tests.gpu.copies import measure_copies
from tests.gpu.correctness import measure_correctness
from tests.gpu.cycles import measure_cycles
from tests.gpu.engines import Backend, Refusal, Subject, prepare
from tests.gpu.faults import measure_damage, measure_endings, measure_full_gpu
from tests.gpu.finders import measure_finders
from tests.gpu.idle import measure_idle
from tests.gpu.latency import measure_latency
from tests.gpu.machine import machine_facts
from tests.gpu.report import save
from tests.gpu.section import Effort, Section
from tests.gpu.throughput import measure_throughput

__all__ = ["FULL", "QUICK", "SECTIONS", "run_suite"]

SECTIONS: Final = (
    Section("correctness", "Answers against ONNX Runtime on the CPU", measure_correctness),
    Section("latency", "Frame in memory to labels, 32 crops of 2048×1000", measure_latency),
    Section("finders", "Finder files, frames of 512×256", measure_finders),
    Section("throughput", "Crops a second by batch", measure_throughput),
    Section("copies", "Share of copies between host and device", measure_copies),
    Section("damage", "Damaged files", measure_damage),
    Section("full_gpu", "Full GPU", measure_full_gpu),
    Section("endings", "How a process ends", measure_endings),
    Section("idle", "After a pause, 8 crops", measure_idle),
    Section("cycles", "Load and unload", measure_cycles),
)
"""The short ones first: a run that is cut short misses the long ones."""

FULL: Final = Effort()
QUICK: Final = Effort(crops=100, window_s=0.02, rounds=2, frames=30, gaps_ms=(1, 10), gap_s=0.05, cycles=20)


def run_suite(
    models: list[Path],
    backends: list[Backend],
    sections: list[Section],
    quick: bool,
    path: Path,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Measure, write `path` (JSON) and its Markdown after each step, and return the results.

    What can't be run is recorded with its reason. Raises `EngineError` when a model file itself can't be read.
    """
    results: dict[str, Any] = {
        "suite": 1,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "machine": machine_facts(),
        "not_run": {},
        "sections": {},
    }
    found = prepare(models, backends, default_cache(), progress)
    results["not_run"] = {one.name: one.reason for one in found if isinstance(one, Refusal)}
    subjects = [one for one in found if isinstance(one, Subject)]
    save(results, path)
    for section in sections:
        entry: dict[str, Any] = {"title": section.title, "engines": {}, "not_run": {}, "seconds": {}}
        results["sections"][section.name] = entry
        for subject in subjects:
            progress(f"{section.name}: {subject.name}")
            _run(section, subject, QUICK if quick else FULL, entry)
            save(results, path)
    return results


def _run(section: Section, subject: Subject, effort: Effort, entry: dict[str, Any]) -> None:
    start_s = time.monotonic()
    try:
        entry["engines"][subject.name] = section.measure(subject, effort)
    except (EngineError, MissingExtra) as fault:
        entry["not_run"][subject.name] = str(fault)
    entry["seconds"][subject.name] = round(time.monotonic() - start_s, 2)
