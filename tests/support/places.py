"""Folders that tests start other processes in and with."""

from __future__ import annotations

import os
from pathlib import Path

SUPPORT = Path(__file__).resolve().parent
REPO = SUPPORT.parents[1]
PYTHONPATH = f"{SUPPORT}{os.pathsep}{REPO}"  # of a process that imports a module of the tests, as `cells`
