"""Provenance of a result: configuration, source, libraries, device, time and memory."""

from __future__ import annotations

import importlib.metadata
import platform
import resource
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from topiclab.config.identity import config_hash

LIBRARIES = (
    "topiclab",
    "torch",
    "lightning",
    "transformers",
    "sentence-transformers",
    "numpy",
    "scipy",
    "scikit-learn",
)


def facts_of(cfg: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """The part of result.json that is the same for every task."""
    return {
        "config": {key: value for key, value in cfg.items() if key != "rerun"},  # asked of one line only
        "config_hash": config_hash(cfg),
        "git_revision": git_revision(),
        "versions": _versions(),
        "device": device_of(cfg["trainer"]["device"]),
        "seconds_total": round(seconds, 3),
        "peak_rss_gib": round(_peak_rss_gib(), 3),
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def git_revision() -> str | None:
    """The commit of topiclab's own source, with '-dirty' if it has changes; None outside a checkout."""
    return _revision(Path(__file__).resolve().parents[2])


@cache
def _revision(checkout: Path) -> str | None:
    """Cached: what a process has imported does not change with the checkout."""
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[library] = importlib.metadata.version(library)
    return found


def device_of(wanted: str) -> str:
    """The device that trainer.device meant, with its name; 'cpu' for a task that never imported torch."""
    torch = sys.modules.get("torch")
    if torch is None or wanted == "cpu":
        return "cpu"
    if torch.cuda.is_available() and wanted != "mps":
        index = int(wanted[5:]) if wanted.startswith("cuda:") else torch.cuda.current_device()
        return f"cuda: {torch.cuda.get_device_name(index)}" if index < torch.cuda.device_count() else wanted
    return "mps" if torch.backends.mps.is_available() else "cpu"


def reset_peak_rss() -> None:
    """Reset the peak memory of this process, so that its next cell does not inherit it (Linux only)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_rss_gib() -> float:
    status = Path("/proc/self/status")
    if status.is_file():
        peak = next(
            (line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), "VmHWM: 0 kB"
        )
        return int(peak.split()[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30  # bytes on macOS
