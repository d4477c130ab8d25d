"""Which NVIDIA GPUs this computer has and how they do, asked of the driver by NVML. Pure, any thread."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pynvml

from shadowline.errors import EngineError

__all__ = ["Gpu", "explain_refusal", "find_gpu", "find_gpus", "throttle_reasons"]

_REFUSALS: Final[dict[int, str]] = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: (
        "no NVIDIA driver on this computer: install it from your distribution"
        " (Debian: sudo apt install nvidia-driver; Ubuntu: sudo ubuntu-drivers install)"
    ),
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: (
        "the NVIDIA driver is installed but not loaded: sudo modprobe nvidia"
        " (when that is refused, dmesg says why: no module for this kernel, or Secure Boot)"
    ),
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: ("the NVIDIA driver was updated while the old one runs on: sudo reboot"),
    pynvml.NVML_ERROR_NO_PERMISSION: (
        "no permission to ask the NVIDIA driver: let this user open /dev/nvidiactl and /dev/nvidia0"
        " (in a systemd unit: PrivateDevices=no and DeviceAllow=)"
    ),
    pynvml.NVML_ERROR_GPU_IS_LOST: "a GPU fell off the bus: sudo reboot (sudo dmesg | grep -i xid says why)",
}
_THROTTLES: Final[dict[int, str]] = {
    pynvml.nvmlClocksEventReasonSwPowerCap: "power limit",
    pynvml.nvmlClocksEventReasonHwSlowdown: "hardware slowdown",
    pynvml.nvmlClocksEventReasonSyncBoost: "held back by another GPU (sync boost)",
    pynvml.nvmlClocksEventReasonSwThermalSlowdown: "heat",
    pynvml.nvmlClocksEventReasonHwThermalSlowdown: "heat (hardware limit)",
    pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown: "power supply brake",
    pynvml.nvmlClocksEventReasonDisplayClockSetting: "display clock",
}
"""Reasons that take speed away; an idle GPU and clocks that somebody set are none."""

_UNKNOWABLE: Final = (
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    pynvml.NVML_ERROR_NO_PERMISSION,
    pynvml.NVML_ERROR_NO_DATA,
)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU at one moment; None where this GPU or its driver does not say."""

    index: int
    """Its number as `nvidia-smi` counts."""
    name: str
    capability: str
    """Compute capability, `8.9`."""
    driver: str
    pci_bus_id: str
    memory_mib: int | None
    free_mib: int | None
    persistence: bool | None
    """The driver stays loaded while nobody uses the GPU."""
    sm_clock_mhz: int | None
    max_sm_clock_mhz: int | None
    temperature_c: int | None
    throttled: str
    """What takes speed away right now, in words; empty when nothing does."""


def find_gpus() -> tuple[Gpu, ...]:
    """Return every GPU that the driver knows, in the order of `nvidia-smi`; empty when it knows none.

    Raises `EngineError` where there is no driver or it does not answer. NVML is shut down again on return.
    """
    with _nvml():
        driver = pynvml.nvmlSystemGetDriverVersion()
        return tuple(_read(index, driver) for index in range(pynvml.nvmlDeviceGetCount()))


def find_gpu(index: int = 0) -> Gpu:
    """Return GPU `index`. Raises `EngineError` when there is none of that number, or no driver."""
    gpus = find_gpus()
    if not 0 <= index < len(gpus):
        there = ", ".join(gpu.name for gpu in gpus)
        raise EngineError(f"GPU {index} is not there: this computer has {len(gpus)}" + (f" ({there})" if there else ""))
    return gpus[index]


def throttle_reasons(mask: int) -> str:
    """Return NVML's bit mask of clock event reasons in words; empty when nothing takes speed away."""
    return ", ".join(words for bit, words in _THROTTLES.items() if mask & bit)


def explain_refusal(code: int, words: str) -> str:
    """Return what NVML's error `code` means and what to do; `words` are its own, for a code that is rare."""
    return _REFUSALS.get(code, f"the NVIDIA driver does not answer ({words}): sudo dmesg | grep -i nvrm")


@contextmanager
def _nvml() -> Iterator[None]:
    try:
        pynvml.nvmlInit()
        try:
            yield
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError as fault:
        raise EngineError(explain_refusal(fault.value, str(fault))) from fault


def _read(index: int, driver: str) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    memory = _ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
    persistence = _ask(pynvml.nvmlDeviceGetPersistenceMode, handle)
    return Gpu(
        index=index,
        name=pynvml.nvmlDeviceGetName(handle),
        capability=f"{major}.{minor}",
        driver=driver,
        pci_bus_id=pynvml.nvmlDeviceGetPciInfo(handle).busId,
        memory_mib=None if memory is None else memory.total >> 20,
        free_mib=None if memory is None else memory.free >> 20,
        persistence=None if persistence is None else persistence == pynvml.NVML_FEATURE_ENABLED,
        sm_clock_mhz=_ask(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM),
        max_sm_clock_mhz=_ask(pynvml.nvmlDeviceGetMaxClockInfo, handle, pynvml.NVML_CLOCK_SM),
        temperature_c=_ask(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU),
        throttled=throttle_reasons(_ask(pynvml.nvmlDeviceGetCurrentClocksEventReasons, handle) or 0),
    )


def _ask(call: Callable[..., Any], *words: Any) -> Any:
    """Return what `call` answers, None where this GPU or driver does not know it."""
    try:
        return call(*words)
    except pynvml.NVMLError as fault:
        if fault.value in _UNKNOWABLE:
            return None
        raise
