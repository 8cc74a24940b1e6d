"""Random document vectors: the control that shows what an embedding adds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from topiclab.limits import Count, Seed


class RandomEmbedder:
    """A Gaussian direction per text, of length 1, determined by text and seed alone."""

    def __init__(self, dim: Count = 128, seed: Seed = 0) -> None:
        self.dim = dim
        self.seed = seed

    def fingerprint(self) -> dict[str, Any]:
        return {"embedder": "random", "dim": self.dim, "seed": self.seed}

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """(N, dim) float32."""
        vectors = np.empty((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            digest = hashlib.sha256(f"{self.seed}:{text}".encode("utf-8", "surrogatepass")).digest()
            vectors[row] = np.random.default_rng(int.from_bytes(digest[:8], "little")).standard_normal(
                self.dim
            )
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
