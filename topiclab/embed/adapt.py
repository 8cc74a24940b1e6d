"""LoRA tuning of an encoder on the training documents, with their labels (SupCon) or without (SimCSE)."""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from topiclab.cache import Cache, key_hash
from topiclab.data.corpus import Corpus
from topiclab.embed.huggingface import HuggingFaceEmbedder
from topiclab.settings import Adaptation

log = logging.getLogger(__name__)

METHODS = ("simcse", "supcon")
TARGETS = (
    ("q_proj", "k_proj", "v_proj", "o_proj"),
    ("query", "key", "value"),
    ("q_lin", "k_lin", "v_lin", "out_lin"),
)
WEIGHT_DECAY = 0.01
WARM_UP = 0.1
CLIP_NORM = 1.0


def adapted(
    embedder: HuggingFaceEmbedder, corpus: Corpus, settings: Adaptation, cache_root: Path | None
) -> HuggingFaceEmbedder:
    """The embedder with a LoRA adapter tuned on the training rows, cached (kind `adapter`).

    Only the method supcon reads labels.
    """
    texts, labels = _training_texts(corpus, settings.method)
    key = {
        "base": {**embedder.fingerprint(), "truncate_dim": None},
        "method": settings.method,
        "settings": settings.options(),
        "texts": key_hash({"texts": texts, "labels": labels.tolist()}),
    }

    def fill(folder: Path) -> dict[str, Any]:
        return train_adapter(embedder, texts, labels, settings, folder)

    if cache_root is None:
        cache_root = Path(tempfile.mkdtemp(prefix="topiclab-adapter-"))
        atexit.register(shutil.rmtree, cache_root, ignore_errors=True)
    entry = Cache(Path(cache_root)).entry("adapter", key, fill)
    return replace(embedder, adapter=str(entry.folder))


def train_adapter(
    embedder: HuggingFaceEmbedder,
    texts: Sequence[str],
    labels: np.ndarray,
    settings: Adaptation,
    folder: Path,
) -> dict[str, Any]:
    """Write adapter_model.safetensors and adapter_config.json to the folder; return facts for the manifest.

    labels: (N,); rows with the same label attract each other. Each row is encoded twice per step, with
    two draws of dropout: the model's own (BERT's .1) and LoRA's (the only dropout in Qwen3).
    """
    embedder = replace(embedder, adapter=None, is_packed=False)  # our packed attention has no dropout
    tokens = embedder.tokenise(texts)
    seed, num_epochs, batch_size = settings.seed or 0, settings.epochs, settings.batch_size
    losses: list[float] = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        weights = _add_lora(embedder, settings)
        optimizer = torch.optim.AdamW(weights, lr=settings.lr, weight_decay=WEIGHT_DECAY)
        batches = list(_batches(len(texts), batch_size, num_epochs, np.random.default_rng(seed)))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_cosine(step / len(batches)))
        embedder.model.train()
        for batch in tqdm(batches, desc="adapting", disable=None):
            rows = np.concatenate([batch, batch])
            vectors = embedder.model(embedder.features([tokens[row] for row in rows]))["sentence_embedding"]
            row_labels = torch.from_numpy(labels[rows]).to(vectors.device)
            loss = contrastive_loss(vectors.float(), row_labels, settings.temperature)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(weights, CLIP_NORM)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    if not np.isfinite(losses).all():
        raise ValueError(f"adapting gave a loss that is not finite with lr={settings.lr}; lower it")
    embedder.transformer.model.save_pretrained(folder)
    tenths = [float(np.mean(part)) for part in np.array_split(losses, min(10, len(losses)))]
    return {**embedder.facts(), "steps": len(losses), "num_texts": len(texts), "losses": tenths}


def contrastive_loss(vectors: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Supervised contrastive loss, the mean over rows in nats (Khosla et al. 2020, eq. 2).

    vectors: (2B, E), labels: (2B,); a row's positives are the other rows with its label, at least one.
    With a distinct label for each of B texts it is NT-Xent, hence SimCSE (Gao et al. 2021).
    """
    unit = nn.functional.normalize(vectors, dim=1)
    itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    log_prob = (unit @ unit.T / temperature).masked_fill(itself, -torch.inf).log_softmax(dim=1)
    positive = (labels[:, None] == labels[None, :]) & ~itself
    return -(log_prob.masked_fill(~positive, 0).sum(dim=1) / positive.sum(dim=1)).mean()


def warm_cosine(progress: float) -> float:
    """Learning-rate factor at a share of the steps: linear warm-up for a tenth, then cosine decay to 0."""
    if progress < WARM_UP:
        return (progress + 1e-3) / WARM_UP
    return 0.5 * (1 + float(np.cos(np.pi * (progress - WARM_UP) / (1 - WARM_UP))))


def _training_texts(corpus: Corpus, method: str) -> tuple[list[str], np.ndarray]:
    """Texts of the training rows and the labels that group them (all distinct for simcse)."""
    if method not in METHODS:
        raise ValueError(f"mode.adapt={method} is unknown; use {' or '.join(METHODS)}, or null")
    rows = corpus.rows("train")
    if method == "simcse":
        return [corpus.texts[row] for row in rows], np.arange(len(rows))
    if corpus.labels is None:
        raise ValueError(
            f"mode.adapt=supcon needs labels, and corpus {corpus.name} has none; give data.label_column, "
            "or use mode.adapt=simcse"
        )
    rows = rows[corpus.labels[rows] >= 0]
    return [corpus.texts[row] for row in rows], corpus.labels[rows]


def _batches(
    num_texts: int, batch_size: int, num_epochs: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Shuffled rows; a last batch of a single text, which has no negatives, is dropped."""
    for _ in range(num_epochs):
        order = rng.permutation(num_texts)
        for start in range(0, num_texts, batch_size):
            if num_texts - start > 1:
                yield order[start : start + batch_size]


def _add_lora(embedder: HuggingFaceEmbedder, settings: Adaptation) -> list[nn.Parameter]:
    """Add LoRA to the attention projections, freeze the rest, and return the new weights, in float32."""
    if find_spec("peft") is None:
        raise ModuleNotFoundError("mode.adapt needs peft: pip install topiclab[lora], or use mode.adapt=null")
    from peft import LoraConfig

    encoder = embedder.transformer.model
    config = LoraConfig(
        r=settings.lora_r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=_target_modules(encoder),
        bias="none",
    )
    encoder.requires_grad_(False)
    encoder.add_adapter(config)
    weights = [weight for weight in encoder.parameters() if weight.requires_grad]
    for weight in weights:
        weight.data = weight.data.float()
    return weights


def _target_modules(encoder: nn.Module) -> list[str]:
    names = {name.rpartition(".")[2] for name, _ in encoder.named_modules()}
    for targets in TARGETS:
        if names.issuperset(targets):
            return list(targets)
    raise ValueError(
        f"mode.adapt finds no known attention projections in {type(encoder).__name__}; use mode.adapt=null"
    )
