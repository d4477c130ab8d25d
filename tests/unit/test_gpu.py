"""The GPU look-up: what the driver's answers mean, and one clear line where there is no driver."""

import pynvml
import pytest

from engines.gpu import explain_refusal, find_gpu, find_gpus, throttle_reasons
from shadowline.errors import EngineError
from tests.nvidia import driver_is_there


@pytest.mark.skipif(driver_is_there(), reason="this computer has an NVIDIA driver")
def test_without_a_driver_one_line_says_what_to_install() -> None:
    for look in (find_gpus, find_gpu):
        with pytest.raises(
            EngineError, match=r"^no NVIDIA driver on this computer: install it .*nvidia-driver"
        ) as fault:
            look()
        assert "\n" not in str(fault.value)


@pytest.mark.skipif(not driver_is_there(), reason="needs an NVIDIA driver")
def test_a_number_beyond_the_last_gpu_is_refused() -> None:
    count = len(find_gpus())
    with pytest.raises(EngineError, match=rf"^GPU {count} is not there: this computer has {count}"):
        find_gpu(count)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (0, ""),
        (pynvml.nvmlClocksEventReasonGpuIdle, ""),
        (pynvml.nvmlClocksEventReasonGpuIdle | pynvml.nvmlClocksEventReasonApplicationsClocksSetting, ""),
        (0x20, "heat"),
        (0x04 | 0x40 | 0x01, "power limit, heat (hardware limit)"),
        (0x80, "power supply brake"),
        (1 << 40, ""),
    ],
)
def test_only_what_takes_speed_away_is_throttling(mask: int, words: str) -> None:
    assert throttle_reasons(mask) == words


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "not loaded: sudo modprobe nvidia"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "updated while the old one runs on: sudo reboot"),
        (pynvml.NVML_ERROR_NO_PERMISSION, "no permission to ask the NVIDIA driver: let this user open /dev/nvidiactl"),
        (pynvml.NVML_ERROR_GPU_IS_LOST, "fell off the bus: sudo reboot"),
        (pynvml.NVML_ERROR_UNKNOWN, "does not answer (its words): sudo dmesg"),
    ],
)
def test_every_refusal_says_what_to_do(code: int, text: str) -> None:
    assert text in explain_refusal(code, "its words")
