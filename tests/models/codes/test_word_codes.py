"""Stage 1 for words: codes that keep neighbours together, one fit per key, and refused input."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from topiclab.models.codes.word_codes import WordCodes, encode_words, word_codes

NUM_THEMES, PER_THEME, DIM = 12, 25, 20
OPTIONS = {
    "code_dim": 16,
    "hidden_dims": [48, 48],
    "is_normalized": True,
    "is_cosine": False,
    "reduce": "mean",
    "code_weights": "binary",
    "update": "ema",
    "decay": 0.95,
    "init": "kmeans",
    "restart_below": 0.5,
    "commitment": 0.25,
    "expand_at": "train",
    "assignment": "nearest",
    "is_frequency_weighted": False,
    "max_epochs": 24,
    "warmup": 0.6,
    "batch_size": 64,
    "lr": 2e-3,
    "weight_decay": 0.01,
}


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """Make vectors (300, 20): themes of 25 words around 12 centres, far from 0 and small, like embeddings."""
    rng = np.random.default_rng(0)
    themes = np.repeat(rng.normal(size=(NUM_THEMES, DIM)), PER_THEME, axis=0)
    return (5 + 0.03 * (themes + 0.3 * rng.normal(size=themes.shape))).astype(np.float32)


def fit(vectors: np.ndarray, cache: Path | None = None, **changed) -> WordCodes:
    named = {"expansion": 3, "num_codes": 24, "seed": 0}
    named |= {name: changed.pop(name) for name in list(changed) if name in (*named, "key")}
    counts = changed.pop("counts", np.arange(1, len(vectors) + 1))
    return word_codes(vectors, counts, OPTIONS | changed, cache_root=cache, **named)


def themes_together(codes: np.ndarray, num_codes: int) -> float:
    """Probability that the word which shares most codes with another is of its theme."""
    hot = np.zeros((len(codes), num_codes))
    np.put_along_axis(hot, codes.astype(int), 1, axis=1)
    shared = hot @ hot.T - 2 * codes.shape[1] * np.eye(len(codes))
    return float(np.mean(shared.argmax(axis=1) // PER_THEME == np.arange(len(codes)) // PER_THEME))


@pytest.mark.parametrize(
    "changed", [{}, {"expansion": 1}, {"is_cosine": True}, {"is_frequency_weighted": True}]
)
def test_codes_keep_neighbours_together(vectors: np.ndarray, changed: dict) -> None:
    found = fit(vectors, **changed)
    expansion = changed.get("expansion", 3)
    assert found.codes.shape == found.weights.shape == (300, expansion)
    assert found.codes.dtype == np.int32
    assert found.weights.dtype == found.codebook.vectors.dtype == np.float32
    assert found.codebook.vectors.shape == (24, 16)
    rare_count_little = changed.get("is_frequency_weighted", False)
    assert themes_together(found.codes, 24) > (0.7 if rare_count_little else 0.9)
    rng = np.random.default_rng(0)
    assert themes_together(rng.permuted(found.codes, axis=0), 24) < 0.3
    facts = found.codebook.facts
    assert facts["usage"] > 0.9
    assert 1 < facts["perplexity"] <= 24
    assert facts["mse"] < 0.5  # relative to the variance: the scale of the vectors does not matter
    assert [row["epoch"] for row in facts["history"]] == list(range(24))
    assert facts["epochs"] == 24


def test_codes_are_the_nearest_to_the_latent_vectors(vectors: np.ndarray) -> None:
    found = fit(vectors)
    distances = np.linalg.norm(found.latents[:, None] - found.codebook.vectors[None], axis=2)
    assert np.array_equal(found.codes, distances.argsort(axis=1)[:, :3])
    assert np.allclose(np.linalg.norm(found.latents, axis=1), 1, atol=1e-5)
    codes, weights = encode_words(vectors[40:60], found.encoder, found.codebook.vectors, OPTIONS, 3)
    assert np.array_equal(codes, found.codes[40:60])
    assert np.allclose(weights, found.weights[40:60], atol=1e-5)


def test_a_second_call_reads_the_cache_and_says_so(
    vectors: np.ndarray, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        before = torch.get_rng_state()
        first, second = fit(vectors, tmp_path), fit(vectors, tmp_path)
        assert torch.equal(torch.get_rng_state(), before)
    assert [first.codebook.is_cached, second.codebook.is_cached] == [False, True]
    assert "codebook of 24 codes, expansion 3, seed 0: computed in" in caplog.text
    assert "codebook of 24 codes, expansion 3, seed 0: from the cache" in caplog.text
    assert np.array_equal(first.codes, second.codes)
    assert np.array_equal(first.codebook.vectors, second.codebook.vectors)
    assert first.codebook.facts == second.codebook.facts
    assert first.codebook.key == second.codebook.key
    assert first.encoder.keys() == second.encoder.keys()
    alone = fit(vectors)
    assert np.array_equal(alone.codes, first.codes)


def test_anything_that_changes_the_codes_changes_the_key(vectors: np.ndarray, tmp_path: Path) -> None:
    quick = {"max_epochs": 2}
    first = fit(vectors, tmp_path, **quick)
    others = [
        fit(vectors + 1, tmp_path, **quick),  # the vectors of another corpus
        fit(vectors, tmp_path, key="another corpus", **quick),
        fit(vectors, tmp_path, seed=1, **quick),
        fit(vectors, tmp_path, num_codes=25, **quick),
        fit(vectors, tmp_path, expansion=2, **quick),
        fit(vectors, tmp_path, lr=1e-3, **quick),
        fit(vectors, tmp_path, is_frequency_weighted=True, **quick),
        fit(vectors, tmp_path, is_frequency_weighted=True, counts=np.ones(300), **quick),
    ]
    assert not any(other.codebook.is_cached for other in others)
    assert len({first.codebook.key, *(other.codebook.key for other in others)}) == 9
    assert fit(vectors, tmp_path, counts=np.ones(300), **quick).codebook.is_cached  # counts are not read


def test_expanding_afterwards_shares_one_codebook(vectors: np.ndarray, tmp_path: Path) -> None:
    quick = {"max_epochs": 2, "expand_at": "infer"}
    fits = [fit(vectors, tmp_path, expansion=expansion, **quick) for expansion in (1, 3, 5)]
    assert [found.codebook.is_cached for found in fits] == [False, True, True]
    assert fit(vectors, tmp_path, expansion=1, **quick | {"expand_at": "train"}).codebook.is_cached
    for found, expansion in zip(fits, (1, 3, 5), strict=True):
        assert np.array_equal(found.codes, fits[-1].codes[:, :expansion])


def test_what_cannot_be_is_refused(vectors: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"num_codes=301.*only 300 distinct"):
        fit(vectors, num_codes=301)
    with pytest.raises(ValueError, match=r"num_codes=24.*only 10 distinct"):
        fit(np.repeat(vectors[:10], 30, axis=0))
    with pytest.raises(ValueError, match=r"expansion=25.*num_codes=24"):
        fit(vectors, expansion=25)


def test_the_published_options_run(vectors: np.ndarray) -> None:
    found = fit(
        vectors.astype(np.float16),
        update="gradient",
        init="uniform",
        reduce="sum",
        restart_below=0.0,
        warmup=0.0,
        max_epochs=1,
    )
    assert np.isfinite(found.codebook.vectors).all()
    assert (found.weights == 1).all()
