"""What every test stands on: no thread, socket or file is left behind, and real pictures come by one setting."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

_KEPT = ("__pycache__", "mpl-data/fonts")
"""What stays open once it was: Matplotlib keeps its fonts."""

_LAST_STEPS_S = 2.0
"""What a thread that was told to end may take for its last steps on a busy computer."""


def _open_handles() -> set[str]:
    """Return what this process holds open: files by path, sockets by address."""
    me = psutil.Process()
    files = {f"file {file.path}" for file in me.open_files()}
    return files | {f"socket {connection.laddr}" for connection in me.net_connections()}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let workers begin with the files that may take longest, so that none is at work long after the rest."""
    if not hasattr(config, "workerinput"):
        return
    limits: dict[Path, float] = {}
    for item in items:
        mark = item.get_closest_marker("timeout")
        limits[item.path] = max(limits.get(item.path, 0.0), float(mark.args[0]) if mark else 0.0)
    items.sort(key=lambda item: -limits[item.path])


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    threads, handles = set(threading.enumerate()), _open_handles()
    yield
    new_threads = [thread for thread in threading.enumerate() if thread not in threads]
    new_threads = [thread for thread in new_threads if thread.name != "tqdm_monitor"]  # PyTorch's, once and for good
    for thread in new_threads:
        thread.join(_LAST_STEPS_S)
    left = [thread.name for thread in new_threads if thread.is_alive()]
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
