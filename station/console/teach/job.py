"""One training, from its pictures to the comparison with the live model: `python -m station.console.teach.job FOLDER`.

A process group of its own, with the lowest priority, which outlives the console. While it or a child of it runs, it
holds the lock; what is left when the lock is free says how it ended.

    job.json     what was asked for          data/     the pictures, a folder a class
    lock         its process group's number  run/      the run folder of `station train fit`
    step.json    what it is doing            live/     the live model, measured on the same test pictures
    log.txt      what the commands print     compare/  both compared
    waiting/     crops that wait for review  answers.json  what the new model calls these
                                             ended.json    how it ended: written last
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

__all__ = ["ANSWERS", "COMPARISON", "WAITING", "Ended", "Job", "Step", "main", "write_whole"]

ANSWERS: Final = "answers.json"
COMPARISON: Final = "compare"
WAITING: Final = "waiting"
_LEAST_PRIORITY: Final = 19
_TOLD_BYTES: Final = 4000

Step: TypeAlias = Literal["reading", "fitting", "asking", "measuring", "comparing"]


class Job(msgspec.Struct, frozen=True):
    """`job.json`: what was asked for; paths are absolute."""

    id: str
    set: str
    by: str
    begun_ns: int
    recipe_name: str
    recipe: str
    base: str = ""
    """Folder of pictures to learn from beside the set's."""
    live: str = ""
    """The live model's file, where the console knows it."""
    live_title: str = ""
    threads: int = 1
    group_pattern: str = ""
    train: tuple[str, ...] = (sys.executable, "-m", "station", "train")
    """The command that does the work."""


class Ended(msgspec.Struct, frozen=True):
    """`ended.json`."""

    outcome: Literal["done", "failed", "cancelled"]
    ended_ns: int
    detail: str = ""


def main(folder: Path) -> int:
    """Do the job in `folder`, or go on with it, and return the exit code of the command that failed."""
    job = msgspec.json.decode((folder / "job.json").read_bytes(), type=Job)
    with (folder / "lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # who looks whether it is held has it for a moment
        if (folder / "ended.json").exists():  # it was cancelled, or another did it, before this one had the lock
            return 0
        lock.truncate()
        lock.write(str(os.getpgrp()).encode())
        lock.flush()
        os.nice(_LEAST_PRIORITY)
        _gather(job, folder)
        for step, words in _steps(job, folder):
            _tell(folder, step)
            out = folder / (ANSWERS if step == "asking" else "log.txt")
            if code := _do([*job.train, *words], folder, out, job.threads, lock.fileno()):
                _end(folder, "failed", f"{step}: {_last_line(folder / 'log.txt') or f'exit code {code}'}")
                return code
        _end(folder, "done", "")
    return 0


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there as a whole, or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


def _steps(job: Job, folder: Path) -> Iterator[tuple[Step, list[str]]]:
    """Yield each step with the words of its `station train`."""
    run, data, live = folder / "run", folder / "data", folder / "live"
    yield "fitting", _fit(job, run, data)
    if crops := sorted(map(str, (folder / WAITING).glob("*.png"))):
        yield "asking", ["predict", str(run / "model.onnx"), *crops, "--json"]
    if job.live:
        split = ["--split", f"{run / 'manifest.json'}:test", "--report", str(live)]
        yield "measuring", ["evaluate", "--model", job.live, "--data", str(data), *split]
        yield "comparing", ["compare", str(run), str(live), "--out", str(folder / COMPARISON)]


def _gather(job: Job, folder: Path) -> None:
    """Put the base's pictures beside the set's, which lie in `data` already; a second time changes nothing."""
    _tell(folder, "reading")
    if not job.base:
        return
    for file in Path(job.base).glob("*/*"):
        if file.is_file() and not file.name.startswith("."):
            name = re.sub("^([^-]+--)?", r"\1base_", file.name)  # what stands before `--` belongs together in both
            target = folder / "data" / file.parent.name / name
            target.parent.mkdir(exist_ok=True)
            if not target.exists():
                target.symlink_to(file)


def _fit(job: Job, run: Path, data: Path) -> list[str]:
    """Return the words of `station train fit`: anew, or on from the last epoch of the run that is there."""
    machine = ["--threads", str(job.threads), "--accelerator", "cpu", "--workers", "0"]
    words = ["fit", str(data), "--run", str(run), *machine]
    if (run / "recipe.json").exists():
        return [*words, "--resume"]
    shutil.rmtree(run, ignore_errors=True)
    name = ["--set", f"name=reviewed-{job.id}"]
    groups = ["--set", f"group_pattern='{job.group_pattern}'"] if job.group_pattern else []
    return [*words, "--recipe", job.recipe, *name, *groups]


def _do(command: list[str], folder: Path, out: Path, threads: int, lock: int) -> int:
    """Run a command that prints into `out` and the log and return its exit code; the lock is its own as well."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "NO_COLOR": "1", "COLUMNS": "160"}
    with (folder / "log.txt").open("ab") as log, out.open("ab" if out.name == "log.txt" else "wb") as told:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=told, stderr=log, env=environment, pass_fds=(lock,), check=False
        )
    return done.returncode


def _tell(folder: Path, step: Step) -> None:
    write_whole(folder / "step.json", msgspec.json.encode(step))


def _end(folder: Path, outcome: Literal["done", "failed"], detail: str) -> None:
    write_whole(folder / "ended.json", msgspec.json.encode(Ended(outcome, time.time_ns(), detail)))


def _last_line(log: Path) -> str:
    lines = log.read_bytes()[-_TOLD_BYTES:].decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
