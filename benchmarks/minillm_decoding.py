"""Decoding of the mini-LLM: against transformers' generate, and 2 heads of keys against 8.

    python benchmarks/minillm_decoding.py [--tokens 32] [--rounds 9]

Sides run in turn in this process with one thread, on the same random weights of the 26 M shape in float32:
after a prompt that all have read, greedy tokens from ours (`next_tokens`), from transformers' generate with
its default cache and with its static one (for information), and from ours with 8 heads of keys and values in
place of 2. Times are CPU seconds per token, without the reading of the prompt; ratios are medians over rounds
of one side's seconds divided by the other's. The generated tokens must be the same, and the cache of 2 heads
must be exactly a quarter.
Exits with 1 when tokens differ, when ours is less than 1.25 times as fast as generate at batch 1, or when 2
heads are less than 1.3 times as fast as 8 at a context of 1,024, with batch 1 and with batch 16.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import torch
from torch import Tensor
from transformers import LogitsProcessorList, Qwen3Config, Qwen3ForCausalLM

from topiclab.minillm.generate import next_tokens
from topiclab.minillm.network import Cache, MiniLLM, Shape
from topiclab.minillm.sampler import Sampler

MIN_SPEEDUP, MIN_GQA_SPEEDUP, SEED = 1.25, 1.3, 0
SHAPE = Shape(
    vocab_size=6400,
    hidden_size=512,
    num_layers=8,
    num_heads=8,
    num_kv_heads=2,
    head_dim=64,
    ffn_size=1408,
    context_length=2048,
    rope_theta=1e6,
    norm_eps=1e-6,
    qk_norm=True,
)
Side = Callable[[Tensor, int], tuple[Tensor, float]]


def peer_of(model: MiniLLM) -> Qwen3ForCausalLM:
    """Make transformers' model with the same weights."""
    shape = model.shape
    config = Qwen3Config(
        vocab_size=shape.vocab_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.ffn_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_kv_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=shape.context_length,
        rms_norm_eps=shape.norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=True,
        pad_token_id=0,
    )
    peer = Qwen3ForCausalLM(config)
    weights = {f"model.{name}": weight for name, weight in model.state_dict().items()}
    peer.load_state_dict(weights | {"lm_head.weight": model.embed_tokens.weight})
    return peer.eval()


def ours(model: MiniLLM) -> Side:
    def generate(ids: Tensor, num: int) -> tuple[Tensor, float]:
        tokens = next_tokens(model, ids.tolist(), max_new_tokens=num, sampler=Sampler(temperature=0))
        found = [next(tokens)]
        start = time.process_time()
        found += tokens
        return torch.stack(found, dim=1), (time.process_time() - start) / (num - 1)

    return generate


class Clock:
    """A logits processor that changes nothing and notes when each token is due."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.times.append(time.process_time())
        return scores


def theirs(peer: Qwen3ForCausalLM, **options: object) -> Side:
    @torch.inference_mode()
    def generate(ids: Tensor, num: int) -> tuple[Tensor, float]:
        clock = Clock()
        found = peer.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=num,
            do_sample=False,
            eos_token_id=None,
            logits_processor=LogitsProcessorList([clock]),
            **options,
        )
        return found[:, ids.shape[1] :], (clock.times[-1] - clock.times[0]) / (num - 1)

    return generate


def race(sides: dict[str, Side], batch: int, context: int, num: int, rounds: int) -> dict[str, list[float]]:
    """Measure seconds per token of every side and round, after a warm-up; prints a line."""
    generator = torch.Generator().manual_seed(SEED)
    ids = torch.randint(16, SHAPE.vocab_size, (batch, context), generator=generator)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    tokens: dict[str, Tensor] = {}
    for number in range(rounds + 1):
        for name, side in sides.items():
            tokens[name], taken = side(ids, num)
            if number:
                seconds[name].append(taken)
    for name in tokens.keys() & {"transformers", "static"}:
        if not torch.equal(tokens["ours"], tokens[name]):
            sys.exit(f"batch {batch}, context {context}: the tokens of ours and of {name} differ")
    speeds = "".join(f"{batch / median(taken):10.1f}" for taken in seconds.values())
    print(f"{batch:>5}{context:>9}{speeds}", end="", flush=True)
    return seconds


def ratio(seconds: dict[str, list[float]], slow: str) -> float:
    pairs = [theirs / ours for theirs, ours in zip(seconds[slow], seconds["ours"], strict=True)]
    print(f"{median(pairs):9.2f} ({min(pairs):.2f} to {max(pairs):.2f})", flush=True)
    return median(pairs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=32, help="tokens generated per round")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    model, full = MiniLLM(SHAPE).eval(), MiniLLM(replace(SHAPE, num_kv_heads=SHAPE.num_heads)).eval()
    peer = peer_of(model)
    print(
        f"26 M parameters, float32, torch {torch.__version__}, one thread, CPU seconds; "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    limits = (options.tokens, options.rounds)
    is_enough = []
    columns = f"{'ours':>10}{'generate':>10}{'static':>10}"
    print(f"{'batch':>5}{'context':>9}{columns}  ratio of the first two, tokens per second")
    for context in (128, 1024):
        static = theirs(peer, cache_implementation="static", disable_compile=True)
        sides = {"ours": ours(model), "transformers": theirs(peer), "static": static}
        is_enough.append(ratio(race(sides, 1, context, *limits), "transformers") >= MIN_SPEEDUP)
    print(f"{'batch':>5}{'context':>9}{'2 heads':>10}{'8 heads':>10}  ratio, tokens per second")
    for batch in (1, 16):
        sides = {"ours": ours(model), "full": ours(full)}
        is_enough.append(ratio(race(sides, batch, 1024, *limits), "full") >= MIN_GQA_SPEEDUP)
    few, many = (Cache(side.shape, 1, 1024, side.embed_tokens.weight).num_bytes for side in (model, full))
    print(f"cache of 1,024 tokens: {few / 2**20:.1f} MiB with 2 heads, {many / 2**20:.1f} with 8")
    is_enough.append(4 * few == many)
    print(
        f"at least {MIN_SPEEDUP} times generate at batch 1, 2 heads at least {MIN_GQA_SPEEDUP} times 8, a "
        f"quarter of the cache: {'yes' if all(is_enough) else 'NO'}"
    )
    return int(not all(is_enough))


if __name__ == "__main__":
    sys.exit(main())
