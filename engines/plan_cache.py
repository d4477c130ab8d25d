"""The folder of built plans: a plan appears whole or not at all, and the wrong one is never handed out. Pure.

Several processes may use it at once; one of them builds at a time.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path

from engines.plan import Plan, PlanKey
from shadowline.errors import EngineError, EngineMismatch

__all__ = ["PlanCache", "default_cache"]

_LOCK = ".lock"
_BUILDING = ".building-"
_DIGEST = re.compile("[0-9a-f]{24}")


class PlanCache:
    """The plans below `folder`, which need not be there yet. What is not a plan's folder is left alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def plans(self) -> list[Plan]:
        """Return the plans with a readable passport, newest first."""
        plans = []
        for folder in self._folders():
            try:
                plans.append(Plan.read(folder))
            except EngineMismatch:
                continue
        return sorted(plans, key=lambda plan: plan.passport.built, reverse=True)

    def damaged(self) -> dict[Path, str]:
        """Return the folders that are no usable plan and why: what a build left, what was cut off or changed."""
        found = {path: "left over from a build that did not end" for path in self._left_overs() if self._lock_is_free()}
        for folder in self._folders():
            try:
                Plan.read(folder).read_engine()
            except EngineError as fault:
                found[folder] = str(fault)
        return found

    def get(self, key: PlanKey) -> Plan | None:
        """Return the plan of exactly this key if it is there and whole."""
        try:
            plan = Plan.read(self.folder / key.digest)
            plan.read_engine()
        except EngineError:
            return None
        return plan

    def find(self, wanted: PlanKey, but: Set[str] = frozenset()) -> Plan:
        """Return the newest plan that serves `wanted`, whatever its fields `but` are.

        Raises `EngineMismatch`, naming where the nearest differs.
        """
        candidates = [(plan.passport.key.differences(wanted, but), plan) for plan in self.plans()]
        if not candidates:
            raise EngineMismatch(f"{self.folder}: no plan has been built: station engine build MODEL.onnx")
        differences, plan = min(candidates, key=lambda candidate: len(candidate[0]))
        if differences:
            raise EngineMismatch(f"{plan.folder}: not the plan for this station: {'; '.join(differences)}")
        return plan

    @contextmanager
    def adding(self, key: PlanKey, waiting: Callable[[], None] = lambda: None) -> Iterator[Path]:
        """Yield an empty folder for the files of plan `key`; with a passport in it, it takes its place in the cache.

        While another process builds, `waiting` is called and this one waits. What an exception leaves is removed.
        Raises `EngineError` when the cache can't be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / _LOCK).open("w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    waiting()
                    fcntl.flock(lock, fcntl.LOCK_EX)
                for left in self._left_overs():
                    shutil.rmtree(left)  # the lock is ours: whoever made it is dead
                building = self.folder / f"{_BUILDING}{key.digest}"
                building.mkdir()
                try:
                    yield building
                    if Plan.is_in(building):
                        self._take_place(building, self.folder / key.digest)
                finally:
                    shutil.rmtree(building, ignore_errors=True)
        except OSError as fault:
            raise EngineError(f"{self.folder}: can't write to the plan cache: {fault.strerror}") from fault

    def remove(self, folder: Path) -> None:
        """Remove one plan or left-over. Raises `EngineError`."""
        try:
            shutil.rmtree(folder)
        except OSError as fault:
            raise EngineError(f"{folder}: can't be removed: {fault.strerror}") from fault

    def trim(self, keep: int, spare: Plan) -> None:
        """Remove the oldest plans beyond `keep`, but never `spare`. Raises `EngineError`."""
        for plan in self.plans()[keep:]:
            if plan.folder != spare.folder:
                self.remove(plan.folder)

    def _take_place(self, building: Path, place: Path) -> None:
        if place.exists():
            shutil.rmtree(place)
        os.rename(building, place)

    def _folders(self) -> list[Path]:
        return [path for path in self._listing() if path.is_dir() and _DIGEST.fullmatch(path.name)]

    def _left_overs(self) -> list[Path]:
        return [path for path in self._listing() if path.name.startswith(_BUILDING)]

    def _lock_is_free(self) -> bool:
        """Whether nobody builds, as far as this user may know."""
        try:
            with (self.folder / _LOCK).open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _listing(self) -> list[Path]:
        try:
            return sorted(self.folder.iterdir())
        except FileNotFoundError:
            return []
        except OSError as fault:
            raise EngineError(f"{self.folder}: can't read the plan cache: {fault.strerror}") from fault


def default_cache() -> Path:
    """Return the folder for plans: the service's cache (systemd's CACHE_DIRECTORY), else the user's (XDG).

    Raises `EngineError` for a user without either.
    """
    if service := os.environ.get("CACHE_DIRECTORY"):
        return Path(service.partition(":")[0]) / "plans"
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shadowline" / "plans"
    except RuntimeError as fault:
        raise EngineError("this user has no home for plans: name a folder by [swap] cache or --cache") from fault
