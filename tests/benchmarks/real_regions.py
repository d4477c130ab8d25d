"""Run the finder over real pictures and say what it finds, beside a plain OpenCV chain. Main thread.

    SHADOWLINE_DATA=… python tests/benchmarks/real_regions.py [--write docs/regions.md]

NEU: a box counts as found when a region's box overlaps it by IoU ≥ 0.3. Magnetic tiles: a component of the mask
counts as found when at least 20 % of its pixels are covered by a region; the stricter figure takes the pixels beyond
the limit alone (`pixels`), the other the whole boxes of the regions (`boxes`). A region is false when its box holds
no pixel of the mask. The plain chain has no pixels of regions, only boxes, so `pixels` are those of its mask.
Parameters were chosen on the half `chosen on` (seeded by picture), the half `other` is what to read.
"""

import argparse
import os
import random
import sys
import time
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from station.config import RegionsConfig
from station.regions import Regions, ShadowFinder

SETTINGS = Path(__file__).parents[2] / "docs" / "regions.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
