"""The gated PixelCNN (van den Oord et al. 2016) as a prior over code grids."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from topiclab.nn.code_prior import CodePrior, stretch
from topiclab.nn.dropout import Dropout


class GatedPixelCNN(CodePrior):
    """A vertical stack that sees the rows above; a horizontal one that sees the row so far and the vertical.

    The kernels cover only what a cell may see, where the paper masks a square: rows above and, after the
    first layer, the cell's own row; columns before and, after the first layer, its own column. So nothing has
    to be masked again after an optimizer step. The first layer has no residual connection, nor has the
    vertical stack, as in the paper. A condition is added before the gates of both stacks by a separate matrix
    for each layer (Linear(condition_dim, 2 * width), stored as one) and without a bias, so that None is
    equivalent to zeros. Causality and the agreement of both ways to compute are pinned in
    tests/nn/test_code_priors.py.

    num_codes: N.  width: channels of each stack.  first_kernel, kernel: odd side lengths of the squares.
    head_width: hidden channels before the logits; None scales the published 512 at width 64 in proportion.
    dropout: applied after each gate.
    """

    def __init__(
        self,
        num_codes: int,
        *,
        width: int,
        num_layers: int,
        condition_dim: int,
        first_kernel: int = 7,
        kernel: int = 3,
        head_width: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        for name, side in (("first_kernel", first_kernel), ("kernel", kernel)):
            if side < 3 or side % 2 == 0:
                raise ValueError(
                    f"{name}={side} has no centre with cells before it; give an odd number of at least 3"
                )
        self.num_codes, self.width = num_codes, width
        head_width = 8 * width if head_width is None else head_width
        self.embedding = nn.Embedding(num_codes, width)
        kernels = [first_kernel, *[kernel] * (num_layers - 1)]
        self.layers = nn.ModuleList(
            GatedLayer(width, side, is_first=not number, dropout=dropout)
            for number, side in enumerate(kernels)
        )
        self.condition = nn.Linear(condition_dim, num_layers * 2 * width, bias=False)
        self.head = nn.Sequential(nn.Linear(width, head_width), nn.ReLU(), nn.Linear(head_width, num_codes))

    def logits(self, grid: Tensor, condition: Tensor | None) -> Tensor:
        above = before = self.embedding(grid)
        for layer, shift in zip(self.layers, self.shifts(condition, *grid.shape[1:]), strict=True):
            above, before = layer(above, before, shift)
        return self.head(before)

    def shifts(self, condition: Tensor | None, height: int, width: int) -> list[Tensor | None]:
        """Terms that the condition adds before the gates of each layer: (B, 1, 1 | h, w, 2 * width)."""
        if condition is None:
            return [None] * len(self.layers)
        if condition.ndim == 2:
            shifts = self.condition(condition)[:, None, None]
        else:
            shifts = self.condition(stretch(condition, height, width).permute(0, 2, 3, 1))
        return list(shifts.chunk(len(self.layers), dim=3))

    def cell_logits(self, grid: Tensor, condition: Tensor | None) -> Iterator[Tensor]:
        num, height, width = grid.shape
        layers = [
            LayerCache(layer, num, width, shift)  # type: ignore[arg-type]
            for layer, shift in zip(self.layers, self.shifts(condition, height, width), strict=True)
        ]
        above = self.embedding.weight.new_zeros(num, width, self.width)  # of the row before
        for row in range(height):
            for layer in layers:
                above = layer.start_row(above, row)
            before = above.new_zeros(num, self.width)  # of the cell before
            for column in range(width):
                for layer in layers:
                    before = layer.step(before, column)
                yield self.head(before)
                before = self.embedding(grid[:, row, column])
            above = self.embedding(grid[:, row])


class GatedLayer(nn.Module):
    """One layer of both stacks, applied to (B, h, w, width)."""

    def __init__(self, width: int, side: int, *, is_first: bool, dropout: float) -> None:
        super().__init__()
        self.is_first, self.reach = is_first, side // 2
        self.length = self.reach if is_first else self.reach + 1  # number of rows and of columns seen
        self.vertical = nn.Conv2d(width, 2 * width, (self.length, side))
        self.vertical.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.horizontal = nn.Linear(self.length * width, 2 * width)
        self.across = nn.Linear(2 * width, 2 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.dropout = Dropout(dropout)

    def forward(self, above: Tensor, before: Tensor, shift: Tensor | None) -> tuple[Tensor, Tensor]:
        spare = self.length - self.reach - 1  # -1: the last row and column, which no cell may see
        features = self.features(F.pad(above, (0, 0, self.reach, self.reach, self.reach, spare)))
        columns = F.pad(before, (0, 0, self.reach, spare))
        seen = [columns[:, :, first : first + above.shape[2]] for first in range(self.length)]
        mixed = self.across(features) + self.horizontal(torch.cat(seen, dim=3))
        drawn = self.out(self.dropout(gate(mixed, shift)))
        return self.dropout(gate(features, shift)), drawn if self.is_first else before + drawn

    def features(self, rows: Tensor) -> Tensor:
        """Features (B, h, w, 2 * width) of the vertical stack from its padded input."""
        return self.vertical(rows.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def gate(features: Tensor, shift: Tensor | None) -> Tensor:
    """tanh(a) * sigmoid(b), where a and b are the halves of features (., 2 * width) plus shift."""
    if shift is not None:
        features = features + shift
    signal, opening = features.chunk(2, dim=-1)
    return signal.tanh() * opening.sigmoid()


class LayerCache:
    """State of a layer while a grid is drawn: vertical stack row by row, horizontal stack cell by cell.

    Each keeps as many inputs as its kernel is long. The newest input of the first layer is the previous row
    or cell, all that it may see; that of the other layers is the current one.
    """

    def __init__(self, layer: GatedLayer, num: int, width: int, shift: Tensor | None) -> None:
        self.layer, self.shift = layer, shift
        channels, reach = layer.out.in_features, layer.reach
        self.rows = layer.out.weight.new_zeros(num, layer.length, width + 2 * reach, channels)
        self.columns = layer.out.weight.new_zeros(num, layer.length - 1 + width, channels)

    def start_row(self, above: Tensor, row: int) -> Tensor:
        """Take the vertical input (B, w, width) of a row and return the input of the next layer."""
        newest = F.pad(above, (0, 0, self.layer.reach, self.layer.reach)).unsqueeze(1)
        self.rows = torch.cat([self.rows[:, 1:], newest], dim=1)
        features = self.layer.features(self.rows)
        shift = self.shift
        if shift is not None and shift.shape[1] > 1:
            shift = shift[:, row : row + 1]
        mixed = self.layer.across(features) + self.layer.horizontal.bias
        if shift is not None:
            mixed = mixed + shift
        self.mixed = mixed.squeeze(1).transpose(0, 1).contiguous()
        return gate(features, shift).squeeze(1)

    def step(self, before: Tensor, column: int) -> Tensor:
        """Take the horizontal input (B, width) of a cell and return the input of the next layer."""
        last = column + self.layer.length
        self.columns[:, last - 1] = before
        seen = self.columns[:, column:last].flatten(1)
        features = torch.addmm(self.mixed[column], seen, self.layer.horizontal.weight.T)
        drawn = self.layer.out(gate(features, None))
        return drawn if self.layer.is_first else before + drawn
