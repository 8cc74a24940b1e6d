"""Texts longer than the encoder reads: counted, told, kept in the cache, and embedded in parts."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from embedding_corpus import embedding_corpus
from made_settings import CPU, trainer

from topiclab.embed import shards
from topiclab.embed.embedder import embed_corpus
from topiclab.embed.huggingface import HuggingFaceEmbedder
from topiclab.embed.long_texts import Parts, cuts, tell_long

TARGET = "topiclab.embed.huggingface.HuggingFaceEmbedder"
LIMIT = 16
# 14 words and two special tokens fill the limit of the BERT-like model exactly
FULL, LONG = " ".join(["fox"] * 14), " ".join(["fox"] * 10 + ["topic"] * 30)
TEXTS = ["the quick fox", LONG, FULL, LONG, FULL + " dog"]


def tiny(folder: Path, **options) -> HuggingFaceEmbedder:
    return HuggingFaceEmbedder(path=str(folder), **{**CPU, "max_length": LIMIT, **options})


def test_texts_beyond_the_limit_are_counted_also_from_the_cache(tiny_e5, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(shards, "SHARD_DOCS", 2)
    options = {"_target_": TARGET, "path": str(tiny_e5), "max_length": LIMIT}
    for is_cached in (False, True):
        found = embed_corpus(options, embedding_corpus(TEXTS), tmp_path, trainer())
        assert found.is_cached == is_cached
        assert found.manifest["num_long"] == 3  # both copies of LONG, but not the text that fits exactly
        assert found.manifest["max_length"] == LIMIT
    assert embed_corpus(options, embedding_corpus(TEXTS), None, trainer()).manifest["num_long"] == 3


def test_counting_tokenises_once(tiny_e5, monkeypatch) -> None:
    embedder = tiny(tiny_e5)
    read: list[str] = []
    kind = type(embedder.model.tokenizer)
    original = kind.__call__
    spy = lambda self, texts, **options: read.extend(texts) or original(self, texts, **options)  # noqa: E731
    monkeypatch.setattr(kind, "__call__", spy)
    embedder.encode(TEXTS)
    assert read == TEXTS
    assert embedder.is_long.tolist() == [False, True, False, True, True]


def test_what_lies_beyond_the_characters_read_counts(tiny_e5) -> None:
    embedder = tiny(tiny_e5)
    padded = " ".join(["fox"] * 14) + " " * 4_000
    embedder.encode([padded, padded + "dog", "a" * 4_000])
    assert embedder.is_long.tolist() == [False, True, False]  # the last is one unknown word


@pytest.mark.parametrize("folder", ["tiny_e5", "tiny_qwen"])
@pytest.mark.parametrize("prompt", ["", "passage: "])
def test_parts_are_averaged_by_their_tokens(folder, prompt, request) -> None:
    """The vector of a long text is the scaled mean of what the embedder gives its parts alone."""
    path = request.getfixturevalue(folder)
    pooling = "mean" if folder == "tiny_e5" else "lasttoken"
    options = {"prompt": prompt, "pooling": pooling, "max_length": 24}
    embedder, cut = tiny(path, long="mean", **options), tiny(path, **options)
    vectors = embedder.encode(TEXTS)
    assert embedder.is_long[1]
    overhead = len(embedder.model.tokenizer(prompt)["input_ids"])
    spans = embedder.model.tokenizer(LONG, add_special_tokens=False, return_offsets_mapping=True)
    parts = cuts(np.array(spans["offset_mapping"]), LONG, 24 - overhead - 2)
    sizes = [len(ids) - overhead for ids in cut.tokenise(parts)]
    assert len(parts) > 1
    assert "".join(parts) == LONG
    assert not cut._read(parts)[1].any()
    mean = (np.array(sizes)[:, None] * cut.encode(parts)).sum(axis=0)
    np.testing.assert_allclose(vectors[1], mean / np.linalg.norm(mean), atol=1e-5)
    np.testing.assert_allclose(vectors[1], vectors[3], atol=1e-6)
    np.testing.assert_allclose(vectors[0], cut.encode(TEXTS[:1])[0], atol=1e-5)
    assert np.abs(vectors[1] - cut.encode([LONG])[0]).max() > 1e-3


def test_the_choice_enters_the_cache_key_but_cut_keeps_the_earlier_one(tiny_e5) -> None:
    assert "long" not in tiny(tiny_e5).fingerprint()
    assert tiny(tiny_e5, long="mean").fingerprint()["long"] == "mean"


@pytest.mark.parametrize("text", ["a bb ccc dddd " * 9, "語" * 40, "x" * 40, "no spaces" + "y" * 40])
@pytest.mark.parametrize("room", [3, 16, 100])
def test_cuts_lose_nothing_and_fit(text: str, room: int) -> None:
    spans = np.array([[place, place + 1] for place, letter in enumerate(text) if letter != " "])
    parts = cuts(spans, text, room)
    assert "".join(parts) == text
    assert max(len(part.replace(" ", "")) for part in parts) <= room
    if " " in text.strip() and room == 16 and not text.startswith("no"):
        assert all(part[0] == " " or text[text.index(part) - 1] == " " for part in parts[1:])


def test_a_single_piece_keeps_its_bits() -> None:
    pieces = [[np.arange(3)], [np.arange(5), np.arange(3)], [np.arange(2)]]
    parts = Parts.of(pieces, 1)
    vectors = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    found = parts.averaged(vectors)
    np.testing.assert_array_equal(found[[0, 2]], vectors[[0, 3]])
    np.testing.assert_allclose(found[1], (4 * vectors[1] + 2 * vectors[2]) / 6, rtol=1e-6)
    assert parts.is_first.tolist() == [True, True, False, True]
    assert Parts.of([], 0).averaged(np.empty((0, 2), np.float32)).shape == (0, 2)


def test_the_warning_has_count_share_limit_and_way_out(caplog) -> None:
    with caplog.at_level(logging.INFO):
        tell_long(3, 256, 12, "minilm", "cut")
        tell_long(3, 256, 12, "minilm", "mean")
        tell_long(0, 256, 12, "minilm", "cut")
        tell_long(None, None, 12, "lsa", "cut")
        tell_long(None, 256, 12, "minilm", "cut")
    warned, told, unknown = caplog.records
    assert warned.levelname == "WARNING"
    for part in ("3 of 12", "25.0%", "256 tokens", "embedder=minilm", "embedder.long=mean"):
        assert part in warned.getMessage()
    assert "in parts" in told.getMessage()
    assert "earlier version" in unknown.getMessage()
