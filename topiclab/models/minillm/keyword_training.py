"""Teaching a MiniLLM which words a text is about: distributions of the token that follows it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from topiclab.models.minillm.network import IGNORED, MiniLLM
from topiclab.models.minillm.optimizer import PEAK
from topiclab.models.minillm.schedule import share_of_peak

SMOOTHING = 0.05  # of a hard keyword: the share of its document's whole distribution


@dataclass(frozen=True)
class Examples:
    """N prompts that end where the keyword follows.

    tokens: ids of each.  words: (N,) tokens of the keyword drawn for each, IGNORED where all of the
    distribution is taught.  targets: CSR (N, tokens of the vocabulary) of sum 1.  end: behind a keyword.
    """

    tokens: Sequence[np.ndarray]
    words: np.ndarray
    targets: sparse.csr_matrix
    end: int


def train_epoch(
    model: MiniLLM,
    optimizer: torch.optim.Optimizer,
    examples: Examples,
    replay: Callable[[int], Tensor],
    *,
    rows_per_step: int,
    share: Callable[[int], float],
    gradient_clip: float,
    seed: int,
) -> float:
    """One pass in a seeded order; mean nats of the keywords.

    replay: of a step, (rows, T + 1) ids of plain text.
    share: of the peak learning rate at a step of this pass.  Raises FloatingPointError for a loss that is not
    finite.
    """
    order = np.random.default_rng(seed).permutation(len(examples.tokens))
    model.train()
    total = 0.0
    for step, start in enumerate(range(0, len(order), rows_per_step)):
        for group in optimizer.param_groups:
            group["lr"] = share(step) * group[PEAK]
        rows = order[start : start + rows_per_step]
        loss = keyword_loss(model, examples, rows)
        total += float(loss.detach()) * len(rows)
        if len(text := replay(step)):
            plain = model.nll(model(text[:, :-1]), text[:, 1:])
            loss = loss + plain.mean() * len(text) / len(rows)
        if not math.isfinite(float(loss.detach())):
            raise FloatingPointError(
                f"the loss of step {step + 1} is {float(loss.detach())} nats; lower keywords.optimizer.lr"
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), gradient_clip)
        optimizer.step()
    model.eval()
    return total / len(order)


def keyword_loss(model: MiniLLM, examples: Examples, rows: np.ndarray) -> Tensor:
    """Mean cross-entropy at the end of the prompts, and of the end behind hard keywords."""
    device = model.embed_tokens.weight.device
    words = torch.from_numpy(examples.words[rows]).to(device)
    is_hard = words != IGNORED
    lengths = torch.tensor([len(examples.tokens[row]) for row in rows], device=device)
    ids = torch.zeros(len(rows), int(lengths.max()) + 1, dtype=torch.long)
    for place, row in enumerate(rows):
        ids[place, : len(examples.tokens[row])] = torch.from_numpy(examples.tokens[row].astype(np.int64))
    ids, at = ids.to(device), torch.arange(len(rows), device=device)
    ids[at[is_hard], lengths[is_hard]] = words[is_hard]
    hidden = model(ids)
    logs = model.logits(hidden[at, lengths - 1]).float().log_softmax(dim=-1)
    soft = torch.from_numpy(examples.targets[rows].toarray().astype(np.float32)).to(device)
    nats = -(soft * logs).sum(dim=1)
    if is_hard.any():
        chosen = -logs[at[is_hard], words[is_hard]]
        ends = torch.full((int(is_hard.sum()), 1), examples.end, device=device)
        closing = model.nll(hidden[at[is_hard], lengths[is_hard]][:, None], ends)[:, 0]
        mixed = (1 - SMOOTHING) * chosen + SMOOTHING * nats[is_hard] + closing
        nats = nats.masked_scatter(is_hard, mixed)
    return nats.mean()


def rate_of(schedule: Mapping[str, Any], epoch: int, steps: int, passes: int) -> Callable[[int], float]:
    """Share of the peak at a step of this pass."""
    return lambda step: share_of_peak(epoch * steps + step, steps * passes, **schedule)


@torch.inference_mode()
def word_logits(model: MiniLLM, tokens: Sequence[np.ndarray], words: np.ndarray, rows: int) -> np.ndarray:
    """(N, V) float32 logits of these tokens behind each prompt."""
    device = model.embed_tokens.weight.device
    order = np.argsort([len(ids) for ids in tokens], kind="stable")
    found = np.empty((len(tokens), len(words)), np.float32)
    for start in range(0, len(order), rows):
        batch = order[start : start + rows]
        lengths = [len(tokens[row]) for row in batch]
        ids = torch.zeros(len(batch), max(lengths), dtype=torch.long)
        for place, row in enumerate(batch):
            ids[place, : lengths[place]] = torch.from_numpy(tokens[row].astype(np.int64))
        last = model(ids.to(device))[torch.arange(len(batch)), torch.tensor(lengths) - 1]
        found[batch] = model.logits(last).float()[:, torch.from_numpy(words)].cpu().numpy()
    return found
