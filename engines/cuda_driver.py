"""What pycuda lacks of the CUDA driver: graphs, and popping a context that was released. The thread with the context.

A graph is what was put on a stream, recorded once and replayed with one call (CUDA Driver API, Stream and Graph).
"""

import ctypes
from collections.abc import Callable
from ctypes import POINTER, byref, c_char_p, c_int, c_ulonglong, c_void_p
from functools import cache
from types import TracebackType
from typing import Self

from shadowline.errors import EngineError

__all__ = ["CudaGraph", "pop_context"]

_RELAXED = 2  # CU_STREAM_CAPTURE_MODE_RELAXED: what other threads do meanwhile does not break the capture


class CudaGraph:
    """The work that `enqueue` puts on the stream of handle `stream`, recorded once; leaving frees it."""

    def __init__(self, stream: int, enqueue: Callable[[], None]) -> None:
        """Record. Raises `EngineError` when something in `enqueue` can't be recorded; what it raises comes through."""
        self._stream = c_void_p(stream)
        self._executable = c_void_p()
        graph = c_void_p()
        _call("cuStreamBeginCapture_v2", self._stream, c_int(_RELAXED))
        try:
            try:
                enqueue()
            finally:
                ended = _driver().cuStreamEndCapture(self._stream, byref(graph))
            _check("cuStreamEndCapture", ended)
            _call("cuGraphInstantiateWithFlags", byref(self._executable), graph, c_ulonglong(0))
        finally:
            if graph:
                _driver().cuGraphDestroy(graph)

    def launch(self) -> None:
        """Put the recorded work on the stream; returns at once. Raises `EngineError`."""
        _call("cuGraphLaunch", self._executable, self._stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._executable:
            executable, self._executable = self._executable, c_void_p()
            _call("cuGraphExecDestroy", executable)


def pop_context() -> None:
    """Take the current context off this thread's stack: `detach` of pycuda releases it but leaves it there."""
    _driver().cuCtxPopCurrent_v2(byref(c_void_p()))


@cache
def _driver() -> ctypes.CDLL:
    """Return the driver's library with the calls declared."""
    library = ctypes.CDLL("libcuda.so.1")
    library.cuStreamBeginCapture_v2.argtypes = [c_void_p, c_int]
    library.cuStreamEndCapture.argtypes = [c_void_p, POINTER(c_void_p)]
    library.cuGraphInstantiateWithFlags.argtypes = [POINTER(c_void_p), c_void_p, c_ulonglong]
    library.cuGraphLaunch.argtypes = [c_void_p, c_void_p]
    library.cuGraphDestroy.argtypes = [c_void_p]
    library.cuGraphExecDestroy.argtypes = [c_void_p]
    library.cuCtxPopCurrent_v2.argtypes = [POINTER(c_void_p)]
    library.cuGetErrorName.argtypes = [c_int, POINTER(c_char_p)]
    return library


def _call(name: str, *arguments: object) -> None:
    _check(name, getattr(_driver(), name)(*arguments))


def _check(name: str, result: int) -> None:
    if result:
        words = c_char_p()
        _driver().cuGetErrorName(result, byref(words))
        raise EngineError(f"CUDA: {name} failed: {(words.value or str(result).encode()).decode()}")
