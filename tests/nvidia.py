"""Whether this computer has an NVIDIA driver, asked without any code of ours."""

import ctypes

__all__ = ["driver_is_there"]


def driver_is_there() -> bool:
    """Return whether the driver's library loads."""
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True
