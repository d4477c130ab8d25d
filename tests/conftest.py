"""What every test stands on: no thread, socket or file is left behind, and real pictures come by one setting."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

_KEPT = ("__pycache__", "mpl-data/fonts")
"""What stays open once it was: Matplotlib keeps its fonts."""


def _open_handles() -> set[str]:
    """Return what this process holds open: files by path, sockets by address."""
    me = psutil.Process()
    files = {f"file {file.path}" for file in me.open_files()}
    return files | {f"socket {connection.laddr}" for connection in me.net_connections()}


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    threads, handles = set(threading.enumerate()), _open_handles()
    yield
    left = [thread.name for thread in threading.enumerate() if thread not in threads and thread.is_alive()]
    left = [name for name in left if name != "tqdm_monitor"]  # PyTorch's exporter starts it once, for good
    assert not left, f"threads left: {left}"
    new = {handle for handle in _open_handles() - handles if not any(part in handle for part in _KEPT)}
    assert not new, f"handles left: {new}"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real pictures; tests that need it are skipped without it."""
    folder = os.environ.get("SHADOWLINE_DATA", "")
    if not Path(folder, "neu").is_dir():
        pytest.skip("SHADOWLINE_DATA does not name the folder of real pictures")
    return Path(folder)
