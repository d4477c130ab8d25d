"""`station check`: validate the configuration, open model and calibration, and say what the station would do."""

from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.table import Table

from station.command.options import ConfigFile
from station.config import Config, ReplayConfig, SimulatedConfig
from station.config_file import load
from station.engine import OpenEngine, open_engine
from station.flat_field import open_flat_field
from station.verdict import Judge

__all__ = ["check"]


def check(config: ConfigFile = Path("config.toml")) -> None:
    """Check the configuration, the model and the calibration, and explain them."""
    settings = load(config)
    console = Console(highlight=False, soft_wrap=True)
    with closing(open_engine(settings.engine, settings.swap)) as opened:
        engine = opened.engine
        judge = Judge(settings.verdict, engine.card)
        for camera in settings.camera:
            open_flat_field(camera)
        _explain(console, settings, opened, judge)
    console.print(f"[green]{config}: good[/]; configuration {settings.sha256[:12]}")


def _explain(console: Console, config: Config, opened: OpenEngine, judge: Judge) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("station", f"{config.station.name}, {config.station.budget_ms:g} ms from capture to decision")
    for camera in config.camera:
        source = ""
        if isinstance(camera, SimulatedConfig):
            source = f", {camera.width_px}×{camera.height_px} at {camera.rate_hz:g} Hz"
        elif isinstance(camera, ReplayConfig):
            source = f", {camera.path}"
        flat_field = f", flat field {camera.flat_field}" if camera.flat_field else ", no flat field"
        table.add_row("camera", f"{camera.name}: {camera.type}{source}{flat_field}")
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
    table.add_row("publish", config.publish.endpoint)
    address = f"http://{config.metrics.host}:{config.metrics.port}/metrics" if config.metrics.enabled else "off"
    table.add_row("metrics", address)
    console.print(table)
