"""What every test of the whole line stands on: scripted cameras that start anew."""

from collections.abc import Iterator

import pytest

from tests.system.lines import ScriptCamera


@pytest.fixture(autouse=True)
def _fresh_cameras() -> Iterator[None]:
    ScriptCamera.delivered.clear()
    ScriptCamera.gate.clear()
    yield
    ScriptCamera.gate.set()
