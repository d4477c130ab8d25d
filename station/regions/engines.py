"""The networks of learned finders: opened once for all that want the same, freed together. Inspect thread."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from engines import FrameEngine, FrameEngineConfig, open_frame_engine, shipped_detector
from engines.model import UNKNOWN
from shadowline.errors import ConfigError
from station.config import (
    AnomalyConfig,
    FinderConfig,
    HeatmapConfig,
    LearnedConfig,
    RegionsConfig,
    name_of,
    parts_of,
)
from station.regions.reduce import reduced_px
from station.regions.tiles import Tiling, lay_tiles

__all__ = ["FinderLabels", "FrameEngines", "OpenFinder"]


@dataclass(frozen=True, slots=True)
class OpenFinder:
    """A finder file in use: what the configuration wants of it, and the entered engine that runs it."""

    config: LearnedConfig
    engine: FrameEngine

    @property
    def name(self) -> str:
        """What events call it."""
        return name_of(self.config)

    @property
    def title(self) -> str:
        """Which file it is and what runs it, for people."""
        return f"{self.engine.card.name} {self.engine.sha256[:12]} on {self.engine.name}"

    @property
    def threshold(self) -> float:
        """What counts as found: the configured threshold, else the file's own."""
        return self.engine.card.threshold if self.config.threshold is None else self.config.threshold

    @property
    def scale(self) -> tuple[float, float]:
        """Frame pixels to one input pixel, x and y."""
        return self.config.scale_xy or self.engine.card.scale

    def tiling(self, shape: tuple[int, ...]) -> Tiling:
        """Return how a frame of `shape` is run. Raises `EngineMismatch` where it takes too many tiles."""
        return lay_tiles(reduced_px(shape, self.scale), self.engine.card, self.config.tile_px)

    @property
    def labels(self) -> tuple[str, ...]:
        """What it calls regions by itself; empty where the classifier names them."""
        if isinstance(self.config, AnomalyConfig):
            return (UNKNOWN,) if self.config.naming == "unknown" else ()
        return () if self.config.naming == "replace" else self.engine.card.labels


@dataclass(frozen=True, slots=True)
class FinderLabels:
    """What finders call regions by themselves: `kept` as it is, or `confirmed` by the classifier."""

    kept: tuple[str, ...] = ()
    confirmed: tuple[str, ...] = ()


class FrameEngines:
    """Opens finder files; those with the same file and engine settings share one engine. Leaving frees all."""

    def __init__(
        self,
        plans: Path | None = None,
        open_engine: Callable[[FrameEngineConfig], FrameEngine] = open_frame_engine,
    ) -> None:
        """`plans` is the folder of built plans, where it is not the usual one."""
        self._plans = plans
        self._open_engine = open_engine
        self._engines: dict[FrameEngineConfig, FrameEngine] = {}
        self._running = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engines.clear()
        self._running.__exit__(kind, error, trace)

    def open(self, config: LearnedConfig) -> OpenFinder:
        """Return the finder file of `config`, its engine entered.

        Raises `EngineError` when it can't be run, `ConfigError` when the configuration does not fit it.
        """
        opened = OpenFinder(config, self._enter(config))
        _refuse_misfit(opened)
        return opened

    def all_of(self, config: FinderConfig) -> tuple[OpenFinder, ...]:
        """Return the finder files of `config` in its order, as `open` does."""
        return tuple(self.open(part) for part in parts_of(config) if not isinstance(part, RegionsConfig))

    def labels(self, config: FinderConfig) -> FinderLabels:
        """Return what the finders of `config` call regions by themselves."""
        opened = self.all_of(config)
        confirmed = [label for one in opened if one.config.naming == "confirm" for label in one.labels]
        kept = [label for one in opened if one.config.naming != "confirm" for label in one.labels]
        return FinderLabels(tuple(dict.fromkeys(kept)), tuple(dict.fromkeys(confirmed)))

    def _enter(self, config: LearnedConfig) -> FrameEngine:
        wanted = FrameEngineConfig(
            model=config.model or shipped_detector(),
            backend=config.backend,
            provider=config.provider,
            threads=config.threads,
            gpu=config.gpu,
            cache=self._plans,
        )
        if wanted not in self._engines:
            self._engines[wanted] = self._running.enter_context(self._open_engine(wanted))
        return self._engines[wanted]


def _refuse_misfit(opened: OpenFinder) -> None:
    """Raise `ConfigError` where the finder file is not what the table says."""
    config, card = opened.config, opened.engine.card
    where = f"[regions] model {config.model or shipped_detector()}"
    if card.kind != config.type:
        raise ConfigError(f'{where}: a finder file of kind {card.kind}, not {config.type}: set type = "{card.kind}"')
    if config.tile_px is not None and card.input_px is not None:
        height, width = card.input_px
        raise ConfigError(f"{where}: takes pictures of {width}×{height} alone, which are its tiles: remove tile_px")
    if isinstance(config, HeatmapConfig) and config.naming != "replace" and not card.labels:
        raise ConfigError(f'{where}: has one map of any defect and no labels to {config.naming}: naming = "replace"')
