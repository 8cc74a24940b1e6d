"""Latent semantic analysis: document vectors without pretrained weights, in any language."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

WORD = re.compile(r"[^\W\d_]\w+")
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
SCRIPT_RUN = re.compile(f"[{UNSPACED}]+|[^{UNSPACED}]+")
IS_UNSPACED = re.compile(f"[{UNSPACED}]")
TERM_SEPARATOR = "\n"


def words(text: str) -> list[str]:
    """Lower-case words of two letters or more; scripts without spaces (Chinese, Thai) as letter pairs."""
    found: list[str] = []
    for word in WORD.findall(text.lower()):
        if word.isascii() or not IS_UNSPACED.search(word):
            found.append(word)
            continue
        for run in SCRIPT_RUN.findall(word):
            found.extend(zip_pairs(run) if IS_UNSPACED.match(run) else [run])
    return found


def zip_pairs(run: str) -> Iterable[str]:
    """Overlapping letter pairs of one run; a single letter stays itself."""
    return (run[i : i + 2] for i in range(max(len(run) - 1, 1)))


class LsaEmbedder:
    """TF-IDF of the raw texts, then truncated SVD, rows scaled to length 1 (Deerwester et al. 1990).

    Its vocabulary is its own, so that neither stop words nor the topic vocabulary's cut limit what it sees.
    A text without a known term has the zero vector. tokenizer: text -> terms; the default is `words`.
    """

    def __init__(
        self,
        dim: int = 128,
        min_df: int = 2,
        max_df: float = 0.5,
        max_terms: int = 100_000,
        seed: int = 0,
        tokenizer: Callable[[str], Iterable[str]] = words,
    ) -> None:
        self.options = {"dim": dim, "min_df": min_df, "max_df": max_df, "max_terms": max_terms, "seed": seed}
        self.tokenizer = tokenizer
        self._dim = dim

    @property
    def dim(self) -> int:
        """Columns of the vectors: what was asked, or fewer on a corpus too small for it."""
        return self._dim

    def fingerprint(self) -> dict[str, Any]:
        tokenizer = f"{self.tokenizer.__module__}.{self.tokenizer.__qualname__}"
        return {"embedder": "lsa", "version": 1, "tokenizer": tokenizer, **self.options}

    def fit(self, texts: Sequence[str]) -> LsaEmbedder:
        min_df = self.options["min_df"] if len(texts) >= 200 else 1
        vectorizer = TfidfVectorizer(
            analyzer=self.tokenizer,
            min_df=min_df,
            max_df=self.options["max_df"],
            max_features=self.options["max_terms"],
            sublinear_tf=True,
            dtype=np.float32,
        )
        weights = vectorizer.fit_transform(texts)
        self._dim = min(self.options["dim"], min(weights.shape) - 1)
        svd = TruncatedSVD(self._dim, n_iter=4, random_state=self.options["seed"]).fit(weights)
        self._set(vectorizer.get_feature_names_out(), vectorizer.idf_, svd.components_.T)
        return self

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """(N, E) float32, rows of length 1, or 0 where no term is known."""
        return normalize(self._weights(texts) @ self.term_vectors).astype(np.float32)

    def state(self) -> dict[str, np.ndarray]:
        terms = TERM_SEPARATOR.join(self.terms).encode()
        return {"terms": np.frombuffer(terms, np.uint8), "idf": self.idf, "term_vectors": self.term_vectors}

    def load_state(self, state: Mapping[str, np.ndarray]) -> LsaEmbedder:
        terms = np.asarray(state["terms"]).tobytes().decode().split(TERM_SEPARATOR)
        self._set(terms, state["idf"], state["term_vectors"])
        return self

    def _set(self, terms: Iterable[str], idf: np.ndarray, term_vectors: np.ndarray) -> None:
        self.terms = [str(term) for term in terms]
        self.idf = np.asarray(idf, np.float32)
        self.term_vectors = np.ascontiguousarray(term_vectors, np.float32)
        self._dim = self.term_vectors.shape[1]
        self._vectorizer = TfidfVectorizer(
            analyzer=self.tokenizer, vocabulary=self.terms, sublinear_tf=True, dtype=np.float32
        )
        self._vectorizer.idf_ = self.idf

    def _weights(self, texts: Sequence[str]) -> sparse.csr_matrix:
        return self._vectorizer.transform(texts)
