"""The gated PixelCNN (van den Oord et al. 2016) as a prior of code grids."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from topiclab.nn.code_prior import CodePrior, stretch
from topiclab.nn.dropout import Dropout


class GatedPixelCNN(CodePrior):
    """A vertical stack that sees the rows above, a horizontal one that sees the row so far and the vertical.

    The kernels cover only what a cell may see, where the paper masks a square: rows above and, after the
    first layer, the own row; columns before and, after the first layer, the own column. Nothing has to be
    masked again after a step of the optimizer. The first layer has no residual, and nor has the vertical
    stack, as in the paper. A condition is added before the gates of both stacks, by a matrix of its own in
    each layer (Linear(condition_dim, 2 * width), kept as one) and without a shift, so that no condition is
    the same as zeros. Causality and the parity of both ways to compute are pinned in test_code_priors.py.

    num_codes: N.  width: channels of each stack.  first_kernel, kernel: odd sides of the squares.
    head_width: hidden channels before the logits; null is the published 512 at width 64, in proportion.
    dropout: after each gate.
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
                    f"{name}={side} has no centre with cells before it; give an odd number from 3"
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
        self.head = nn.Sequential(
            nn.Linear(width, head_width), nn.ReLU(inplace=True), nn.Linear(head_width, num_codes)
        )
        for layer in self.layers:
            layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def logits(self, grid: Tensor, condition: Tensor | None) -> Tensor:
        above = before = self.embedding(grid).permute(0, 3, 1, 2)
        for layer, shift in zip(self.layers, self.shifts(condition, *grid.shape[1:]), strict=True):
            above, before = layer(above, before, shift)
        return self.head(before.permute(0, 2, 3, 1))

    def shifts(self, condition: Tensor | None, height: int, width: int) -> list[Tensor | None]:
        """What the condition adds before the gates of each layer: (B, 2 * width, 1, 1) or (B, ., h, w)."""
        if condition is None:
            return [None] * len(self.layers)
        if condition.ndim == 2:
            condition = condition[:, :, None, None]
        shifts = self.condition(condition.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        if condition.shape[2:] != (1, 1):
            shifts = stretch(shifts, height, width)
        return list(shifts.chunk(len(self.layers), dim=1))

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
    """One layer of both stacks; on (B, width, h, w), channels last in memory."""

    def __init__(self, width: int, side: int, *, is_first: bool, dropout: float) -> None:
        super().__init__()
        self.is_first, self.reach = is_first, side // 2
        own = 0 if is_first else 1
        self.vertical = nn.Conv2d(width, 2 * width, (self.reach + own, side))
        self.horizontal = nn.Conv2d(width, 2 * width, (1, self.reach + own))
        self.across = nn.Conv2d(2 * width, 2 * width, 1, bias=False)
        self.out = nn.Conv2d(width, width, 1)
        self.dropout = Dropout(dropout)

    def forward(self, above: Tensor, before: Tensor, shift: Tensor | None) -> tuple[Tensor, Tensor]:
        reach, spare = (
            self.reach,
            -1 if self.is_first else 0,
        )  # the last row and column, which no cell may see
        features = self.vertical(F.pad(above, (reach, reach, reach, spare)))
        mixed = self.across(features) + self.horizontal(F.pad(before, (reach, spare)))
        drawn = self.out(self.dropout(gate(mixed, shift)))
        return self.dropout(gate(features, shift)), drawn if self.is_first else before + drawn


class LayerCache:
    """A layer while a grid is drawn: the vertical stack row by row, the horizontal one cell by cell.

    Both keep as many inputs as their kernels are long. The newest input of the first layer is the row or the
    cell before, which it may see, of the others the own one.
    """

    def __init__(self, layer: GatedLayer, num: int, width: int, shift: Tensor | None) -> None:
        self.layer, self.shift = layer, shift
        channels, (height, _) = layer.out.in_channels, layer.vertical.kernel_size
        columns = layer.horizontal.kernel_size[1]
        weight, bias = layer.horizontal.weight, layer.horizontal.bias
        assert bias is not None
        self.bias = bias.view(1, -1, 1, 1)
        self.rows = weight.new_zeros(num, height, width + 2 * layer.reach, channels)
        self.columns = weight.new_zeros(num, columns, channels)
        self.weight = weight.permute(3, 1, 2, 0).reshape(columns * channels, 2 * channels)
        self.out = layer.out.weight.flatten(1)

    def start_row(self, above: Tensor, row: int) -> Tensor:
        """What the vertical stack hands to the next layer (B, w, width), from what it gets there."""
        reach = self.layer.reach
        newest = F.pad(above, (0, 0, reach, reach)).unsqueeze(1)
        self.rows = torch.cat([self.rows[:, 1:], newest], dim=1)
        features = self.layer.vertical(self.rows.permute(0, 3, 1, 2))
        shift = self.shift
        if shift is not None and shift.shape[2] > 1:
            shift = shift[:, :, row : row + 1]
        mixed = self.layer.across(features) + self.bias
        if shift is not None:
            mixed = mixed + shift
        self.mixed = mixed.squeeze(2).permute(2, 0, 1).contiguous()
        self.columns = torch.zeros_like(self.columns)
        return gate(features, shift).squeeze(2).transpose(1, 2)

    def step(self, before: Tensor, column: int) -> Tensor:
        """What the horizontal stack hands on (B, width) for the next cell of the row."""
        self.columns = torch.cat([self.columns[:, 1:], before.unsqueeze(1)], dim=1)
        features = torch.addmm(self.mixed[column], self.columns.flatten(1), self.weight)
        drawn = F.linear(gate(features, None), self.out, self.layer.out.bias)
        return drawn if self.layer.is_first else before + drawn


def gate(features: Tensor, shift: Tensor | None) -> Tensor:
    """tanh(a) * sigmoid(b) of features (B, 2 * width, h, w) plus shift."""
    if shift is not None:
        features = features + shift
    signal, opening = features.chunk(2, dim=1)
    return signal.tanh() * opening.sigmoid()
