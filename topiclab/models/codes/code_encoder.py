"""Encoder that reads a document as its bag of codes, as its embedding, or as both."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from topiclab.data.batch import Batch
from topiclab.models.base.encoder import Encoder, Standardize
from topiclab.nn.code_bag import CodeBag, dense_bag


class CodeEncoder(Encoder):
    """`Encoder` on conceptual bags (B, N): counts of the codes of a document's words.

    reads: `codes`, `embeddings` (standardised), or `both`, concatenated.
    input_norm: of the bag: `none`, raw counts as published; `k`, divided by the number of codes per word;
    `l1`, scaled to sum 1; `log1p`, log(1 + x) of the `k` norm.
    words: `token` takes the codes of the documents' own occurrences; otherwise every word has fixed codes.
    """

    def __init__(
        self,
        *,
        reads: Literal["codes", "embeddings", "both"],
        num_words: int,
        embedding_dim: int,
        num_codes: int,
        expansion: int,
        input_norm: Literal["none", "k", "l1", "log1p"],
        words: str,
        **layers: Any,
    ) -> None:
        sizes = {"codes": num_codes, "embeddings": embedding_dim, "both": num_codes + embedding_dim}
        super().__init__(reads="embeddings", num_words=num_words, embedding_dim=sizes[reads], **layers)
        self.words = words
        self.source, self.input_norm, self.expansion = reads, input_norm, expansion
        self.bag = CodeBag(num_words, num_codes, expansion)

    def hidden(self, batch: Batch) -> Tensor:
        if self.source == "embeddings":
            return super().hidden(batch)
        vectors = self.read_codes(batch)
        if self.source == "both":
            if batch.embeddings is None:
                raise ValueError(
                    "model.encoder.reads=both, but the documents have no embeddings; choose an "
                    "embedder, e.g. embedder=lsa"
                )
            vectors = torch.cat([vectors, batch.embeddings], dim=1)
        return super().hidden(replace(batch, embeddings=vectors))

    def fit_embeddings(self, vectors: Tensor) -> None:
        """Fit the standardisation of the embedding part of the input to vectors (N, E)."""
        assert self.standardize is not None
        statistics = Standardize(vectors.shape[1])
        statistics.fit(vectors)
        self.standardize.mean[-vectors.shape[1] :] = statistics.mean
        self.standardize.std[-vectors.shape[1] :] = statistics.std

    def bag_of(self, batch: Batch) -> Tensor:
        """Bags of codes (B, N) of the documents."""
        if self.words != "token":
            return self.bag(batch.bow)
        if batch.codes is None:
            raise ValueError(
                "model.words=token reads the codes of occurrences, but these documents have none; give "
                "the occurrences of their words, or fit with model.words=contextual_type"
            )
        codes, masses = batch.codes.words.unsqueeze(1), batch.codes.counts.unsqueeze(1)
        return dense_bag(batch.codes, codes, masses, self.bag.num_codes)

    def read_codes(self, batch: Batch) -> Tensor:
        """Bag of codes (B, N), normalised as set by input_norm."""
        bag = self.bag_of(batch)
        if self.input_norm == "none":
            return bag
        if self.input_norm == "l1":
            return bag / bag.sum(dim=1, keepdim=True).clamp(min=1e-30)
        shares = bag / self.expansion
        return shares.log1p() if self.input_norm == "log1p" else shares
