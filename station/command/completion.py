"""Completion of the command in bash, as one file that starts no Python. Pure."""

from collections.abc import Iterator
from typing import Any

from typer.core import TyperGroup

__all__ = ["bash_completion"]

_SCRIPT = """\
# bash completion of `station`; made by `station install`
declare -gA _station_words=(
{table}
)
_station() {{
    local place=station word
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        [[ -n "$word" && -v _station_words["$place $word"] ]] && place="$place $word"
    done
    mapfile -t COMPREPLY < <(compgen -W "${{_station_words[$place]}}" -- "${{COMP_WORDS[COMP_CWORD]}}")
}}
complete -o bashdefault -o default -F _station station
"""


def bash_completion(command: Any) -> str:
    """Return the script that completes sub-commands and options of `command`, and file names elsewhere.

    `command` is what Typer made: of click's classes, or of a copy of its own.
    """
    table = "\n".join(f'    ["{place}"]="{" ".join(words)}"' for place, words in _places(command, "station"))
    return _SCRIPT.format(table=table)


def _places(command: Any, place: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command with its words, from `place` downwards."""
    options = [word for one in command.params for word in (*one.opts, *one.secondary_opts) if word.startswith("--")]
    commands = command.commands if isinstance(command, TyperGroup) else {}
    yield place, [*commands, *options, "--help"]
    for name, below in commands.items():
        yield from _places(below, f"{place} {name}")
