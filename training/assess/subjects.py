"""The configurations to be measured: each file as it is, or once with each of some thresholds. Pure but for reading."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shadowline.errors import ConfigError
from station.config import CombineConfig, Config, FinderConfig, RegionsConfig
from station.config_file import load

__all__ = ["Subject", "subjects_of", "with_threshold"]


@dataclass(frozen=True, slots=True)
class Subject:
    """One configuration, and what tables call it."""

    name: str
    config: Config


def subjects_of(files: Sequence[Path], thresholds: Sequence[float]) -> list[Subject]:
    """Return the configurations of some files, in their order. Raises `ConfigError` for a file or threshold amiss."""
    stems = [file.stem for file in files]
    names = [stem if stems.count(stem) == 1 else str(file) for stem, file in zip(stems, files, strict=True)]
    found = [Subject(name, load(file)) for name, file in zip(names, files, strict=True)]
    if not thresholds:
        return found
    return [_at(subject, threshold) for subject in found for threshold in thresholds]


def with_threshold(regions: FinderConfig, threshold: float) -> FinderConfig:
    """Return a finder whose learned parts take what is above `threshold`; shadows have none."""
    if isinstance(regions, CombineConfig):
        parts = tuple(with_threshold(part, threshold) for part in regions.finders)
        return regions.model_copy(update={"finders": parts})
    return regions if isinstance(regions, RegionsConfig) else regions.model_copy(update={"threshold": threshold})


def _at(subject: Subject, threshold: float) -> Subject:
    if not 0 <= threshold <= 1:
        raise ConfigError(f"--threshold {threshold:g}: expected 0 to 1")
    regions = with_threshold(subject.config.regions, threshold)
    if regions == subject.config.regions and isinstance(regions, RegionsConfig):
        raise ConfigError(f"--threshold: {subject.name} has no learned finder, shadows have limits of their own")
    return Subject(f"{subject.name} @ {threshold:g}", subject.config.model_copy(update={"regions": regions}))
