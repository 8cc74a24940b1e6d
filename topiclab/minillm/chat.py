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
    """A model that replies to prompts and conversations.

    max_new_tokens: length limit of a reply.  system: instruction put before every conversation without one.
    has_template: use ChatML, which fine-tuning teaches; otherwise the prompt is continued as plain text.
    is_sliding: a conversation longer than the context loses its oldest turns, then the beginning of the last
    one, and generation continues from the newer half of the reply; otherwise it is a ValueError.
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
        """Load a finished run, whose export/ is read, or an export itself; see `load_folder` for errors."""
        folder = run / "export" if (run / "export").is_dir() else run
        model, tokenizer = load_folder(folder, device=device, dtype=dtype)
        return cls(model, tokenizer, sampler, **options)

    def chat(self, prompt: str | Messages, *, seed: int = 0) -> str:
        """The reply to a question, or to messages {"role", "content"} that end with the user's."""
        return "".join(self.stream(prompt, seed=seed))

    def stream(self, prompt: str | Messages, *, seed: int = 0) -> Iterator[str]:
        """The reply of `chat` in pieces, as it is generated."""
        return stream(self.model, self.tokenizer, self.prompt_ids(prompt), seed=seed, **self._options)

    def chat_all(self, prompts: Sequence[str | Messages], *, seed: int = 0) -> list[str]:
        """The replies to several prompts, generated together."""
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
        """Token ids that the model reads before it replies; ValueError if there is nothing to reply to."""
        if not self.has_template:
            if not isinstance(prompt, str):
                raise ValueError("has_template=false continues a text, not messages; give the text")
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
    """The last turn, and as many turns before it as there is room for."""
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
        raise ValueError("a conversation must end with a message of the user, to which the model replies")
