"""Tokens per second of the mini-LLM's training and decoding on one GPU, and share of its bf16 peak.

    PYTHONPATH=. python benchmarks/gpu_minillm.py [--sides ours,transformers] [--micro 32,64,128,256]
    PYTHONPATH=. python benchmarks/gpu_minillm.py --device cpu --tiny

Needs only torch, transformers and numpy beside this checkout. Weights of the 26 M shape and tokens are
random. A step is 131,072 tokens in rows of 512: forward and backward under bf16 autocast, gradients
accumulated over the fastest number of rows at a time for the side (--micro; those that do not fit in memory
are left out), clipping, fused AdamW, gradients dropped. Sides start from the same weights and take their
steps in turn, in this process:

    transformers            Qwen3ForCausalLM of the same shape, torch's fused attention
    ours                    the network as task=pretrain trains it
    transformers compiled   the same through torch.compile, compiled again for each of --micro
    ours compiled           likewise; on a CPU both only where --sides names them

Tokens per second are medians over rounds; ratios are medians over rounds of one side's seconds divided by the
other's. flops per token are 6 per weight and 12 per layer, width and position (PaLM's count); the peak is
--peak TFLOP/s of dense bf16, else that of the chip's data sheet, and that of a measured product of 8192 x
8192 matrices is printed beside it. Memory is the most that a side's own tensors took in a step. Kernels are
those in the profile of a step; ours must also take a step where only flash attention is allowed.
Then both write --tokens greedy tokens (128) after prompts of 128, in bf16, at batch 1 and 32; seconds include
the reading of the prompts.
Exits with 1 on a GPU when our attention is not fused, when ours is slower than transformers, ours
compiled under 2.0 times transformers or 1.1 times transformers compiled, or under 14.6 % of the peak (800,000
tokens per second on an H200). On any device, when the sides' losses on the same weights differ by 1 %.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import torch
from chip import measured_flops, peak_of_chip, synchronize
from minillm_decoding import SHAPE, peer_of
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from topiclab.minillm.generate import next_tokens
from topiclab.minillm.network import MiniLLM, Shape
from topiclab.minillm.sampler import Sampler

SIDES = ("transformers", "ours", "transformers compiled", "ours compiled")
BARS = {
    "ours / transformers": 1.0,
    "ours compiled / transformers": 2.0,
    "ours compiled / transformers compiled": 1.1,
}
MIN_SHARE, MAX_DIFFERENCE, SEED, PROMPT, DECODING_ROUNDS = 0.146, 0.01, 0, 128, 3
FUSED = ("flash", "cudnn")
TINY = replace(
    SHAPE,
    vocab_size=512,
    hidden_size=64,
    num_layers=2,
    num_heads=4,
    num_kv_heads=1,
    head_dim=16,
    ffn_size=128,
)


@dataclass(frozen=True)
class Work:
    """Work of a step.  length: tokens per row.  rows: per step.  micro: candidate rows at a time."""

    shape: Shape
    length: int
    rows: int
    micro: tuple[int, ...]
    device: torch.device

    def batch(self, number: int) -> tuple[Tensor, Tensor]:
        """Random ids and labels, (rows, length) each."""
        generator = torch.Generator().manual_seed(number)
        ids = torch.randint(16, self.shape.vocab_size, (self.rows, self.length + 1), generator=generator)
        ids = ids.to(self.device)
        return ids[:, :-1], ids[:, 1:]


@dataclass
class Side:
    """A model with its optimizer; `step` is one training step.

    nats: ids and labels to the sum over labels.  seconds: of each measured step.
    """

    name: str
    model: nn.Module
    nats: Callable[[Tensor, Tensor], Tensor]
    micro: int = 0
    peak_bytes: int = 0
    kernel: str = ""
    first_loss: float = 0.0
    seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)

    def step(self, ids: Tensor, labels: Tensor, micro: int) -> Tensor:
        """Take a step; return the mean nats per token."""
        loss = torch.zeros((), device=ids.device)
        for some_ids, some_labels in zip(ids.split(micro), labels.split(micro), strict=True):
            with torch.autocast(ids.device.type, dtype=torch.bfloat16):
                nats = self.nats(some_ids, some_labels) / labels.numel()
            nats.backward()
            loss += nats.detach()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss


def make_side(name: str, model: MiniLLM, device: torch.device) -> Side:
    """Make the side of this name with the weights of the model."""
    if name.startswith("ours"):
        own = MiniLLM(model.shape)
        own.load_state_dict(model.state_dict())
        trained: nn.Module = own.to(device)

        def nats(ids: Tensor, labels: Tensor) -> Tensor:
            return own.nll(own(ids), labels).sum()
    else:
        peer: Any = peer_of(model)
        peer.set_attn_implementation("sdpa")
        trained = peer.to(device).train()

        def nats(ids: Tensor, labels: Tensor) -> Tensor:
            logits = peer(input_ids=ids, use_cache=False).logits
            return F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="sum")

    if name.endswith("compiled"):
        trained.compile(dynamic=False)
    return Side(name, trained, nats)


def prepare(side: Side, work: Work, before: int) -> None:
    """Find the fastest number of rows at a time, and the memory of a step with it.

    before: bytes on the device before the side was made.
    """
    taken: dict[int, tuple[float, int]] = {}
    for micro in work.micro:
        try:
            loss = side.step(*work.batch(0), micro)
            side.first_loss = side.first_loss or loss.item()
            if work.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            seconds = min(timed(side, work, 1, micro) for _ in range(3))
            taken[micro] = seconds, peak_bytes(work.device) - before
        except torch.OutOfMemoryError:
            side.optimizer.zero_grad(set_to_none=True)
        gc.collect()
        if work.device.type == "cuda":
            torch.cuda.empty_cache()
    if not taken:
        sys.exit(f"{side.name}: {min(work.micro)} rows at a time do not fit in memory; give a lower --micro")
    side.micro = min(taken, key=lambda micro: taken[micro][0])
    side.peak_bytes = taken[side.micro][1]
    side.kernel = attention_kernel(side, work)


def timed(side: Side, work: Work, number: int, micro: int) -> float:
    """Seconds of a step."""
    batch = work.batch(number)
    synchronize(work.device)
    start = time.perf_counter()
    side.step(*batch, micro)
    synchronize(work.device)
    return time.perf_counter() - start


def attention_kernel(side: Side, work: Work) -> str:
    """Kernel that computed attention in a step of few rows, from the operator names in its profile."""
    ids, labels = (part[: side.micro] for part in work.batch(2))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        side.step(ids, labels, side.micro)
        synchronize(work.device)
    names = {event.key for event in profile.key_averages() if "attention" in event.key}
    kernels = ("flash", "cudnn", "efficient", "math")
    return "+".join(kernel for kernel in kernels if any(kernel in name for name in names)) or "unknown"


def check_flash(side: Side, work: Work) -> None:
    """Take a step with only flash attention allowed; exits where torch has none for it."""
    ids, labels = (part[: side.micro] for part in work.batch(2))
    try:
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            side.step(ids, labels, side.micro)
    except RuntimeError as fault:
        sys.exit(f"{side.name}: no flash attention: {str(fault).splitlines()[0]}")


def peak_bytes(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated() if device.type == "cuda" else 0


def train(names: list[str], work: Work, options: argparse.Namespace) -> bool:
    """Print one line per side and the ratios; return whether all bars for these sides are met."""
    device, tokens = work.device, work.rows * work.length
    torch.manual_seed(SEED)
    model = MiniLLM(work.shape)
    sides = {}
    for name in names:
        before = torch.cuda.memory_allocated() if device.type == "cuda" else 0
        sides[name] = make_side(name, model, device)
        prepare(sides[name], work, before)
        if name == "ours":
            check_flash(sides[name], work)
    for number in range(options.rounds):
        for side in sides.values():
            side.seconds.append(timed(side, work, 3 + number, side.micro))
    flops, product = work.shape.flops_per_token(work.length), measured_flops(device, options.product)
    peak = options.peak * 1e12 if options.peak else peak_of_chip(device)
    peak_text = "unknown" if peak is None else f"{peak / 1e12:.0f} TFLOP/s"
    print(
        f"{work.shape.num_parameters / 1e6:.2f} M parameters, {tokens} tokens per step in rows of "
        f"{work.length}, {flops / 1e6:.1f} Mflop per token; peak {peak_text}, measured product "
        f"{product / 1e12:.1f} TFLOP/s"
    )
    print(
        f"{'side':24}{'rows':>5}{'kernel':>12}{'ms/step':>10}{'tokens/s':>12}{'of peak %':>11}"
        f"{'of product %':>14}{'peak GiB':>10}{'loss':>8}"
    )
    shares = {}
    for name, side in sides.items():
        speed = tokens / median(side.seconds)
        shares[name] = flops * speed / (peak or product)
        share = "-" if peak is None else f"{100 * shares[name]:.1f}"
        print(
            f"{name:24}{side.micro:5}{side.kernel:>12}{1e3 * median(side.seconds):10.1f}{speed:12,.0f}"
            f"{share:>11}{100 * flops * speed / product:14.1f}{side.peak_bytes / 2**30:10.2f}"
            f"{side.first_loss:8.4f}"
        )
    return judge(sides, shares, device)


def judge(sides: dict[str, Side], shares: dict[str, float], device: torch.device) -> bool:
    """Print the ratios; return whether losses agree and, on a GPU, every bar is met."""
    is_met = True
    for name, bar in BARS.items():
        fast, slow = name.split(" / ")
        if fast in sides and slow in sides:
            pairs = zip(sides[fast].seconds, sides[slow].seconds, strict=True)
            ratio = median(theirs / ours for ours, theirs in pairs)
            is_met &= ratio >= bar
            print(f"{name:40}{ratio:6.2f}x (bar {bar})")
    if "ours compiled" in sides:
        is_met &= shares["ours compiled"] >= MIN_SHARE
        print(f"ours compiled: {100 * shares['ours compiled']:.1f} % of the peak (bar {100 * MIN_SHARE})")
    for name in ("ours", "ours compiled"):
        is_met &= name not in sides or sides[name].kernel in FUSED
    losses = [side.first_loss for side in sides.values()]
    difference = max(losses) / min(losses) - 1
    print(f"losses of the same weights and tokens differ by {difference:.1e}")
    return difference < MAX_DIFFERENCE and (is_met or device.type != "cuda")


def decode(work: Work, batch_sizes: tuple[int, ...], num: int, rounds: int) -> None:
    """Print tokens per second of both."""
    torch.manual_seed(SEED)
    model = MiniLLM(replace(work.shape, context_length=PROMPT + num)).eval()
    peer: Any = peer_of(model)
    peer = peer.to(work.device)
    for side in (model.to(work.device), peer):
        for weight in side.parameters():  # positions stay in float32
            weight.data = weight.data.to(torch.bfloat16)
    sides: dict[str, Callable[[Tensor], Tensor]] = {
        "ours": lambda ids: written(model, ids, num),
        "transformers": lambda ids: written_by_peer(peer, ids, num),
    }
    print(f"{'batch':>5}{'ours':>10}{'generate':>10}  ratio, tokens per second")
    for size in batch_sizes:
        generator = torch.Generator().manual_seed(SEED)
        ids = torch.randint(16, work.shape.vocab_size, (size, PROMPT), generator=generator).to(work.device)
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(rounds + 1):
            for name, write in sides.items():
                synchronize(work.device)
                start = time.perf_counter()
                write(ids)
                synchronize(work.device)
                if number:
                    seconds[name].append(time.perf_counter() - start)
        ratio = median(b / a for a, b in zip(*seconds.values(), strict=True))
        speeds = "".join(f"{size * num / median(taken):10.0f}" for taken in seconds.values())
        print(f"{size:5}{speeds}{ratio:7.2f}x", flush=True)


def written(model: MiniLLM, ids: Tensor, num: int) -> Tensor:
    tokens = next_tokens(model, ids.tolist(), max_new_tokens=num, sampler=Sampler(temperature=0))
    return torch.stack(list(tokens), dim=1)


@torch.inference_mode()
def written_by_peer(peer: Any, ids: Tensor, num: int) -> Tensor:
    options = {"max_new_tokens": num, "do_sample": False, "eos_token_id": None}
    return peer.generate(ids, attention_mask=torch.ones_like(ids), **options)[:, ids.shape[1] :]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument(
        "--sides", help=f"some of {', '.join(SIDES)}; default: all on a GPU, those not compiled on a CPU"
    )
    parser.add_argument("--micro", default="32,64,128,256", help="rows at a time to choose from")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=128, help="tokens to decode; 0 skips decoding")
    parser.add_argument("--peak", type=float, help="dense bf16 TFLOP/s of the chip")
    parser.add_argument("--tiny", action="store_true", help="a small model and step, to see that it runs")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device; run on a machine with one, or use --device cpu --tiny")
    names: list[str] = options.sides.split(",") if options.sides else [*SIDES]
    if options.device == "cpu" and not options.sides:
        names = [name for name in names if not name.endswith("compiled")]
    if unknown := [name for name in names if name not in SIDES]:
        parser.error(f"--sides {unknown[0]} is unknown; choose from {', '.join(SIDES)}")
    device = torch.device(options.device)
    micro = tuple(int(part) for part in options.micro.split(","))
    work = Work(replace(SHAPE, context_length=512), 512, 256, micro, device)
    batch_sizes, options.product = (1, 32), 8192
    if options.tiny:
        work, options.product = Work(TINY, 64, 8, (2, 4), device), 256
        options.rounds, options.tokens, batch_sizes = 2, 4, (1, 2)
    chip = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(f"{chip}, torch {torch.__version__}, bf16 autocast, {options.rounds} rounds", flush=True)
    is_met = train(names, work, options)
    if options.tokens:
        gc.collect()
        decode(work, batch_sizes, options.tokens, min(options.rounds, DECODING_ROUNDS))
    return int(not is_met)


if __name__ == "__main__":
    sys.exit(main())
