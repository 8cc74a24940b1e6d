"""Base of the autoregressive priors over code grids: likelihood in nats, and sampling cell by cell."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CodePrior(nn.Module):
    """p(grid | condition) = prod_i p(code_i | codes before it in raster order, condition).

    condition is a vector (B, c), a map (B, c, h', w') that is stretched over the grid, or None, which is
    equivalent to zeros.
    """

    num_codes: int

    def forward(self, grid: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map a grid (B, h, w) int64 to logits (B, N, h, w); a cell's logits see only the codes before it."""
        return self.logits(grid, condition).permute(0, 3, 1, 2)

    def logits(self, grid: Tensor, condition: Tensor | None) -> Tensor:
        """Return the logits of `forward` with the codes as last axis, (B, h, w, N)."""
        raise NotImplementedError

    def cell_logits(self, grid: Tensor, condition: Tensor | None) -> Iterator[Tensor]:
        """Yield the logits (B, N) cell by cell; before each step the caller fills grid up to that cell.

        Without gradients or dropout. A step costs one cell, not a grid: what later cells need is cached.
        """
        raise NotImplementedError

    def nll(self, grid: Tensor, condition: Tensor | None = None) -> Tensor:
        """Negative log-likelihood (B,) of each grid (B, h, w) in nats, summed over its cells."""
        logits = self.logits(grid, condition).float().flatten(0, 2)
        return F.cross_entropy(logits, grid.flatten(), reduction="none").view(len(grid), -1).sum(dim=1)

    @torch.no_grad()
    def sample(
        self,
        condition: Tensor | None,
        shape: tuple[int, int],
        *,
        num: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Code grids (num, h, w) int64 drawn from the prior.

        condition: num rows, or one row for all; None draws unconditionally and requires num.
        top_k: draw only among the top_k likeliest codes of a cell, selected before the temperature applies.
        generator: draws all uniform numbers (num, h, w) at once, so that a sample depends on nothing else.
        """
        num, condition = match_rows(num, condition)
        check_drawing(temperature, top_k)
        device = next(self.parameters()).device
        source = device if generator is None else generator.device
        uniform = torch.rand(num, *shape, generator=generator, device=source).to(device).flatten(1)
        grid = torch.zeros(num, *shape, dtype=torch.int64, device=device)
        codes = grid.view(num, -1)
        for cell, logits in enumerate(self.cell_logits(grid, condition)):
            codes[:, cell] = draw_codes(logits, uniform[:, cell], temperature, top_k)
        return grid


def draw_codes(logits: Tensor, uniform: Tensor, temperature: float, top_k: int | None) -> Tensor:
    """Code (B,) at which the cumulative probability exceeds `uniform` (B,), which is below 1.

    A code of probability 0 is never drawn. logits: (B, N).
    """
    logits = logits.float()
    if top_k is not None and top_k < logits.shape[1]:
        least = logits.topk(top_k).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    cumulated = (logits / temperature).softmax(dim=1).cumsum(dim=1)
    passed = (uniform.float() * cumulated[:, -1]).unsqueeze(1)
    return torch.searchsorted(cumulated, passed, right=True).squeeze(1)


def stretch(condition: Tensor, height: int, width: int) -> Tensor:
    """Stretch a map (B, c, h', w') over a grid by nearest-neighbour interpolation: (B, c, h, w)."""
    if condition.shape[2:] == (height, width):
        return condition
    return F.interpolate(condition, size=(height, width), mode="nearest")


def match_rows(num: int | None, condition: Tensor | None) -> tuple[int, Tensor | None]:
    """Return the number of grids and a condition with as many rows."""
    if condition is None:
        if num is None:
            raise ValueError("condition=None and num=None leave the number of grids open; give num")
        return num, None
    if num is None or num == len(condition):
        return len(condition), condition
    if len(condition) != 1:
        raise ValueError(
            f"num={num} grids cannot share a condition of {len(condition)} rows; give {num} rows or one"
        )
    return num, condition.expand(num, *condition.shape[1:])


def check_drawing(temperature: float, top_k: int | None) -> None:
    """Raise ValueError unless temperature is above 0 and top_k is None or at least 1."""
    if not temperature > 0:
        raise ValueError(f"temperature={temperature} must be above 0; top_k=1 draws the likeliest code")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k={top_k} leaves no code to draw; give at least 1, or null for all")
