"""Layout: similar documents are close, a seed repeats, small and odd inputs have a rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from topiclab.describe.layout import MIN_DOCUMENTS, LayoutOptions, layout

OPTIONS = LayoutOptions(method="umap", sample=100, num_neighbours=10, min_dist=0.1)


@pytest.fixture(scope="module")
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Make vectors (160, 16) around four directions, with uninformative lengths, and their direction."""
    rng = np.random.default_rng(0)
    group = np.arange(160) % 4
    vectors = np.eye(16)[group] + rng.normal(0, 0.05, (160, 16))
    return (vectors * rng.uniform(0.1, 10, (160, 1))).astype(np.float32), group


def purity(coordinates: np.ndarray, group: np.ndarray) -> float:
    """Share of the five nearest on the map that belong to the same group."""
    apart = np.linalg.norm(coordinates[:, None] - coordinates[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    nearest = np.argsort(apart, axis=1)[:, :5]
    return float((group[nearest] == group[:, None]).mean())


@pytest.mark.parametrize("method", ["umap", "tsne"])
def test_groups_lie_together_fitted_or_placed(blobs, method: str) -> None:
    vectors, group = blobs
    found = layout(vectors, replace(OPTIONS, method=method), seed=1)
    assert found.shape == (160, 2)
    assert found.dtype == np.float32
    assert purity(found, group) > 0.97
    assert np.array_equal(found, layout(vectors, replace(OPTIONS, method=method), seed=1))


@pytest.mark.parametrize("num_docs", [0, 1, 2, MIN_DOCUMENTS - 1])
def test_few_documents_lie_on_their_principal_components(num_docs: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(num_docs, 6)).astype(np.float32)
    found = layout(vectors, OPTIONS, seed=0)
    assert found.shape == (num_docs, 2)
    if num_docs > 2:
        units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        spread = np.linalg.svd(units - units.mean(axis=0), compute_uv=False)[:2]
        assert np.linalg.norm(found - found.mean(axis=0), axis=0) == pytest.approx(spread, rel=1e-4)


def test_alike_documents_lie_at_the_origin() -> None:
    assert not layout(np.ones((50, 8), np.float32), OPTIONS, seed=0).any()
    assert not layout(np.zeros((50, 8), np.float32), OPTIONS, seed=0).any()
    kinds = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float16)
    found = layout(kinds[np.arange(60) % 5], OPTIONS, seed=0)
    assert np.isfinite(found).all()
    assert len(np.unique(found.round(4), axis=0)) == 5


def test_documents_without_a_vector_find_a_place(blobs) -> None:
    vectors = blobs[0].copy()
    vectors[:20] = 0
    found = layout(vectors, replace(OPTIONS, sample=1000), seed=0)
    assert np.isfinite(found).all()
    assert not np.array_equal(found, layout(vectors, replace(OPTIONS, sample=1000), seed=1))


def test_what_cannot_be_laid_out_is_named(blobs) -> None:
    vectors = blobs[0].copy()
    vectors[3, 0] = np.nan
    with pytest.raises(ValueError, match="1 of 160 document vectors are not finite"):
        layout(vectors, OPTIONS, seed=0)
    with pytest.raises(ValueError, match=r"layout\.method=pca is unknown; choose from: umap tsne"):
        layout(blobs[0], replace(OPTIONS, method="pca"), seed=0)
