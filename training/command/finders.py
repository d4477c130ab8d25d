"""`station train detect, regions, anomaly`: the commands that train finders and leave run folders and finder files."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from engines.finder_card import FinderCard
from engines.model import Precision
from shadowline.errors import ConfigError
from training.command.common import (
    AsJson,
    PrecisionOption,
    RecipeOption,
    RunOption,
    SetOption,
    ThreadsOption,
    console,
    free_run,
    machine_of,
    need_training,
    slug,
)

if TYPE_CHECKING:
    from training.finders.detect_answers import Views
    from training.finders.kinds import Kind
    from training.finders.recipe import FinderRecipe
    from training.machine import Machine

__all__ = [
    "anomaly",
    "detect",
    "export_anomaly",
    "export_detector",
    "export_regions",
    "mount",
    "regions",
    "settings_of",
    "show_finder",
]

MarkedOption: TypeAlias = Annotated[Path, typer.Argument(help="Folder of pictures and marks, as the recipe says.")]
ResumeOption: TypeAlias = Annotated[bool, typer.Option("--resume", help="Go on with a --run that was cut off.")]
AcceleratorOption: TypeAlias = Annotated[str, typer.Option(help="auto, cpu or gpu.")]
ReviewedOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--from-reviewed", help="Archive whose whole frames are learnt from; DATA is an export of it, looked through."
    ),
]
WorkersOption: TypeAlias = Annotated[int | None, typer.Option(min=0, help="Processes that draw pictures.")]
ViewsOption: TypeAlias = Annotated[
    int,
    typer.Option(
        help="1; 2 looks at each picture mirrored too, 4 also upside down: better, at so many times the cost."
    ),
]


RunArgument: TypeAlias = Annotated[Path, typer.Argument(help="Run folder.")]
SameDataOption: TypeAlias = Annotated[Path, typer.Option("--data", help="The pictures that it was trained on.")]
OutOption: TypeAlias = Annotated[Path, typer.Option(help="Finder file to write.")]

_Recipe = TypeVar("_Recipe", bound="FinderRecipe")


def mount(app: typer.Typer) -> None:
    """Add these commands to the group."""
    app.command("detect")(detect)
    app.command("export-detector")(export_detector)
    app.command("regions")(regions)
    app.command("export-regions")(export_regions)
    app.command("anomaly")(anomaly)
    app.command("export-anomaly")(export_anomaly)


def detect(
    data: MarkedOption,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    from_reviewed: ReviewedOption = None,
    run: RunOption = None,
    resume: ResumeOption = False,
    precision: PrecisionOption = "int8",
    views: ViewsOption = 1,
    accelerator: AcceleratorOption = "auto",
    workers: WorkersOption = None,
    threads: ThreadsOption = None,
    as_json: AsJson = False,
) -> None:
    """Train a detector on pictures with boxes: a measured finder file and its report come out."""
    need_training()
    from training.finders.kinds import detector

    asked = _Asked(data, recipe, settings, from_reviewed, run, resume, precision, as_json)
    _train(detector(_views(views)), asked, machine_of(threads, accelerator, workers=workers))


def regions(
    data: MarkedOption,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    from_reviewed: ReviewedOption = None,
    run: RunOption = None,
    resume: ResumeOption = False,
    precision: PrecisionOption = "int8",
    accelerator: AcceleratorOption = "auto",
    workers: WorkersOption = None,
    threads: ThreadsOption = None,
    as_json: AsJson = False,
) -> None:
    """Train a heat map on pictures with boxes or masks: a measured finder file and its report come out."""
    need_training()
    from training.finders.kinds import heat_map

    asked = _Asked(data, recipe, settings, from_reviewed, run, resume, precision, as_json)
    _train(heat_map(), asked, machine_of(threads, accelerator, workers=workers))


def anomaly(
    data: MarkedOption,
    recipe: RecipeOption = None,
    settings: SetOption = None,
    run: RunOption = None,
    resume: ResumeOption = False,
    precision: PrecisionOption = "int8",
    accelerator: AcceleratorOption = "auto",
    workers: WorkersOption = None,
    threads: ThreadsOption = None,
    as_json: AsJson = False,
) -> None:
    """Train an anomaly map on defect-free pictures alone: a measured finder file and its report come out."""
    need_training()
    from training.finders.kinds import anomaly_map

    asked = _Asked(data, recipe, settings, None, run, resume, precision, as_json)
    _train(anomaly_map(), asked, machine_of(threads, accelerator, workers=workers))


def export_detector(
    run: RunArgument,
    data: SameDataOption,
    out: OutOption,
    precision: PrecisionOption = "int8",
    views: ViewsOption = 1,
    as_json: AsJson = False,
) -> None:
    """Write a detector's finder file again, in another precision, with other views or in another place."""
    need_training()
    from training.finders.kinds import detector

    _export(detector(_views(views)), run, data, out, precision, as_json)


def export_regions(
    run: RunArgument,
    data: SameDataOption,
    out: OutOption,
    precision: PrecisionOption = "int8",
    as_json: AsJson = False,
) -> None:
    """Write a heat map's finder file again, in another precision or place."""
    need_training()
    from training.finders.kinds import heat_map

    _export(heat_map(), run, data, out, precision, as_json)


def export_anomaly(
    run: RunArgument,
    data: SameDataOption,
    out: OutOption,
    precision: PrecisionOption = "int8",
    as_json: AsJson = False,
) -> None:
    """Write an anomaly map's finder file again, in another precision or place."""
    need_training()
    from training.finders.kinds import anomaly_map

    _export(anomaly_map(), run, data, out, precision, as_json)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the three trainings are asked in the same words."""

    data: Path
    recipe: Path | None
    settings: list[str] | None
    from_reviewed: Path | None
    run: Path | None
    resume: bool
    precision: Precision
    as_json: bool


def _train(kind: "Kind[_Recipe]", asked: _Asked, machine: "Machine") -> None:
    """Fit, export, report, and show what came out."""
    from training.finders.reviewed import REVIEWED
    from training.recipe import make_table
    from training.sheets import write_sheet

    if asked.resume and asked.run is None:
        raise ConfigError("--resume needs the --run to go on with")
    marks = None if asked.from_reviewed is None else REVIEWED
    settings = settings_of(asked.data, asked.recipe, asked.settings)
    made = make_table(kind.recipe, asked.recipe, settings, marks=marks)
    folder = asked.run or free_run(made.name)
    pictures = _pictures_of(asked.data, asked.from_reviewed, folder, asked.resume)
    fitted = kind.fit(made, pictures, folder, machine, asked.resume, Console(stderr=True))
    for note in fitted.pictures.manifest.notes:
        typer.echo(note, err=True)
    precision = asked.precision
    files: dict[Precision, Path] = {"fp32": folder / "finder-fp32.onnx", precision: folder / "finder.onnx"}
    exported = kind.export(fitted, files)[precision]
    kind.report(fitted, exported)
    report = fitted.paths.report
    write_sheet(report / kind.sheet_name, kind.sheet(fitted))
    show_finder(exported.card, files[precision], exported.us_per_frame, report / "index.html", asked.as_json)


def _export(kind: "Kind[_Recipe]", run: Path, data: Path, out: Path, precision: Precision, as_json: bool) -> None:
    from training.finders.runs import read_run

    exported = kind.export(read_run(kind.recipe, data, run), {precision: out})[precision]
    show_finder(exported.card, out, exported.us_per_frame, None, as_json)


def settings_of(data: Path, recipe: Path | None, settings: list[str] | None) -> list[str]:
    """Return a command's settings; without a recipe the finder is named after the folder of pictures."""
    given = settings or []
    named = recipe is not None or any(setting.startswith("name=") for setting in given)
    return given if named else [*given, f"name={slug(data.resolve().name)}"]


def show_finder(card: FinderCard, file: Path, us_per_frame: float, report: Path | None, as_json: bool) -> None:
    """Print what a finder file is worth and where everything lies."""
    if as_json:
        import json

        summary = {"finder": str(file), "us_per_frame": us_per_frame, "card": card.model_dump(mode="json")}
        typer.echo(json.dumps(summary | ({} if report is None else {"report": str(report)})))
        return
    names = list(dict.fromkeys(name for metrics in card.metrics.values() for name in metrics))
    table = Table("", *card.metrics, title=card.name)
    for name in names:
        table.add_row(name, *(f"{metrics[name]:.4g}" if name in metrics else "" for metrics in card.metrics.values()))
    console.print(table)
    lines = [
        f"finder  {file}: {card.kind}, {card.precision}, {file.stat().st_size / 1e6:.2f} MB, threshold "
        f"{card.threshold:.2f}, {us_per_frame / 1000:.1f} ms a frame on one core",
        *([] if report is None else [f"report  {report}"]),
        f'next    in config.toml: [regions] type = "{card.kind}", model = "{file}"',
    ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _pictures_of(data: Path, from_reviewed: Path | None, folder: Path, resume: bool) -> Path:
    """Return the folder to learn from: DATA, or the frames of an archive that DATA judges, which the run keeps."""
    from training.finders.reviewed import write_reviewed

    reviewed = folder / "reviewed"
    if from_reviewed is not None and not resume:
        for note in write_reviewed(data, from_reviewed, reviewed):
            typer.echo(note, err=True)
    return reviewed if reviewed.is_dir() else data


def _views(views: int) -> "Views":
    if views not in (1, 2, 4):
        raise ConfigError(f"--views {views}: expected 1, 2 or 4")
    return views  # type: ignore[return-value]
