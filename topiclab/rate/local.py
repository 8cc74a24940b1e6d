"""Ratings by a causal language model on this machine, read off the logits of the three digits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from topiclab.device import resolve_device, resolve_precision
from topiclab.embed.weights import folder_revision, model_folder
from topiclab.limits import Count
from topiclab.rate.rater import Question
from topiclab.teach.language_model import LanguageModel

BATCH_TOPICS = 16
DIGITS = "123"


class LocalRater:
    """Rates a topic by the expected digit under the model's next-token probabilities of 1, 2 and 3 alone.

    Stammbach et al. 2023 sample one digit of a remote model; the expectation needs no sampling, separates 2.4
    from 1.6, and no reply is invalid. Nothing is sent anywhere.

    path: a folder, or a hub id, which is downloaded if the local cache lacks it.
    prompt: holds {words}; the digit follows it after a space, or with chat_template follows the opening of
        the model's turn.
    """

    def __init__(
        self,
        path: str,
        prompt: Question,
        num_words: Count,
        revision: str | None = None,
        chat_template: bool = False,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        self.folder = model_folder(path, None, None, revision, option="rating.path")
        self.prompt, self.num_words, self.chat_template = prompt.strip(), num_words, chat_template
        self.device = resolve_device(device)
        self.precision = resolve_precision(precision, self.device)

    def fingerprint(self) -> dict[str, Any]:
        return {
            "rater": "local",
            "revision": folder_revision(self.folder),
            "prompt": self.prompt,
            "chat_template": self.chat_template,
            "dtype": self.precision,
        }

    def rate(self, topics: Sequence[Sequence[str]]) -> Iterator[tuple[int, float]]:
        """Position and rating of every topic; ValueError where a digit is not one token."""
        model = loaded_model(self.folder, self.device, self.precision)
        read = [self.tokens(words) for words in topics]
        model.check(read[0][0])
        for start in range(0, len(topics), BATCH_TOPICS):
            batch = read[start : start + BATCH_TOPICS]
            states = model.last_states([tokens for tokens, _ in batch])
            ids, columns = torch.tensor([digits for _, digits in batch]).unique(return_inverse=True)
            logits = model.logits(states, ids.to(states.device)).cpu().gather(1, columns)
            ratings = logits.softmax(dim=1) @ torch.arange(1.0, len(DIGITS) + 1)
            yield from enumerate(ratings.tolist(), start)

    def tokens(self, words: Sequence[str]) -> tuple[np.ndarray, list[int]]:
        """Token ids (L,) of the prompt up to the digit, and the ids of the digits there."""
        text = self.prompt.replace("{words}", ", ".join(words))
        text = self.turn(text) if self.chat_template else f"{text} "
        options = {"add_special_tokens": not self.chat_template, "verbose": False}
        rows = self.tokenizer([text + digit for digit in DIGITS], **options)["input_ids"]
        places = [place for place, ids in enumerate(zip(*rows, strict=False)) if len(set(ids)) > 1]
        digits = [row[places[0]] for row in rows] if len(places) == 1 else []
        if len({len(row) for row in rows}) > 1 or len(set(digits)) < len(DIGITS):
            raise ValueError(
                f"the tokenizer of {self.folder} does not write 1, 2 and 3 as one token each; use another"
            )
        return np.array(rows[0][: places[0]]), digits

    def turn(self, text: str) -> str:
        """The text as a user turn, up to the opening of the model's turn."""
        turns = [{"role": "user", "content": text}]
        options = {"add_generation_prompt": True, "enable_thinking": False}
        return self.tokenizer.apply_chat_template(turns, tokenize=False, **options)

    def prompt_tokens(self, text: str) -> list[int]:
        """Token ids of a text to continue, without the end token that some tokenizers append."""
        text = self.turn(text) if self.chat_template else text
        options = {"add_special_tokens": not self.chat_template, "verbose": False}
        ids: list[int] = self.tokenizer(text, **options)["input_ids"]
        has_end = not self.chat_template and ids[-1] == self.tokenizer.eos_token_id
        return ids[:-1] if has_end else ids

    @cached_property
    def tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        tokenizer: Any = AutoTokenizer.from_pretrained(
            self.folder, local_files_only=True, trust_remote_code=False
        )
        if self.chat_template and not tokenizer.chat_template:
            raise ValueError(
                f"rating.chat_template=true, but the tokenizer of {self.folder} has none; "
                "use rating.chat_template=false"
            )
        return tokenizer


@lru_cache(maxsize=1)  # the cells of a grid in one process share it
def loaded_model(folder: Path, device: str, precision: str) -> LanguageModel:
    return LanguageModel(folder, device, precision, option="rating.path")
