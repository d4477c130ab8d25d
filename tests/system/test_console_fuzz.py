"""Thousands of requests that no browser sends: every answer is one that was meant.

`python -m tests.benchmarks.console_fuzz` sends a hundred thousand.
"""

from pathlib import Path

import pytest

from tests.console_app import console_app
from tests.console_fuzz import fuzz, refusing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_no_request_is_a_fault(tmp_path: Path) -> None:
    keys = "requests_per_s = 100000.0\nlogins_per_minute = 10000.0"
    with console_app(tmp_path, keys) as site, refusing(f"ipc://{tmp_path}/control"):
        told = fuzz(site, 2000, seed=1)
    assert told.faults == []
    assert {200, 303, 401, 403, 404, 409, 422} <= set(told.statuses)
