"""TVQ-VAE (Yoo & Choi 2024): topics over the codes of a quantised word space."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from topiclab.data.batch import Batch
from topiclab.data.datamodule import TopicDataModule
from topiclab.models.code_encoder import CodeEncoder
from topiclab.models.codes_file import codes_file
from topiclab.models.encoder import Encoder
from topiclab.models.prodlda import ProdLDA, log_ratio
from topiclab.models.word_codes import WordCodes, word_codes
from topiclab.nn.codebook_experts import CodebookExperts


class TVQVAE(ProdLDA):
    """p(w|d) = softmax(BN(theta @ alpha(beta, codebook))), the document read as a bag of codes.

    Stage 1 (see word_codes.py) gives every word its `expansion` nearest of num_codes codes. This is stage 2:
    ProdLDA whose weights come from beta (K, N) through the codebook (see CodebookExperts).
    codebook: options of stage 1.  alpha: hidden_dims and topic_norm.
    has_shift: batch norms learn what they add to every logit: of words, of codes and, in the encoder, of topics.
    code_weight: of -log p(codes | theta), divided by the codes of a word; the published code leaves it out.
    kl_weight: of the KL once it is warm.
    Differs from the authors' code: the decoder's batch norm is folded into its weights (same numbers), and by
    default the model starts from clusters. experiments/model/published/tvqvae.yaml has the published form.
    """

    encoder: CodeEncoder
    decoder: CodebookExperts

    def __init__(
        self,
        *,
        num_codes: int,
        expansion: int,
        codebook: Mapping[str, Any],
        alpha: Mapping[str, Any],
        has_shift: bool,
        code_weight: float,
        kl_weight: float,
        encoder: Mapping[str, Any],
        batch_norm_eps: float,
        batch_norm_momentum: float,
        **vae: Any,
    ) -> None:
        super().__init__(
            encoder={**encoder, "num_codes": num_codes, "expansion": expansion},
            batch_norm_eps=batch_norm_eps,
            batch_norm_momentum=batch_norm_momentum,
            **vae,
        )
        if isinstance(self.encoder.head_norm, nn.BatchNorm1d):
            self.encoder.head_norm.bias.requires_grad_(has_shift)
        self.num_codes, self.expansion = num_codes, expansion
        self.codebook_options = dict(codebook)
        self.code_weight, self.kl_scale = code_weight, kl_weight
        self.codebook_facts: dict[str, Any] = {}
        self.word_codes: WordCodes | None = None
        self.decoder = CodebookExperts(
            self.num_topics,
            self.num_words,
            num_codes=num_codes,
            code_dim=self.codebook_options["code_dim"],
            hidden_dims=alpha["hidden_dims"],
            has_topic_norm=alpha["topic_norm"],
            has_shift=has_shift,
            eps=batch_norm_eps,
            momentum=batch_norm_momentum,
        )

    def make_encoder(self) -> CodeEncoder:
        return CodeEncoder(**self.encoder_options)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self.parameters(), lr=self.lr, betas=self.betas, weight_decay=self.weight_decay, fused=True
        )

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        losses = super().losses(batch)
        losses["kl"] = self.kl_scale * losses["kl"]
        return losses

    def reconstruction(self, theta: Tensor, batch: Batch) -> dict[str, Tensor]:
        losses = super().reconstruction(theta, batch)
        if self.code_weight:
            with torch.autocast(theta.device.type, enabled=False):
                said = self.encoder.bag(batch.bow) / self.expansion
                losses["codes"] = self.code_weight * self.decoder.codes.soft_nll(theta.float(), said, 1.0)
        return losses

    def beta(self) -> Tensor:
        """The published topics: softmax of alpha's rows."""
        return self.decoder.weight.softmax(dim=1)

    def initialize(self, datamodule: TopicDataModule) -> None:
        self.word_codes = self._quantize(datamodule)
        facts = self.word_codes.codebook.facts
        self.codebook_facts = {name: value for name, value in facts.items() if name != "history"}
        self.decoder.set_codebook(torch.from_numpy(np.array(self.word_codes.codebook.vectors)))
        super().initialize(datamodule)

    def _quantize(self, datamodule: TopicDataModule) -> WordCodes:
        """Stage 1 on the words of the vocabulary."""
        if datamodule.word_vectors is None:
            raise ValueError(
                "model=tvqvae quantises vectors of words, and this input gives none; use input=embedder with "
                "an embedder that reads words, e.g. embedder=lsa"
            )
        is_named = datamodule.embedding_key is not None
        return word_codes(
            datamodule.embedded_words(),
            np.asarray(datamodule.train_bow.sum(axis=0)).ravel(),
            self.codebook_options,
            expansion=self.expansion,
            num_codes=self.num_codes,
            seed=self.seed,
            cache_root=datamodule.cache_root if is_named else None,
            key=datamodule.fingerprint if is_named else None,
            device=self.device.type,
        )

    def fit_input(self, encoder: Encoder, datamodule: TopicDataModule) -> None:
        assert isinstance(encoder, CodeEncoder)
        assert self.word_codes is not None
        codes, weights = self.word_codes.codes, self.word_codes.weights
        encoder.bag.set_words(torch.from_numpy(np.array(codes)), torch.from_numpy(np.array(weights)))
        if encoder.source != "codes":
            encoder.fit_embeddings(torch.from_numpy(np.array(datamodule.train_embeddings)))

    def _start_key(self, datamodule: TopicDataModule) -> dict[str, Any]:
        assert self.word_codes is not None
        return {**super()._start_key(datamodule), "codebook": self.word_codes.codebook.key}

    def start_decoder(self, words: np.ndarray) -> None:
        """The clusters' codes as beta, and alpha by least squares on their words."""
        codes = self.encoder.bag.spread(torch.from_numpy(words)).numpy()
        code_logits, word_logits = (torch.from_numpy(log_ratio(shares)) for shares in (codes, words))
        self.decoder.start(code_logits.float(), word_logits)

    def facts(self) -> dict[str, Any]:
        return {**super().facts(), "codebook": self.codebook_facts}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["codebook"] = self.codebook_facts

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.codebook_facts = checkpoint["codebook"]

    def explain(self, datamodule: TopicDataModule, folder: Path) -> None:
        """codes.txt: the codes of every topic and the words of every code."""
        counts = np.asarray(datamodule.train_bow.sum(axis=0)).ravel()
        text = codes_file(
            self.decoder.codes.weight.detach().cpu().numpy(),
            self.encoder.bag.codes.cpu().numpy(),
            counts,
            datamodule.corpus.vocab,
        )
        (folder / "codes.txt").write_text(text, encoding="utf-8")
