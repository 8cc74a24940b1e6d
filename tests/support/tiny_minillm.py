"""A mini-LLM with random but lively weights and a tokenizer, for tests."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch

from topiclab.minillm.data.tokenizer import Tokenizer, train_tokenizer
from topiclab.minillm.export import export_folder
from topiclab.minillm.network import MiniLLM, Shape

TEXTS = [
    "Topic models read many documents and name the theme of each document.",
    "The quick brown fox jumps over the lazy dog and the cat sat on the mat.",
    "Music and sports and politics and science are themes of the news.",
    "What is this about? This is about music. What is that about? That is about sports.",
    "héllo 🙂 漢字かな, zażółć gęślą jaźń",
]
SHAPE = Shape(
    vocab_size=512,
    hidden_size=64,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=16,
    ffn_size=128,
    context_length=128,
    rope_theta=1e6,
    norm_eps=1e-6,
    qk_norm=True,
)


def tiny_tokenizer(texts: list[str] = TEXTS) -> Tokenizer:
    return train_tokenizer(texts, vocab_size=SHAPE.vocab_size, seed=0, max_bytes=1 << 20)


def tiny_model(shape: Shape = SHAPE, seed: int = 0, **changes: object) -> MiniLLM:
    """Make a model whose logits differ enough that rounding never changes the largest."""
    torch.manual_seed(seed)
    model = MiniLLM(replace(shape, **changes)).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2:
                weight.mul_(6)
            elif "norm" in name:
                weight.add_(0.3 * torch.randn_like(weight))
    return model


def save_run(folder: Path, task: str = "pretrain", status: str = "done", **changes) -> Path:
    """Save a folder like a run of a language model, with its export; `changes` alter its shape."""
    export_folder(tiny_model(**changes), tiny_tokenizer(), folder / "export")
    result = {"status": status, "reason": "killed", "config": {"task": {"name": task}}, "config_hash": ""}
    (folder / "result.json").write_text(json.dumps(result))
    return folder
