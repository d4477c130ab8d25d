"""`station check`: validate the configuration, open model and calibration, and say what the station would do."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.table import Table

from engines.model import ModelCard
from station.archive.selection import refuse_strangers
from station.calibrated import Calibrated, open_calibration
from station.command.options import ConfigFile
from station.config import (
    BY_LIMIT,
    DEFAULT,
    AravisConfig,
    BaslerConfig,
    CameraConfig,
    CombineConfig,
    Config,
    ConsoleConfig,
    GenicamBase,
    GenTlConfig,
    OpenCvConfig,
    PythonCameraConfig,
    ReplayConfig,
    SimulatedConfig,
    shadow_of,
)
from station.config_file import load
from station.engine import OpenEngine, model_file, open_engine
from station.gateways.process import check_gateway
from station.metrics.server import open_guards
from station.metrics.tls import server_context
from station.recipe_check import calibrate_recipes, judge_recipes
from station.regions import FrameEngines, open_finder
from station.security.roster import Roster
from station.security.survey import survey
from station.verdict import Judge

__all__ = ["check"]


def check(config: ConfigFile = Path("config.toml")) -> None:
    """Check the configuration, the model and the calibration, and explain them."""
    whole = load(config)
    settings = whole.at_start
    console = Console(highlight=False, soft_wrap=True)
    open_guards(settings.metrics)
    with (
        FrameEngines(settings.swap.cache) as engines,
        closing(open_engine(settings.engine, settings.swap)) as opened,
    ):
        judge = Judge(settings.verdict, opened.engine.card, engines.labels(settings.regions))
        cards = {model_file(settings.engine): opened.engine.card}
        judges = judge_recipes(whole, cards, judge.finders)
        refuse_strangers(settings.archive, [label for one in (judge, *judges.values()) for label in one.labels])
        calibrated = calibrate_recipes(whole, {one.name: open_calibration(whole, one) for one in whole.camera})
        held = calibrated[whole.first_recipe]
        for one in held.values():
            open_finder(one.regions, None, engines)
        _explain(console, settings, opened, judge, engines, held)
        _explain_recipes(console, whole, judges, cards, calibrated)
    for name in whole.gateway:
        console.print(f"gateway {name}: {check_gateway(name, whole)}", markup=False)
    console.print(f"[green]{config}: good[/]; configuration {whole.sha256[:12]}")


def _source(camera: CameraConfig) -> str:
    match camera:
        case SimulatedConfig():
            return f", {camera.width_px}×{camera.height_px} at {camera.rate_hz:g} Hz"
        case ReplayConfig():
            return f", {camera.path}"
        case OpenCvConfig():
            return f", {camera.device if camera.url is None else camera.url}"
        case AravisConfig():
            return f", {camera.serial or camera.user_name or camera.address}, {camera.settings} settings"
        case GenTlConfig() | BaslerConfig():
            return f", {camera.serial or camera.user_name}, {camera.settings} settings"
        case PythonCameraConfig():
            return f", {camera.factory}"


def _frame_shape(camera: CameraConfig) -> tuple[int, int] | None:
    """Return height and width of its frames, as far as the configuration tells."""
    height, width = None, None
    match camera:
        case SimulatedConfig() | OpenCvConfig():
            height, width = camera.height_px, camera.width_px
        case GenicamBase():
            height, width = camera.sfnc.height_px, camera.sfnc.width_px
        case _:
            pass
    return None if height is None or width is None else (height + camera.overlap_rows, width)


def _explain_finders(config: Config, engines: FrameEngines) -> Iterator[str]:
    """Yield what `[regions]` does, the shadows first, then each finder file."""
    if (shadow := shadow_of(config.regions)) is not None:
        yield f"shadow: {shadow.polarity}, background from {shadow.background}"
    for one in engines.all_of(config.regions):
        card = one.engine.card
        takes = "any size" if card.input_px is None else "{1}×{0} px".format(*card.input_px)
        yield f"{one.name}: {card.name}, {card.kind}, {card.precision}, takes {takes}, {one.engine.sha256[:12]}"
        yield f"on {one.engine.name}; found beyond {one.threshold:g}; scale {one.scale[0]:g}×{one.scale[1]:g}"
        yield f"labels: {', '.join(card.labels) or 'none'}; naming: {one.config.naming}"
        for camera in config.camera:
            if (shape := _frame_shape(camera)) is not None:
                tiling = one.tiling(shape)
                height, width = tiling.tile_px
                tiles = "1 tile" if tiling.count == 1 else f"{tiling.count} tiles"
                yield f"a frame of {camera.name}, {shape[1]}×{shape[0]}, is {tiles} of {width}×{height}"
        if card.not_for:
            yield f"not for: {card.not_for}"
    if isinstance(config.regions, CombineConfig):
        yield f"combined: one region where boxes overlap by {config.regions.merge_iou:g}"


def _explain_recipes(
    console: Console,
    config: Config,
    judges: Mapping[str, Judge],
    cards: Mapping[Path | None, ModelCard],
    calibrated: Mapping[str, Mapping[str, Calibrated]],
) -> None:
    """Print a line for each recipe; all of them can be used."""
    for name, recipe in config.recipe.items():
        held = config.by_recipe(name)
        number = "" if recipe.external_id is None else f", number {recipe.external_id}"
        start = ", holds at the start" if name == config.station.recipe else ""
        rules = judges[name].rules
        passing = [label for label, rule in rules.items() if rule.action == "accept"]
        words = [cards[model_file(held.engine)].name, f"{held.station.budget_ms:g} ms"]
        words += [f"lets {'all' if len(passing) == len(rules) else ', '.join(passing)} pass"] if passing else []
        about = f"{', '.join(words)}; {recipe.description or 'can be used'}"
        console.print(f"recipe {name}{number}{start}: {about}", markup=False)
        for words_of_limit in _explain_limits(calibrated[DEFAULT], calibrated[name]):
            console.print(f"recipe {name}: {words_of_limit}", markup=False)


def _explain_limits(plain: Mapping[str, Calibrated], held: Mapping[str, Calibrated]) -> Iterator[str]:
    """Yield which calibrated limit a recipe has of its own, and where it goes before one that is in use."""
    for camera, one in held.items():
        in_use, before, now = plain[camera].limit, shadow_of(plain[camera].regions), shadow_of(one.regions)
        if one.limit is not None and one.limit != in_use:
            yield f"camera {camera} by {one.limit.title}"
        elif in_use is not None:
            own = [
                f"{key} {getattr(now, key)}" for key in sorted(BY_LIMIT) if getattr(now, key) != getattr(before, key)
            ]
            if own:
                yield f"camera {camera}: {', '.join(own)}, before what {in_use.title} says"


def _console(config: ConsoleConfig) -> str:
    """Return what `station console` would do. Raises `ConfigError` for a certificate that can't be used."""
    if config.folder is None:
        return "off: [console] names no folder"
    if config.certificate is not None and config.key is not None:
        server_context(config.certificate, config.key, "console")
    plain = "" if config.local or config.certificate else ", open to the network in plain text"
    return f"{config.url(config.port)}{plain}, logins last {config.session_hours:g} h"


def _explain(
    console: Console,
    config: Config,
    opened: OpenEngine,
    judge: Judge,
    engines: FrameEngines,
    calibrated: Mapping[str, Calibrated],
) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("station", f"{config.station.name}, {config.station.budget_ms:g} ms from capture to decision")
    for camera in config.camera:
        used = ", ".join(f"{one.kind} {one.number} of {one.made[:10]}" for one in calibrated[camera.name].records)
        table.add_row("camera", f"{camera.name}: {camera.type}{_source(camera)}")
        table.add_row("", f"calibrated: {used or 'no'}")
        silence = "never" if camera.silence_s == float("inf") else f"after {camera.silence_s:g} s without a picture"
        table.add_row("", f"offline {silence}, opened again every {camera.reconnect_s:g} s and more")
    if config.line.encoder is not None:
        table.add_row("line", f"positions by {config.line.encoder.type}")
    for number, words in enumerate(_explain_finders(config, engines)):
        table.add_row("" if number else "regions", words)
    engine = opened.engine
    card = engine.card
    table.add_row("model", f"{card.name}, {card.precision}, {card.crop.size_px} px crops, {engine.sha256[:12]}")
    table.add_row("", f"on {engine.name}: {opened.why}")
    for split, metrics in card.metrics.items():
        table.add_row("", f"{split}: " + ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()))
    if card.not_for:
        table.add_row("", f"not for: {card.not_for}")
    floors = ", ".join(f"{floor:.2f} ({label})" for label, floor in judge.floors.items())
    if len(usual := set(judge.floors.values())) == 1:
        floors = f"{usual.pop():.2f}"
    beyond = "" if judge.novelty_limit is None else f" or beyond novelty {judge.novelty_limit:.4g}"
    table.add_row("verdict", f"below confidence {floors}{beyond} a region is `unknown`")
    for label, rule in judge.rules.items():
        needs = [f"confidence ≥ {rule.min_confidence:g}"] if rule.min_confidence else []
        needs += [f"area ≥ {rule.min_area_px} px"] if rule.min_area_px else []
        needs += [f"at least {rule.min_count}"] if rule.min_count > 1 else []
        table.add_row("", f"{label}: {rule.action}" + (f" if {', '.join(needs)}" if needs else ""))
    for exposure in survey(config):
        table.add_row(exposure.place, f"[yellow]{exposure.told}[/]" if exposure.open else exposure.told)
    if config.security.folder is not None:
        table.add_row("keys", f"{config.security.folder}, {len(Roster(config.security.folder))} known")
    journal = config.journal
    bounds = f"{journal.max_mb} MB, {journal.max_age_days:g} days, given again on {journal.endpoint}"
    off = "off: numbers begin anew at each start"
    table.add_row("journal", f"{journal.folder}: {bounds}" if journal.folder else off)
    archive = config.archive
    limits = f"{archive.max_mb} MB, {archive.max_age_days:g} days, whole frames: {archive.frames}"
    table.add_row("archive", f"{archive.folder}: {limits}" if archive.folder else "off")
    table.add_row("metrics", config.metrics.url(config.metrics.port) if config.metrics.enabled else "off")
    if config.metrics.exposed:
        table.add_row("", "open to the network without TLS and password, as plain_network allows")
    table.add_row("console", _console(config.console))
    console.print(table)
