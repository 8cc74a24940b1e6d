"""Prompts: files, chat templates, tokens at the joints, and long documents cut before the prompt's end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_settings import CPU
from tiny_lm import TEXTS, documents, plain_forward, prompted, save_lm, taught

from topiclab.teach.causal_lm import CausalLMTeacher


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_lm(tmp_path_factory.mktemp("llama"))


@pytest.mark.parametrize("max_length", [30, 41, 512])
def test_cut_documents_keep_the_end_of_the_prompt(llama: Path, max_length: int) -> None:
    teacher, facts, _ = taught(llama, documents(), max_length=max_length)
    tokenizer = teacher.tokenizer
    whole = [tokenizer(text)["input_ids"] for text in map(prompted, TEXTS)]
    assert facts["num_cut"] == sum(len(ids) > max_length for ids in whole)
    for text, ids, full in zip(TEXTS, teacher.tokens, whole, strict=True):
        read = tokenizer.decode(ids, skip_special_tokens=True)
        before, _, after = prompted("\0").partition("\0")
        assert read.startswith(before)
        assert read.endswith(after)
        assert text.startswith(read[len(before) : -len(after)])
        if len(full) <= max_length:
            assert ids.tolist() == full
        else:
            assert max_length - 4 <= len(ids) <= max_length


def test_long_document_is_cut_before_it_costs(llama: Path) -> None:
    megabyte = "the lazy dog " * 80_000
    spaced = " " * 40_000 + "the lazy dog"
    texts = [megabyte, megabyte[:30_000], spaced]
    teacher, facts, (logits, _) = taught(llama, documents(texts), max_length=64)
    assert facts["num_cut"] == 3
    np.testing.assert_array_equal(teacher.tokens[0], teacher.tokens[1])
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-5)  # rows of one product may round differently
    assert [len(ids) <= 64 for ids in teacher.tokens] == [True] * 3


def test_prompt_must_leave_room(llama: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"teacher\.prompt takes \d+ of the 15 tokens .* teacher\.max_length"
    ):
        taught(llama, documents(), max_length=15)
    short = save_lm(tmp_path / "short", context=20)
    with pytest.raises(ValueError, match=r"of the 20 tokens that may be read"):
        taught(short, documents(), max_length=100)


def test_prompt_files(llama: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("About {document}\nLabel:\n\n")
    teacher, *_ = taught(llama, documents(), prompt=str(path))
    assert teacher.tokenizer.decode(teacher.tokens[0]) == "<s>About fox\nLabel:"
    names = ("default", "central_theme", "one_label", "main_idea", "long_one_word", "long_brief_tag")
    texts = {CausalLMTeacher(path=str(llama), prompt=name, **CPU).prompt.text for name in names}
    assert len(texts) == 6
    assert all(text.endswith("\n\nDocument: {document}\n\nTopic:") for text in texts)
    with pytest.raises(FileNotFoundError, match=r"teacher\.prompt=mine is neither a file nor one of "):
        CausalLMTeacher(path=str(llama), prompt="mine", **CPU)
    for wrong in ("Topic:", "{document}", "{document} {document}\nTopic:"):
        path.write_text(wrong)
        with pytest.raises(ValueError, match=r"must hold .document. once"):
            CausalLMTeacher(path=str(llama), prompt=str(path), **CPU)


def test_chat_template_opens_the_answer(tmp_path: Path, llama: Path) -> None:
    folder = save_lm(tmp_path / "chat", chat=True)
    teacher, _, (logits, _) = taught(folder, documents(), chat_template=True, multi_token="first_subtoken")
    body, _, _ = prompted("fox").rpartition("\n\n")
    whole = f"<s><user>{body}</s><answer>Topic:"
    assert teacher.tokenizer.decode(teacher.tokens[0]) == whole
    *_, theirs, _ = next(plain_forward(folder, [whole], add_special_tokens=False))
    np.testing.assert_allclose(logits[0], theirs[[ids[0] for ids in teacher.words.ids]], atol=1e-4)
    with pytest.raises(ValueError, match=r"use teacher\.chat_template=false"):
        taught(llama, documents(), chat_template=True)


def test_end_token_of_the_tokenizer_is_left_out(tmp_path: Path) -> None:
    plain, ended = save_lm(tmp_path / "plain"), save_lm(tmp_path / "ended", appends_end=True)
    first, _, (reference, _) = taught(plain, documents())
    second, _, (logits, _) = taught(ended, documents())
    assert second.tokenizer("fox")["input_ids"][-1] == 1
    np.testing.assert_array_equal(first.tokens[3], second.tokens[3])
    np.testing.assert_array_equal(logits, reference)
