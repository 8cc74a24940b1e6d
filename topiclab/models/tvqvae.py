"""TVQ-VAE (Yoo & Choi 2024): topics over the codes of a quantised word space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from topiclab.data.batch import Batch, DocumentTensors, SparseCounts
from topiclab.data.cache import key_hash
from topiclab.data.datamodule import TopicDataModule
from topiclab.data.occurrences import Occurrences
from topiclab.models.code_encoder import CodeEncoder
from topiclab.models.codebook import Codebook
from topiclab.models.codes_file import codes_file
from topiclab.models.encoder import Encoder
from topiclab.models.occurrence_codes import code_bags, codes_of, occurrence_codes, usual_codes
from topiclab.models.prodlda import ProdLDA, log_ratio
from topiclab.models.word_codes import WordCodes, word_codes
from topiclab.nn.codebook_experts import CodebookExperts

CODER = "coder."  # of the arrays that give codes to unseen occurrences


class TVQVAE(ProdLDA):
    """p(w|d) = softmax(BN(theta @ alpha(beta, codebook))), the document read as a bag of codes.

    Stage 1 (see word_codes.py) gives every word its `expansion` nearest of num_codes codes. This is stage 2:
    ProdLDA whose weights come from beta (K, N) through the codebook (see CodebookExperts).
    words: what stage 1 reads of a word: `type`, one vector from the embedder; `contextual_type`, the mean of
    a language model's states at its occurrences; `token`, those states one by one (published), so that a
    word has the codes of what it means in each place.
    subtokens: see `encode_places`.  max_occurrences: how many of them stage 1 learns from; of words=token.
    codebook: options of stage 1.  alpha: hidden_dims and topic_norm.
    has_shift: batch norms learn a shift of every logit: of words, of codes and, in the encoder, of topics.
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
        words: str,
        subtokens: str | None,
        max_occurrences: int,
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
            encoder={**encoder, "num_codes": num_codes, "expansion": expansion, "words": words},
            batch_norm_eps=batch_norm_eps,
            batch_norm_momentum=batch_norm_momentum,
            **vae,
        )
        if isinstance(self.encoder.head_norm, nn.BatchNorm1d):
            self.encoder.head_norm.bias.requires_grad_(has_shift)
        self.num_codes, self.expansion = num_codes, expansion
        self.words, self.subtokens, self.max_occurrences = words, subtokens, max_occurrences
        self.reads_occurrences = words == "token"
        self.codebook_options = dict(codebook)
        self.code_weight, self.kl_scale = code_weight, kl_weight
        self.codebook_facts: dict[str, Any] = {}
        self.word_codes: WordCodes | None = None
        self.codebook_key = ""
        self.coder: dict[str, np.ndarray] = {}
        self._table: tuple[np.ndarray, np.ndarray] | None = None
        self._bags: SparseCounts | None = None
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
                said = self.encoder.bag_of(batch) / self.expansion
                losses["codes"] = self.code_weight * self.decoder.codes.soft_nll(theta.float(), said, 1.0)
        return losses

    def beta(self) -> Tensor:
        """The published topics: softmax of alpha's rows."""
        return self.decoder.weight.softmax(dim=1)

    def initialize(self, datamodule: TopicDataModule) -> None:
        vectors = self._quantize(datamodule)
        self.decoder.set_codebook(torch.from_numpy(np.array(vectors)))
        super().initialize(datamodule)

    def _quantize(self, datamodule: TopicDataModule) -> np.ndarray:
        """Stage 1 on the words of the vocabulary, or on their occurrences; the codebook (N, d)."""
        if self.reads_occurrences:
            codebook = self._quantize_tokens(datamodule)
        else:
            self.word_codes, is_found = self._quantize_words(datamodule)
            codebook = self.word_codes.codebook
            self._table = self.word_codes.codes, self.word_codes.weights * is_found[:, None]
        self.codebook_key = codebook.key
        self.codebook_facts |= {name: value for name, value in codebook.facts.items() if name != "history"}
        return codebook.vectors

    def _quantize_words(self, datamodule: TopicDataModule) -> tuple[WordCodes, np.ndarray]:
        """Codes of the words, and which of them (V,) have a vector: a model may not reach a word anywhere."""
        is_named = datamodule.embedding_key is not None
        key, counts = datamodule.fingerprint, np.asarray(datamodule.train_bow.sum(axis=0)).ravel()
        is_found = np.ones(self.num_words, np.float32)
        if self.words == "contextual_type":
            occurrences = datamodule.word_occurrences(self.subtokens)
            self.codebook_facts = {**occurrences.reach(), **self.codebook_facts}
            key = key_hash({"means": occurrences.key})
            vectors, found = occurrences.word_means()
            is_found = (found > 0).astype(np.float32)
        elif datamodule.word_vectors is None:
            raise ValueError(
                "model=tvqvae quantises vectors of words, and this input gives none; use input=embedder with "
                "an embedder that reads words, e.g. embedder=lsa"
            )
        else:
            vectors = datamodule.embedded_words()
        codes = word_codes(
            vectors,
            counts,
            self.codebook_options,
            expansion=self.expansion,
            num_codes=self.num_codes,
            seed=self.seed,
            cache_root=datamodule.cache_root if is_named else None,
            key=key if is_named else None,
            device=self.device.type,
        )
        return codes, is_found

    def _quantize_tokens(self, datamodule: TopicDataModule) -> Codebook:
        occurrences = datamodule.word_occurrences(self.subtokens)
        self.codebook_facts = {**occurrences.reach(), **self.codebook_facts}
        found = occurrence_codes(
            occurrences,
            datamodule.train_rows,
            self.codebook_options,
            max_occurrences=self.max_occurrences,
            expansion=self.expansion,
            num_codes=self.num_codes,
            seed=self.seed,
            cache_root=datamodule.cache_root if datamodule.embedding_key else None,
            device=self.device.type,
        )
        self.coder = found.coder
        codes = found.codes, found.weights
        self._bags = SparseCounts(code_bags(*codes, occurrences.docs, occurrences.num_docs, self.num_codes))
        of_words = code_bags(*codes, occurrences.words, occurrences.num_words, self.num_codes)
        self._table = usual_codes(of_words, self.expansion)
        return found.codebook

    def documents_of(self, datamodule: TopicDataModule) -> DocumentTensors:
        documents = super().documents_of(datamodule)
        if not self.reads_occurrences:
            return documents
        if self._bags is None:  # of a fit that was resumed
            self._quantize_tokens(datamodule)
        return replace(documents, codes=self._bags)

    def unseen_documents(
        self, bow: sparse.csr_matrix, embeddings: np.ndarray | None, occurrences: Occurrences | None
    ) -> DocumentTensors:
        documents = super().unseen_documents(bow, embeddings, occurrences)
        if not self.reads_occurrences or occurrences is None:
            return documents
        codes = codes_of(occurrences, self.coder, self.codebook_options, self.expansion)
        bags = code_bags(*codes, occurrences.docs, occurrences.num_docs, self.num_codes)
        return replace(documents, codes=SparseCounts(bags))

    def fit_input(self, encoder: Encoder, datamodule: TopicDataModule) -> None:
        assert isinstance(encoder, CodeEncoder)
        assert self._table is not None
        codes, weights = self._table
        encoder.bag.set_words(torch.from_numpy(np.array(codes)), torch.from_numpy(np.array(weights)))
        if encoder.source != "codes":
            encoder.fit_embeddings(torch.from_numpy(np.array(datamodule.train_embeddings)))

    def _start_key(self, datamodule: TopicDataModule) -> dict[str, Any]:
        codes = {"codebook": self.codebook_key, "codes": self.codebook_options}  # how words are given them
        return {**super()._start_key(datamodule), **codes}

    def start_decoder(self, words: np.ndarray) -> None:
        """The clusters' codes as beta, and alpha by least squares on their words."""
        codes = self.encoder.bag.spread(torch.from_numpy(words)).numpy()
        code_logits, word_logits = (torch.from_numpy(log_ratio(shares)) for shares in (codes, words))
        self.decoder.start(code_logits.float(), word_logits)

    def state(self) -> dict[str, np.ndarray]:
        return {**super().state(), **{CODER + name: np.asarray(array) for name, array in self.coder.items()}}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        self.coder = {
            name.removeprefix(CODER): array for name, array in state.items() if name.startswith(CODER)
        }
        if self.reads_occurrences != bool(self.coder):
            raise ValueError(f"the saved model does not fit this configuration: model.words={self.words}")
        super().load_state({name: array for name, array in state.items() if not name.startswith(CODER)})

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
