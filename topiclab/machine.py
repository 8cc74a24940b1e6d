"""Cores, memory and GPUs of this machine; imports nothing heavy and does not initialize CUDA."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")  # limits of a container; the file names of version 2, then of version 1
MEMORY_FILES = ("memory.max", "memory/memory.limit_in_bytes")
CPU_FILES = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))


def num_cores() -> int:
    """Number of cores this process may use, limited by the CPU quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for files in (tuple(CGROUP / name for name in names) for names in CPU_FILES):
        if all(file.is_file() for file in files):
            quota, period = " ".join(file.read_text() for file in files).split()
            if quota.isdigit():  # 'max' or -1 if there is no limit
                cores = min(cores, int(quota) // int(period))
    return max(1, cores)


def memory_bytes() -> int:
    """Memory of the machine, or the limit of the container of this process if that is lower."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in (CGROUP / name for name in MEMORY_FILES):
        if path.is_file() and (limit := path.read_text().strip()).isdigit():
            limits.append(int(limit))
    return min(limits)


def own_bytes() -> int:
    """Private memory of this process that no file backs; 0 where the system does not report it."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), 0)


def visible_gpus() -> list[str]:
    """CUDA devices by their names in CUDA_VISIBLE_DEVICES, else by the driver's indices."""
    if (given := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in given.split(",") if name]
    return [name for name in _ask_driver("index") if name.isdigit()]  # a broken driver answers in prose


def gpu_bytes() -> int:
    """Memory of the smallest CUDA device; 0 without one."""
    return min((int(size) * 2**20 for size in _ask_driver("memory.total") if size.isdigit()), default=0)


def _ask_driver(field: str) -> list[str]:
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader,nounits"]
    return subprocess.run(command, capture_output=True, text=True).stdout.split()
