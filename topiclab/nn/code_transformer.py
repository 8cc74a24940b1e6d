"""A causal transformer over codes in raster order, as a prior over code grids."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from topiclab.nn.code_prior import CodePrior, stretch
from topiclab.nn.dropout import Dropout, dropout


class CodeTransformer(CodePrior):
    """GPT-2's blocks (Radford et al. 2019) over [condition, code 1, code 2, ...] (after Esser et al. 2021).

    The first logits are those of the last token of the prefix. For a condition that is a map, the prefix is
    the mean of the map, and each cell's own vector is added to the token that predicts the cell.

    num_codes: N.  num_cells: maximum number of cells of a grid.
    prefix_length: 1 (default) is one token, made by a learned projection without a bias, so that None is
    equivalent to zeros; more are that many copies of the condition, repeated along the width without a
    projection as published (256 of them), which add no information and cost their share of the attention.
    Raises ValueError when the width is not a multiple of num_heads, or of condition_dim where it is repeated.
    """

    def __init__(
        self,
        num_codes: int,
        *,
        width: int,
        num_layers: int,
        num_heads: int,
        condition_dim: int,
        num_cells: int,
        prefix_length: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if width % num_heads:
            raise ValueError(
                f"width={width} cannot be shared by num_heads={num_heads}; give a width that is a multiple"
            )
        if prefix_length > 1 and width % condition_dim:
            raise ValueError(
                f"prefix_length={prefix_length} repeats the condition along the width, but width={width} is "
                f"not a multiple of condition_dim={condition_dim}; give one that is, or prefix_length=1"
            )
        self.num_codes, self.num_cells, self.prefix_length = num_codes, num_cells, prefix_length
        self.embedding = nn.Embedding(num_codes, width)
        self.positions = nn.Parameter(torch.empty(prefix_length + num_cells - 1, width))
        self.project = nn.Linear(condition_dim, width, bias=False) if prefix_length == 1 else None
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, num_heads, dropout) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_codes, bias=False)
        self._initialize(num_layers)

    def _initialize(self, num_layers: int) -> None:
        """Initialize as in GPT-2: standard deviation 0.02, smaller where layers add to the residual."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        for name, weight in self.blocks.named_parameters():
            if name.endswith(("out.weight", "shrink.weight")):
                nn.init.normal_(weight, std=0.02 / (2 * num_layers) ** 0.5)
        nn.init.normal_(self.positions, std=0.02)

    def logits(self, grid: Tensor, condition: Tensor | None) -> Tensor:
        num, height, width = grid.shape
        prefix, cells = self.prefix(condition, num, height, width)
        tokens = self.embedding(grid.flatten(1)[:, :-1])
        hidden = torch.cat([prefix, tokens], dim=1) + self.positions[: prefix.shape[1] + tokens.shape[1]]
        if cells is not None:
            hidden = hidden + F.pad(cells, (0, 0, self.prefix_length - 1, 0))
        hidden = self.dropout(hidden)
        for block in self.blocks:
            hidden = block(hidden)
        return self.head(self.norm(hidden[:, self.prefix_length - 1 :])).unflatten(1, (height, width))

    def prefix(
        self, condition: Tensor | None, num: int, height: int, width: int
    ) -> tuple[Tensor, Tensor | None]:
        """Return the prefix tokens (B, prefix_length, width) and what each cell adds (B, h * w, width)."""
        if height * width > self.num_cells:
            raise ValueError(
                f"a grid of {height} x {width} has more cells than num_cells={self.num_cells}; build the "
                "prior with more"
            )
        if condition is None:
            return self.positions.new_zeros(num, self.prefix_length, self.positions.shape[1]), None
        if condition.ndim == 2:
            return self._widened(condition).unsqueeze(1).expand(-1, self.prefix_length, -1), None
        cells = self._widened(stretch(condition, height, width).flatten(2).transpose(1, 2))
        return cells.mean(dim=1, keepdim=True).expand(-1, self.prefix_length, -1), cells

    def _widened(self, condition: Tensor) -> Tensor:
        if self.project is not None:
            return self.project(condition)
        copies = self.positions.shape[1] // condition.shape[-1]
        return condition.repeat(*[1] * (condition.ndim - 1), copies)

    def cell_logits(self, grid: Tensor, condition: Tensor | None) -> Iterator[Tensor]:
        num, height, width = grid.shape
        num_cells, codes = height * width, grid.view(num, -1)
        prefix, cells = self.prefix(condition, num, height, width)
        shifts = self.positions[: self.prefix_length + num_cells - 1]
        if cells is not None:
            shifts = shifts + F.pad(cells, (0, 0, self.prefix_length - 1, 0))
        hidden = prefix + shifts[..., : self.prefix_length, :]
        caches = [KeyValueCache(shifts.shape[-2]) for _ in self.blocks]
        for block, cache in zip(self.blocks, caches, strict=True):
            hidden = block(hidden, cache)
        yield self.head(self.norm(hidden[:, -1]))
        for cell in range(1, num_cells):
            hidden = self.embedding(codes[:, cell - 1]) + shifts[..., self.prefix_length + cell - 1, :]
            for block, cache in zip(self.blocks, caches, strict=True):
                hidden = block.step(hidden, cache)  # type: ignore[operator]
            yield self.head(self.norm(hidden))


class Block(nn.Module):
    """Attention, then a hidden layer four times as wide, each added to its input (B, S, width)."""

    def __init__(self, width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.attention_norm, self.hidden_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.grow, self.shrink = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """Apply the block; a cache stores the keys and values of these first tokens and disables dropout."""
        split = self.queries_keys_values(self.attention_norm(tokens)).unflatten(2, (3, self.num_heads, -1))
        queries, keys, values = split.permute(2, 0, 3, 1, 4)
        if cache is not None:
            cache.start(keys, values)
        rate = self.dropout if self.training and cache is None else 0.0
        seen = F.scaled_dot_product_attention(queries, keys, values, dropout_p=rate, is_causal=True)
        return self._after_attention(tokens, seen.transpose(1, 2).flatten(2), rate)

    def step(self, tokens: Tensor, cache: KeyValueCache) -> Tensor:
        """Apply the block to the next token alone (B, width), without dropout."""
        num, width = tokens.shape
        split = self.queries_keys_values(self.attention_norm(tokens))
        queries, *new = split.view(num, 3, self.num_heads, 1, width // self.num_heads).unbind(1)
        seen = F.scaled_dot_product_attention(queries, *cache.add(*new))
        return self._after_attention(tokens, seen.view(num, width), 0.0)

    def _after_attention(self, tokens: Tensor, seen: Tensor, rate: float) -> Tensor:
        tokens = tokens + dropout(self.out(seen), rate, True)
        hidden = F.gelu(self.grow(self.hidden_norm(tokens)))
        return tokens + dropout(self.shrink(hidden), rate, True)


class KeyValueCache:
    """Keys and values (B, heads, S, width / heads) of the tokens so far, in buffers for `capacity` tokens."""

    keys: Tensor
    values: Tensor

    def __init__(self, capacity: int) -> None:
        self.length, self.capacity = 0, capacity

    def start(self, keys: Tensor, values: Tensor) -> None:
        shape = (*keys.shape[:2], self.capacity, keys.shape[3])
        self.keys, self.values = keys.new_empty(shape), values.new_empty(shape)
        self.add(keys, values)

    def add(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store these keys and values and return all so far, these included."""
        start, added = self.length, keys.shape[2]
        self.length += added
        self.keys.narrow(2, start, added).copy_(keys)
        self.values.narrow(2, start, added).copy_(values)
        return self.keys.narrow(2, 0, self.length), self.values.narrow(2, 0, self.length)
