"""Trainings, one at a time: begun, followed, gone on with after a restart, cancelled. Any thread.

Each is a folder and a process of its own (`job`); what is known of it is read from the folder, so a console that was
killed meanwhile misses nothing.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

import msgspec

from engines.model import UNKNOWN
from shadowline.errors import ConfigError, MissingExtra, StationError
from station.console.teach.job import ANSWERS, COMPARISON, WAITING, Ended, Job, Step, write_whole

__all__ = ["Progress", "Trainings"]

State: TypeAlias = Literal["running", "interrupted", "done", "failed", "cancelled"]

_MOST_RUNS: Final = 50
_END_S: Final = 10.0
_START_S: Final = 10.0
_LOG_BYTES: Final = 8000


class Progress(msgspec.Struct, frozen=True):
    """How far a training is: `curve` has a row of figures an epoch."""

    job: Job
    state: State
    step: Step
    detail: str
    epochs: int
    """At most; a training that gets no better stops before. 0 while that is not known."""
    curve: list[dict[str, float]]
    ended_ns: int
    has_report: bool
    model: str
    """The model file; empty while there is none."""
    comparison: dict[str, Any] | None


class _Answer(msgspec.Struct, frozen=True):
    """What is read of an answer of `station train predict`."""

    picture: str
    label: str


class Trainings:
    """The folder of trainings."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guard = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def begin(
        self, job: Job, pictures: Path, waiting: Mapping[str, tuple[str, Path]] = MappingProxyType({})
    ) -> Progress:
        """Begin `job` on the set in `pictures`. Raises `StationError` while another runs.

        `waiting` are regions to be reviewed, each with its label and crop: the new model will be asked about them too.
        """
        _need_training()
        with self._guard:
            if running := next((one for one in self._ids() if _is_locked(self._folder / one)), None):
                raise StationError(f"the training {running} still runs: wait for it, or cancel it")
            if len(self._ids()) >= _MOST_RUNS:
                raise StationError(f"there are {_MOST_RUNS} trainings: delete one first")
            folder = self._folder / job.id
            if folder.exists():
                raise StationError("a training was begun this very second: wait a moment")
            try:
                shutil.copytree(pictures, folder / "data", copy_function=os.link, ignore=_only_pictures)
                _put_waiting(folder, waiting)
                (folder / "lock").touch()
                write_whole(folder / "job.json", msgspec.json.encode(job))
            except OSError as fault:
                shutil.rmtree(folder, ignore_errors=True)
                raise StationError(f"{folder}: can't be written: {fault.strerror}") from None
            self._start(folder)
        return self.find(job.id)

    def resume(self, number: str | None = None) -> None:
        """Go on with the training `number`, or with one that was cut off with the console."""
        with self._guard:
            if any(_is_locked(self._folder / one) for one in self._ids()):
                return
            cut_off = [one for one in self._ids() if not (self._folder / one / "ended.json").exists()]
            wanted = [one for one in cut_off if number in (None, one)]
            if wanted:
                self._start(self._folder / wanted[-1])

    def cancel(self, number: str) -> None:
        """End a training; what it made stays. Raises `StationError` where it does not run."""
        folder = self.find(number).job.id
        place = self._folder / folder
        with self._guard:
            if (place / "ended.json").exists():
                raise StationError("this training has ended already")
            write_whole(place / "ended.json", msgspec.json.encode(Ended("cancelled", time.time_ns())))
            _stop(place)

    def delete(self, number: str) -> None:
        """Remove a training with all that it made. Raises `StationError` while it runs."""
        place = self._folder / self.find(number).job.id
        if _is_locked(place):
            raise StationError("this training still runs: cancel it first")
        shutil.rmtree(place)

    def all(self) -> list[Progress]:
        """Return every training, the newest first."""
        return [self._progress(one) for one in reversed(self._ids())]

    def find(self, number: str) -> Progress:
        """Return one training. Raises `StationError` where there is none of this id."""
        if number not in self._ids():
            raise StationError("there is no such training")
        return self._progress(number)

    def report(self, number: str) -> str:
        """Return the page of a training's report, which has everything in it."""
        return self._text(number, "run/report/index.html", "this training has no report yet")

    def log(self, number: str) -> str:
        """Return the end of what its commands printed."""
        return self._text(number, "log.txt", "this training has printed nothing yet")[-_LOG_BYTES:]

    def pareto(self, number: str) -> bytes:
        """Return the plot of accuracy against time of both models, PNG."""
        try:
            return (self._folder / self.find(number).job.id / COMPARISON / "pareto.png").read_bytes()
        except OSError:
            raise StationError("this training was not compared yet") from None

    def otherwise(self) -> frozenset[str]:
        """Return the regions that the newest trained model names differently than the line did, and not `unknown`."""
        for number in reversed(self._ids()):
            folder = self._folder / number
            if (answers := _read(folder / ANSWERS, list[_Answer])) and (folder / "ended.json").exists():
                said = _read(folder / f"{WAITING}.json", dict[str, str]) or {}
                named = {Path(answer.picture).stem: answer.label for answer in answers}
                return frozenset(item for item, label in said.items() if named.get(item) not in (None, UNKNOWN, label))
        return frozenset()

    def models(self) -> list[Path]:
        """Return the model files of all trainings."""
        return [path for one in self._ids() if (path := self._folder / one / "run" / "model.onnx").is_file()]

    def _text(self, number: str, name: str, missing: str) -> str:
        try:
            return (self._folder / self.find(number).job.id / name).read_text(errors="replace")
        except OSError:
            raise StationError(missing) from None

    def _ids(self) -> list[str]:
        return sorted(path.parent.name for path in self._folder.glob("[0-9]*/job.json"))

    def _start(self, folder: Path) -> None:
        """Start the job's process and wait until it holds its lock."""
        command = ["setsid", "--fork", sys.executable, "-m", "station.console.teach.job", str(folder)]
        try:
            with (folder / "log.txt").open("ab") as log:
                subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, check=True)
        except (OSError, subprocess.CalledProcessError) as fault:
            raise StationError(f"{folder}: the training can't be started: {fault}") from None
        until_s = time.monotonic() + _START_S
        while not _is_locked(folder) and not (folder / "ended.json").exists() and time.monotonic() < until_s:
            time.sleep(0.01)  # it has no way to tell but these

    def _progress(self, number: str) -> Progress:
        folder = self._folder / number
        job = msgspec.json.decode((folder / "job.json").read_bytes(), type=Job)
        locked = _is_locked(folder)  # before the rest: what ends meanwhile is then told as running once more
        ended = _read(folder / "ended.json", Ended)
        state: State = ended.outcome if ended else "running" if locked else "interrupted"
        model = folder / "run" / "model.onnx"
        return Progress(
            job,
            state,
            _read(folder / "step.json", Step) or "reading",
            ended.detail if ended else "",
            (_read(folder / "run" / "recipe.json", dict[str, Any]) or {}).get("epochs") or 0,
            _curve(folder / "run" / "metrics.jsonl"),
            ended.ended_ns if ended else 0,
            (folder / "run" / "report" / "index.html").is_file(),
            str(model) if model.is_file() and state == "done" else "",
            _read(folder / COMPARISON / "comparison.json", dict[str, Any]),
        )


def _put_waiting(folder: Path, waiting: Mapping[str, tuple[str, Path]]) -> None:
    """Copy the crops that can still be read, and note what the line called them."""
    (folder / WAITING).mkdir()
    for item, (_, crop) in waiting.items():
        with suppress(FileNotFoundError):  # the archive let it go
            shutil.copyfile(crop, folder / WAITING / f"{item}.png")
    labels = {item: label for item, (label, _) in waiting.items()}
    write_whole(folder / f"{WAITING}.json", msgspec.json.encode(labels))


def _need_training() -> None:
    """Raise `MissingExtra` where trainings can't run here. Nothing of it is loaded."""
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingExtra("torch", "training")


def _only_pictures(folder: str, found: list[str]) -> list[str]:
    """Return what of a set is no picture of a class."""
    top = (Path(folder) / "set.json").exists()
    return [name for name in found if name.startswith(".") or (top and not (Path(folder) / name).is_dir())]


def _is_locked(folder: Path) -> bool:
    """Whether the job's process, or a child of it, runs."""
    try:
        with (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as fault:
        raise ConfigError(f"{folder / 'lock'}: can't be read: {fault.strerror}") from None
    return False


def _stop(folder: Path) -> None:
    """End the job's process group, which is its own as long as the lock is held: softly, then at once."""
    for sent, wait_s in ((signal.SIGTERM, _END_S), (signal.SIGKILL, _END_S)):
        until_s = time.monotonic() + wait_s
        if (group := (folder / "lock").read_text()).isdigit() and _is_locked(folder):
            os.killpg(int(group), sent)
        while _is_locked(folder) and time.monotonic() < until_s:
            time.sleep(0.02)


def _curve(path: Path) -> list[dict[str, float]]:
    """Return the rows of figures that are whole."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    rows = []
    for line in lines:
        try:
            rows.append(msgspec.json.decode(line, type=dict[str, float]))
        except msgspec.DecodeError:  # half-written
            break
    return rows


def _read(path: Path, kind: Any) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None
