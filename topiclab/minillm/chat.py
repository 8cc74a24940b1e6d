"""Conversations with the mini-LLM in ChatML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from topiclab.minillm.data.conversations import ROLES, opening_ids, turn_ids
from topiclab.minillm.data.tokenizer import END_OF_TEXT, END_OF_TURN, Tokenizer
from topiclab.minillm.export import load_folder
from topiclab.minillm.generate import generate, stream
from topiclab.minillm.network import MiniLLM
from topiclab.minillm.sampler import Sampler

STOPS = (END_OF_TURN, END_OF_TEXT)
Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class ChatModel:
    """A model that answers.

    max_new_tokens: the longest reply.  system: an instruction before every conversation that has none.
    has_template: as ChatML, which fine-tuning teaches; without, a prompt is a text that goes on.
    is_sliding: a conversation longer than the context loses its oldest turns, then the beginning of the last
    one, and a reply reads on from its own newer half; without, such a conversation is a ValueError.
    """

    model: MiniLLM
    tokenizer: Tokenizer
    sampler: Sampler
    max_new_tokens: int
    system: str | None = None
    has_template: bool = True
    is_sliding: bool = True

    @classmethod
    def load(
        cls, run: Path, *, device: str = "cpu", dtype: str = "fp32", sampler: Sampler, **options: Any
    ) -> ChatModel:
        """Of a finished run, whose export/ it reads, or of an export itself; see `load_folder` for errors."""
        folder = run / "export" if (run / "export").is_dir() else run
        model, tokenizer = load_folder(folder, device=device, dtype=dtype)
        return cls(model, tokenizer, sampler, **options)

    def chat(self, prompt: str | Messages, *, seed: int = 0) -> str:
        """The reply to a question, or to messages {"role", "content"} that end with the user's."""
        return "".join(self.stream(prompt, seed=seed))

    def stream(self, prompt: str | Messages, *, seed: int = 0) -> Iterator[str]:
        """`chat` in pieces, while it is written."""
        return stream(self.model, self.tokenizer, self.prompt_ids(prompt), seed=seed, **self._options)

    def chat_all(self, prompts: Sequence[str | Messages], *, seed: int = 0) -> list[str]:
        """The replies to several at once."""
        rows = generate(self.model, [*map(self.prompt_ids, prompts)], seed=seed, **self._options)
        return [self.tokenizer.decode(row) for row in rows]

    @property
    def _options(self) -> dict[str, Any]:
        return {
            "max_new_tokens": self.max_new_tokens,
            "sampler": self.sampler,
            "stop_ids": STOPS,
            "is_sliding": self.is_sliding,
        }

    def prompt_ids(self, prompt: str | Messages) -> list[int]:
        """What the model reads before it replies; ValueError for a conversation that cannot be replied to."""
        if not self.has_template:
            if not isinstance(prompt, str):
                raise ValueError("has_template=false goes on from a text, not from messages; give the text")
            return [END_OF_TEXT, *self.tokenizer.encode(prompt)]
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
        _check(messages)
        if self.system is not None and messages[0]["role"] != "system":
            messages.insert(0, {"role": "system", "content": self.system})
        turns = [turn_ids(self.tokenizer, message["role"], message["content"]) for message in messages]
        opening = opening_ids(self.tokenizer)
        if self.is_sliding:
            room = self.model.shape.context_length - self.max_new_tokens - len(opening)
            kept = turns[:1] if messages[0]["role"] == "system" else []
            turns = kept + _newest(turns[len(kept) :], room - sum(map(len, kept)))
        return [*(number for turn in turns for number in turn), *opening]


def _newest(turns: list[list[int]], room: int) -> list[list[int]]:
    """The last turn, and those before it while there is room for all of them."""
    start = len(turns) - 1
    room -= len(turns[start])
    while start > 0 and room >= len(turns[start - 1]):
        start -= 1
        room -= len(turns[start])
    return turns[start:]


def _check(messages: Messages) -> None:
    for message in messages:
        if message.get("role") not in ROLES or not isinstance(message.get("content"), str):
            raise ValueError(
                f"a message {dict(message)} is refused: give its role as one of {', '.join(ROLES)}, and its "
                "content as text"
            )
    if not messages or messages[-1]["role"] != "user":
        raise ValueError("a conversation ends with a message of the user, so that there is one to reply to")
