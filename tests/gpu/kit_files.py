"""The files of an offline kit: cut into parts, joined again, each with its SHA-256. Pure."""

import hashlib
import shutil
from pathlib import Path
from typing import Final

from shadowline.errors import ConfigError

__all__ = ["JOINED_SUMS", "SUMS", "join_parts", "kit_files", "sha256", "split_files", "write_sums"]

SUMS: Final = "SHA256SUMS"
JOINED_SUMS: Final = "SHA256SUMS.joined"
_PART = ".part-"
_MOST_PARTS: Final = 100
_CHUNK_BYTES: Final = 1 << 20


def sha256(path: Path) -> str:
    """Return the hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def split_files(folder: Path, part_bytes: int) -> dict[str, str]:
    """Cut each file of `folder` that is larger than `part_bytes` into NAME.part-00, -01 …; 0 cuts none.

    Returns the hash of each file that was cut, by name. Raises `ConfigError` before it touches a file that would take
    more than 100 parts.
    """
    large = [path for path in sorted(folder.glob("*")) if path.is_file() and 0 < part_bytes < path.stat().st_size]
    for path in large:
        if path.stat().st_size > _MOST_PARTS * part_bytes:
            raise ConfigError(f"{path}: more than {_MOST_PARTS} parts of {part_bytes} bytes: make the parts larger")
    hashes = {path.name: sha256(path) for path in large}
    for path in large:
        _split(path, part_bytes)
    return hashes


def join_parts(folder: Path) -> None:
    """Undo `split_files`. Where a file lies whole beside its parts, cutting it was broken off: the parts go."""
    for first in sorted(folder.glob(f"*{_PART}00")):
        whole = first.with_name(first.name.removesuffix(f"{_PART}00"))
        parts = sorted(folder.glob(f"{whole.name}{_PART}[0-9][0-9]"))
        if not whole.exists():
            joining = whole.with_name(f"{whole.name}.joining")
            with joining.open("wb") as target:
                for part in parts:
                    with part.open("rb") as source:
                        shutil.copyfileobj(source, target)
            joining.rename(whole)
        for part in parts:
            part.unlink()


def write_sums(kit: Path, joined: dict[str, str]) -> None:
    """Write the sums of the files in `kit`, and of those that joining will give, as `sha256sum` reads them.

    A `venv` that was installed into the kit is no part of it.
    """
    (kit / JOINED_SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(joined.items())))
    files = [path for path in kit_files(kit) if path != kit / SUMS]
    (kit / SUMS).write_text("".join(f"{sha256(path)}  {path.relative_to(kit)}\n" for path in files))


def kit_files(kit: Path) -> list[Path]:
    """Return the files of `kit`, without a `venv` that was installed into it."""
    inside = (path for path in kit.rglob("*") if path.relative_to(kit).parts[0] != "venv")
    return sorted(path for path in inside if path.is_file())


def _split(path: Path, part_bytes: int) -> None:
    with path.open("rb") as source:
        for number in range(-(-path.stat().st_size // part_bytes)):
            with path.with_name(f"{path.name}{_PART}{number:02}").open("wb") as part:
                left = part_bytes
                while left and (chunk := source.read(min(left, _CHUNK_BYTES))):
                    part.write(chunk)
                    left -= len(chunk)
    path.unlink()
