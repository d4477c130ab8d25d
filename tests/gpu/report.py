"""Results as one JSON, as Markdown and as tables on the terminal. Pure."""

import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["as_markdown", "missed", "save", "show"]


def save(results: dict[str, Any], path: Path) -> None:
    """Write `path` and, beside it, the same as Markdown; whole or not at all, so that a crash later loses nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for target, text in ((path, json.dumps(results, indent=2) + "\n"), (path.with_suffix(".md"), as_markdown(results))):
        fresh = target.with_suffix(f"{target.suffix}.{os.getpid()}")
        fresh.write_text(text)
        fresh.rename(target)


def missed(results: dict[str, Any]) -> list[str]:
    """Return in words each row that does not keep its target."""
    return [
        f"{section['title']}: {engine}: " + ", ".join(f"{key} {row[key]}" for key in row if key != "met")
        for section in results["sections"].values()
        for engine, rows in section["engines"].items()
        for row in rows
        if row.get("met") is False
    ]


def as_markdown(results: dict[str, Any]) -> str:
    """Return `results` as Markdown: machine, what was not run and why, one table a section."""
    machine = results["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items() if version)
    lines = [
        f"Measured {results['started']}{', quick' if results['quick'] else ''}.",
        "",
        f"- GPU: {_in_words(machine['gpu'])}",
        f"- processor: {machine['processor']}, {machine['cores']} cores, {machine['system']}",
        f"- Python {machine['python']}, {packages}",
        *(f"- **not run**: {name}: {reason}" for name, reason in results["not_run"].items()),
    ]
    for section in results["sections"].values():
        lines += ["", f"### {section['title']}", ""]
        lines += [f"- **not run**: {engine}: {reason}" for engine, reason in section["not_run"].items()]
        columns, rows = _table(section)
        if rows:
            lines += [""] if section["not_run"] else []
            lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
            lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def show(results: dict[str, Any], console: Console) -> None:
    """Print `results` as tables, then the targets that were missed."""
    for section in results["sections"].values():
        columns, rows = _table(section)
        if rows:
            table = Table(*columns, title=section["title"])
            for row in rows:
                table.add_row(*row)
            console.print(table)
        for engine, reason in section["not_run"].items():
            console.print(f"{section['title']}: not run: {engine}: {reason}", markup=False)
    for name, reason in results["not_run"].items():
        console.print(f"not run: {name}: {reason}", markup=False)
    for words in missed(results):
        console.print(f"target missed: {words}", markup=False, style="red")


def _table(section: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return the columns that any row of `section` has, and its rows in words."""
    flat = [(engine, row) for engine, rows in section["engines"].items() for row in rows]
    columns = list(dict.fromkeys(key for _, row in flat for key in row))
    return ["engine", *columns], [[engine, *(_cell(row.get(key)) for key in columns)] for engine, row in flat]


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return "–" if value is None else str(value)


def _in_words(value: Any) -> str:
    return ", ".join(f"{name} {inner}" for name, inner in value.items()) if isinstance(value, dict) else str(value)
