"""`station calibrate`: take a camera's calibrations, and see, choose and export those that are kept. Main thread."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.console import Console
from rich.table import Table

from calibration import CalibrationStore, Kind, Record
from shadowline.errors import CalibrationError
from station.binding import open_store
from station.command.calibrate_check import check
from station.command.calibrate_flat_field import flat_field
from station.command.calibrate_geometry import geometry
from station.command.calibrate_limit import limit
from station.command.calibrate_target import target
from station.command.camera_feed import CameraName
from station.command.options import AsJson, ConfigFile
from station.config_file import load

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Take a camera's calibrations; see, choose and export them.")
app.command("target")(target)
app.command("geometry")(geometry)

_WIDTH = 200  # lines stay whole in a file or a pipe

_Kind: TypeAlias = Annotated[Kind, typer.Argument(help="What it calibrates.", show_default=False)]


app.command("flat-field")(flat_field)
app.command("limit")(limit)
app.command("check")(check)


@app.command("list")
def _list(
    camera: Annotated[str | None, typer.Option(help="Of this camera alone.")] = None,
    kind: Annotated[Kind | None, typer.Option(help="Of this kind alone.")] = None,
    config: ConfigFile = Path("config.toml"),
    as_json: AsJson = False,
) -> None:
    """List the calibrations that are kept, and which are in use.

    Exit code 1 when some are damaged.
    """
    store = open_store(load(config))
    records = store.history(camera, kind)
    if as_json:
        for record in records:
            typer.echo(record.model_dump_json())
    elif records:
        _draw(store, records)
    else:
        typer.echo(f"{store.folder}: no calibration yet")
    if damaged := store.damaged():
        typer.echo("\n".join(damaged), err=True)
        raise typer.Exit(1)


def _draw(store: CalibrationStore, records: list[Record]) -> None:
    table = Table("camera", "kind", "number", "made (UTC)", "size px", "device", "lens", "", box=None, pad_edge=False)
    for record in records:
        binding = record.binding
        made = record.made[:16].replace("T", " ")
        size = f"{binding.width_px}×{binding.height_px}"
        device, lens = binding.camera or "–", binding.lens or "–"
        in_use = "in use" if store.current(record.kind, record.camera) == record else ""
        table.add_row(record.camera, record.kind, str(record.number), made, size, device, lens, in_use)
    Console(highlight=False, width=_WIDTH).print(table)


@app.command("show")
def _show(
    camera: CameraName,
    kind: _Kind,
    number: Annotated[int | None, typer.Argument(help="Which one; without it the one in use.")] = None,
    config: ConfigFile = Path("config.toml"),
    as_json: AsJson = False,
) -> None:
    """Show one calibration: what it was made with, and what was measured."""
    store = open_store(load(config))
    record = _find(store, camera, kind, number)
    if as_json:
        typer.echo(record.model_dump_json())
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row(record.title, f"made {record.made}, {record.sha256[:12]}")
    for title, values in (
        ("made with", record.binding.model_dump(exclude_none=True)),
        ("measured", {name: f"{value:.6g}" for name, value in record.figures.items()}),
        ("settings", record.settings),
        ("arrays", {name: f"{array.dtype} {array.shape}" for name, array in store.arrays(record).items()}),
    ):
        for name, value in values.items():
            table.add_row(title, f"{name} {value}")
            title = ""
    Console(highlight=False, markup=False, width=_WIDTH).print(table)


@app.command("use")
def _use(
    camera: CameraName,
    kind: _Kind,
    number: Annotated[int, typer.Argument(help="Which one.")],
    config: ConfigFile = Path("config.toml"),
) -> None:
    """Take a calibration of the history into use; a station that runs takes it at its next start."""
    store = open_store(load(config))
    record = _find(store, camera, kind, number)
    store.use(record)
    typer.echo(f"{record.title} is in use")


@app.command("export")
def _export(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The zip file to write.")],
    config: ConfigFile = Path("config.toml"),
) -> None:
    """Write all calibrations into a zip file; unpacked it is a calibration folder again."""
    store = open_store(load(config))
    store.export(path)
    typer.echo(f"{path}: {len(store.history())} calibrations")


def _find(store: CalibrationStore, camera: str, kind: Kind, number: int | None) -> Record:
    if number is not None:
        return store.numbered(kind, camera, number)
    if (record := store.current(kind, camera)) is None:
        raise CalibrationError(f"{store.folder}: no {kind} of camera {camera} is in use")
    return record
