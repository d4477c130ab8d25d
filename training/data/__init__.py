"""Labelled pictures: folder-per-class trees, boxes, what belongs together, and the split. Pure but for reading."""

from training.data.boxes import box_notes, boxes_of, read_boxes, with_box_labels
from training.data.groups import group_pictures, twin_groups
from training.data.manifest import (
    Manifest,
    Picture,
    Split,
    check_leak,
    check_split,
    make_manifest,
    read_manifest,
)
from training.data.marked import Marked, MarkSettings, manifest_of, read_marked, split_marked
from training.data.tree import Ambiguous, Tree, read_grey, read_tree

__all__ = [
    "Ambiguous",
    "Manifest",
    "MarkSettings",
    "Marked",
    "Picture",
    "Split",
    "Tree",
    "box_notes",
    "boxes_of",
    "check_leak",
    "check_split",
    "group_pictures",
    "make_manifest",
    "manifest_of",
    "read_boxes",
    "read_grey",
    "read_manifest",
    "read_marked",
    "read_tree",
    "split_marked",
    "twin_groups",
    "with_box_labels",
]
