"""Layout: positions of documents on a two-dimensional map, such that similar documents are close."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from topiclab.data.unit_rows import unit_rows

METHODS = ("umap", "tsne")
MIN_DOCUMENTS = 15  # with fewer, a neighbourhood is the whole corpus
NEIGHBOURS_OF_NEW = 5  # fitted documents that position one left out of the t-SNE
BLOCK = 65_536  # documents placed at a time


@dataclass(frozen=True)
class LayoutOptions:
    """describe.layout.

    method: umap (McInnes et al. 2018, in umap-learn) or tsne (van der Maaten & Hinton 2008, in
    scikit-learn).  sample: maximum number of documents to fit; the others are placed among them, by UMAP's
    transform or, for t-SNE, which has none, at the mean of their nearest fitted documents.
    num_neighbours: of UMAP; the perplexity of t-SNE.  min_dist: of UMAP, minimum distance between points.
    """

    method: str
    sample: int
    num_neighbours: int
    min_dist: float


def layout(vectors: np.ndarray, options: LayoutOptions, seed: int) -> np.ndarray:
    """Coordinates (D, 2) float32 of document vectors (D, E), by cosine; the same seed gives the same bits.

    With fewer than MIN_DOCUMENTS distinct documents, the map is their two principal components; documents
    that are all identical lie at the origin. Raises ValueError for vectors that are not finite.
    """
    if options.method not in METHODS:
        raise ValueError(f"layout.method={options.method} is unknown; choose from: {' '.join(METHODS)}")
    vectors = np.asarray(vectors, np.float32)
    if not np.isfinite(vectors).all():
        rows = int((~np.isfinite(vectors).all(axis=1)).sum())
        raise ValueError(
            f"{rows} of {len(vectors)} document vectors are not finite; embed the documents again"
        )
    units = unit_rows(vectors)
    rows = sample_rows(len(units), options.sample, seed)
    if len(rows) < MIN_DOCUMENTS or len(np.unique(units[rows], axis=0)) < MIN_DOCUMENTS:
        return principal_components(units)
    place = _umap if options.method == "umap" else _tsne
    return place(units, rows, options, seed)


def sample_rows(num_docs: int, max_rows: int, seed: int) -> np.ndarray:
    """Row numbers of a seeded sample of at most max_rows documents, ascending."""
    if num_docs <= max_rows:
        return np.arange(num_docs)
    return np.sort(np.random.default_rng(seed).choice(num_docs, max_rows, replace=False))


def principal_components(vectors: np.ndarray) -> np.ndarray:
    """First two principal components (D, 2) float32 of vectors (D, E); 0 where the vectors do not differ.

    The entry of largest magnitude in each direction is positive, since a decomposition leaves the sign open.
    """
    centred = vectors.astype(np.float64) - (vectors.mean(axis=0, dtype=np.float64) if len(vectors) else 0)
    found = np.zeros((len(vectors), 2), np.float32)
    if not centred.size or np.abs(centred).max() < 1e-6:
        return found
    _, directions = np.linalg.eigh(centred.T @ centred)
    for axis, direction in enumerate(directions.T[::-1][:2]):
        sign = np.sign(direction[np.abs(direction).argmax()])
        found[:, axis] = centred @ direction * sign
    return found


def _umap(units: np.ndarray, rows: np.ndarray, options: LayoutOptions, seed: int) -> np.ndarray:
    from umap import UMAP  # slow to import: it compiles

    mapper = UMAP(
        n_neighbors=min(options.num_neighbours, len(rows) - 1),
        min_dist=options.min_dist,
        metric="cosine",
        init="pca",  # spectral initialization fails or warns where the neighbourhood graph is disconnected
        random_state=seed,
        n_jobs=1,  # with several threads, results would not repeat bit for bit
        tqdm_kwds={"desc": "map", "disable": None},
    )
    return _with_the_rest(units, rows, mapper.fit_transform(units[rows]), mapper.transform)


def _tsne(units: np.ndarray, rows: np.ndarray, options: LayoutOptions, seed: int) -> np.ndarray:
    from sklearn.manifold import TSNE

    from topiclab.data.neighbours import nearest_neighbours  # imports torch

    perplexity = min(float(options.num_neighbours), (len(rows) - 1) / 3)
    mapper = TSNE(2, perplexity=perplexity, metric="cosine", init="random", random_state=seed, n_jobs=1)
    fitted = mapper.fit_transform(units[rows])

    def place(block: np.ndarray) -> np.ndarray:
        return fitted[nearest_neighbours(units[rows], NEIGHBOURS_OF_NEW, block)].mean(axis=1)

    return _with_the_rest(units, rows, fitted, place)


def _with_the_rest(units: np.ndarray, rows: np.ndarray, fitted: np.ndarray, place: Any) -> np.ndarray:
    """Coordinates of all documents: those of the fitted rows, and for the others `place`, block by block."""
    found = np.empty((len(units), 2), np.float32)
    found[rows] = fitted
    rest = np.setdiff1d(np.arange(len(units)), rows, assume_unique=True)
    for start in range(0, len(rest), BLOCK):
        block = rest[start : start + BLOCK]
        found[block] = place(units[block])
    return found
