"""`station train detect, regions, anomaly`: the commands that train finders and leave run folders and finder files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer
from rich.console import Console
from rich.table import Table

from engines.finder_card import FinderCard
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
    from training.finders.detect import fit_detector
    from training.finders.detect_export import export_detector as export_run
    from training.finders.detect_recipe import DetectRecipe
    from training.finders.detect_report import marks_sheet, write_detect_report
    from training.finders.reviewed import REVIEWED
    from training.recipe import make_table
    from training.sheets import write_sheet

    folder = _run_folder(run, resume)
    chosen = _views(views)
    marks = None if from_reviewed is None else REVIEWED
    made = make_table(DetectRecipe, recipe, settings_of(data, recipe, settings), marks=marks)
    folder = folder or free_run(made.name)
    pictures = _pictures_of(data, from_reviewed, folder, resume)
    machine = machine_of(threads, accelerator, workers=workers)
    fitted = fit_detector(made, pictures, folder, machine, resume, Console(stderr=True))
    for note in fitted.pictures.manifest.notes:
        typer.echo(note, err=True)
    files = {"fp32": fitted.paths.folder / "finder-fp32.onnx", precision: fitted.paths.folder / "finder.onnx"}
    exported = export_run(fitted, files, chosen)[precision]
    write_detect_report(fitted, exported)
    write_sheet(fitted.paths.report / "marks.png", marks_sheet(fitted.pictures.sides["train"]))
    show_finder(exported.card, files[precision], exported.us_per_frame, fitted.paths.report / "index.html", as_json)


def export_detector(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Annotated[Path, typer.Option(help="The same folder of pictures as for detect.")],
    out: Annotated[Path, typer.Option(help="Finder file to write.")],
    precision: PrecisionOption = "int8",
    views: ViewsOption = 1,
    as_json: AsJson = False,
) -> None:
    """Write a detector's finder file again, in another precision, with other views or in another place."""
    need_training()
    from training.finders.detect_export import export_detector as export_run
    from training.finders.detect_recipe import DetectRecipe
    from training.finders.runs import read_run

    exported = export_run(read_run(DetectRecipe, data, run), {precision: out}, _views(views))[precision]
    show_finder(exported.card, out, exported.us_per_frame, None, as_json)


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
    from training.finders.detect_report import marks_sheet
    from training.finders.heat import fit_heat
    from training.finders.heat_export import export_heat
    from training.finders.heat_recipe import HeatRecipe
    from training.finders.heat_report import write_heat_report
    from training.finders.reviewed import REVIEWED
    from training.recipe import make_table
    from training.sheets import write_sheet

    folder = _run_folder(run, resume)
    marks = None if from_reviewed is None else REVIEWED
    made = make_table(HeatRecipe, recipe, settings_of(data, recipe, settings), marks=marks)
    folder = folder or free_run(made.name)
    pictures = _pictures_of(data, from_reviewed, folder, resume)
    machine = machine_of(threads, accelerator, workers=workers)
    fitted = fit_heat(made, pictures, folder, machine, resume, Console(stderr=True))
    for note in fitted.pictures.manifest.notes:
        typer.echo(note, err=True)
    files = {"fp32": folder / "finder-fp32.onnx", precision: folder / "finder.onnx"}
    exported = export_heat(fitted, files)[precision]
    write_heat_report(fitted, exported)
    write_sheet(fitted.paths.report / "marks.png", marks_sheet(fitted.pictures.sides["train"]))
    show_finder(exported.card, exported.file, exported.us_per_frame, fitted.paths.report / "index.html", as_json)


def export_regions(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Annotated[Path, typer.Option(help="The same folder of pictures as for regions.")],
    out: Annotated[Path, typer.Option(help="Finder file to write.")],
    precision: PrecisionOption = "int8",
    as_json: AsJson = False,
) -> None:
    """Write a heat map's finder file again, in another precision or place."""
    need_training()
    from training.finders.heat_export import export_heat
    from training.finders.heat_recipe import HeatRecipe
    from training.finders.runs import read_run

    exported = export_heat(read_run(HeatRecipe, data, run), {precision: out})[precision]
    show_finder(exported.card, out, exported.us_per_frame, None, as_json)


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
    from training.finders.anomaly import fit_anomaly
    from training.finders.anomaly_export import export_anomaly as export_run
    from training.finders.anomaly_recipe import AnomalyRecipe
    from training.finders.anomaly_report import painted_sheet, write_anomaly_report
    from training.recipe import make_table
    from training.sheets import write_sheet

    folder = _run_folder(run, resume)
    made = make_table(AnomalyRecipe, recipe, settings_of(data, recipe, settings))
    machine = machine_of(threads, accelerator, workers=workers)
    fitted = fit_anomaly(made, data, folder or free_run(made.name), machine, resume, Console(stderr=True))
    for note in fitted.pictures.manifest.notes:
        typer.echo(note, err=True)
    files = {"fp32": fitted.paths.folder / "finder-fp32.onnx", precision: fitted.paths.folder / "finder.onnx"}
    exported = export_run(fitted, files)[precision]
    write_anomaly_report(fitted, exported)
    write_sheet(fitted.paths.report / "painted.png", painted_sheet(fitted))
    show_finder(exported.card, files[precision], exported.us_per_frame, fitted.paths.report / "index.html", as_json)


def export_anomaly(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Annotated[Path, typer.Option(help="The same folder of pictures as for anomaly.")],
    out: Annotated[Path, typer.Option(help="Finder file to write.")],
    precision: PrecisionOption = "int8",
    as_json: AsJson = False,
) -> None:
    """Write an anomaly map's finder file again, in another precision or place."""
    need_training()
    from training.finders.anomaly_export import export_anomaly as export_run
    from training.finders.anomaly_recipe import AnomalyRecipe
    from training.finders.runs import read_run

    exported = export_run(read_run(AnomalyRecipe, data, run), {precision: out})[precision]
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


def _run_folder(run: Path | None, resume: bool) -> Path | None:
    if resume and run is None:
        raise ConfigError("--resume needs the --run to go on with")
    return run


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
