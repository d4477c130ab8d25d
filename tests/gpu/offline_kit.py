"""`python -m tests.gpu.offline_kit`: a folder from which a machine without a network gets Shadowline. Main thread.

KIT/install.sh        checks the sums, joins parts, makes a venv, installs, builds pycuda where a driver is
KIT/run-gpu-suite     runs the suite of tests/gpu in that venv
KIT/wheels            every wheel, or its parts
KIT/pycuda            pycuda's source, and the CUDA headers that it is built with
KIT/extra             what was put there by hand; never removed, installed last
KIT/tests/gpu         the suite
KIT/config.toml       the shipped configuration
"""

import re
import shutil
import tarfile
import tempfile
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from shadowline.errors import ConfigError, StationError
from tests.gpu.kit_files import SUMS, join_parts, kit_files, sha256, split_files, write_sums
from tests.gpu.kit_wheels import Wheel, download, resolve, run_pip

__all__ = ["Flavour", "check_python", "make_kit", "pycuda_needs", "remove_stale"]

_ROOT = Path(__file__).parents[2]
_SUITE = Path(__file__).parent
_NOT_SENT = ("__pycache__", "test_*.py", "offline_kit.py", "kit_*.py", "kit")
_HEADERS: Final = ("nvidia-cuda-runtime", "nvidia-cuda-crt", "nvidia-cuda-profiler-api")
_HEADERS_VERSION: Final = "==13.0.*"
"""The first of CUDA 13: what is built with it runs on every driver from 580 on, newer ones would ask for more."""
_MB: Final = 10**6

BY_HAND: Final = """\
TensorRT itself is not on PyPI, its maker has a registry of its own. Copy these wheels for Python {python} into {extra},
then run this again to have them split and summed: tensorrt, tensorrt_cu13, and its libs and bindings."""


class Flavour(StrEnum):
    """Which TensorRT the kit is for."""

    RTX = "rtx"
    GPU = "gpu"
    NONE = "none"


def make_kit(kit: Path, python: str, part_mb: int, flavour: Flavour) -> None:
    """Collect everything into `kit`; what is there already with the right hash is kept.

    Raises `ConfigError` for arguments that can't be, `StationError` when pip fails or a file can't be written.
    """
    check_python(python)
    folders = [kit / name for name in ("wheels", "pycuda", "extra")]
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            join_parts(folder)
        _collect(kit, python, flavour)
        _copy_suite(kit, python)
        joined: dict[str, str] = {}
        for folder in folders:
            joined |= split_files(folder, part_mb * _MB)
        _say("writing the sums")
        write_sums(kit, joined)
    except OSError as fault:
        raise StationError(f"{fault.filename or kit}: {fault.strerror}") from fault
    _say_sizes(kit)
    if flavour is Flavour.GPU and not any((kit / "extra").glob("tensorrt*")):
        _say(BY_HAND.format(extra=kit / "extra", python=python))


def check_python(python: str) -> None:
    """Raise `ConfigError` unless `python` is a version of two numbers that Shadowline runs on."""
    required = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    if not re.fullmatch(r"3\.\d{1,2}", python) or _numbers(python) < _numbers(required):
        raise ConfigError(f"KIT_PYTHON={python}: must be 3.N, from {required} on")


def pycuda_needs(source: Path) -> list[str]:
    """Return what building and running pycuda needs, from its source archive."""
    with tarfile.open(source) as archive:
        name = source.name.removesuffix(".tar.gz")
        metadata = _read_member(archive, f"{name}/PKG-INFO")
        build = tomllib.loads(_read_member(archive, f"{name}/pyproject.toml"))["build-system"]["requires"]
    return [*build, *re.findall(r"^Requires-Dist: ([^;\n]+)$", metadata, re.MULTILINE)]


def remove_stale(folder: Path, wanted: set[str]) -> None:
    """Remove every file of `folder` that is not `wanted`: of two versions pip would take the newer."""
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()


def _collect(kit: Path, python: str, flavour: Flavour) -> None:
    """Bring wheels and pycuda's source into the kit, and requirements.txt to install from."""
    with tempfile.TemporaryDirectory() as temporary:
        built = _build_here(Path(temporary), flavour)
        needs = ["onnx>=1.17", *map(str, built)]
        _say("pycuda's source and headers")
        if flavour is Flavour.NONE:
            remove_stale(kit / "pycuda", set())
        else:
            needs += _collect_pycuda(kit / "pycuda", python)
        _say(f"resolving for Python {python}")
        wheels = resolve(needs, python)
        for path in built:
            shutil.copy(path, kit / "wheels")
    _fetch(wheels, python, kit / "wheels")
    (kit / "requirements.txt").write_text("".join(f"{wheel.pin}\n" for wheel in sorted(wheels, key=lambda w: w.pin)))


def _build_here(folder: Path, flavour: Flavour) -> list[Path]:
    """Build what has no wheel to fetch: Shadowline, and TensorRT-RTX's two packages that only name others."""
    _say("building the shadowline wheel")
    names = ("tensorrt-rtx", "tensorrt-rtx-cu13") if flavour is Flavour.RTX else ()
    run_pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(_ROOT), *names)
    built = sorted(folder.glob("*.whl"))
    if bound := [path.name for path in built if not path.name.endswith("-none-any.whl")]:
        raise StationError(
            f"{', '.join(bound)}: built for this machine only: make the kit on a machine like the target"
        )
    return built


def _collect_pycuda(folder: Path, python: str) -> list[str]:
    """Fetch pycuda's source and the CUDA headers, and return what pycuda needs besides."""
    run_pip("download", "--quiet", "--no-deps", "--no-binary=pycuda", "--dest", str(folder), "pycuda")
    source = max(folder.glob("pycuda-*.tar.gz"), key=lambda path: path.stat().st_mtime)
    headers = resolve([f"{name}{_HEADERS_VERSION}" for name in _HEADERS], python)
    _fetch(headers, python, folder, keep={source.name})
    return pycuda_needs(source)


def _fetch(wheels: list[Wheel], python: str, folder: Path, keep: frozenset[str] | set[str] = frozenset()) -> None:
    """Leave just `wheels`, and what is named in `keep`, in `folder`; fetch those that are not there whole."""
    remove_stale(folder, {wheel.file for wheel in wheels} | keep)
    lacking = [wheel for wheel in wheels if not _is_there(folder / wheel.file, wheel)]
    _say(f"{len(wheels) - len(lacking)} of {len(wheels)} wheels are there, fetching {len(lacking)}")
    for wheel in lacking:
        (folder / wheel.file).unlink(missing_ok=True)
    if lacking:
        download(lacking, python, folder)


def _is_there(path: Path, wheel: Wheel) -> bool:
    return path.exists() and sha256(path) == wheel.sha256


def _copy_suite(kit: Path, python: str) -> None:
    shutil.rmtree(kit / "tests", ignore_errors=True)
    shutil.copytree(_SUITE, kit / "tests" / "gpu", ignore=shutil.ignore_patterns(*_NOT_SENT))
    shutil.copy(_SUITE.parent / "finder_files.py", kit / "tests")
    (kit / "tests" / "__init__.py").touch()  # so that no other package of this name comes first
    for path in ((_ROOT / "config.toml"), *(_SUITE / "kit").iterdir()):
        shutil.copy(path, kit)
    (kit / "python-version").write_text(f"{python}\n")


def _read_member(archive: tarfile.TarFile, name: str) -> str:
    member = archive.extractfile(name)
    if member is None:
        raise StationError(f"{archive.name!r}: {name} is no file")
    return member.read().decode()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _say(words: str) -> None:
    print(words, flush=True)


def _say_sizes(kit: Path) -> None:
    sizes = sorted(((path.stat().st_size, path) for path in kit_files(kit)), reverse=True)
    for size, path in sizes[:10]:
        _say(f"{size / _MB:8.1f} MB  {path.relative_to(kit)}")
    _say(f"{sum(size for size, _ in sizes) / _MB:8.1f} MB  in {len(sizes)} files, with {SUMS}")


def _main(
    kit: Annotated[Path, typer.Argument(help="The folder to fill.")] = Path("offline-kit"),
    python: Annotated[str, typer.Option(help="Python of the machine that it is for.")] = "3.11",
    part_mb: Annotated[int, typer.Option(min=0, help="Split what is larger (10^6 bytes); 0 splits nothing.")] = 0,
    flavour: Annotated[Flavour, typer.Option(help="Which TensorRT.")] = Flavour.RTX,
) -> None:
    """Collect what a machine without a network needs."""
    try:
        make_kit(kit, python, part_mb, flavour)
    except StationError as fault:
        typer.echo(f"offline kit: {fault}", err=True)
        raise typer.Exit(2) from fault


if __name__ == "__main__":
    typer.run(_main)
