"""Checks of what is installed: packages, compiled kernels, network runtimes. Main thread and child processes."""

import platform
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Literal, get_args

from engines.flavour import Flavour
from shadowline import __version__
from shadowline.kernel_cache import COMPILE_COMMAND
from station.config import EngineConfig, OnnxRuntimeConfig, TensorRtConfig
from station.doctor.base import PYTHON, Check
from station.regions.compile import compiled_now

__all__ = [
    "Loaded",
    "check_installed",
    "check_kernels",
    "check_network_runtime",
    "check_onnx_runtime",
    "check_opencv",
    "check_packages",
    "check_tensor_rt",
    "check_versions",
    "installed",
    "load_apart",
]

_LOAD_S = 60.0
_NOT_INSTALLED = 3
_LOAD = f"""
import importlib, sys
name = sys.argv[1]
try:
    module = importlib.import_module(name)
except ModuleNotFoundError as fault:
    if fault.name and (name + ".").startswith(fault.name + "."):
        sys.exit({_NOT_INSTALLED})
    raise
print(getattr(module, "__version__", ""))
"""
_OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
_RUNTIMES = ("onnxruntime", "onnxruntime-gpu")


def check_versions() -> Iterator[Check]:
    """Say which Shadowline, Python and system this is."""
    yield Check("ok", "shadowline", __version__)
    yield Check("ok", "python", f"{platform.python_version()} ({sys.executable})")
    yield Check("ok", "system", platform.platform())


def check_installed() -> Iterator[Check]:
    """Check the packages that this installation of Shadowline asks for, and that they do not collide."""
    try:
        lines = [line for line in requires("shadowline") or [] if "extra ==" not in line]
    except PackageNotFoundError:
        yield Check("warning", "packages", "shadowline runs without being installed", f"{PYTHON} -m pip install -e .")
        return
    found = [re.match(r"([\w.-]+)\s*(?:>=\s*([\d.]+))?", line) for line in lines]
    oldest = {match[1]: match[2] or "0" for match in found if match}
    there = installed((*oldest, *_OPENCV))
    yield check_packages(oldest, there)
    yield check_opencv(there)


def installed(names: Iterable[str]) -> dict[str, str]:
    """Return the version of each of the packages `names` that is installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def check_packages(oldest: Mapping[str, str], there: Mapping[str, str]) -> Check:
    """Find packages that are missing or too old: `oldest` versions that will do against those that are there."""
    missing = [name for name in oldest if name not in there]
    old = [name for name, least in oldest.items() if name in there and _numbers(there[name]) < _numbers(least)]
    if not missing and not old:
        return Check("ok", "packages", ", ".join(f"{name} {there[name]}" for name in oldest))
    words = [f"{name} is missing" for name in missing]
    words += [f"{name} {there[name]} is older than {oldest[name]}" for name in old]
    wanted = " ".join(f"'{name}>={oldest[name]}'" for name in (*missing, *old))
    return Check("fault", "packages", ", ".join(words), f"{PYTHON} -m pip install {wanted}")


def check_opencv(there: Mapping[str, str]) -> Check:
    """Find two OpenCV wheels: each overwrites the other's `cv2`."""
    wheels = [f"{name} {there[name]}" for name in _OPENCV if name in there]
    if len(wheels) < 2:
        return Check("ok", "opencv", ", ".join(wheels))
    names = " ".join(name for name in _OPENCV if name in there)
    mend = f"{PYTHON} -m pip uninstall -y {names}\n{PYTHON} -m pip install opencv-python-headless"
    return Check("fault", "opencv", f"{' and '.join(wheels)} overwrite each other's cv2", mend)


def check_kernels() -> Iterator[Check]:
    """Load the kernels and find those that are not compiled for this processor."""
    if compiled := compiled_now():
        found = f"{compiled} are not compiled for this processor, so every start takes seconds longer"
        yield Check("warning", "kernels", found, COMPILE_COMMAND.replace("python", PYTHON, 1))
    else:
        yield Check("ok", "kernels", "compiled for this processor")


def check_network_runtime(config: EngineConfig | None) -> Check:
    """Check the ONNX Runtime that is installed against what `config` asks of it."""
    import onnxruntime  # after shadowline, which silences it

    return check_onnx_runtime(installed(_RUNTIMES), onnxruntime.get_available_providers(), config)


def check_onnx_runtime(there: Mapping[str, str], providers: Sequence[str], config: EngineConfig | None) -> Check:
    """Find two ONNX Runtimes under one module name, and a configured provider that is not in the one."""
    found = " and ".join(f"{name} {there[name]}" for name in _RUNTIMES if name in there) or "not a package of pip"
    if all(name in there for name in _RUNTIMES):
        wanted = "onnxruntime-gpu" if _asks_for_cuda(config) else "onnxruntime"
        mend = f"{PYTHON} -m pip uninstall -y {' '.join(_RUNTIMES)}\n{PYTHON} -m pip install {wanted}"
        return Check("fault", "onnx runtime", f"{found} share one module name and spoil each other", mend)
    found += f": {', '.join(provider.removesuffix('ExecutionProvider') for provider in providers)}"
    if _asks_for_cuda(config) and "CUDAExecutionProvider" not in providers:
        mend = f"{PYTHON} -m pip uninstall -y onnxruntime\n{PYTHON} -m pip install onnxruntime-gpu"
        return Check("fault", "onnx runtime", f'{found}; the configuration asks for provider = "cuda"', mend)
    return Check("ok", "onnx runtime", found)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of loading a module: its version, or the fault; neither where it is not installed."""

    name: str
    version: str = ""
    fault: str = ""


def load_apart(name: str) -> Loaded:
    """Load module `name` in a child process: a library of a GPU that does not fit can take its process down."""
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-c", _LOAD, name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LOAD_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Loaded(name, fault=f"does not load within {_LOAD_S:g} s")
    if child.returncode == 0:
        package = name.partition(".")[0]
        return Loaded(name, version=installed([package]).get(package) or child.stdout.strip() or "of unknown version")
    if child.returncode == _NOT_INSTALLED:
        return Loaded(name)
    if child.returncode < 0:
        return Loaded(name, fault=f"takes its process down by {signal.Signals(-child.returncode).name}")
    return Loaded(name, fault=(child.stderr.splitlines() or [f"exit code {child.returncode}"])[-1])


def check_tensor_rt(modules: Sequence[Loaded], gpu: bool, config: EngineConfig | None) -> Iterator[Check]:
    """Find whether TensorRT and pycuda load; without `gpu` and nobody asking for them, nothing is amiss."""
    asked = isinstance(config, TensorRtConfig)
    flavours = [module for module in modules if module.name in get_args(Flavour)]
    rest = [module for module in modules if module not in flavours]
    there = [module for module in flavours if module.version or module.fault] or flavours[:1]
    for module in (*there, *rest):
        title = "tensorrt" if module in flavours else module.name.partition(".")[0]
        yield _judge(title, module, "fault" if asked else "warning", needed=asked or gpu)


def _judge(title: str, module: Loaded, level: Literal["warning", "fault"], needed: bool) -> Check:
    package = module.name.partition(".")[0]
    if module.version:
        return Check("ok", title, f"{package} {module.version}")
    if module.fault:
        found = f"{package} is installed but does not load: {module.fault}"
        if not needed:
            return Check("ok", title, f"{found}; nothing needs it here")
        return Check(level, title, found, f"{PYTHON} -m pip install --force-reinstall --no-deps {package}")
    if not needed:
        return Check("ok", title, "not installed; pip install 'shadowline[gpu]'")
    return Check(level, title, "not installed", f"{PYTHON} -m pip install 'shadowline[gpu]'")


def _asks_for_cuda(config: EngineConfig | None) -> bool:
    return isinstance(config, OnnxRuntimeConfig) and config.provider == "cuda"


def _numbers(text: str) -> tuple[int, ...]:
    """Return the release numbers of a version, which is as much as our own requirements compare."""
    return tuple(int(number) for number in re.findall(r"\d+", text.partition("+")[0])[:4])
