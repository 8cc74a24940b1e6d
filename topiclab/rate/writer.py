"""Writers: the language model of the group `rating` names each topic in a few words."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from topiclab.metrics.rating import RatingError
from topiclab.rate.endpoint import EndpointRater
from topiclab.settings import Trainer

log = logging.getLogger(__name__)

MAX_REPLY_LENGTH = 24  # tokens
MAX_NAME_LENGTH = 60  # characters
OPENINGS = ("topic:", "label:", "name:", "answer:")


class Writer(Protocol):
    """Turns prompts into short names. `fingerprint()`: plain JSON of all that names depend on but prompts."""

    def fingerprint(self) -> dict[str, Any]: ...

    def write(self, prompts: Sequence[str]) -> Iterator[tuple[int, str]]:
        """Yield position in prompts and name, "" where the model gave none, in any order, as they come.

        Prompts that are left out met a failure that may pass.
        """
        ...


class Name(NamedTuple):
    text: str


class EndpointWriter(EndpointRater):
    """Names from an OpenAI-compatible API; the options are those of `EndpointRater`."""

    max_tokens = MAX_REPLY_LENGTH
    wanted = "name"

    def fingerprint(self) -> dict[str, Any]:
        return {"writer": "endpoint", "url": self.url, "model": self.model, "max_tokens": self.max_tokens}

    def content(self, words: Sequence[str]) -> str:
        return words[0]

    def value(self, reply: str) -> Name | None:
        name = tidy_name(reply)
        return Name(name) if name else None

    def write(self, prompts: Sequence[str]) -> Iterator[tuple[int, str]]:
        try:
            for place, found in self.rate([[prompt] for prompt in prompts]):
                if isinstance(found, Name):
                    yield place, found.text
                    continue
                log.warning("a topic keeps its keyword: %s", found)
                if not isinstance(found, RatingError):
                    yield place, ""
        except RatingError as error:
            log.warning("topics keep their keywords: %s", error)


class LocalWriter:
    """Names by a causal language model on this machine, always taking the likeliest token.

    path, revision, chat_template, device, precision: as in `LocalRater`, whose model and tokenizer it shares.
    """

    def __init__(self, **options: Any) -> None:
        local = importlib.import_module("topiclab.rate.local")  # loads torch
        self.rater = local.LocalRater(**options)
        self.load = local.loaded_model

    def fingerprint(self) -> dict[str, Any]:
        rater = self.rater.fingerprint()
        kept = {name: rater[name] for name in ("revision", "chat_template", "dtype")}
        return {"writer": "local", "max_tokens": MAX_REPLY_LENGTH, **kept}

    def write(self, prompts: Sequence[str]) -> Iterator[tuple[int, str]]:
        import torch

        tokenizer = self.rater.tokenizer
        model = self.load(self.rater.folder, self.rater.device, self.rater.precision)
        every = torch.arange(model.head.weight.shape[0], device=model.device)
        for place, prompt in enumerate(prompts):
            tokens = self.rater.prompt_tokens(prompt)
            state, cache = model.begin([np.array(tokens)])
            reply: list[int] = []
            while len(reply) < MAX_REPLY_LENGTH:
                token = model.logits(state, every).argmax(dim=1)
                reply.append(int(token))
                if reply[-1] == tokenizer.eos_token_id or "\n" in tokenizer.decode(reply).lstrip():
                    break
                state = model.go_on(cache, token)
            yield place, tidy_name(tokenizer.decode(reply, skip_special_tokens=True))


def tidy_name(reply: str) -> str:
    """The first line of a reply that has words, without quotation marks, list signs and `Topic:`."""
    lines = ("".join(sign if sign.isprintable() else " " for sign in line) for line in reply.splitlines())
    name = next((line for line in map(" ".join, map(str.split, lines)) if any(map(str.isalnum, line))), "")
    for opening in OPENINGS:
        if name.lower().startswith(opening):
            name = name[len(opening) :]
    name = name.strip(" \"'`*#-.:;,|")
    return name.replace("|", "/") if len(name) <= MAX_NAME_LENGTH else ""


def make_writer(rating: Mapping[str, Any], trainer: Trainer) -> Writer:
    """The writer of a `conf/rating` group; `trainer` gives device and precision.

    Raises ValueError for rating=none; FileNotFoundError or ValueError for a model or key that is not there.
    """
    if rating["name"] == "none":
        raise ValueError(
            "a writer of names needs a language model, but rating=none; add rating=endpoint, or "
            "rating=local rating.path=<folder>"
        )
    options = {name: value for name, value in rating.items() if name not in ("_target_", "name")}
    if rating["name"] == "endpoint":
        return EndpointWriter(**options)
    return LocalWriter(**options, device=trainer.device, precision=trainer.precision)
