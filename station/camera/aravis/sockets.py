"""The socket through which Aravis asks a GigE camera: found when it is made, and taken away when the camera is dead.

Lives in the capture thread. Each call of Aravis on a dead camera waits 2.5 s, and up to four of them end a stream and a
device; without its socket they fail at once.
"""

import contextlib
import os
import socket
import stat
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["cut_off", "with_socket"]

T = TypeVar("T")
_making = threading.Lock()


def with_socket(make: Callable[[], T], local: str) -> tuple[T, int | None]:
    """Return what `make` makes with the descriptor of the UDP socket that it binds to an address of this host.

    None for the descriptor where more than one came meanwhile.
    """
    with _making:
        before = _sockets_at(local)
        made = make()
        new = _sockets_at(local) - before
    return made, new.pop() if len(new) == 1 else None


def cut_off(descriptor: int) -> None:
    """Put something that is no socket in the place of one; its owner fails with it and closes it as ever."""
    idle = os.eventfd(0, os.EFD_CLOEXEC)
    os.dup2(idle, descriptor, inheritable=False)
    os.close(idle)


def _sockets_at(local: str) -> set[int]:
    """Return this process's UDP sockets that are bound to an address."""
    found = set()
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):  # closed meanwhile
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode) and _is_bound_to(descriptor, local):
                found.add(descriptor)
    return found


def _is_bound_to(descriptor: int, local: str) -> bool:
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        is_udp = (copy.family, copy.type) == (socket.AF_INET, socket.SOCK_DGRAM)
        return is_udp and copy.getsockname()[0] == local
