"""Log-likelihood of sparse bags of words under a decoder, without unnecessary dense passes.

The three forms agree with `-(counts * log_probs).sum(1)` on dense tensors; tests pin values and gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor

from topiclab.data.batch import Nonzeros
from topiclab.nn.sampled_product import sampled_product

SAFE_EXPONENT = 60.0  # up to here, exp of a row's largest logit is far from float32 overflow and underflow


def softmax_nll(word_logits: Tensor, bow: Nonzeros, counts: Tensor) -> Tensor:
    """Nats per document (B,) of counts under softmax(word_logits).

    word_logits: (B, V).  counts: (n,), one for each nonzero of bow, possibly reweighted.
    """
    log_total = word_logits.float().logsumexp(dim=1)
    return -_sum_by_document(bow, counts * (word_logits[bow.docs, bow.words] - log_total[bow.docs]))


def tempered_nll(word_logits: Tensor, targets: Nonzeros | Tensor, temperature: float) -> Tensor:
    """Cross-entropy (B,) of targets with softmax(word_logits / temperature).

    word_logits: (B, V).  targets: distributions, dense (B, V) or as nonzeros.
    """
    logits = word_logits.float() / temperature
    if not isinstance(targets, Tensor):
        return softmax_nll(logits, targets, targets.counts)
    return targets.sum(dim=1) * logits.logsumexp(dim=1) - (targets * logits).sum(dim=1)


def mixture_nll(theta: Tensor, beta: Tensor, bow: Nonzeros, counts: Tensor) -> Tensor:
    """Nats per document (B,) of counts under theta @ beta, without forming the B x V product.

    theta: (B, K).  beta: (K, V) word distributions.  counts: (n,), one for each nonzero of bow.
    """
    probs = sampled_product(theta, beta, bow)
    return -_sum_by_document(bow, counts * (probs + 1e-10).log())


def linear_softmax_nll(inputs: Tensor, weight: Tensor, bias: Tensor, bow: Nonzeros, counts: Tensor) -> Tensor:
    """Nats per document (B,) of counts under softmax(inputs @ weight + bias), in one pass of exponentials.

    inputs: (B, K).  weight: (K, V).  bias: (V,).  counts: (n,), one for each nonzero of bow.
    """
    return _LinearSoftmaxNLL.apply(inputs, weight, bias, counts, bow.docs, bow.words)  # type: ignore[return-value]


def _sum_by_document(bow: Nonzeros, values: Tensor) -> Tensor:
    return values.new_zeros(len(bow.lengths)).index_add(0, bow.docs, values)


class _LinearSoftmaxNLL(torch.autograd.Function):
    """NLL of `linear_softmax_nll` with a backward pass of two products and no elementwise pass over B x V.

    The gradient of the logits is g_d (n_d softmax - counts). Its row factor g_d n_d / total_d is moved to the
    (B, K) side of the two products, and the counts are subtracted from the exponentials in place.
    """

    @staticmethod
    def forward(ctx, inputs, weight, bias, counts, docs, words):  # type: ignore[override]
        logits = torch.addmm(bias, inputs, weight)
        peak = logits.amax(dim=1, keepdim=True)
        if logits.is_cuda or peak.abs().max() > SAFE_EXPONENT:
            logits -= peak
        places = docs * weight.shape[1] + words
        at_words = logits.view(-1)[places]
        total = logits.exp_().sum(dim=1)
        mass = total.new_zeros(len(inputs)).index_add(0, docs, counts)
        nll = mass * total.log() - total.new_zeros(len(inputs)).index_add(0, docs, counts * at_words)
        scaled = counts * (total / mass.clamp(min=1e-30))[docs]
        logits.view(-1).index_add_(0, places, scaled, alpha=-1)
        ctx.save_for_backward(inputs, weight, logits, mass / total)
        return nll

    @staticmethod
    def backward(ctx, grad):  # type: ignore[override]
        inputs, weight, residual, factor = ctx.saved_tensors
        rows = (grad * factor).unsqueeze(1)
        grad_inputs = (residual @ weight.T) * rows
        grad_weight = torch.cat([inputs * rows, rows], dim=1).T @ residual
        return grad_inputs, grad_weight[:-1], grad_weight[-1], None, None, None
