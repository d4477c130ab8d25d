import io
import tomllib

from pydantic import TypeAdapter
from rich.console import Console

from station.camera.base import Found
from station.command.camera_view import camera_tables, draw_found
from station.config import CameraConfig

FOUND = [
    Found("aravis", "Maker", "a2A1920-51gmBAS", "401", {"serial": "401"}, address="10.0.0.7"),
    Found("aravis", "Maker", "a2A1920-51gmBAS", "402", {"serial": "402"}),
    Found("gentl", "Hers", "", "1", {"type": "gentl", "producer": '/opt/a "b"/x.cti', "serial": "1"}, "Oben Links"),
    Found("opencv", "", "ÄÖ", "", {"device": 2}, note="two\nlines \x1b[31m"),
]


def test_each_table_opens_its_device_under_a_name_of_its_own() -> None:
    cameras = tomllib.loads("\n".join(camera_tables(FOUND)))["camera"]
    assert [camera["name"] for camera in cameras] == ["a2a1920-51gmbas", "a2a1920-51gmbas-2", "oben-links", "camera"]
    for camera, found in zip(cameras, FOUND, strict=True):
        config = TypeAdapter[CameraConfig](CameraConfig).validate_python(camera)
        assert config.type == found.driver
        assert {name: camera[name] for name in found.table} == found.table


def test_what_a_device_says_of_itself_does_not_reach_the_terminal_as_it_is() -> None:
    said = "".join(camera_tables(FOUND))
    assert "\x1b" not in said
    assert "# two?lines ?[31m" in said
    shown = io.StringIO()
    Console(width=80, file=shown).print(draw_found([Found("aravis", "[red]\x1b[2J", "m", "s", {})]))
    assert "[red]?[2J" in shown.getvalue()
    assert "\x1b" not in shown.getvalue()
