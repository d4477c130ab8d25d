"""What the requests of the settings are made of. Pure."""

from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict

__all__ = ["Body", "Words"]


def _written(words: str) -> str:
    try:
        words.encode()
    except UnicodeEncodeError:
        raise ValueError("there are letters in it that are none") from None
    return words


Words: TypeAlias = Annotated[str, AfterValidator(_written)]
"""Text that can be written to a file: JSON may hold halves of letters."""


class Body(BaseModel):
    """A JSON body; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")
