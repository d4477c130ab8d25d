"""Make the engine that the configuration asks for. Pure; the inspect thread enters what it returns."""

from typing import assert_never

from engines import Engine, FakeEngine, OnnxRuntimeEngine
from station.config import EngineConfig, FakeEngineConfig, OnnxRuntimeConfig

__all__ = ["open_engine"]


def open_engine(config: EngineConfig) -> Engine:
    """Return the engine of `config`, not yet entered."""
    match config:
        case OnnxRuntimeConfig():
            return OnnxRuntimeEngine(config.model, config.provider, config.threads, config.max_batch)
        case FakeEngineConfig():
            return FakeEngine(config.labels)
        case _:
            assert_never(config)
