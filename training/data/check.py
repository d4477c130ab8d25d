"""What is wrong or noteworthy about a folder of labelled pictures, before anything is trained on it. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from training.data.boxes import BOX_FAULTS, BoxFault, boxes_of
from training.data.groups import group_pictures
from training.data.tree import Raw, Tree, deep_bits, read_files, tree_of

__all__ = ["DataReport", "Finding", "check", "check_files"]

Severity: TypeAlias = Literal["error", "warning", "note"]

_EXAMPLES = 5
_FEW_PICTURES = 20
_FEW_GROUPS = 3
_IMBALANCE = 10.0


class Finding(BaseModel):
    """One thing found: how bad, one sentence, and the first pictures that it is about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    severity: Severity
    text: str
    examples: tuple[str, ...] = ()


class DataReport(BaseModel):
    """A folder of pictures: usable pictures and groups a class, sizes and bit depths of the files, and the findings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: str
    classes: dict[str, int]
    groups: dict[str, int]
    """Class -> groups of pictures that belong together; what a split can share out."""
    imbalance: float | None
    """Pictures of the largest class for one of the smallest; none where a class is empty."""
    sizes: dict[str, int]
    """Width x height -> files."""
    bit_depths: dict[int, int]
    """Bits a pixel as they are used -> files."""
    findings: tuple[Finding, ...]

    def failed(self) -> bool:
        """Return whether training would refuse this folder."""
        return any(finding.severity == "error" for finding in self.findings)


def check(
    root: Path,
    boxes: Path | None = None,
    aliases: Mapping[str, str] | None = None,
    group_pattern: str | None = None,
    box_size: tuple[int, int] | None = None,
) -> DataReport:
    """Return the report of `root`/<class>/ and, with `boxes`, of its Pascal VOC files.

    `aliases`, `group_pattern` and `box_size` are those of `read_tree`, `group_pictures` and `read_boxes`. Raises
    `StationError` when there is no class folder.
    """
    return check_files(read_files(root, aliases or {}), boxes, aliases, group_pattern, box_size)


def check_files(
    raw: Raw,
    boxes: Path | None = None,
    aliases: Mapping[str, str] | None = None,
    group_pattern: str | None = None,
    box_size: tuple[int, int] | None = None,
) -> DataReport:
    """Return the report of files that are read already; see `check`."""
    tree = tree_of(raw)
    groups = group_pictures(tree, group_pattern)
    counts = {label: tree.labels.count(label) for label in raw.folders}
    grouped = Counter(label for label, _ in set(zip(tree.labels, groups.tolist(), strict=True)))
    findings = [
        *_class_findings(counts, grouped),
        *_file_findings(raw),
        *_copy_findings(raw),
        *_twin_findings(tree, groups),
        *([] if boxes is None else _box_findings(tree_of(raw, "also"), boxes, aliases, box_size)),
    ]
    return DataReport(
        root=str(raw.root),
        classes=counts,
        groups={label: grouped[label] for label in raw.folders},
        imbalance=max(counts.values()) / min(counts.values()) if min(counts.values()) else None,
        sizes={f"{width}x{height}": n for (height, width), n in Counter(i.shape for i in raw.levels).most_common()},
        bit_depths=_depths(raw),
        findings=tuple(sorted(findings, key=lambda finding: get_args(Severity).index(finding.severity))),
    )


def _depths(raw: Raw) -> dict[int, int]:
    bits = deep_bits(raw.levels)
    return dict(Counter(8 if levels.dtype == np.uint8 else bits for levels in raw.levels))


def _class_findings(counts: Mapping[str, int], groups: Mapping[str, int]) -> list[Finding]:
    """Return which classes are empty, too small or far apart."""
    found = []
    for label, count in counts.items():
        if count < 2:
            text = f"class {label} has {count} usable pictures; at least 2 are needed: add some or remove its folder"
            found.append(Finding(severity="error", text=text))
        elif groups[label] < _FEW_GROUPS:
            text = f"class {label} has {count} pictures in {groups[label]} groups; it will be missing on a side"
            found.append(Finding(severity="warning", text=text))
        elif count < _FEW_PICTURES:
            text = f"class {label} has only {count} pictures; its figures will be uncertain"
            found.append(Finding(severity="warning", text=text))
    if len(counts) < 2:
        found.append(Finding(severity="error", text="there is one class folder; a network needs two classes or more"))
    if max(counts.values()) > _IMBALANCE * max(min(counts.values()), 1):
        text = f"the largest class has over {_IMBALANCE:.0f} times the pictures of the smallest; keep sampling balanced"
        found.append(Finding(severity="warning", text=text))
    return found


def _file_findings(raw: Raw) -> list[Finding]:
    """Return which files can't be read or hold nothing, and whether sizes and bit depths are mixed."""
    flat = [path for path, levels in zip(raw.paths, raw.levels, strict=True) if levels.min() == levels.max()]
    depths, sizes = _depths(raw), {levels.shape for levels in raw.levels}
    kinds = " and ".join(f"{count} of {bits}" for bits, count in sorted(depths.items()))
    return [
        *_some("warning", "files that can't be read and are left out", sorted(raw.unreadable)),
        *_some("warning", "pictures of one grey level all over; remove them", flat),
        *([Finding(severity="warning", text=f"bit depths are mixed: {kinds} bits")] if len(depths) > 1 else []),
        *([Finding(severity="note", text=f"pictures have {len(sizes)} sizes")] if len(sizes) > 1 else []),
    ]


def _copy_findings(raw: Raw) -> list[Finding]:
    """Return which files are equal, in one class and across classes."""
    copies: dict[str, list[int]] = {}
    for row, sha256 in enumerate(raw.sha256):
        copies.setdefault(sha256, []).append(row)
    several = [rows for rows in copies.values() if len(rows) > 1]
    within = [rows for rows in several if len({raw.labels[row] for row in rows}) == 1]
    across = [rows for rows in several if len({raw.labels[row] for row in rows}) > 1]
    return [
        *_some(
            "warning",
            "pictures that stand in several classes and are left out; keep each in one",
            _together(raw.paths, across),
        ),
        *_some("note", "pictures with exact copies in their class; all on one side", _together(raw.paths, within)),
    ]


def _twin_findings(tree: Tree, groups: NDArray[np.int64]) -> list[Finding]:
    """Return the groups of several pictures, and those of them that hold several classes."""
    members: dict[int, list[int]] = {}
    for row, group in enumerate(groups.tolist()):
        members.setdefault(group, []).append(row)
    several = sorted((rows for rows in members.values() if len(rows) > 1), key=len, reverse=True)
    mixed = [rows for rows in several if len({tree.labels[row] for row in rows}) > 1]
    largest = len(several[0]) if several else 0
    text = f"groups of near twins, or of one strip or part, each to stay on one side, the largest of {largest}"
    return [
        *_some("note", text, _together(tree.paths, several)),
        *_some("note", "groups that hold several classes", _together(tree.paths, mixed)),
    ]


def _box_findings(
    tree: Tree, folder: Path, aliases: Mapping[str, str] | None, box_size: tuple[int, int] | None
) -> list[Finding]:
    """Return a finding a kind of fault of the boxes, and the files that belong to no picture."""
    found = boxes_of(tree, folder, aliases, box_size)
    findings = []
    for kind in get_args(BoxFault):
        examples = [f"{path} ({text})" for path, one in found.items() for name, text in one.faults if name == kind]
        findings += _some("warning", f"boxes {BOX_FAULTS[kind]}", examples)
    known = {Path(path).stem for path in tree.paths} | {Path(path).stem for path in tree.skipped}
    strangers = sorted(file.name for file in folder.glob("*.xml") if file.stem not in known)
    return [*findings, *_some("note", "files of boxes that belong to no picture", strangers)]


def _some(severity: Severity, text: str, examples: Sequence[str]) -> list[Finding]:
    """Return one finding that counts its examples, or none when there are none."""
    if not examples:
        return []
    return [Finding(severity=severity, text=f"{text}: {len(examples)}", examples=tuple(examples[:_EXAMPLES]))]


def _together(paths: Sequence[str], groups: Iterable[Sequence[int]]) -> list[str]:
    """Return the first paths of each group of rows as one text."""
    return [" = ".join(paths[row] for row in rows[:3]) + (" = ..." if len(rows) > 3 else "") for rows in groups]
