"""Folders for processes that tests start."""

from __future__ import annotations

import os
from pathlib import Path

SUPPORT = Path(__file__).resolve().parent
REPO = SUPPORT.parents[1]
PYTHONPATH = f"{SUPPORT}{os.pathsep}{REPO}"  # for a process that imports a test module, such as `cells`
