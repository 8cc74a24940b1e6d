"""Objectives: losses of the decoder's predictions, in nats per document."""

from __future__ import annotations

from typing import Literal, Protocol

import torch
from torch import Tensor

from topiclab.data.batch import Batch, Nonzeros
from topiclab.data.datamodule import TopicDataModule
from topiclab.data.targets import Targets, distributions, raw_logits, softmax_of_counts, with_bow
from topiclab.limits import Count, Positive, PositiveShare, Share, Unit


class Decoder(Protocol):
    """Interface between objectives and models, for topic proportions theta (B, K)."""

    def decode(self, theta: Tensor) -> Tensor:
        """Word logits (B, V): log_softmax gives the log-probabilities of the words."""
        ...

    def bag_nll(self, theta: Tensor, bow: Nonzeros, counts: Tensor) -> Tensor:
        """Nats (B,) of counts (n,) at the nonzeros of bow, computed in the decoder's cheapest way."""
        ...

    def soft_nll(self, theta: Tensor, targets: Nonzeros | Tensor, temperature: float) -> Tensor:
        """Cross-entropy (B,) of target distributions with softmax(word logits / temperature)."""
        ...


class Objective(Protocol):
    """Maps the decoder, topic proportions (B, K) and their batch to nats per document (B,).

    It takes the decoder, not its logits, because a likelihood of sparse bags need not form B x V logits.
    """

    def __call__(self, decoder: Decoder, theta: Tensor, batch: Batch) -> Tensor: ...

    def targets(self, datamodule: TopicDataModule) -> Targets | None:
        """Targets of every document for `batch.targets`, or None."""
        ...


class BowNLL:
    """Negative log-likelihood of the bag of words; a document of n tokens counts weight * n^length_power.

    length_power=1, weight=1: every token counts, the ELBO of LDA and ProdLDA. length_power=0, weight=1: every
    document counts as one token, THETA's published loss, under which the KL dominates and the posterior
    collapses. In between, the evidence of a document grows more slowly than its length, since its words are
    not independent.
    """

    def __init__(self, weight: Positive, length_power: Unit) -> None:
        self.weight = weight
        self.length_power = length_power

    def __call__(self, decoder: Decoder, theta: Tensor, batch: Batch) -> Tensor:
        bow = batch.bow
        per_token = self.weight * bow.lengths.clamp(min=1) ** (self.length_power - 1)
        return decoder.bag_nll(theta, bow, bow.counts * per_token[bow.docs])

    def targets(self, datamodule: TopicDataModule) -> None:
        return None


class SoftLabelDivergence:
    """weight * KL(target || student), with the target from a teacher's soft labels (DSL, arXiv 2602.17907).

    weight * KL is the likelihood of `weight` pseudo-tokens drawn from the target, so a weight of 1000 nearly
    disables the prior for bags of a few words: compare with `bow_normalized` at the same weight.
    teacher_temperature, top_k, top_share, masking: see `data.targets.distributions`.
    bow_share: share of the document's own word frequencies in the target.
    student_temperature: the student is softmax(word logits / student_temperature).
    loss: `kl`; `ce`, which omits the target's entropy and has the same gradient; `raw_logit_ce`, published
    for ETM and ECRTM, where the teacher's logits themselves, 0 beyond top_k, weight the cross-entropy.
    floor: lower bound to which probabilities of target and student are raised; published 1e-9.
    Dense targets (no top_k), floor and a student_temperature other than 1 require arrays of batch x V.
    """

    def __init__(
        self,
        *,
        weight: Positive,
        teacher_temperature: Positive,
        student_temperature: Positive,
        top_k: Count | None,
        top_share: PositiveShare | None,
        masking: Literal["drop", "zero_logit"],
        bow_share: Unit,
        loss: Literal["kl", "ce", "raw_logit_ce"],
        floor: Share,
    ) -> None:
        self.weight = weight
        self.teacher_temperature, self.student_temperature = teacher_temperature, student_temperature
        self.top_k, self.top_share, self.masking = top_k, top_share, masking
        self.bow_share = bow_share
        self.loss, self.floor = loss, floor

    def targets(self, datamodule: TopicDataModule) -> Targets:
        targets = self.teacher_targets(datamodule)
        return with_bow(targets, datamodule.corpus.bow, self.bow_share) if self.bow_share else targets

    def teacher_targets(self, datamodule: TopicDataModule) -> Targets:
        labels = datamodule.soft_labels
        if self.loss == "raw_logit_ce":
            return raw_logits(labels, self.top_k, self.top_share)
        return distributions(labels, self.teacher_temperature, self.top_k, self.top_share, self.masking)

    def __call__(self, decoder: Decoder, theta: Tensor, batch: Batch) -> Tensor:
        targets, entropy = batch.targets, batch.target_entropy
        assert targets is not None
        assert entropy is not None
        if self.floor:
            word_logits = decoder.decode(theta) / self.student_temperature
            return self.weight * floored_divergence(dense(targets), word_logits, self.floor, self.loss)
        if self.loss == "raw_logit_ce":
            log_probs = (decoder.decode(theta) / self.student_temperature).log_softmax(dim=1)
            return -self.weight * (dense(targets) * log_probs).sum(dim=1)
        cross_entropy = decoder.soft_nll(theta, targets, self.student_temperature)
        return self.weight * (cross_entropy - entropy if self.loss == "kl" else cross_entropy)


class BowSoftmaxDivergence(SoftLabelDivergence):
    """SoftLabelDivergence with softmax(counts / teacher_temperature) as target, the published ablation.

    It reads no soft labels: top_k, top_share and masking do not apply. Absent words keep a mass close to that
    of words that occur, so it says little about a proper BoW target.
    """

    def teacher_targets(self, datamodule: TopicDataModule) -> Targets:
        return softmax_of_counts(datamodule.corpus.bow, self.teacher_temperature)


def floored_divergence(targets: Tensor, word_logits: Tensor, floor: float, loss: str = "kl") -> Tensor:
    """KL (B,) of probabilities raised to the floor and not renormalised; loss=ce: their cross-entropy.

    targets: (B, V) distributions.  word_logits: (B, V).
    """
    student, target = word_logits.softmax(dim=1).clamp(min=floor), targets.clamp(min=floor)
    difference = target.log() - student.log() if loss == "kl" else -student.log()
    return (target * difference).sum(dim=1)


def dense(targets: Nonzeros | Tensor) -> Tensor:
    """Return targets as a dense tensor (B, V)."""
    if isinstance(targets, Tensor):
        return targets
    filled = torch.zeros(len(targets.lengths), targets.num_words, device=targets.counts.device)
    return filled.index_put((targets.docs, targets.words), targets.counts, accumulate=True)
