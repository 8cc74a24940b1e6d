"""AdamW, or Muon for the matrices within the layers and AdamW for the rest, as one optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypedDict

import torch
from torch import nn
from torch.optim import Optimizer

PEAK = "peak"  # key of a group's peak learning rate, which the schedule scales


class OptimizerOptions(TypedDict):
    """The block `optimizer` of a task; matrix_lr and momentum are read by muon."""

    name: Literal["adamw", "muon"]
    lr: float
    embedding_lr: float
    matrix_lr: float
    momentum: float
    betas: Sequence[float]
    eps: float
    weight_decay: float


def make_optimizer(model: nn.Module, options: OptimizerOptions) -> Optimizer:
    """Build the optimizer of a model; its groups keep their peak learning rate under PEAK.

    Weight decay applies to matrices of the layers, not to the embedding and norms. Muon (Jordan et al. 2024)
    treats each such matrix separately, since it makes the update of a matrix nearly orthogonal.
    """
    groups: dict[str, list[nn.Parameter]] = {"matrices": [], "embedding": [], "norms": []}
    for name, weight in model.named_parameters():
        kind = "norms" if weight.ndim < 2 else "embedding" if "embed_tokens" in name else "matrices"
        groups[kind].append(weight)
    rest = [
        {"params": groups["embedding"], "lr": options["embedding_lr"], "weight_decay": 0.0},
        {"params": groups["norms"], "lr": options["lr"], "weight_decay": 0.0},
    ]
    adam = {"betas": tuple(options["betas"]), "eps": options["eps"], "fused": True}
    if options["name"] == "adamw":
        matrices = {
            "params": groups["matrices"],
            "lr": options["lr"],
            "weight_decay": options["weight_decay"],
        }
        optimizer: Optimizer = torch.optim.AdamW([matrices, *rest], **adam)
    else:
        muon = torch.optim.Muon(
            groups["matrices"],
            lr=options["matrix_lr"],
            weight_decay=options["weight_decay"],
            momentum=options["momentum"],
            adjust_lr_fn="match_rms_adamw",
        )
        optimizer = Pair(muon, torch.optim.AdamW(rest, **adam))
    for group in optimizer.param_groups:
        group[PEAK] = group["lr"]
    return optimizer


class Pair(Optimizer):
    """Two optimizers of different parameters, stepped, saved and scheduled as one."""

    def __init__(self, first: Optimizer, second: Optimizer) -> None:
        self.parts = (first, second)
        super().__init__([*first.param_groups, *second.param_groups], {})
        self._link()

    def _link(self) -> None:
        """Share the parts' parameter groups, so that a schedule reaches them."""
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = None if closure is None else closure()
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._link()
