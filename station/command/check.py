"""`station check`: validate the configuration, open model and calibration, and say what the station would do."""

from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.table import Table

from station.archive import refuse_strangers
from station.calibrated import open_calibration
from station.command.options import ConfigFile
from station.config import (
    AravisConfig,
    BaslerConfig,
    CameraConfig,
    Config,
    GenTlConfig,
    OpenCvConfig,
    PythonCameraConfig,
    ReplayConfig,
    SimulatedConfig,
)
from station.config_file import load
from station.engine import OpenEngine, open_engine
from station.metrics.server import open_guards
from station.security.roster import Roster
from station.security.survey import survey
from station.verdict import Judge

__all__ = ["check"]


def check(config: ConfigFile = Path("config.toml")) -> None:
    """Check the configuration, the model and the calibration, and explain them."""
    settings = load(config)
    console = Console(highlight=False, soft_wrap=True)
    open_guards(settings.metrics)
    with closing(open_engine(settings.engine, settings.swap)) as opened:
        engine = opened.engine
        judge = Judge(settings.verdict, engine.card)
        refuse_strangers(settings.archive, judge.labels)
        for camera in settings.camera:
            open_calibration(settings, camera)
        _explain(console, settings, opened, judge)
    console.print(f"[green]{config}: good[/]; configuration {settings.sha256[:12]}")


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


def _explain(console: Console, config: Config, opened: OpenEngine, judge: Judge) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("station", f"{config.station.name}, {config.station.budget_ms:g} ms from capture to decision")
    for camera in config.camera:
        used = ", ".join(
            f"{one.kind} {one.number} of {one.made[:10]}" for one in open_calibration(config, camera).records
        )
        table.add_row("camera", f"{camera.name}: {camera.type}{_source(camera)}")
        table.add_row("", f"calibrated: {used or 'no'}")
        silence = "never" if camera.silence_s == float("inf") else f"after {camera.silence_s:g} s without a picture"
        table.add_row("", f"offline {silence}, opened again every {camera.reconnect_s:g} s and more")
    if config.line.encoder is not None:
        table.add_row("line", f"positions by {config.line.encoder.type}")
    table.add_row("regions", f"{config.regions.polarity}, background from {config.regions.background}")
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
    console.print(table)
