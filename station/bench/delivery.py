"""What keeping results costs the line: with and without journal and archive, flooded and at 60 Hz. Main thread."""

import statistics
from typing import Any

from station.bench.line import measure_flood, measure_paced

__all__ = ["measure_delivery"]

_REGIONS, _ROUNDS = 3, 3
_JOURNAL = '[journal]\nfolder = "{folder}/journal"\nendpoint = "ipc://{folder}/replay"\n'
_ARCHIVE = '[archive]\nfolder = "{folder}/archive"\nframes_free_mb = 1\ncrops_free_mb = 1\n'
_KEEPING = {"without": "", "journal": _JOURNAL, "journal and archive": _JOURNAL + _ARCHIVE}


def measure_delivery() -> dict[str, Any]:
    """Return medians over turns of `fps`, `p50_ms` and `p99_ms`, by what was kept; most frames of the bench reject."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in _KEEPING}
    for _ in range(_ROUNDS):
        for name, tables in _KEEPING.items():
            found[name].append({"fps": measure_flood(_REGIONS, tables)["fps"]} | measure_paced(_REGIONS, tables))
    return {name: _medians(rows) for name, rows in found.items()}


def _medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(row[key] for row in rows), 3) for key in ("fps", "p50_ms", "p99_ms")}
