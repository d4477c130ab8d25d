"""Completion as bash does it: the script is loaded by a real one."""

import subprocess
from pathlib import Path

import pytest
import typer
import typer.main

from station.command.completion import bash_completion

app = typer.Typer(add_completion=False)
group = typer.Typer()
app.add_typer(group, name="engine")


@app.command()
def run(config: Path = Path("x"), fast: bool = False) -> None:
    """Run."""


@group.command()
def build(model: Path) -> None:
    """Build."""


@group.command("list")
def show(as_json: bool = typer.Option(False, "--json")) -> None:
    """List."""


SCRIPT = bash_completion(typer.main.get_command(app))
ASK = """
source /dev/stdin
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _station; printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(*words: str) -> list[str]:
    """Return what bash offers for the last of `words`."""
    done = subprocess.run(["bash", "-c", ASK, "bash", *words], input=SCRIPT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("station", "r"), ["run"]),
        (("station", ""), ["run", "engine", "--help"]),
        (("station", "engine", ""), ["build", "list", "--help"]),
        (("station", "engine", "list", "--j"), ["--json"]),
        (("station", "run", "--"), ["--config", "--fast", "--no-fast", "--help"]),
        (("station", "run", "--config", "li"), []),
        (("station", "unheard", "of"), []),
    ],
)
def test_bash_offers_what_fits(words: tuple[str, ...], offered: list[str]) -> None:
    assert complete(*words) == offered
