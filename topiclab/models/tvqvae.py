"""TVQ-VAE (Yoo & Choi 2024): topics over the codes of a quantised word space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from topiclab.data.batch import Batch, DocumentTensors, SparseCounts
from topiclab.data.datamodule import TopicDataModule
from topiclab.data.words.occurrences import Occurrences
from topiclab.limits import Count, Options, Positive, Sizes, Unit, Weight
from topiclab.models.base.encoder import Encoder
from topiclab.models.codes.code_encoder import CodeEncoder
from topiclab.models.codes.codes_file import codes_file
from topiclab.models.codes.occurrence_codes import code_bags, codes_of
from topiclab.models.codes.text_codes import TextCodes, text_codes
from topiclab.models.codes.word_codes import WordCodebook
from topiclab.models.prodlda import ProdLDA, log_ratio
from topiclab.nn.codebook_experts import CodebookExperts

CODER = "coder."  # prefix of the arrays that assign codes to unseen occurrences


class AlphaOptions(TypedDict):
    """The network alpha, from a topic's position in code space to its words."""

    hidden_dims: Sizes
    topic_norm: bool


class TVQVAE(ProdLDA):
    """p(w|d) = softmax(BN(theta @ alpha(beta, codebook))); the encoder reads the document as a bag of codes.

    Stage 1 (see text_codes.py) gives every word its `expansion` nearest of num_codes codes. This is stage 2:
    ProdLDA whose weights come from beta (K, N) through the codebook (see CodebookExperts).
    words: vectors of words that stage 1 reads: `type`, one vector from the embedder; `contextual_type`, the
    mean of a language model's hidden states at its occurrences; `token`, those states one by one (published),
    so that the codes of a word follow its meaning at each occurrence.
    subtokens: see `encode_places`.  max_occurrences: number of occurrences that stage 1 learns from, with
    words=token.
    codebook: options of stage 1.  alpha: hidden_dims and topic_norm.
    has_shift: batch norms learn a shift of every logit: of words, of codes and, in the encoder, of topics.
    code_weight: of -log p(codes | theta), divided by the number of codes of a word; the published code leaves
    this term out.
    kl_weight: of the KL after its warm-up.
    Differs from the authors' code: the decoder's batch norm is folded into its weights (same numbers), and by
    default the model starts from clusters. Published form: experiments/model/published/tvqvae.yaml.
    """

    encoder: CodeEncoder
    decoder: CodebookExperts

    def __init__(
        self,
        *,
        num_codes: Count,
        expansion: Count,
        words: Literal["type", "token", "contextual_type"],
        subtokens: Literal["mean", "last", None],
        max_occurrences: Count,
        codebook: WordCodebook,
        alpha: AlphaOptions,
        has_shift: bool,
        code_weight: Weight,
        kl_weight: Weight,
        encoder: Annotated[Options, CodeEncoder],
        batch_norm_eps: Positive,
        batch_norm_momentum: Unit,
        **vae: Any,
    ) -> None:
        super().__init__(
            has_shift=has_shift,
            encoder={**encoder, "num_codes": num_codes, "expansion": expansion, "words": words},
            batch_norm_eps=batch_norm_eps,
            batch_norm_momentum=batch_norm_momentum,
            **vae,
        )
        self.num_codes, self.expansion = num_codes, expansion
        self.words, self.subtokens, self.max_occurrences = words, subtokens, max_occurrences
        self.reads_occurrences = words == "token"
        self.codebook_options = codebook
        self.code_weight, self.kl_scale = code_weight, kl_weight
        self.codebook_facts: dict[str, Any] = {}
        self.text_codes: TextCodes | None = None
        self.coder: dict[str, np.ndarray] = {}
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
        return self.with_shift(CodeEncoder(**self.encoder_options))

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
        """Softmax of alpha's rows: the published definition of the topics."""
        return self.decoder.weight.softmax(dim=1)

    def initialize(self, datamodule: TopicDataModule) -> None:
        self.text_codes = found = text_codes(
            datamodule,
            self.codebook_options,
            words=self.words,
            subtokens=self.subtokens,
            max_occurrences=self.max_occurrences,
            num_codes=self.num_codes,
            expansion=self.expansion,
            seed=self.seed,
            device=self.device.type,
        )
        self.coder, self.codebook_facts = found.coder, found.facts
        self._bags = None if found.bags is None else SparseCounts(found.bags)
        self.decoder.set_codebook(torch.from_numpy(np.array(found.codebook.vectors)))
        super().initialize(datamodule)

    def documents_of(self, datamodule: TopicDataModule) -> DocumentTensors:
        documents = super().documents_of(datamodule)
        if not self.reads_occurrences:
            return documents
        if self._bags is None:  # when a fit was resumed
            self._bags = self._bags_of(datamodule.word_occurrences(self.subtokens))
        return replace(documents, codes=self._bags)

    def unseen_documents(
        self, bow: sparse.csr_matrix, embeddings: np.ndarray | None, occurrences: Occurrences | None
    ) -> DocumentTensors:
        documents = super().unseen_documents(bow, embeddings, occurrences)
        if not self.reads_occurrences or occurrences is None:
            return documents
        return replace(documents, codes=self._bags_of(occurrences))

    def _bags_of(self, occurrences: Occurrences) -> SparseCounts:
        codes = codes_of(occurrences, self.coder, self.codebook_options, self.expansion)
        return SparseCounts(code_bags(*codes, occurrences.docs, occurrences.num_docs, self.num_codes))

    def fit_input(self, encoder: Encoder, datamodule: TopicDataModule) -> None:
        assert isinstance(encoder, CodeEncoder)
        assert self.text_codes is not None
        codes, weights = self.text_codes.codes, self.text_codes.weights
        encoder.bag.set_words(torch.from_numpy(np.array(codes)), torch.from_numpy(np.array(weights)))
        if encoder.source != "codes":
            encoder.fit_embeddings(torch.from_numpy(np.array(datamodule.train_embeddings)))

    def _start_key(self, datamodule: TopicDataModule) -> dict[str, Any]:
        assert self.text_codes is not None
        codebook = self.text_codes.codebook.key
        codes = {"codebook": codebook, "codes": self.codebook_options}  # how words are assigned to codes
        return {**super()._start_key(datamodule), **codes}

    def start_decoder(self, words: np.ndarray) -> None:
        """Set beta to the clusters' codes, and alpha by least squares on their words."""
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
        if self.reads_occurrences:
            arrays = {name: torch.from_numpy(np.array(array)) for name, array in self.coder.items()}
            checkpoint["coder"] = arrays

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.codebook_facts = checkpoint["codebook"]
        if self.reads_occurrences:
            self.coder = {name: array.numpy() for name, array in checkpoint["coder"].items()}

    @property
    def codebook_history(self) -> list[dict[str, float]]:
        return [] if self.text_codes is None else list(self.text_codes.codebook.facts["history"])

    def explain(self, datamodule: TopicDataModule, folder: Path) -> None:
        """Write codes.txt: the codes of every topic and the words of every code."""
        counts = np.asarray(datamodule.train_bow.sum(axis=0)).ravel()
        text = codes_file(
            self.decoder.codes.weight.detach().cpu().numpy(),
            self.encoder.bag.codes.cpu().numpy(),
            counts,
            datamodule.corpus.vocab,
        )
        (folder / "codes.txt").write_text(text, encoding="utf-8")
