"""Trie of the vocabulary's tokens: the log-probability of every whole word after a text."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from topiclab.teach.language_model import LanguageModel
from topiclab.teach.word_tokens import WordTokens


class WordTrie:
    """Trie of the distinct beginnings of V words, parents before children; `depth`: tokens of the longest.

    The probability of a word is that of its tokens in sequence, over the model's whole vocabulary. What
    follows is left open, so a word's probability includes that of longer words that begin with its tokens.
    The text is read once; its cache is copied for the nodes of one level, which continue from it together.
    Under LongRoPE a text just below the switch keeps its factors for the tokens of a word that cross it.
    """

    def __init__(self, words: WordTokens, model: LanguageModel) -> None:
        beginnings = sorted({ids[:end] for ids in words.ids for end in range(1, len(ids) + 1)}, key=_by_depth)
        number = {ids: node for node, ids in enumerate(beginnings)}
        self.model, self.device, self.num_words = model, model.device, len(words.ids)
        self.num_nodes = len(beginnings)
        self.depth = len(beginnings[-1])
        self.tokens = torch.tensor([ids[-1] for ids in beginnings], device=self.device)
        self.words = torch.tensor([number.get(ids, self.num_nodes) for ids in words.ids], device=self.device)
        self.roots = [node for node, ids in enumerate(beginnings) if len(ids) == 1]
        self.children: dict[int, list[int]] = {}
        for node, ids in enumerate(beginnings[len(self.roots) :], len(self.roots)):
            self.children.setdefault(number[ids[:-1]], []).append(node)
        self.branches = [root for root in self.roots if root in self.children]
        self.weights, self.biases = model.head_rows(self.tokens)

    def batch_size(self, lengths: np.ndarray, batch_tokens: int) -> int:
        """Number of texts from the front, longest first, that form a batch: all of the same length."""
        num_fitting = batch_tokens // ((int(lengths[0]) + self.depth) * (1 + len(self.branches)))
        return min(max(1, num_fitting), int((lengths == lengths[0]).sum()))

    @torch.inference_mode()
    def score(self, tokens: Sequence[np.ndarray], batch_tokens: int) -> tuple[Tensor, Tensor]:
        """Log-probabilities (B, V) and states (B, E) after B texts of equal length, float32.

        batch_tokens: cached tokens of the copies of the texts that are continued at the same time.
        """
        states, cache = self.model.begin(tokens)
        scores = states.new_full((len(tokens), self.num_nodes + 1), -torch.inf)
        partition = self.model.log_partition(states)
        scores[:, self.roots] = self.model.logits(states, self.tokens[self.roots]) - partition[:, None]
        num_copies = max(1, batch_tokens // (len(tokens) * (len(tokens[0]) + self.depth)))
        for start in range(0, len(self.branches), num_copies):
            self._go_on(copy.deepcopy(cache), self.branches[start : start + num_copies], scores)
        return scores[:, self.words], states

    def _go_on(self, cache: Any, nodes: list[int], scores: Tensor) -> None:
        """Fill the scores of all descendants of these nodes of one depth, level by level."""
        num_docs, width = len(scores), 1
        copies = [0] * len(nodes)  # the cache row, among its document's, that a node continues
        while nodes:
            first = torch.arange(num_docs, device=self.device)[:, None] * width
            cache.reorder_cache((first + torch.tensor(copies, device=self.device)).flatten())
            states = self.model.go_on(cache, self.tokens[nodes].repeat(num_docs))
            below = [(at, child) for at, node in enumerate(nodes) for child in self.children[node]]
            owners, children = map(list, zip(*below, strict=True))
            parents = [nodes[at] for at in owners]
            added = self._log_probabilities(states, owners, children, num_docs)
            scores[:, children] = scores[:, parents] + added
            inner = [(at, child) for at, child in below if child in self.children]
            width = len(nodes)
            copies, nodes = [at for at, _ in inner], [child for _, child in inner]

    def _log_probabilities(
        self, states: Tensor, owners: list[int], children: list[int], num_docs: int
    ) -> Tensor:
        """Log-probability (num_docs, n) of each child's token after its owner, a row of the document."""
        partition = self.model.log_partition(states).view(num_docs, -1)[:, owners]
        ends = states.view(num_docs, -1, states.shape[1])[:, owners]
        products = torch.einsum("dne,ne->dn", ends, self.weights[children])
        if self.biases is not None:
            products = products + self.biases[children]
        return self.model.scale(products) - partition


def _by_depth(ids: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    return len(ids), ids
