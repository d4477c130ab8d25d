"""Which wheels a kit needs: for another Python and an older Linux than the ones it is made on. Pure."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from shadowline.errors import StationError

__all__ = ["Wheel", "download", "missing", "platform_tags", "resolve", "run_pip", "target_environment"]

_NEWEST_GLIBC: Final = 34
"""Wheels may ask for glibc 2.34 at most: RHEL 9, Ubuntu 22.04, Debian 12."""
_OLDEST_GLIBC: Final = 5
_OLD_NAMES: Final = ("manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64")


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel that the resolver chose."""

    file: str
    pin: str
    """`name==version`."""
    sha256: str


def run_pip(*words: str) -> None:
    """Run this interpreter's pip with its own settings. Raises `StationError` when it fails; pip has said why."""
    if subprocess.run([sys.executable, "-m", "pip", *words], check=False).returncode:
        raise StationError(f"pip {words[0]} failed: its reason is above")


def platform_tags() -> list[str]:
    """Return the platforms whose wheels run on the target; pip matches each by its name and knows no order."""
    return [*(f"manylinux_2_{minor}_x86_64" for minor in range(_NEWEST_GLIBC, _OLDEST_GLIBC - 1, -1)), *_OLD_NAMES]


def target_environment(python: str) -> dict[str, str]:
    """Return what the markers of requirements are judged by on the target."""
    return {key: str(value) for key, value in default_environment().items()} | {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
    }


def resolve(requirements: Sequence[str], python: str) -> list[Wheel]:
    """Return the wheels that `requirements` and all they need are, for the target.

    pip judges markers (`python_version < "3.12"`) by the interpreter that it runs in, so what it leaves out for the
    target is asked for by name until nothing is missing.
    """
    asked = list(requirements)
    while True:
        report = _report(asked, python)
        if not (more := missing(report["install"], target_environment(python))):
            return [_wheel(item) for item in report["install"]]
        asked += more


def missing(chosen: Iterable[dict[str, Any]], environment: dict[str, str]) -> list[str]:
    """Return the requirements of `chosen` (items of pip's report) that hold on the target and are not among them."""
    items = list(chosen)
    there = {canonicalize_name(item["metadata"]["name"]) for item in items}
    found = set()
    for item in items:
        extras = ("", *item.get("requested_extras", ()))
        for text in item["metadata"].get("requires_dist", ()):
            one = Requirement(text)
            holds = one.marker is None or any(one.marker.evaluate(environment | {"extra": extra}) for extra in extras)
            if holds and canonicalize_name(one.name) not in there:
                found.add(f"{one.name}{one.specifier}")
    return sorted(found)


def download(wheels: Sequence[Wheel], python: str, folder: Path) -> None:
    """Fetch `wheels` into `folder`; each must have the hash that the resolver saw."""
    with tempfile.TemporaryDirectory() as temporary:
        locked = Path(temporary, "locked.txt")
        locked.write_text("".join(f"{wheel.pin} --hash=sha256:{wheel.sha256}\n" for wheel in wheels))
        run_pip("download", "--no-deps", *_target_words(python), "--dest", str(folder), "--requirement", str(locked))


def _report(requirements: Sequence[str], python: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "report.json")
        words = ("--dry-run", "--quiet", "--ignore-installed", "--target", folder, "--report", str(path))
        run_pip("install", *words, *_target_words(python), *requirements)
        report: dict[str, Any] = json.loads(path.read_text())
    return report


def _target_words(python: str) -> list[str]:
    platforms = [word for tag in platform_tags() for word in ("--platform", tag)]
    return ["--only-binary=:all:", "--implementation", "cp", "--python-version", python, *platforms]


def _wheel(item: dict[str, Any]) -> Wheel:
    metadata, source = item["metadata"], item["download_info"]
    digest = source["archive_info"]["hashes"]["sha256"]
    return Wheel(unquote(source["url"]).rpartition("/")[2], f"{metadata['name']}=={metadata['version']}", digest)
