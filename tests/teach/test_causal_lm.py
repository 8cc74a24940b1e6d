"""Causal language models as teachers: parity with their own forward, whole words, recovery, bad input."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_settings import CPU
from tiny_lm import TEXTS, TRAINER, WORDS, documents, plain_forward, prompted, save_lm, taught

from topiclab.config.compose import compose
from topiclab.teach import soft_labels as driver
from topiclab.teach.causal_lm import CausalLMTeacher
from topiclab.teach.soft_labels import soft_labels
from topiclab.teach.word_head import WordHead


@pytest.fixture(scope="module", params=["llama", "qwen3"])
def lm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_lm(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_lm(tmp_path_factory.mktemp("llama"))


@pytest.mark.parametrize("batch_tokens", [1, 150, 4_096])
def test_logits_and_states_are_those_of_the_plain_forward(lm: Path, batch_tokens: int) -> None:
    teacher, facts, (logits, states) = taught(
        lm, documents(), multi_token="first_subtoken", batch_tokens=batch_tokens
    )
    first = [ids[0] for ids in teacher.words.ids]
    for row, (_, ids, theirs, state) in enumerate(plain_forward(lm, map(prompted, TEXTS))):
        np.testing.assert_array_equal(teacher.tokens[row], ids[0])
        np.testing.assert_allclose(logits[row], theirs[first], atol=1e-4)
        np.testing.assert_allclose(states[row], state, atol=1e-4)
    assert logits.std(axis=1).min() > 0.1
    assert facts["logit_difference"] < 1e-4


@torch.inference_mode()
def chain_rule(model, ids: torch.Tensor, word: tuple[int, ...]) -> float:
    total = 0.0
    for token in word:
        total += float(model(ids).logits[0, -1].log_softmax(dim=0)[token])
        ids = torch.cat([ids, torch.tensor([[token]])], dim=1)
    return total


@pytest.mark.parametrize("kind", ["llama", "qwen3", "granite", "qwen3_5"])
@pytest.mark.parametrize("batch_tokens", [1, 4_096])
def test_exact_words_are_the_chain_rule(tmp_path: Path, kind: str, batch_tokens: int) -> None:
    folder = save_lm(tmp_path / kind, kind)
    texts = [TEXTS[row] for row in (2, 1, 6)]  # two of equal length share a batch
    options = {"multi_token": "exact", "batch_tokens": batch_tokens}
    teacher, _, (logits, states) = taught(folder, documents(texts), **options)
    assert max(map(len, teacher.words.ids)) >= 4
    assert len(teacher.words.ids) == len(WORDS)
    for row, (model, ids, _, state) in enumerate(plain_forward(folder, map(prompted, texts))):
        expected = [chain_rule(model, ids, word) for word in teacher.words.ids]
        np.testing.assert_allclose(logits[row], expected, atol=1e-4)
        np.testing.assert_allclose(states[row], state, atol=1e-4)


@pytest.mark.parametrize("kind", ["phi3", "gemma3", "granite", "qwen3_5"])
def test_architectures_of_their_own_keep_parity(tmp_path: Path, kind: str) -> None:
    """LongRoPE that switches at 48 tokens, soft-capped logits and a window, a divisor, linear attention."""
    folder = save_lm(tmp_path / kind, kind)
    teacher, _, (logits, _) = taught(folder, documents())
    lengths = [len(ids) for ids in teacher.tokens]
    assert min(lengths) <= 48 < max(lengths)
    known = [word for word, ids in enumerate(teacher.words.ids) if ids]
    for row, (*_, theirs, _) in enumerate(plain_forward(folder, map(prompted, TEXTS))):
        expected = theirs[[teacher.words.ids[word][0] for word in known]]
        np.testing.assert_allclose(logits[row, known], expected, atol=1e-4)


def test_words_of_several_tokens(llama: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = ("cat", "quicker", "quick", "foxes", "fox")
    with caplog.at_level(logging.WARNING):
        _, facts, (dropped, _) = taught(llama, documents(words=words))
    assert "multi_token=drop teaches 3 of 5 words: 2 are of several tokens" in caplog.text
    assert np.isneginf(dropped).tolist() == [[False, True, False, True, False]] * len(TEXTS)
    assert (facts["coverage"], facts["num_multi_token"], facts["num_sharing_first"]) == (0.6, 2, 4)
    with caplog.at_level(logging.WARNING):
        _, facts, (first, _) = taught(llama, documents(words=words), multi_token="first_subtoken")
    assert "4 words share their first token" in caplog.text
    assert facts["coverage"] == 1
    np.testing.assert_array_equal(first[:, [1, 3]], first[:, [2, 4]])
    np.testing.assert_allclose(first[:, [0, 2, 4]], dropped[:, [0, 2, 4]], atol=1e-5)
    with pytest.raises(ValueError, match=r"teaches none of the 2 words .* use teacher\.multi_token=exact"):
        taught(llama, documents(words=("quicker", "foxes")))


def test_bare_blank_is_no_part_of_a_word(llama: Path) -> None:
    teacher, *_ = taught(llama, documents(words=("cat", "☃", "zebra")), multi_token="exact")
    blank = teacher.tokenizer(" ", add_special_tokens=False)["input_ids"]
    assert teacher.tokenizer(" ☃", add_special_tokens=False)["input_ids"][:1] == blank
    assert list(teacher.words.ids[1]) == teacher.tokenizer("☃", add_special_tokens=False)["input_ids"]


def test_model_without_a_causal_head_is_refused(tiny_qwen: Path, tiny_e5: Path) -> None:
    with pytest.raises(ValueError, match=r"its weights have no lm_head\.weight; give a model"):
        taught(tiny_qwen, documents(words=("fox", "dog")), multi_token="exact")
    with pytest.raises(FileNotFoundError, match=r"teacher\.path=/no/such/folder is neither"):
        taught(Path("/no/such/folder"), documents())


def test_head_that_the_model_changes_is_refused(lm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import LlamaForCausalLM, Qwen3ForCausalLM

    for cls in (LlamaForCausalLM, Qwen3ForCausalLM):
        forward = cls.forward

        def doubled(self, *args, forward=forward, **options):
            out = forward(self, *args, **options)
            return SimpleNamespace(logits=out.logits * 2)

        monkeypatch.setattr(cls, "forward", doubled)
    with pytest.raises(ValueError, match="gives other logits in its own forward"):
        taught(lm, documents())


def test_out_of_memory_halves_the_batch(
    llama: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _, _, (whole, _) = taught(llama, documents())
    score = WordHead.score

    def small_device(self, tokens, batch_tokens):
        if len(tokens) > 2:
            raise torch.OutOfMemoryError("planted")
        return score(self, tokens, batch_tokens)

    monkeypatch.setattr(WordHead, "score", small_device)
    with caplog.at_level(logging.WARNING):
        _, _, (logits, _) = taught(llama, documents())
    np.testing.assert_allclose(logits, whole, atol=1e-5)
    assert "out of memory on cpu" in caplog.text
    monkeypatch.setattr(WordHead, "score", lambda *_: small_device(None, [0, 0, 0], 1))
    with pytest.raises(torch.OutOfMemoryError):
        taught(llama, documents())


def lm_config(folder: Path, **options) -> dict:
    chosen = ["teacher=causal_lm", f"teacher.path={folder}", "teacher.multi_token=exact"]
    return {**compose(chosen)["teacher"], **options}


def test_nan_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = save_lm(tmp_path / "nan")
    model, snow = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)("☃")
    with torch.no_grad():
        model.model.embed_tokens.weight[snow["input_ids"][-1]] = float("nan")
    model.save_pretrained(folder)
    with pytest.raises(ValueError, match=r"not numbers for 1 documents \(rows 8\); use trainer"):
        soft_labels(lm_config(folder), documents(), TRAINER)
    with pytest.raises(ValueError, match=r"not finite after the first prompt; use trainer.precision=fp32"):
        soft_labels(lm_config(folder), documents(TEXTS[::-1]), TRAINER)


def test_interrupted_pass_resumes(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "SHARD_DOCS", 2)
    label, seen = CausalLMTeacher.label, []

    def interrupted(self, rows):
        seen.append(rows.tolist())
        if len(seen) == 3:
            raise KeyboardInterrupt
        return label(self, rows)

    monkeypatch.setattr(CausalLMTeacher, "label", interrupted)
    datamodule = documents(cache_root=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        soft_labels(lm_config(llama), datamodule, TRAINER)
    labels = soft_labels(lm_config(llama), datamodule, TRAINER)
    assert seen == [[0, 1], [2, 3], [4, 5], [4, 5], [6, 7], [8]]
    assert labels.manifest["num_multi_token"] > 0
    teacher = CausalLMTeacher(path=str(llama), multi_token="exact", **CPU)
    teacher.prepare(datamodule)
    logits, states = label(teacher, np.arange(len(TEXTS)))
    np.testing.assert_allclose(labels.raw_logits(slice(None)), logits, atol=0.05)
    np.testing.assert_allclose(labels.vectors, states, atol=1e-5)
    monkeypatch.setattr("topiclab.teach.language_model.LanguageModel.__init__", None)
    assert soft_labels(lm_config(llama), datamodule, TRAINER).is_cached


def test_fingerprint_follows_what_labels_depend_on(lm: Path, llama: Path, tmp_path: Path) -> None:
    base = CausalLMTeacher(path=str(lm), **CPU).fingerprint(documents())
    assert base == CausalLMTeacher(path=str(lm), batch_tokens=7, **CPU).fingerprint(documents())
    changes = ({"prompt": "one_label"}, {"multi_token": "exact"}, {"max_length": 40}, {"precision": "bf16"})
    for change in changes:
        assert CausalLMTeacher(path=str(lm), **{**CPU, **change}).fingerprint(documents()) != base
    other = save_lm(tmp_path / "other", initializer_range=0.1)
    assert CausalLMTeacher(path=str(other), **CPU).fingerprint(documents()) != base


def test_bf16_stays_near_fp32(lm: Path) -> None:
    _, _, (full, _) = taught(lm, documents(), multi_token="first_subtoken")
    _, facts, (half, _) = taught(lm, documents(), multi_token="first_subtoken", precision="bf16")
    assert facts["attention"] == "sdpa"
    correlation = np.corrcoef(full.ravel(), half.ravel())[0, 1]
    assert correlation > 0.99
