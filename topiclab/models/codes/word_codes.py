"""Codes of words: word vectors -> an autoencoder's latent vectors -> their nearest codes (stage 1 for text).

A vector may represent a word of the vocabulary or one occurrence of it. The options are the block
`codebook` of conf/model/tvqvae.yaml, which describes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from topiclab.cache import key_hash
from topiclab.limits import Count, Positive, Share, Sizes, Weight
from topiclab.models.codes.codebook import (
    EVAL_BATCH,
    Codebook,
    CodebookTraining,
    own_random_state,
    stored_codebook,
    train_codebook,
)
from topiclab.nn.quantizer import VectorQuantizer, check_expansion

VERSION = 1  # of the computation; a new number invalidates older cache entries
TRAINED_WITH_SEVERAL = ("reduce", "code_weights")  # options without effect for one code per word
ASSIGNED_LATER = ("expand_at", "assignment")


class WordCodebook(TypedDict):
    """Block `codebook` of conf/model/tvqvae.yaml, which describes each key."""

    code_dim: Count
    hidden_dims: Sizes
    reduce: Literal["mean", "sum"]
    code_weights: Literal["binary", "inverse_distance", "softmax"]
    update: Literal["ema", "gradient"]
    is_cosine: bool
    is_normalized: bool
    decay: Share
    init: Literal["kmeans", "uniform"]
    restart_below: Weight
    commitment: Weight
    lr: Positive
    weight_decay: Weight
    max_epochs: Count
    warmup: Share
    batch_size: Count
    expand_at: Literal["train", "infer"]
    assignment: Literal["nearest", "random"]
    is_frequency_weighted: bool


@dataclass(frozen=True)
class WordCodes:
    """Codes (M, K) int32 of M vectors, nearest first, and their weights (M, K) float32, with sum K.

    latents: (M, d) float32 encoder outputs, from which the nearest codes are found.
    encoder: arrays of the encoder, for later vectors: see `encode_words`.
    """

    codebook: Codebook
    codes: np.ndarray
    weights: np.ndarray
    latents: np.ndarray
    encoder: dict[str, np.ndarray]


class WordAutoencoder(nn.Module):
    """Linear layers with ReLU between them, down to a latent vector, and their mirror (Yoo & Choi 2024).

    The vectors (B, E) are centred and divided by their root mean square, a single number, so that the error
    is a share of their variance and weighs the same against the quantizer's loss for every embedder.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, dim: int, hidden_dims: Sequence[int], is_normalized: bool, quantizer: VectorQuantizer
    ) -> None:
        super().__init__()
        sizes = [dim, *hidden_dims, quantizer.dim]
        self.encoder, self.decoder = _layers(sizes), _layers(sizes[::-1])
        self.is_normalized = is_normalized
        self.quantizer = quantizer
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(()))

    @torch.no_grad()
    def fit_scale(self, vectors: Tensor, weights: Tensor | None) -> None:
        """Compute the statistics of vectors (M, E) in blocks: they may be float16 and many."""
        blocks = range(0, len(vectors), EVAL_BATCH)
        each = torch.ones(len(vectors)) if weights is None else weights
        total = torch.zeros(vectors.shape[1], dtype=torch.double)
        squares = 0.0
        for start in blocks:
            part = vectors[start : start + EVAL_BATCH].double()
            weight = each[start : start + EVAL_BATCH].double()
            total += weight @ part
            squares += float(weight @ part.square().sum(dim=1))
        mean = total / each.sum()
        variance = squares / float(each.sum()) - float(mean.square().sum())
        self.mean.copy_(mean)
        self.scale.fill_(max(variance / len(mean), 1e-12) ** 0.5)

    def prepare(self, raw: Tensor) -> Tensor:
        return (raw.float() - self.mean) / self.scale

    def vectors(self, inputs: Tensor) -> Tensor:
        latents = self.encoder(inputs)
        return F.normalize(latents.float(), dim=1) if self.is_normalized else latents

    def restored(self, vectors: Tensor) -> Tensor:
        return self.decoder(vectors)


def _layers(sizes: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index, (width, following) in enumerate(pairwise(sizes)):
        linear = nn.Linear(width, following)
        nn.init.kaiming_normal_(linear.weight)  # torch's default gives all words the same latent vector
        nn.init.zeros_(linear.bias)
        layers += [nn.ReLU()] * bool(index) + [linear]
    return nn.Sequential(*layers)


def word_codes(
    vectors: np.ndarray,
    counts: np.ndarray,
    options: WordCodebook,
    *,
    expansion: int,
    num_codes: int,
    seed: int,
    cache_root: Path | None = None,
    key: str | None = None,
    device: str = "cpu",
) -> WordCodes:
    """Train stage 1, or load it from the cache, and assign codes to every vector.

    vectors: (M, E) float; counts: (M,) number of occurrences.  key: hash that identifies the vectors; without
    it their bytes are hashed.  Raises ValueError for a codebook larger than the number of distinct vectors
    and an expansion larger than the codebook.
    """
    check_expansion(expansion, num_codes)
    _check_distinct(vectors, num_codes)
    trained_with = 1 if options["expand_at"] == "infer" else expansion
    whole_key = _cache_key(vectors, counts, options, trained_with, num_codes, seed, key)
    what = f"codebook of {num_codes} codes, expansion {expansion}, seed {seed}"
    if trained_with != expansion:
        what = f"codebook of {num_codes} codes, one per word (expansion {expansion} afterwards), seed {seed}"

    def compute() -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return _train(vectors, counts, options, trained_with, num_codes, seed, device)

    arrays, facts, is_cached = stored_codebook(cache_root, whole_key, compute, what)
    codebook = Codebook(key_hash(whole_key), arrays["codebook"], facts, is_cached)
    codes, weights = _assign(arrays["latents"], arrays["codebook"], options, expansion)
    if options["assignment"] == "random":
        order = np.random.default_rng(seed).permutation(len(codes))
        codes, weights = codes[order], weights[order]
    encoder = {name: array for name, array in arrays.items() if name not in ("codebook", "latents")}
    return WordCodes(codebook, codes, weights, arrays["latents"], encoder)


def encode_words(
    vectors: np.ndarray,
    encoder: Mapping[str, np.ndarray],
    codebook: np.ndarray,
    options: WordCodebook,
    expansion: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Codes (M, K) int32 and weights (M, K) float32 of new vectors (M, E) under a finished stage 1."""
    with own_random_state():
        quantizer = VectorQuantizer(*codebook.shape, init="uniform")
        module = WordAutoencoder(
            vectors.shape[1], options["hidden_dims"], options["is_normalized"], quantizer
        )
    module.load_state_dict(
        {name: torch.from_numpy(np.array(array)) for name, array in encoder.items()}, strict=False
    )
    blocks = (vectors[start : start + EVAL_BATCH] for start in range(0, len(vectors), EVAL_BATCH))
    latents = [_latents(module, torch.from_numpy(np.array(block))) for block in blocks]  # of a memory map
    return _assign(np.concatenate(latents), codebook, options, expansion)


def _train(
    vectors: np.ndarray,
    counts: np.ndarray,
    options: WordCodebook,
    expansion: int,
    num_codes: int,
    seed: int,
    device: str,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    torch.manual_seed(seed)
    quantizer = VectorQuantizer(
        num_codes,
        options["code_dim"],
        expansion=expansion,
        reduce=options["reduce"],
        code_weights=options["code_weights"],
        update=options["update"],
        is_cosine=options["is_cosine"],
        decay=options["decay"],
        commitment=options["commitment"],
        restart_below=options["restart_below"],
        init=options["init"],
    )
    module = WordAutoencoder(vectors.shape[1], options["hidden_dims"], options["is_normalized"], quantizer)
    weights = np.asarray(counts, np.float32) / np.mean(counts) if options["is_frequency_weighted"] else None
    inputs = torch.from_numpy(np.array(vectors))
    module.fit_scale(inputs, None if weights is None else torch.from_numpy(weights))
    training = CodebookTraining(
        module,
        inputs,
        train_rows=np.arange(len(vectors)),
        weights=weights,
        seed=seed,
        warmup_epochs=int(options["warmup"] * options["max_epochs"]),
        batch_size=options["batch_size"],
        lr=options["lr"],
        weight_decay=options["weight_decay"],
    )
    facts = train_codebook(training, max_epochs=options["max_epochs"], device=device)
    table = quantizer.vectors_of(torch.arange(num_codes, device=quantizer.codebook.device).unsqueeze(1))
    arrays = {
        name: tensor.detach().cpu().numpy()
        for name, tensor in module.state_dict().items()
        if not name.startswith(("decoder.", "quantizer."))
    }
    latents = _latents(module, training.inputs)
    return {"codebook": table.detach().cpu().numpy(), "latents": latents, **arrays}, facts


@torch.inference_mode()
def _latents(module: WordAutoencoder, vectors: Tensor) -> np.ndarray:
    device = module.mean.device
    parts = [
        module.vectors(module.prepare(part.to(device))).float().cpu() for part in vectors.split(EVAL_BATCH)
    ]
    return torch.cat(parts).numpy()


def _assign(
    latents: np.ndarray, codebook: np.ndarray, options: WordCodebook, expansion: int
) -> tuple[np.ndarray, np.ndarray]:
    with own_random_state():
        quantizer = VectorQuantizer(
            *codebook.shape,
            expansion=expansion,
            init="uniform",
            reduce=options["reduce"],
            code_weights=options["code_weights"],
            is_cosine=options["is_cosine"],
        )
    quantizer.codebook.copy_(torch.from_numpy(np.array(codebook)))
    codes, weights = quantizer.eval().assign(torch.from_numpy(np.array(latents)))
    return codes.int().numpy(), weights.numpy()


def _cache_key(
    vectors: np.ndarray,
    counts: np.ndarray,
    options: WordCodebook,
    expansion: int,
    num_codes: int,
    seed: int,
    key: str | None,
) -> dict[str, Any]:
    silent = ASSIGNED_LATER + (TRAINED_WITH_SEVERAL if expansion == 1 else ())
    frequencies = np.ascontiguousarray(counts, np.float64) if options["is_frequency_weighted"] else None
    return {
        "what": "word_codes",
        "version": VERSION,
        "vectors": _digest(vectors) if key is None else key,
        "counts": None if frequencies is None else _digest(frequencies),
        "options": {name: value for name, value in options.items() if name not in silent},
        "expansion": expansion,
        "num_codes": num_codes,
        "seed": seed,
    }


def _digest(array: np.ndarray) -> str:
    facts = f"{array.dtype.str} {array.shape} ".encode()
    return hashlib.sha256(facts + np.ascontiguousarray(array).tobytes()).hexdigest()


def _check_distinct(vectors: np.ndarray, num_codes: int) -> None:
    """Raise ValueError if there are fewer distinct vectors than codes; reads only as many rows as needed."""
    distinct: set[bytes] = set()
    for row in vectors:
        distinct.add(row.tobytes())
        if len(distinct) >= num_codes:
            return
    raise ValueError(
        f"model.num_codes={num_codes}, but there are only {len(distinct)} distinct word vectors; lower "
        "model.num_codes or use a larger vocabulary"
    )
