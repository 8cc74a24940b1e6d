"""Topics from anchor words: the spectral start of Arora et al. (2013), without a matrix of word pairs."""

from __future__ import annotations

import numpy as np
from scipy import sparse

BLOCK_WORDS = 500
MIN_SHARE, MIN_DOCUMENTS = 0.005, 5  # of documents that hold an anchor: rarer words are noise
ITERATIONS = 300  # of the regression on the anchors


class WordPairs:
    """Q (V, V): how often words v and w are a pair of two tokens of a document, rows scaled to sum 1.

    Held as the counts (D, V), each row divided by the root of its number of pairs, minus a token with itself.
    """

    def __init__(self, bow: sparse.csr_matrix) -> None:
        lengths = np.asarray(bow.sum(axis=1), np.float64).ravel()
        pairs = lengths * (lengths - 1)
        inverse = np.where(pairs > 0, 1 / np.maximum(pairs, 1), 0)
        self.counts = sparse.csr_matrix(sparse.diags(np.sqrt(inverse)) @ bow)
        self.itself = np.asarray(bow.T @ inverse, np.float64)
        self.mass = np.asarray(self.counts.T @ (self.counts @ np.ones(bow.get_shape()[1]))) - self.itself

    def times(self, vectors: np.ndarray) -> np.ndarray:
        """Q @ vectors, (V, n); 0 for a word that is in no pair."""
        found = self.counts.T @ (self.counts @ vectors) - self.itself[:, None] * vectors
        return found / np.where(self.mass > 0, self.mass, 1)[:, None]

    def rows(self, words: np.ndarray) -> np.ndarray:
        """Rows (n, V) of Q."""
        found = np.asarray((self.counts[:, words].T @ self.counts).todense(), np.float64)
        found[np.arange(len(words)), words] -= self.itself[words]
        return found / np.where(self.mass[words] > 0, self.mass[words], 1)[:, None]


def anchor_topics(bow: sparse.csr_matrix, num_topics: int) -> np.ndarray:
    """Word distributions (K, V) float64 from K anchor words, each of which is in one topic only.

    Anchors are found greedily as the words whose company is farthest from the span of those before; every
    other word is then a mixture of the anchors' company, by regression on the simplex (RecoverL2).
    bow: (D, V).  Raises ValueError where fewer than K words differ in their company.
    """
    pairs = WordPairs(bow)
    anchors = _anchors(pairs, bow, num_topics)
    company = pairs.rows(anchors)
    inner = pairs.times(company.T)  # (V, K)
    mixture = _on_simplex(inner, company @ company.T)
    tokens = mixture * np.maximum(pairs.mass, 0)[:, None]
    return (tokens / tokens.sum(axis=0)).T


def _anchors(pairs: WordPairs, bow: sparse.csr_matrix, num_topics: int) -> np.ndarray:
    num_docs, num_words = bow.get_shape()
    in_docs = np.bincount(bow.indices, minlength=num_words)
    can_be = (in_docs >= max(MIN_SHARE * num_docs, MIN_DOCUMENTS)) & (pairs.mass > 0)
    if can_be.sum() < 2 * num_topics:
        can_be = pairs.mass > 0
    far = np.zeros(num_words)  # squared distance to the span
    for start in range(0, num_words, BLOCK_WORDS):
        words = np.arange(start, min(start + BLOCK_WORDS, num_words))
        far[words] = np.square(pairs.rows(words)).sum(axis=1)
    far[~can_be] = -1
    basis = np.zeros((0, num_words))
    chosen: list[int] = []
    while len(chosen) < num_topics:
        word = int(far.argmax())
        if far[word] <= 1e-12:
            raise ValueError(
                f"num_topics={num_topics}, but only {len(chosen)} words differ in the company they keep; ask "
                "for fewer topics, lower data.vocabulary.min_df, or use model.init=random"
            )
        chosen.append(word)
        row = pairs.rows(np.array([word]))[0]
        row -= basis.T @ (basis @ row)
        basis = np.concatenate([basis, row[None] / np.linalg.norm(row)])
        far -= np.square(pairs.times(basis[-1][:, None])[:, 0])
        far[chosen] = -1
    return np.array(chosen)


def _on_simplex(inner: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """Rows c (V, K) on the simplex that minimise c gram c - 2 c inner, by accelerated projected gradient."""
    step = 1 / np.linalg.eigvalsh(gram)[-1]
    found = ahead = np.full(inner.shape, 1 / inner.shape[1])
    pace = 1.0
    for _ in range(ITERATIONS):
        before, found = found, _projected(ahead - step * (ahead @ gram - inner))
        faster = (1 + np.sqrt(1 + 4 * pace**2)) / 2
        ahead = found + (pace - 1) / faster * (found - before)
        pace = faster
    return found


def _projected(points: np.ndarray) -> np.ndarray:
    """Nearest points of the simplex to the rows (Duchi et al. 2008)."""
    ordered = -np.sort(-points, axis=1)
    excess = (np.cumsum(ordered, axis=1) - 1) / np.arange(1, points.shape[1] + 1)
    last = (ordered > excess).sum(axis=1) - 1
    return np.maximum(points - excess[np.arange(len(points)), last][:, None], 0)
