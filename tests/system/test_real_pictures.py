"""Real pictures through the real line: replay, finder, shipped model, ledger."""

from pathlib import Path

import pytest

from station.app import Station
from station.camera.pictures import list_pictures
from station.config_file import parse


@pytest.mark.parametrize("folder", ["neu/images", "magnetic-tile/images", "gc10/images-full", "gige-parts"])
def test_every_picture_goes_through_the_line(data: Path, tmp_path: Path, folder: str) -> None:
    pictures = list_pictures(data / folder)
    config = parse(
        {
            "camera": [{"name": "files", "type": "replay", "path": str(data / folder), "rate_hz": 0}],
            "regions": {"background": "frame"},
            "publish": {"endpoint": f"ipc://{tmp_path}/events"},
            "metrics": {"enabled": False},
        },
        tmp_path / "config.toml",
    )
    with Station(config) as station:
        for worker in station.workers:
            if worker.name.startswith("capture"):
                worker.join()
        assert station.done
    total = station.ledger.total()
    assert total["announced"] == len(pictures) > 0
    assert set(station.ledger.accounts["files"].invalid) <= {"overfull", "dark"}
    assert station.ledger.accounts["files"].inspected > 0.8 * len(pictures)
