"""Checks of the configuration: it can be read, its model runs, its rules and calibrations fit. Main thread."""

from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from engines import FakeEngine, OnnxRuntimeEngine
from engines.model import ModelCard
from shadowline.errors import ConfigError, KeysError, StationError
from station.calibrated import open_calibration
from station.config import Config, FakeEngineConfig
from station.config_file import load
from station.doctor.base import Check
from station.metrics.server import open_guards
from station.security.roster import Roster
from station.security.survey import survey
from station.verdict import Judge

__all__ = ["check_metrics", "check_model", "check_sockets", "read_settings"]


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


def check_metrics(config: Config) -> Check:
    """Open what guards the metrics, and warn where nothing does though others reach them."""
    metrics = config.metrics
    if not metrics.enabled:
        return Check("ok", "metrics", "off")
    try:
        open_guards(metrics)
    except ConfigError as fault:
        return Check("fault", "metrics", str(fault), "see docs/monitoring.md, “Beyond this computer”")
    found = metrics.url(metrics.port)
    if metrics.exposed:
        found += " is open to the network without TLS and password"
        return Check("warning", "metrics", found, "see docs/monitoring.md, “Beyond this computer”")
    return Check("ok", "metrics", found)


def check_sockets(config: Config) -> Iterator[Check]:
    """Read the keys, and warn of sockets that other computers can use without any."""
    if config.security.folder is not None:
        try:
            Roster(config.security.folder)
        except KeysError as fault:
            yield Check("fault", "keys", str(fault), "see docs/security.md")
    for exposure in survey(config):
        if exposure.open:
            mend = f"remove plain_network from [{exposure.place}], see docs/security.md"
            yield Check("warning", exposure.place, exposure.told, mend)
        else:
            yield Check("ok", exposure.place, exposure.told)


def _run_model(config: Config) -> tuple[ModelCard, str]:
    """Return the card and the hash of the configured model, once it has run."""
    engine = config.engine
    if isinstance(engine, FakeEngineConfig):
        return FakeEngine(engine.labels).card, ""
    with OnnxRuntimeEngine(engine.model, "cpu", engine.threads, engine.max_batch) as running:
        return running.card, running.sha256
