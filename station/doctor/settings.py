"""Checks of the configuration: it can be read, its model runs, its rules and calibrations fit. Main thread."""

from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from engines import FakeEngine, OnnxRuntimeEngine
from engines.model import ModelCard
from shadowline.errors import ConfigError, StationError
from station.calibrated import open_calibration
from station.config import Config, FakeEngineConfig
from station.config_file import load
from station.doctor.base import Check
from station.verdict import Judge

__all__ = ["check_model", "read_settings"]


def read_settings(path: Path) -> tuple[Config | None, Check]:
    """Return the configuration in the file at `path`, None where it is at fault, and what is to be said of it."""
    try:
        config = load(path)
    except ConfigError as fault:
        mend = f"station check --config {quote(str(path))}"
        return None, Check("fault", "configuration", str(fault), mend)
    cameras = ", ".join(f"{camera.name} ({camera.type})" for camera in config.camera)
    return config, Check("ok", "configuration", f"{path}: {cameras}, engine {config.engine.backend}")


def check_model(config: Config, path: Path) -> Iterator[Check]:
    """Run the model on the CPU, where every model file runs, and hold rules and calibrations against it."""
    try:
        card, sha256 = _run_model(config)
        Judge(config.verdict, card)
        for camera in config.camera:
            open_calibration(config, camera)
    except StationError as fault:
        yield Check("fault", "model", str(fault), f"station check --config {quote(str(path))}")
        return
    facts = f"{card.name}, {card.precision}, {len(card.labels)} labels, {card.crop.size_px} px crops"
    yield Check("ok", "model", f"{facts}, {sha256[:12]}" if sha256 else facts)


def _run_model(config: Config) -> tuple[ModelCard, str]:
    """Return the card and the hash of the configured model, once it has run."""
    engine = config.engine
    if isinstance(engine, FakeEngineConfig):
        return FakeEngine(engine.labels).card, ""
    with OnnxRuntimeEngine(engine.model, "cpu", engine.threads, engine.max_batch) as running:
        return running.card, running.sha256
