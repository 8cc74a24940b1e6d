"""A freshly initialised mini-LLM of the size `nano`, and token ids for it."""

from __future__ import annotations

import torch

from topiclab.minillm.network import MiniLLM, Shape

NANO = Shape(
    vocab_size=2048,
    hidden_size=128,
    num_layers=4,
    num_heads=4,
    num_kv_heads=1,
    head_dim=32,
    ffn_size=384,
    context_length=64,
    rope_theta=1e6,
    norm_eps=1e-6,
    qk_norm=True,
)


def made(shape=NANO, seed=0):
    torch.manual_seed(seed)
    return MiniLLM(shape).eval()


def some_ids(*sizes, seed=0):
    return torch.randint(0, NANO.vocab_size, sizes, generator=torch.Generator().manual_seed(seed))
