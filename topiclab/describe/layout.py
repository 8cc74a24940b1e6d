"""Layout: where documents lie on a map of two dimensions, so that those near in meaning are near."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from topiclab.data.unit_rows import unit_rows

METHODS = ("umap", "tsne")
FEWEST = 15  # documents; below it neighbourhoods are the whole corpus
NEIGHBOURS_OF_NEW = 5  # that place a document left out of a t-SNE
BLOCK = 65_536  # documents placed at a time


def layout(vectors: np.ndarray, options: Mapping[str, Any], seed: int) -> np.ndarray:
    """Coordinates (D, 2) float32 of document vectors (D, E), by cosine; the same seed gives the same bits.

    options: method: umap (McInnes et al. 2018, by umap-learn) or tsne (van der Maaten & Hinton 2008, by
    scikit-learn).  sample: the most documents that are fitted; the others are placed among them, by UMAP's
    transform or, for t-SNE, which has none, at the mean of their nearest fitted documents.
    num_neighbours: of UMAP; the perplexity of t-SNE.  min_dist: of UMAP, how close points may lie.
    Fewer than FEWEST documents, or fewer different ones, lie on their two principal components; documents
    that are all alike at the origin. ValueError for vectors that are not finite.
    """
    if options["method"] not in METHODS:
        raise ValueError(f"layout.method={options['method']} is none; there are: {' '.join(METHODS)}")
    vectors = np.asarray(vectors, np.float32)
    if not np.isfinite(vectors).all():
        rows = int((~np.isfinite(vectors).all(axis=1)).sum())
        raise ValueError(
            f"{rows} of {len(vectors)} document vectors are not finite; embed the documents again"
        )
    units = unit_rows(vectors)
    rows = sample_rows(len(units), options["sample"], seed)
    if len(rows) < FEWEST or len(np.unique(units[rows], axis=0)) < FEWEST:
        return principal_components(units)
    place = _umap if options["method"] == "umap" else _tsne
    return place(units, rows, options, seed)


def sample_rows(num_docs: int, most: int, seed: int) -> np.ndarray:
    """At most so many of the rows, ascending."""
    if num_docs <= most:
        return np.arange(num_docs)
    return np.sort(np.random.default_rng(seed).choice(num_docs, most, replace=False))


def principal_components(vectors: np.ndarray) -> np.ndarray:
    """Vectors (D, E) on the two directions in which they differ most, (D, 2) float32; 0 where they do not.

    The largest entry of each direction is positive: a decomposition leaves its sign open.
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


def _umap(units: np.ndarray, rows: np.ndarray, options: Mapping[str, Any], seed: int) -> np.ndarray:
    from umap import UMAP  # slow to import: it compiles

    mapper = UMAP(
        n_neighbors=min(options["num_neighbours"], len(rows) - 1),
        min_dist=options["min_dist"],
        metric="cosine",
        init="pca",  # a spectral one fails or warns where neighbourhoods fall apart
        random_state=seed,
        n_jobs=1,  # several threads would not repeat bit for bit
        tqdm_kwds={"desc": "map", "disable": None},
    )
    return _with_the_rest(units, rows, mapper.fit_transform(units[rows]), mapper.transform)


def _tsne(units: np.ndarray, rows: np.ndarray, options: Mapping[str, Any], seed: int) -> np.ndarray:
    from sklearn.manifold import TSNE

    from topiclab.data.neighbours import nearest_neighbours  # brings torch

    perplexity = min(float(options["num_neighbours"]), (len(rows) - 1) / 3)
    mapper = TSNE(2, perplexity=perplexity, metric="cosine", init="random", random_state=seed, n_jobs=1)
    fitted = mapper.fit_transform(units[rows])

    def place(block: np.ndarray) -> np.ndarray:
        return fitted[nearest_neighbours(units[rows], NEIGHBOURS_OF_NEW, block)].mean(axis=1)

    return _with_the_rest(units, rows, fitted, place)


def _with_the_rest(units: np.ndarray, rows: np.ndarray, fitted: np.ndarray, place: Any) -> np.ndarray:
    """Coordinates of the fitted rows, and of all others as place gives them for a block of vectors."""
    found = np.empty((len(units), 2), np.float32)
    found[rows] = fitted
    rest = np.setdiff1d(np.arange(len(units)), rows, assume_unique=True)
    for start in range(0, len(rest), BLOCK):
        block = rest[start : start + BLOCK]
        found[block] = place(units[block])
    return found
