"""Compiled kernels that are loaded, not made, on the line: a cache inside the package, keyed by source content. Pure.

`python -m station.regions.compile` fills `shadowline/kernels/` once, at install. numba's own locators refuse a
directory that can't be written and a user without a home, so this module brings its own locator; the private names
of numba that it needs are the three imported from `numba.core.caching` and a dispatcher's `_cache`.
"""

import functools
import hashlib
import inspect
import logging
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba
from numba.core.caching import Cache, CompileResultCacheImpl, _CacheLocator

__all__ = ["COMPILE_COMMAND", "KERNELS", "compile_kernels", "helper", "kernel", "load_kernels"]

COMPILE_COMMAND = "python -m station.regions.compile"
KERNELS = Path(__file__).parent / "kernels"

P = ParamSpec("P")
R = TypeVar("R")

_logger = logging.getLogger(__name__)
_registry: list[tuple[Any, Sequence[str]]] = []


@functools.cache
def _source_stamp(package: Path) -> str:
    """Return a hash of every source in that folder: kernels are compiled into one another across its files."""
    sources = sorted(package.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


class _ContentLocator(_CacheLocator):  # type: ignore[misc]
    """Finds a function's cache in `KERNELS`, fresh while its package has the same source."""

    def __init__(self, function: Callable[..., object], file: str) -> None:
        self._name = function.__name__
        self._package = Path(file).parent

    def get_cache_path(self) -> str:
        return str(KERNELS)

    def get_source_stamp(self) -> str:
        return _source_stamp(self._package)

    def get_disambiguator(self) -> str:
        return self._name

    @classmethod
    def from_function(cls, function: Callable[..., object], file: str) -> "_ContentLocator":
        return cls(function, file)


class _KernelCacheImpl(CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (_ContentLocator,)


class _KernelCache(Cache):  # type: ignore[misc]
    """Reads always; writes only while the compile command runs. A damaged file counts as none."""

    _impl_class = _KernelCacheImpl
    writing = False

    def load_overload(self, signature: object, target: object) -> object:
        try:
            return super().load_overload(signature, target)
        except (OSError, EOFError, pickle.UnpicklingError):
            return None

    def save_overload(self, signature: object, result: object) -> None:
        if self.writing:
            super().save_overload(signature, result)


def helper(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function that kernels of the same file call; it is compiled into them."""
    return cast("Callable[P, R]", numba.njit(nogil=True)(function))


def kernel(*signatures: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a kernel: numba machine code for `signatures`, without the GIL, loaded by `load_kernels`."""

    def mark(function: Callable[P, R]) -> Callable[P, R]:
        dispatcher = numba.njit(nogil=True)(function)
        dispatcher._cache = _KernelCache(inspect.unwrap(function))
        _registry.append((dispatcher, signatures))
        return cast("Callable[P, R]", dispatcher)

    return mark


def load_kernels() -> int:
    """Make every kernel ready and return how many had to be compiled: 0 when the cache fits this CPU and numba.

    What is missing is compiled in memory, which takes seconds, and logged once; nothing is written.
    """
    compiled = 0
    for dispatcher, signatures in _registry:
        if not dispatcher.overloads:
            for signature in signatures:
                dispatcher.compile(signature)
            dispatcher.disable_compile()  # any other argument type is an error, not a wait on the line
            compiled += sum(dispatcher.stats.cache_misses.values())
    if compiled and not _KernelCache.writing:
        _logger.warning(
            "%d kernels of %s do not fit this CPU or version and were compiled in memory; run once as the "
            "owner of the installation: %s",
            compiled,
            KERNELS,
            COMPILE_COMMAND,
        )
    return compiled


def compile_kernels() -> int:
    """Fill the cache for this CPU and return how many kernels were compiled; 0 when it is already filled."""
    _KernelCache.writing = True
    try:
        return load_kernels()
    finally:
        _KernelCache.writing = False
