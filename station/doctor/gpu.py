"""Checks of the GPUs: are they there, awake, cool and free enough for what the configuration asks. Pure."""

from collections.abc import Iterator
from pathlib import Path

from engines.gpu import Gpu
from shadowline.errors import EngineError
from station.config import EngineConfig, OnnxRuntimeConfig, PlanBase, TensorRtConfig
from station.doctor.base import Check, Level, split_message

__all__ = ["asks_for_gpu", "check_gpu", "check_gpus", "check_no_gpu", "nvidia_cards"]

_NVIDIA = "0x10de"
_DISPLAY = "0x03"
"""PCI class of display and 3D controllers; a card's audio part has another."""

_LEAST_FREE_MIB = 1024
_AWAKE = 0.7
"""Part of its greatest clock below which a GPU counts as fallen asleep."""


def asks_for_gpu(config: EngineConfig | None) -> bool:
    """Return whether the engine of `config` can't run without a GPU."""
    return isinstance(config, TensorRtConfig) or (isinstance(config, OnnxRuntimeConfig) and config.provider == "cuda")


def nvidia_cards(root: Path = Path("/")) -> list[str]:
    """Return the PCI addresses of NVIDIA's cards, whether or not a driver serves them."""
    devices = sorted((root / "sys/bus/pci/devices").glob("*"))
    return [
        device.name
        for device in devices
        if (device / "vendor").read_text().strip() == _NVIDIA and (device / "class").read_text().startswith(_DISPLAY)
    ]


def check_no_gpu(refusal: EngineError | None, cards: list[str], config: EngineConfig | None) -> Check:
    """Say what it means that no GPU can be used: the driver's `refusal`, or none where it knows no GPU."""
    wrong, mend = split_message(refusal) if refusal else ("the NVIDIA driver knows no GPU", "nvidia-smi")
    if asks_for_gpu(config):
        return Check("fault", "gpu", f"the configuration asks for a GPU: {wrong}", mend)
    if cards:
        return Check("warning", "gpu", f"a card is there ({', '.join(cards)}) but of no use: {wrong}", mend)
    return Check("ok", "gpu", "none; networks run on the CPU")


def check_gpus(gpus: tuple[Gpu, ...], config: EngineConfig | None) -> Iterator[Check]:
    """Check every GPU, and that the configured one is among them."""
    for gpu in gpus:
        yield from check_gpu(gpu)
    if isinstance(config, PlanBase) and config.gpu >= len(gpus):
        level: Level = "fault" if asks_for_gpu(config) else "warning"
        found = f"the configuration asks for number {config.gpu}, there are {len(gpus)} counted from 0"
        yield Check(level, "gpu", found, "set [engine] gpu to one that is there")


def check_gpu(gpu: Gpu) -> Iterator[Check]:
    """Check one GPU: what it is, then what it keeps from being at its best."""
    name = f"gpu {gpu.index}"
    facts = [gpu.name, f"capability {gpu.capability}", f"driver {gpu.driver}"]
    facts += [f"{gpu.free_mib} of {gpu.memory_mib} MiB free"] if gpu.free_mib is not None else []
    facts += [f"{gpu.sm_clock_mhz} of {gpu.max_sm_clock_mhz} MHz"] if gpu.sm_clock_mhz is not None else []
    facts += [f"{gpu.temperature_c} °C"] if gpu.temperature_c is not None else []
    yield Check("ok", name, ", ".join(facts))
    if gpu.persistence is False:
        found = "persistence mode is off: the driver unloads when nobody uses the GPU, and the next start waits for it"
        yield Check("warning", f"{name} driver", found, f"sudo nvidia-smi -i {gpu.index} -pm 1")
    if gpu.throttled:
        found = f"slowed down: {gpu.throttled}"
        mend = f"nvidia-smi -i {gpu.index} -q -d PERFORMANCE,TEMPERATURE,POWER"
        yield Check("warning", f"{name} clock", found, mend)
    elif gpu.sm_clock_mhz and gpu.max_sm_clock_mhz and gpu.sm_clock_mhz < _AWAKE * gpu.max_sm_clock_mhz:
        least = round(_AWAKE * gpu.max_sm_clock_mhz)
        found = f"its clock falls to {gpu.sm_clock_mhz} MHz while idle, so the first frame after a pause is slow"
        mend = f"sudo nvidia-smi -i {gpu.index} --lock-gpu-clocks={least},{gpu.max_sm_clock_mhz}"
        yield Check("warning", f"{name} clock", found, f"{mend}\nor set a lower [engine] keep_warm_ms")
    if gpu.free_mib is not None and gpu.free_mib < _LEAST_FREE_MIB:
        found = f"{gpu.free_mib} MiB of its memory are free, building a plan takes {_LEAST_FREE_MIB} and more"
        mend = f"nvidia-smi -i {gpu.index} --query-compute-apps=pid,name,used_memory --format=csv"
        yield Check("warning", f"{name} memory", found, mend)
