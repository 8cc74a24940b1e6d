"""bf16 peak of a device, from its data sheet or from a measured product of matrices."""

from __future__ import annotations

import time

import torch

# Dense bf16 TFLOP/s from the data sheets, by a part of the chip's name.
PEAKS = {"H200": 989, "H100": 989, "A100": 312, "L40S": 362, "L4": 121, "RTX 4090": 165, "B200": 2250}


def peak_of_chip(device: torch.device) -> float | None:
    """Dense bf16 flops per second from the data sheet; None for a chip that is not in PEAKS."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else ""
    return next((peak * 1e12 for part, peak in PEAKS.items() if part in name), None)


def measured_flops(device: torch.device, size: int) -> float:
    """Measured flops per second of bf16 products of two square matrices."""
    one = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    for _ in range(3):
        one @ one
    synchronize(device)
    start = time.perf_counter()
    for _ in range(10):
        one @ one
    synchronize(device)
    return 20 * size**3 / (time.perf_counter() - start)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
