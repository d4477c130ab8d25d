"""Bring the index into line with the files, whichever is missing, a little at a time. Archive process or command.

An index that is lost or damaged is only one that lacks everything.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from station.archive.index import Index
from station.archive.shelf import DAMAGED, minutes, names, read_entry

__all__ = ["Reconciled", "reconcile"]


@dataclass(slots=True)
class Reconciled:
    """How far it came: folders of a minute looked through, evidence entered, damaged evidence among it, and struck out.

    `newest_ns` is when the newest of what was entered had been kept.
    """

    folders: int = 0
    entered: int = 0
    damaged: int = 0
    struck: int = 0
    newest_ns: int = 0


def reconcile(folder: Path, index: Index) -> Iterator[Reconciled]:
    """Enter what only the files have and strike out what only the index has; yield often, so that others may work.

    Evidence may be put away and entered between two steps; nothing may be taken away before the end.
    """
    done = Reconciled()
    known = index.minutes()
    for minute in minutes(folder):
        there, entered = names(folder, minute), index.names(minute)
        for name in sorted(there - entered):
            _enter(folder, index, minute, name, done)
            yield done
        for name in entered - there:
            index.remove(minute, name)
            done.struck += 1
        known.discard(minute)
        done.folders += 1
        yield done
    for minute in known:
        for name in index.names(minute):
            index.remove(minute, name)
            done.struck += 1
        yield done


def _enter(folder: Path, index: Index, minute: str, name: str, done: Reconciled) -> None:
    entry = read_entry(folder, minute, name)
    if entry is None:
        return
    index.add(entry)
    done.entered += 1
    if entry.counts_as == DAMAGED:
        done.damaged += 1
    else:
        done.newest_ns = max(done.newest_ns, entry.kept_ns)
