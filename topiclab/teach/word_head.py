"""The vocabulary's rows of the head: the next-token logit of every word that is one token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from topiclab.teach.language_model import LanguageModel
from topiclab.teach.word_tokens import WordTokens


class WordHead:
    """Logits of V words, each one token or, untaught, none."""

    def __init__(self, words: WordTokens, model: LanguageModel) -> None:
        self.model, self.num_words = model, len(words.ids)
        taught = [word for word, ids in enumerate(words.ids) if ids]
        self.columns = torch.tensor(taught, device=model.device)
        self.weights, self.biases = model.head_rows(
            torch.tensor([words.ids[word][0] for word in taught], device=model.device)
        )

    def batch_size(self, lengths: np.ndarray, batch_tokens: int) -> int:
        """How many of the first texts, lengths descending, go together; not across LongRoPE's switch."""
        num_fitting = max(1, batch_tokens // int(lengths[0]))
        switch = self.model.switch_length
        if switch is not None and lengths[0] > switch:
            return min(num_fitting, int((lengths > switch).sum()))
        return num_fitting

    @torch.inference_mode()
    def score(self, tokens: Sequence[np.ndarray], batch_tokens: int) -> tuple[Tensor, Tensor]:
        """Logits (B, V), -inf at untaught words, and states (B, E) at the end of B texts, float32."""
        states = self.model.last_states(tokens)
        logits = states.new_full((len(tokens), self.num_words), -torch.inf)
        logits[:, self.columns] = self.model.scale(
            torch.nn.functional.linear(states, self.weights, self.biases)
        )
        return logits, states
