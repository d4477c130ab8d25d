"""Every look that the doctor takes, in the order in which a person reads them. Main thread, child processes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

from engines.flavour import Flavour
from engines.gpu import Gpu, find_gpus
from engines.plan_cache import default_cache
from shadowline.errors import EngineError
from station.config import Config
from station.doctor import gpu, packages, settings, system
from station.doctor.base import Check, guarded

__all__ = ["examine"]


def examine(path: Path) -> Iterator[Check]:
    """Yield a check a line, as each is done, of this computer and of the configuration file at `path`."""
    yield from packages.check_versions()
    yield from guarded("packages", packages.check_installed)
    yield from guarded("kernels", packages.check_kernels)
    config, said = settings.read_settings(path)
    yield said
    if config is not None:
        yield from settings.check_model(config, path)
        yield settings.check_metrics(config)
        yield from settings.check_sockets(config)
    yield from _examine_networks(config)
    yield from _examine_computer(config)


def _examine_networks(config: Config | None) -> Iterator[Check]:
    engine = config.engine if config else None
    yield from guarded("onnx runtime", lambda: [packages.check_network_runtime(engine)])
    gpus, refusal = _gpus()
    if gpus:
        yield from gpu.check_gpus(gpus, engine)
    else:
        yield from guarded("gpu", lambda: [gpu.check_no_gpu(refusal, gpu.nvidia_cards(), engine)])
    modules = (*get_args(Flavour), "pycuda.driver")
    loaded = (packages.load_apart(module) for module in modules)
    yield from guarded("tensorrt", lambda: packages.check_tensor_rt(list(loaded), bool(gpus), engine))


def _examine_computer(config: Config | None) -> Iterator[Check]:
    needs_gpu = gpu.asks_for_gpu(config.engine if config else None)
    yield from guarded("governor", lambda: [system.check_governor()])
    yield from guarded("limits", lambda: system.check_limits(needs_gpu))
    yield from guarded("socket buffers", lambda: [system.check_socket_buffers()])
    yield from guarded("links", system.check_links)
    yield from guarded("disk", lambda: [system.check_disk("disk", Path.cwd())])
    if config is not None:
        yield from _examine_folders({"journal disk": config.journal.folder, "archive disk": config.archive.folder})
    yield from guarded("plan cache", lambda: _examine_cache(config))
    yield from guarded("clock", system.check_clock)


def _examine_folders(folders: Mapping[str, Path | None]) -> Iterator[Check]:
    for name, folder in folders.items():
        if folder is not None:
            yield from guarded(name, lambda: [system.check_disk(name, folder)])  # noqa: B023 - called at once


def _examine_cache(config: Config | None) -> Iterator[Check]:
    cache = (config.swap.cache if config else None) or default_cache()
    yield system.check_disk("plan cache", cache)
    yield from system.check_writable("cache access", cache)


def _gpus() -> tuple[tuple[Gpu, ...], EngineError | None]:
    try:
        return find_gpus(), None
    except EngineError as refusal:
        return (), refusal
