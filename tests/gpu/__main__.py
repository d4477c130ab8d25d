"""`python -m tests.gpu`: checks and measures the engines of this machine; one JSON, one Markdown, tables. Main thread.

Exit code 0 when every target that was measured is kept, 1 when one is missed, 2 when nothing could be measured.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from engines import shipped_model
from shadowline.errors import StationError
from tests.gpu.engines import BACKENDS
from tests.gpu.report import missed, show
from tests.gpu.suite import SECTIONS, run_suite

_WIDTH = 140  # of tables in a file or pipe


class BackendChoice(StrEnum):
    TENSOR_RT = "tensor_rt"
    CUDA = "cuda"
    CPU = "cpu"
    ALL = "all"


SectionChoice = StrEnum("SectionChoice", {section.name.upper(): section.name for section in SECTIONS})  # type: ignore[misc]


def _main(
    json: Annotated[Path, typer.Option(help="Where the results go; the tables lie beside it as .md.")] = Path(
        "gpu.json"
    ),
    backend: Annotated[BackendChoice, typer.Option(help="Which engines.")] = BackendChoice.ALL,
    model: Annotated[
        list[Path] | None, typer.Option(help="Model file, may be repeated; default: the shipped ones.")
    ] = None,
    section: Annotated[list[SectionChoice] | None, typer.Option(help="Only this, may be repeated.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Little of everything: does the suite run here?")] = False,
) -> None:
    """Check and measure the engines of this machine."""
    console = Console(stderr=True, highlight=False, markup=False)
    models = model or sorted(shipped_model().parent.glob("*.onnx"))
    backends = [known for known in BACKENDS if backend in (known, "all")]
    sections = [known for known in SECTIONS if section is None or known.name in section]
    try:
        results = run_suite(models, backends, sections, quick, json, console.print)
    except StationError as fault:
        console.print(f"gpu suite: {fault}")
        raise typer.Exit(2) from fault
    show(results, Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH))
    console.print(f"{json} and {json.with_suffix('.md')} written")
    measured = any(section["engines"] for section in results["sections"].values())
    raise typer.Exit(2 if not measured else 1 if missed(results) else 0)


if __name__ == "__main__":
    typer.run(_main)
