"""Texts without padding give the same vectors as padded ones, and the manifest names the kernel."""

from __future__ import annotations

import logging
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from embedding_corpus import CORPUS

from topiclab.embed import attention
from topiclab.embed.attention import KernelWatch, packed_attention
from topiclab.embed.huggingface import HuggingFaceEmbedder

TEXTS = [" ".join((CORPUS * 5)[: 1 + number % 7]) for number in range(16)] + ["x", "x", "fox " * 90]
MODELS = {"tiny_qwen": "lasttoken", "tiny_e5": "mean"}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> tuple[Path, str]:
    return request.getfixturevalue(request.param), MODELS[request.param]


def embedder(model: tuple[Path, str], **options) -> HuggingFaceEmbedder:
    folder, pooling = model
    return HuggingFaceEmbedder(
        path=str(folder), pooling=pooling, **{"device": "cpu", "precision": "fp32", **options}
    )


@pytest.mark.parametrize("batch_tokens", [40, 4_096])
def test_packed_texts_have_the_vectors_of_padded_ones(model: tuple[Path, str], batch_tokens: int) -> None:
    padded = embedder(model, is_packed=False, batch_tokens=batch_tokens)
    packed = embedder(model, is_packed=True, batch_tokens=batch_tokens)
    np.testing.assert_allclose(packed.encode(TEXTS), padded.encode(TEXTS), atol=2e-6)
    assert (packed.facts()["is_unpadded"], padded.facts()["is_unpadded"]) == (True, False)
    assert packed.facts()["attention"] == attention.PACKED
    assert packed.fingerprint() == padded.fingerprint()
    tokens = packed.tokenise(TEXTS)
    assert packed.features(tokens)["input_ids"].shape == (1, sum(map(len, tokens)))
    assert not torch.is_inference(packed.transformer.model.get_input_embeddings().weight)


def test_hidden_states_do_not_depend_on_padding(model: tuple[Path, str]) -> None:
    padded, packed = (embedder(model, is_packed=is_packed) for is_packed in (False, True))
    tokens = padded.tokenise(TEXTS)
    np.testing.assert_allclose(packed.hidden_states(tokens), padded.hidden_states(tokens), atol=1e-5)


def test_the_cpu_pads(model: tuple[Path, str]) -> None:
    assert embedder(model).facts()["is_unpadded"] is False


def test_a_model_that_mixes_texts_is_padded(
    model: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def of_all(query, key, value, bounds, scaling, causal) -> torch.Tensor:
        heads = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(heads, 1), value.repeat_interleave(heads, 1)
        return torch.nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2)

    monkeypatch.setattr(attention, "_by_lengths", of_all)
    monkeypatch.setattr(attention, "can_pack", lambda *_: True)
    with pytest.raises(NotImplementedError, match="mixes texts"):
        _ = embedder(model, is_packed=True).model
    with caplog.at_level(logging.WARNING):
        vectors = embedder(model).encode(TEXTS)
    assert "texts are padded" in caplog.text
    np.testing.assert_array_equal(vectors, embedder(model, is_packed=False).encode(TEXTS))


def test_packed_attention_is_that_of_each_text() -> None:
    generator = torch.Generator().manual_seed(0)
    lengths, module = (3, 3, 1, 7), torch.nn.Module()
    query = torch.randn(1, 4, sum(lengths), 8, generator=generator)
    key, value = torch.randn(2, 1, 2, sum(lengths), 8, generator=generator)
    bounds = torch.tensor([0, 3, 6, 7, 14], dtype=torch.int32)
    for causal in (False, True):
        found, _ = packed_attention(
            module, query, key, value, None, 0.3, causal, cu_seq_lens_q=bounds, max_length_q=7
        )
        for start, stop in pairwise(bounds.tolist()):
            one, two, three = (states[:, :, start:stop] for states in (query, key, value))
            scores = 0.3 * one @ two.repeat_interleave(2, 1).transpose(2, 3)
            if causal:
                scores += torch.full(scores.shape[2:], -torch.inf).triu(1)
            expected = scores.softmax(-1) @ three.repeat_interleave(2, 1)
            torch.testing.assert_close(found[:, start:stop], expected.transpose(1, 2))
    with pytest.raises(ValueError, match="bounds"):
        packed_attention(module, query, key, value, None)
    with pytest.raises(NotImplementedError, match="softcap"):
        packed_attention(module, query, key, value, None, cu_seq_lens_q=bounds, max_length_q=7, softcap=5.0)


def test_the_manifest_names_the_kernel(model: tuple[Path, str]) -> None:
    found = embedder(model)
    assert found.facts()["attention_kernel"] is None  # nothing has run yet
    found.encode(TEXTS)
    assert found.facts()["attention_kernel"] == "flash"
    eager = embedder(model)
    eager.transformer.model.set_attn_implementation("eager")
    eager.encode(TEXTS)
    assert eager.facts()["attention"] == "eager"
    assert eager.facts()["attention_kernel"] == "math"


def test_the_watch_tells_kernels_apart() -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    states = torch.randn(1, 2, 5, 8)
    for backend, name in ((SDPBackend.FLASH_ATTENTION, "flash"), (SDPBackend.MATH, "math")):
        with sdpa_kernel(backend), torch.inference_mode(), KernelWatch() as watch:
            torch.nn.functional.scaled_dot_product_attention(states, states, states)
        assert watch.kernels == {name}
