"""What clients hand to methods: checked, bounded, never believed; and what a method answers. Server's thread."""

from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import Any, TypeAlias

from asyncua import ua

__all__ = ["Error", "Handler", "checked", "id_of", "outcome"]

Handler: TypeAlias = Callable[..., Awaitable[list[ua.Variant]]]

_MOST_TEXT = 256
_MOST_ID = 64


class Error(IntEnum):
    """The out argument `Error`; the standard leaves what is below 0 to the application."""

    OK = 0
    STATE = -1
    """Has no place in this state."""
    UNKNOWN = -2
    """No such result, recipe or product."""
    REFUSED = -3
    """The station refuses; its reason is in the server's log."""
    SILENT = -4
    """The station does not answer in time."""
    ARGUMENT = -5
    """An argument can't be used."""


def checked(handler: Handler, *kinds: type | None) -> Handler:
    """Return `handler` behind a check of its arguments: that many, each of its kind; None takes anything."""

    async def call(parent: ua.NodeId, *arguments: ua.Variant) -> Any:
        if len(arguments) < len(kinds):
            return ua.StatusCode(ua.StatusCodes.BadArgumentsMissing)
        if len(arguments) > len(kinds):
            return ua.StatusCode(ua.StatusCodes.BadTooManyArguments)
        values = [argument.Value for argument in arguments]
        if not all(_fits(value, kind) for value, kind in zip(values, kinds, strict=True)):
            return ua.StatusCode(ua.StatusCodes.BadInvalidArgument)
        return await handler(*values)

    return call


def id_of(structure: Any) -> str | None:
    """Return the `Id` of an identification, empty for none given; None for one that can't be used."""
    if structure is None:
        return ""
    text = getattr(structure, "Id", None)
    if text is None:
        return ""
    usable = isinstance(text, str) and len(text) <= _MOST_ID and (text.isprintable())
    return text.strip() if usable else None


def outcome(error: Error, *before: ua.Variant) -> list[ua.Variant]:
    """Return a method's out arguments, of which `Error` is the last."""
    return [*before, ua.Variant(int(error), ua.VariantType.Int32)]


def _fits(value: Any, kind: type | None) -> bool:
    if kind is None:
        return True
    if kind is str:
        return value is None or (isinstance(value, str) and len(value) <= _MOST_TEXT)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)
