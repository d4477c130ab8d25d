"""Which keys of a configuration may change while the line runs, and which differ between two. Pure."""

from collections.abc import Iterator
from typing import Any, Final, Literal, TypeAlias

from shadowline.errors import RestartNeeded
from station.config import Config, FinderLimits
from station.config_file import name_place

__all__ = ["ReloadOutcome", "changed_keys", "may_change"]

ReloadOutcome: TypeAlias = Literal["taken", "refused"]
"""A configuration that is read again holds from the next frame on, or leaves the one before in force."""

Key: TypeAlias = tuple[int | str, ...]

_MISSING: Final = object()
_ANY: Final = "*"
"""Any number in a list of tables."""

_SAFE: Final[tuple[Key, ...]] = (
    ("station", "budget_ms"),
    *(("regions", key) for key in FinderLimits.model_fields),
    *(("regions", "finders", _ANY, key) for key in FinderLimits.model_fields),
    ("regions", "merge_iou"),
    ("verdict",),
    ("gateway",),  # read by processes of their own
    ("console",),
    ("recipe",),
    ("station", "recipe"),
    ("swap", "max_prepared"),
    ("swap", "max_flip_share"),
    ("swap", "max_disagreement"),
    ("swap", "golden_loss"),
    ("swap", "shadow_crops"),
    ("swap", "shadow_s"),
    ("swap", "probation_frames"),
    ("swap", "max_late_share"),
)
"""Keys, or tables with all of theirs, that are only read: nothing was opened, sized or learnt by them."""
_TABLES: Final[tuple[Key, ...]] = (("camera",), ("regions", "finders"))
"""Lists of tables, of which single keys may change."""


def changed_keys(old: Config, new: Config) -> list[str]:
    """Return the keys in which `new` differs from `old`, as `[table] key`.

    Raises `RestartNeeded` that names those which need one.
    """
    changed = list(_differences(old.model_dump(), new.model_dump()))
    unsafe = [name_place(list(key)) for key in changed if not may_change(key)]
    if unsafe:
        raise RestartNeeded(f"{', '.join(unsafe)}: a change of that needs a restart")
    return [name_place(list(key)) for key in changed]


def may_change(key: Key) -> bool:
    """Return whether that key, or a key of that table, may change while the line runs."""
    return any(_begins(key, safe) for safe in _SAFE)


def _begins(key: Key, safe: Key) -> bool:
    return len(key) >= len(safe) and all(one in (_ANY, other) for one, other in zip(safe, key, strict=False))


def _differences(old: Any, new: Any, place: Key = ()) -> Iterator[Key]:
    """Yield the places where two values of tables, lists and plain values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from _differences(old.get(key, _MISSING), new.get(key, _MISSING), (*place, key))
    elif isinstance(old, tuple) and isinstance(new, tuple) and place in _TABLES:
        yield from _differences(dict(enumerate(old)), dict(enumerate(new)), place)
    elif old != new:
        yield place
