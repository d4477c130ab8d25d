"""A GigE Vision camera on the wire that shows our own pictures: Aravis' fake camera with what `draw` draws.

    python -m tests.gige_server ADDRESS SERIAL [--lost SHARE]

Prints `ready` once it listens, and runs until it is ended.
"""

import argparse
import ctypes
import signal
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["draw", "end_with_parent", "number_of", "whole_rows"]

Picture = NDArray[np.uint8] | NDArray[np.uint16]

_FILL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32)
_PR_SET_PDEATHSIG = 1
_MONO_8 = 0x0108_0001
_PERIOD = 251  # frames until a row has the same grey again


def draw(image: Picture, number: int) -> None:
    """Draw frame `number`: each row in a grey of its own, which moves on from frame to frame, and the number."""
    greys = (np.arange(len(image)) + number) % _PERIOD
    image[:] = greys[:, None].astype(image.dtype)
    image.view(np.uint8)[:, :8] = np.frombuffer(np.uint64(number).tobytes(), np.uint8)


def number_of(image: Picture) -> int:
    """Return the number drawn into the first row."""
    return int(image[0].view(np.uint64)[0])


def whole_rows(image: Picture, number: int) -> int:
    """Return how many rows from the top are those of frame `number`."""
    wanted = np.empty_like(image)
    draw(wanted, number)
    bad = np.flatnonzero((image != wanted).any(axis=1))
    return int(bad[0]) if len(bad) else len(image)


def end_with_parent() -> None:
    """Have this process killed when the one that started it ends, in whatever way."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _load() -> ctypes.CDLL:
    library = ctypes.CDLL("libaravis-0.8.so.0")
    library.arv_buffer_get_data.restype = ctypes.c_void_p
    library.arv_buffer_get_data.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    for name in ("image_width", "image_height", "image_pixel_format"):
        getattr(library, f"arv_buffer_get_{name}").argtypes = [ctypes.c_void_p]
    library.arv_fake_camera_set_fill_pattern.argtypes = [ctypes.c_void_p, _FILL, ctypes.c_void_p]
    return library


def _filler(library: ctypes.CDLL) -> Any:
    """Return the callback that draws; it must be kept as long as the camera runs."""
    number = 0

    @_FILL
    def fill(buffer: int, _data: int, _exposure_us: int, _gain: int, _format: int) -> None:
        nonlocal number
        width, height = library.arv_buffer_get_image_width(buffer), library.arv_buffer_get_image_height(buffer)
        dtype = np.dtype(np.uint8 if library.arv_buffer_get_image_pixel_format(buffer) == _MONO_8 else np.uint16)
        start = library.arv_buffer_get_data(buffer, ctypes.byref(ctypes.c_size_t()))
        memory = (ctypes.c_uint8 * (width * height * dtype.itemsize)).from_address(start)
        draw(np.frombuffer(memory, dtype).reshape(height, width), number)
        number += 1

    return fill


def main() -> None:
    end_with_parent()
    import gi

    gi.require_version("Aravis", "0.8")
    from gi.repository import Aravis

    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("serial")
    parser.add_argument("--lost", type=float, default=0.0)
    options = parser.parse_args()
    library = _load()
    fill = _filler(library)
    server = Aravis.GvFakeCamera.new(options.address, options.serial)
    server.set_property("gvsp-lost-ratio", options.lost)
    library.arv_fake_camera_set_fill_pattern(hash(server.get_fake_camera()), fill, None)
    print("ready", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
