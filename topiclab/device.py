"""Device and precision of models and encoders."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

BF16_FLAGS = ("avx512_bf16", "amx_bf16")


def resolve_device(device: str) -> str:
    """Resolve `auto` to CUDA, else MPS, else the CPU; raise ValueError for a device that does not exist."""
    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(
            f"trainer.device={device}, but torch finds no CUDA device; use trainer.device=auto or cpu"
        )
    if device.startswith("cuda:") and int(device[5:]) >= torch.cuda.device_count():
        raise ValueError(
            f"trainer.device={device}, but torch finds {torch.cuda.device_count()} CUDA devices, "
            "numbered from 0; choose one of them"
        )
    if device == "mps" and not torch.backends.mps.is_available():
        raise ValueError("trainer.device=mps, but torch finds no MPS device; use trainer.device=auto or cpu")
    return device


def resolve_precision(precision: str, device: str) -> str:
    """Resolve `auto` to bf16 on CUDA and on a CPU with bf16 instructions, else fp32.

    The manifest records the precision used.
    """
    if precision != "auto":
        return precision
    has_bf16 = (
        _cpu_has_bf16() if device == "cpu" else device.startswith("cuda") and torch.cuda.is_bf16_supported()
    )
    return "bf16" if has_bf16 else "fp32"


def trains_in_bf16(precision: str, device: torch.device) -> bool:
    """True if a model trains in mixed bf16: `auto` only on CUDA, since small nets gain nothing on a CPU."""
    is_able = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return precision == "bf16" or (precision == "auto" and is_able)


def device_name(device: str) -> str:
    """Product name of the device, for comparing run times."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def _cpu_has_bf16() -> bool:
    """True if bf16 matrix products are hardware instructions; emulated ones are slower than fp32."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return False
    flags = next((line.split() for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), [])
    return any(flag in flags for flag in BF16_FLAGS)
