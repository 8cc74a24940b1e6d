"""Prompt: the text around a document, and its tokens where a long document must be cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

PACKAGED = Path(__file__).parent / "prompts"
PLACEHOLDER = "{document}"
TOKENISE_DOCS = 1_024
CHARS_PER_TOKEN = 32


@dataclass(frozen=True)
class Prompt:
    """Text before and after the document; is_chat: a chat template wrote it, special tokens included."""

    before: str
    after: str
    is_chat: bool = False

    @property
    def text(self) -> str:
        return self.before + PLACEHOLDER + self.after


def read_prompt(prompt: str) -> Prompt:
    """A packaged prompt by its name, or a text file; white space at its end is dropped.

    Raises FileNotFoundError where there is neither, ValueError unless it holds {document} once, with text
    after it.
    """
    packaged, given = PACKAGED / f"{prompt}.txt", Path(prompt).expanduser()
    path = packaged if packaged.is_file() else given
    if not path.is_file():
        names = ", ".join(sorted(path.stem for path in PACKAGED.glob("*.txt")))
        raise FileNotFoundError(
            f"teacher.prompt={prompt} is neither a file nor one of {names}; give one of these or a text file"
        )
    return Prompt(*_parts(path.read_text(encoding="utf-8").rstrip(), f"teacher.prompt={prompt}"))


def as_chat(prompt: Prompt, tokenizer: Any) -> Prompt:
    """The prompt as a user turn in the model's chat template, its last line opening the answer.

    The next token thus begins the label, as it does without a template. Raises ValueError for a tokenizer
    without a template, and for a prompt whose last line holds the document.
    """
    if not tokenizer.chat_template:
        raise ValueError(
            f"teacher.chat_template=true, but the tokenizer of {tokenizer.name_or_path} has none; "
            "use teacher.chat_template=false"
        )
    instruction, _, answer = prompt.text.rpartition("\n")
    if PLACEHOLDER in answer:
        raise ValueError(
            f"the last line of the prompt, {answer!r}, opens the answer of the chat and cannot hold the "
            "document; put a line such as Topic: below it, or use teacher.chat_template=false"
        )
    turns = [{"role": "user", "content": instruction.rstrip()}, {"role": "assistant", "content": answer}]
    rendered = tokenizer.apply_chat_template(turns, tokenize=False, continue_final_message=True)
    source = f"the chat template of {tokenizer.name_or_path}"
    return Prompt(*_parts(rendered, source), is_chat=True)


def _parts(text: str, source: str) -> tuple[str, str]:
    before, *after = text.split(PLACEHOLDER)
    if len(after) != 1 or not after[0].strip():
        raise ValueError(
            f"{source} must hold {PLACEHOLDER} once, with text such as a line Topic: after it, but holds it "
            f"{len(after)} times; correct it"
        )
    return before, after[0]


@dataclass(frozen=True)
class PromptTokens:
    """Tokenize documents with the whole prompt, at most `limit` tokens, keeping the text after the document.

    A prompt that fits is tokenised as one string, before + document + after: tokens may span its joints. A
    longer document loses the characters of the surplus tokens at its end, and the shorter string is tokenised
    anew until it fits; so the tokens are always those of a text, never spliced. Tokens that the tokenizer
    itself appends to every text are left out, because the label continues the prompt.
    Raises ValueError where the prompt without a document leaves no room.
    """

    prompt: Prompt
    tokenizer: Any
    limit: int

    def __post_init__(self) -> None:
        num_tokens = len(self._ids([""])[0])
        if num_tokens >= self.limit:
            raise ValueError(
                f"teacher.prompt takes {num_tokens} of the {self.limit} tokens that may be read, which "
                "leaves none for a document; shorten it, or raise teacher.max_length to the model's context"
            )

    def of(self, documents: Sequence[str]) -> tuple[list[np.ndarray], int]:
        """Token ids (n,) int32 of each document's prompt, and the number of documents that were cut."""
        tokens: list[np.ndarray] = []
        num_cut = 0
        for ids, is_cut in self._fitted(documents):
            tokens.append(np.asarray(ids, np.int32))
            num_cut += is_cut
        return tokens, num_cut

    def _fitted(self, documents: Sequence[str]) -> Iterator[tuple[list[int], bool]]:
        """Read at most 32 characters per token of a long document; the few that need more are read whole."""
        num_chars = self.limit * CHARS_PER_TOKEN
        for start in range(0, len(documents), TOKENISE_DOCS):
            chunk = documents[start : start + TOKENISE_DOCS]
            for document, ids in zip(chunk, self._ids([text[:num_chars] for text in chunk]), strict=True):
                if len(ids) > self.limit:
                    yield self._cut(document[:num_chars]), True
                elif len(document) <= num_chars:
                    yield ids, False
                else:
                    whole = self._ids([document])[0]
                    yield (whole, False) if len(whole) <= self.limit else (self._cut(document), True)

    def _cut(self, document: str) -> list[int]:
        begin = len(self.prompt.before)
        while len(ids := self._ids([document])[0]) > self.limit:
            whole = self._whole(document)
            offsets = self.tokenizer(whole, return_offsets_mapping=True, **self._options)["offset_mapping"]
            starts = [start - begin for start, end in offsets if end > start]
            inside = [start for start in starts if 0 <= start < len(document)]
            kept = max(0, len(inside) - (len(ids) - self.limit))
            stop = inside[kept] if kept < len(inside) else len(document)
            document = document[: min(stop, len(document) - 1)]
        return ids

    def _whole(self, document: str) -> str:
        return self.prompt.before + document + self.prompt.after

    @property
    def _options(self) -> dict[str, Any]:
        return {"add_special_tokens": not self.prompt.is_chat, "verbose": False}

    def _ids(self, documents: Sequence[str]) -> list[list[int]]:
        found = self.tokenizer([self._whole(text) for text in documents], **self._options)["input_ids"]
        num_appended = 0 if self.prompt.is_chat else self._num_appended
        return [ids[: len(ids) - num_appended] for ids in found]

    @cached_property
    def _num_appended(self) -> int:
        """Number of special tokens that the tokenizer appends to every text."""
        plain = self.tokenizer(self.prompt.text, add_special_tokens=False)["input_ids"]
        marked = self.tokenizer(self.prompt.text)["input_ids"]
        num_before = next(at for at in range(len(marked)) if marked[at : at + len(plain)] == plain)
        return len(marked) - num_before - len(plain)
