"""Token sets: as the tokenizer gives them, computed once, and resumed after a kill."""

from __future__ import annotations

import numpy as np
import pytest

from topiclab.data.sources.corpora import lee_path
from topiclab.minillm.data import tokens as module
from topiclab.minillm.data.tokenizer import Tokenizer, train_tokenizer
from topiclab.minillm.data.tokens import token_set

TEXTS = [*lee_path().read_text(encoding="utf-8").splitlines()[:60], "", "日本語 👩‍👧"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TEXTS, vocab_size=500, seed=0, max_bytes=10**6)


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(module, "SHARD_BYTES", 5_000)


def assert_right(found, tokenizer):
    ids, offsets = tokenizer.encode_batch(TEXTS)
    assert found.ids.dtype == np.uint16
    assert isinstance(found.ids, np.memmap)
    assert (found.ids == ids).all()
    assert (found.offsets == offsets).all()
    assert found.num_bytes.tolist() == [len(text.encode()) for text in TEXTS]


@pytest.mark.usefixtures("small_shards")
def test_a_token_set_is_what_the_tokenizer_says(tokenizer, tmp_path, monkeypatch):
    found = token_set(TEXTS, tokenizer, tmp_path)
    assert_right(found, tokenizer)
    total = found.num_bytes[:9].sum() / found.offsets[9]
    assert found.bytes_per_token(np.arange(9)) == pytest.approx(total)
    assert np.isnan(found.bytes_per_token(np.array([60])))
    folder = next((tmp_path / "tokens").glob("*[!k]"))
    assert {path.name for path in folder.iterdir()} == {
        "ids.npy",
        "offsets.npy",
        "num_bytes.npy",
        "manifest.json",
    }
    monkeypatch.setattr(Tokenizer, "encode_batch", None)  # nothing is encoded the second time
    again = token_set(TEXTS, tokenizer, tmp_path)
    assert (again.ids == found.ids).all()


@pytest.mark.usefixtures("small_shards")
def test_a_killed_fill_resumes(tokenizer, tmp_path, monkeypatch):
    encode, num_calls = Tokenizer.encode_batch, []

    def dies(self, texts):
        num_calls.append(1)
        if len(num_calls) == 4:
            raise KeyboardInterrupt
        return encode(self, texts)

    monkeypatch.setattr(Tokenizer, "encode_batch", dies)
    with pytest.raises(KeyboardInterrupt):
        token_set(TEXTS, tokenizer, tmp_path)
    found = token_set(TEXTS, tokenizer, tmp_path)
    monkeypatch.undo()
    assert_right(found, tokenizer)
    num_blocks = len(list(module.text_blocks(TEXTS, 5_000)))
    assert len(num_calls) == num_blocks + 1  # three were already there


def test_another_tokenizer_or_text_is_another_set(tokenizer, tmp_path):
    other = train_tokenizer(TEXTS, vocab_size=400, seed=0, max_bytes=10**6)
    sets = [
        token_set(texts, each, tmp_path)
        for texts, each in ((TEXTS, tokenizer), (TEXTS, other), (TEXTS[:-1], tokenizer))
    ]
    assert len({len(found.ids) for found in sets}) == 3
    assert token_set([], tokenizer, tmp_path).num_docs == 0
