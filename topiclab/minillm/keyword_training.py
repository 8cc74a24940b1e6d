"""Training a MiniLLM to name the words a text is about: distributions of the token that follows it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from topiclab.checkpoint import LAST, checkpoint_file, load_checkpoint
from topiclab.minillm.network import IGNORED, MiniLLM
from topiclab.minillm.optimizer import PEAK, OptimizerOptions, make_optimizer
from topiclab.minillm.schedule import Schedule, share_of_peak

log = logging.getLogger(__name__)

SMOOTHING = 0.05  # of a hard keyword's loss: share of the document's full distribution


class KeywordOptions(TypedDict):
    """The group `keywords`, of which conf/task/keywords.yaml says what each key does."""

    passes: int
    rows_per_step: int
    masked_share: float
    hard_share: float
    replay: float
    replay_length: int
    prompts: list[str]
    chat_template: bool
    span: int | None
    max_length: int | None
    window: int
    min_df: int
    num_neighbours: int
    own: float
    prior_power: float
    perplexity: float
    gradient_clip: float
    optimizer: OptimizerOptions
    schedule: Schedule


@dataclass(frozen=True)
class Examples:
    """N prompts, each to be followed by a keyword.

    tokens: ids of each prompt.  words: (N,) token of the keyword drawn for each, IGNORED where the full
    distribution is taught.  targets: CSR (N, vocabulary size), rows sum to 1.  end: token after a keyword.
    """

    tokens: Sequence[np.ndarray]
    words: np.ndarray
    targets: sparse.csr_matrix
    end: int


class KeywordTraining:
    """Training in passes over examples, resumable from checkpoints/last.ckpt.

    model: trained in place; without dropout, so that a resumed training is bit-identical on a CPU.
    options: optimizer, schedule, passes, gradient_clip, rows_per_step.  seconds: minimum between two saves.
    inputs: hash of everything the examples depend on; checkpoints with another hash are dropped.
    on_step: called with metrics and the number of steps before, after every step and every pass.
    losses: mean nats of the keywords in each finished pass.
    """

    def __init__(
        self,
        model: MiniLLM,
        options: KeywordOptions,
        folder: Path,
        *,
        seconds: float,
        inputs: str,
        on_step: Callable[[dict[str, float], int], None] | None = None,
    ) -> None:
        self.on_step = on_step
        self.model, self.options, self.seconds, self.inputs = model, options, seconds, inputs
        self.optimizer = make_optimizer(model, options["optimizer"])
        self.path = folder / "checkpoints" / LAST
        self.epoch = self.step = 0
        self.nats = 0.0  # sum over the examples of the current pass so far
        self.losses: list[float] = []
        if (stored := self._stored()) is not None:
            model.load_state_dict(stored["weights"])
            self.optimizer.load_state_dict(stored["optimizer"])
            self.epoch, self.step, self.nats, self.losses = stored["progress"]
            log.info("resuming from %s: step %d of pass %d", self.path, self.step + 1, self.epoch + 1)
        self.saved = time.monotonic()

    def _stored(self) -> dict[str, Any] | None:
        """Content of last.ckpt if it is intact and of these inputs; otherwise drop it with a warning."""
        if not self.path.exists():
            return None
        try:
            stored = load_checkpoint(self.path)
            if stored.get("inputs") == self.inputs:
                return stored
            fault = "it belongs to other examples or another model"
        except ValueError as error:
            fault = str(error)
        log.warning("starting over: %s is dropped, because %s", self.path, fault)
        self.path.unlink()
        return None

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        stored = {
            "weights": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": [self.epoch, self.step, self.nats, self.losses],
            "inputs": self.inputs,
        }
        with checkpoint_file(self.path) as partial:
            torch.save(stored, partial)
        self.saved = time.monotonic()

    def train_pass(self, examples: Examples, replay: Callable[[int], Tensor], seed: int) -> None:
        """Run the rest of a pass, in a seeded order.

        replay: step -> (rows, T + 1) ids of plain text.
        Raises FloatingPointError if a loss is not finite.
        """
        order = np.random.default_rng(seed).permutation(len(examples.tokens))
        size = self.options["rows_per_step"]
        num_steps = -(-len(order) // size)
        self.model.train()
        while self.step < num_steps:
            rows = order[self.step * size : (self.step + 1) * size]
            nats = self._update(examples, rows, replay(self.step), num_steps)
            self.nats += nats * len(rows)
            self._tell({"train/step_nats": nats}, num_steps)
            self.step += 1
            if self.step < num_steps and time.monotonic() - self.saved >= self.seconds:
                self.save()
        self.model.eval()
        self.losses.append(self.nats / len(order))
        self._tell({"train/keyword_nats": self.losses[-1]}, num_steps)
        self.epoch, self.step, self.nats = self.epoch + 1, 0, 0.0
        self.save()

    def _tell(self, metrics: dict[str, float], num_steps: int) -> None:
        if self.on_step is not None:
            self.on_step(metrics, self.epoch * num_steps + self.step)

    def _update(self, examples: Examples, rows: np.ndarray, text: Tensor, num_steps: int) -> float:
        """Take one step; return the mean nats of its keywords before the update."""
        done, all_steps = self.epoch * num_steps + self.step, self.options["passes"] * num_steps
        share = share_of_peak(done, all_steps, **self.options["schedule"])
        for group in self.optimizer.param_groups:
            group["lr"] = share * group[PEAK]
        loss = keyword_loss(self.model, examples, rows)
        nats = float(loss.detach())
        if len(text):
            text = text.to(self.model.embed_tokens.weight.device)
            plain = self.model.nll(self.model(text[:, :-1]), text[:, 1:])
            loss = loss + plain.mean() * len(text) / len(rows)
        if not math.isfinite(float(loss.detach())):
            raise FloatingPointError(
                f"the loss of step {done + 1} is {float(loss.detach())} nats; lower keywords.optimizer.lr"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options["gradient_clip"])
        self.optimizer.step()
        return nats


def keyword_loss(model: MiniLLM, examples: Examples, rows: np.ndarray) -> Tensor:
    """Mean cross-entropy at the end of the prompts, plus that of the end token after hard keywords."""
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


@torch.inference_mode()
def word_logits(model: MiniLLM, tokens: Sequence[np.ndarray], words: np.ndarray, rows: int) -> np.ndarray:
    """(N, V) float32 logits of the tokens `words` after each prompt."""
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
