"""Training of the mini-LLM: against transformers' Qwen3 of the same shape, and packed against padded rows.

    python benchmarks/minillm_training.py [--rounds 5] [--batch 4] [--compiled] [--data stackoverflow ...]

Steps of all sides run in turn in this process with one thread, on the same weights, rows of 512 random tokens
and the same fused AdamW: forward, loss, backward, clipping, step, in bf16 unless --precision fp32. Times are
CPU seconds; ratios are medians over rounds of one side's seconds divided by the other's. --compiled adds both
under torch.compile, which takes minutes at the start.
Then useful tokens (those that carry loss) per CPU second of our step, on the texts of each of --data: packed
in a stream against one document per row of 512 tokens, the original's way. The fill is the share of places
that they take in all rows; for information, that of rows cut to the longest of a batch is printed beside it.
Exits with 1 when ours is slower than transformers (eager), ours compiled is under 1.3 times transformers
eager, or packing under 2.5 times padding.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import numpy as np
import torch
from minillm_decoding import SHAPE, peer_of
from torch import Tensor

from topiclab.config.compose import compose
from topiclab.data.sources.corpora import load_texts
from topiclab.minillm.data.packing import Packing, pack
from topiclab.minillm.data.tokenizer import train_tokenizer
from topiclab.minillm.network import IGNORED, MiniLLM

LENGTH, SEED = 512, 0
MIN_COMPILED, MIN_PACKED = 1.3, 2.5
BARS = {"ours / transformers": 1.0, "ours compiled / transformers": MIN_COMPILED}
Step = Callable[[Tensor, Tensor], None]


def step_of(
    model: torch.nn.Module, nats: Callable[[Tensor, Tensor], Tensor], dtype: torch.dtype | None
) -> Step:
    """Make a training step; nats: ids and labels (B, T) to the mean nats per label."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step(ids: Tensor, labels: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            loss = nats(ids, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def ours(model: MiniLLM, dtype: torch.dtype | None) -> Step:
    def nats(ids: Tensor, labels: Tensor) -> Tensor:
        return model.nll(model(ids), labels).sum() / (labels != IGNORED).sum()

    return step_of(model, nats, dtype)


def theirs(model: torch.nn.Module, dtype: torch.dtype | None) -> Step:
    def nats(ids: Tensor, labels: Tensor) -> Tensor:
        logits = model(ids, use_cache=False).logits
        return torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED
        )

    return step_of(model, nats, dtype)


def race(
    sides: dict[str, Step], rows: Callable[[int], dict[str, tuple[Tensor, Tensor]]], rounds: int
) -> dict[str, list[float]]:
    """Measure CPU seconds per step of every side and round, after a warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        given = rows(number)
        for name, step in sides.items():
            start = time.process_time()
            step(*given[name])
            if number:
                seconds[name].append(time.process_time() - start)
    return seconds


def models(args: argparse.Namespace, dtype: torch.dtype | None) -> bool:
    """Print tokens per second of every model; return whether the bars are met."""
    torch.manual_seed(SEED)
    model = MiniLLM(replace(SHAPE, context_length=LENGTH))
    peer = peer_of(model).train()
    sides = {"transformers": theirs(peer, dtype), "ours": ours(model, dtype)}
    if args.compiled:
        again = MiniLLM(model.shape)
        again.load_state_dict(model.state_dict())
        again.compile(dynamic=False)
        peer_again = peer_of(model).train()
        peer_again.compile(dynamic=False)
        sides |= {"transformers compiled": theirs(peer_again, dtype), "ours compiled": ours(again, dtype)}

    def rows(number: int) -> dict[str, tuple[Tensor, Tensor]]:
        ids = torch.randint(
            16, SHAPE.vocab_size, (args.batch, LENGTH + 1), generator=torch.Generator().manual_seed(number)
        )
        return dict.fromkeys(sides, (ids[:, :-1], ids[:, 1:]))

    seconds = race(sides, rows, args.rounds)
    for name, each in seconds.items():
        print(f"{name:24} {args.batch * LENGTH / median(each):7.0f} tokens / CPU s")
    is_met = True
    for name, bar in BARS.items():
        fast, slow = name.split(" / ")
        if fast in seconds:
            ratio = median(b / a for a, b in zip(seconds[fast], seconds[slow], strict=True))
            is_met &= ratio >= bar
            print(f"{name:32} {ratio:.2f}x (bar {bar:.2f})")
    return is_met


def packed(name: str, args: argparse.Namespace, dtype: torch.dtype | None) -> bool:
    """Print useful tokens per second, packed and padded; return whether the bar is met."""
    _, texts = load_texts(compose([f"data={name}"])["data"])
    tokenizer = train_tokenizer(texts, vocab_size=SHAPE.vocab_size, seed=SEED, max_bytes=1 << 24)
    tokens = (*tokenizer.encode_batch(texts), np.arange(len(texts)))
    packings = {
        side: pack(*tokens, length=LENGTH, mode=mode, seed=SEED)
        for side, mode in (("packed", "stream"), ("padded", "pad"))
    }
    torch.manual_seed(SEED)
    step = ours(MiniLLM(replace(SHAPE, context_length=LENGTH)), dtype)

    def rows(number: int) -> dict[str, tuple[Tensor, Tensor]]:
        return {side: batch(packing, number, args.batch) for side, packing in packings.items()}

    seconds = race(dict.fromkeys(packings, step), rows, args.rounds)
    places = args.batch * LENGTH
    rates = {side: packings[side].fill * places / median(seconds[side]) for side in packings}
    ratio, padded = rates["packed"] / rates["padded"], packings["padded"]
    print(
        f"{name}: packed {rates['packed']:.0f}, padded {rates['padded']:.0f} useful tokens / CPU s, "
        f"{ratio:.1f}x (bar {MIN_PACKED}); fill {packings['packed'].fill:.3f}, {padded.fill:.3f}, cut to the "
        f"longest {fill_to_longest(padded, args.batch):.3f}; padding keeps {padded.kept:.0%} of the tokens"
    )
    return ratio >= MIN_PACKED


def fill_to_longest(packing: Packing, size: int) -> float:
    """Share of places that carry loss when each batch of rows is cut to its longest."""
    labels = packing.rows(np.arange(packing.num_rows // size * size)).labels[:, 1:]
    lengths = (labels != IGNORED).sum(axis=1).reshape(-1, size)
    return float(lengths.sum() / (lengths.max(axis=1).sum() * size))


def batch(packing: Packing, number: int, size: int) -> tuple[Tensor, Tensor]:
    rows = packing.rows(np.arange(number * size, (number + 1) * size))
    return (
        torch.from_numpy(rows.ids[:, :-1].astype(np.int64)),
        torch.from_numpy(rows.labels[:, 1:].copy()),
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--data", nargs="*", default=["stackoverflow", "20newsgroups"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    dtype = torch.bfloat16 if args.precision == "bf16" else None
    print(f"{args.precision}, one thread, {args.rounds} rounds, load {os.getloadavg()[0]:.1f}")
    is_met = models(args, dtype)
    for name in args.data:
        is_met &= packed(name, args, dtype)
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
