"""A maker's GenTL producer (`.cti`): opened once in a process, shared by its cameras. Any thread."""

import contextlib
import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shadowline.errors import CameraError, CameraLost, MissingExtra

__all__ = ["optional", "quietly", "seen_devices"]

_SEARCH_MS = 200  # genicam holds up every thread of the process meanwhile


@dataclass(slots=True)
class _Producer:
    """One that is open: `closing` undoes it, `users` are those who hold it."""

    system: Any
    closing: ExitStack
    interfaces: dict[str, Any] = field(default_factory=dict)
    users: int = 0


_lock = threading.Lock()
_producers: dict[Path, _Producer] = {}
"""Those that are open in this process: the standard lets each be initialized only once."""


@contextmanager
def seen_devices(path: Path, who: str) -> Iterator[list[Any]]:
    """Search, and yield a `DeviceInfo` of genicam for each device; the producer stays open until this is left.

    Raises `CameraError` when `path` is no producer, `CameraLost` when it can't search now, `MissingExtra`.
    """
    path = path.resolve()
    with _lock:
        producer = _producers.get(path)
        if producer is None:
            producer = _producers[path] = _open(path, who)
        producer.users += 1
    try:
        with _lock:
            found = _search(producer, who)
        yield found
    finally:
        with _lock:
            producer.users -= 1
            if not producer.users:
                del _producers[path]
                producer.closing.close()


def optional(module: Any, name: str) -> Any:
    """Return what a module of genicam says about itself, None where its producer does not know."""
    from genicam import gentl

    try:
        return getattr(module, name)
    except gentl.GenericException:
        return None


def quietly(close: Callable[..., object], *arguments: object) -> None:
    """Close or stop what may be gone already."""
    from genicam import genapi, gentl

    with contextlib.suppress(gentl.GenericException, genapi.GenericException):
        close(*arguments)


def _open(path: Path, who: str) -> _Producer:
    try:
        from genicam import gentl
    except ImportError as error:
        raise MissingExtra("genicam", "gentl") from error
    _check(path, who)
    with ExitStack() as stack:
        try:
            library = gentl.GenTLProducer.create_producer()
            library.open(str(path))
            stack.callback(quietly, library.close)
            system = library.create_system()
            system.open()
            stack.callback(quietly, system.close)
        except gentl.GenericException as error:
            raise CameraError(f"{who}: {path} can't be used as a GenTL producer: {error}") from error
        return _Producer(system, stack.pop_all())


def _check(path: Path, who: str) -> None:
    """Refuse what is no producer: genicam crashes on a library that has not its functions."""
    if not path.is_file():
        raise CameraError(f"{who}: the GenTL producer {path} is not there")
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise CameraError(f"{who}: {path} can't be used as a GenTL producer: {error}") from error
    if not hasattr(library, "GCInitLib"):
        raise CameraError(f"{who}: {path} can't be used as a GenTL producer: it has no GCInitLib")


def _search(producer: _Producer, who: str) -> list[Any]:
    """Look for interfaces and devices. An interface that can't be opened has none."""
    from genicam import gentl

    try:
        producer.system.update_interface_info_list(_SEARCH_MS)
        infos = list(producer.system.interface_info_list)
    except gentl.GenericException as error:
        raise CameraLost(f"{who}: the GenTL producer can't search: {error}") from error
    found: list[Any] = []
    for info in infos:
        with contextlib.suppress(gentl.GenericException):
            found += _devices(producer, info)
    return found


def _devices(producer: _Producer, info: Any) -> list[Any]:
    interface = producer.interfaces.get(info.id_)
    if interface is None:
        interface = info.create_interface()
        interface.open()
        producer.interfaces[info.id_] = interface
        producer.closing.callback(quietly, interface.close)
    interface.update_device_info_list(_SEARCH_MS)
    return list(interface.device_info_list)
