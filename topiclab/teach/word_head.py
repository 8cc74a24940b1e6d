"""The vocabulary's rows of the head: the next-token logit of every word that is one token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from topiclab.teach.language_model import LanguageModel
from topiclab.teach.word_tokens import WordTokens


class WordHead:
    """Logits of V words, each of one token, or of none if it is not taught.

    Every distinct token is multiplied once and gathered for its words, so that words with the same token have
    bit-equal logits: a matrix product may sum equal columns in different orders.
    """

    def __init__(self, words: WordTokens, model: LanguageModel) -> None:
        self.model, self.num_words = model, len(words.ids)
        token_of = {word: ids[0] for word, ids in enumerate(words.ids) if ids}
        row_of = {token: row for row, token in enumerate(dict.fromkeys(token_of.values()))}
        self.columns = torch.tensor(list(token_of), device=model.device)
        self.rows = torch.tensor([row_of[token] for token in token_of.values()], device=model.device)
        self.weights, self.biases = model.head_rows(torch.tensor(list(row_of), device=model.device))

    def batch_size(self, lengths: np.ndarray, batch_tokens: int) -> int:
        """Number of texts from the front, longest first, that form a batch; not across LongRoPE's switch."""
        num_fitting = max(1, batch_tokens // int(lengths[0]))
        switch = self.model.switch_length
        if switch is not None and lengths[0] > switch:
            return min(num_fitting, int((lengths > switch).sum()))
        return num_fitting

    @torch.inference_mode()
    def score(self, tokens: Sequence[np.ndarray], batch_tokens: int) -> tuple[Tensor, Tensor]:
        """Logits (B, V), -inf at words not taught, and states (B, E) at the end of B texts, float32."""
        states = self.model.last_states(tokens)
        logits = states.new_full((len(tokens), self.num_words), -torch.inf)
        products = torch.nn.functional.linear(states, self.weights, self.biases)
        logits[:, self.columns] = self.model.scale(products)[:, self.rows]
        return logits, states
