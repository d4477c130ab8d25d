"""Each module says what it makes: a docstring, and `__all__` with just what others may use."""

import importlib
import inspect
import pkgutil

import pytest

import calibration
import engines
import shadowline
import station
import training

MODULES = [
    module.name
    for package in (shadowline, station, engines, calibration, training)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_all_is_what_is_exported(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} does not say what it makes"
    if module.__spec__ is not None and module.__spec__.submodule_search_locations and not hasattr(module, "__all__"):
        return
    own = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == name
    }
    listed = set(module.__all__)
    assert not {key for key in listed if not hasattr(module, key)}, "listed and not there"
    assert own <= listed, f"public and not listed: {own - listed}"
