"""The network: Qwen3's decoder (Qwen Team 2025), small enough to read, train and load anywhere.

Tokens become vectors, pass through layers of attention and SwiGLU, and the embedding matrix also predicts the
next one. Modules are named as in transformers' Qwen3, so an export is a copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from topiclab.limits import Count, Positive, Share

IGNORED = -100  # a label that carries no loss


VocabSize = Annotated[int, Field(ge=272, le=2**16, description="a whole number from 272 to 65536")]
EvenCount = Annotated[int, Field(ge=2, multiple_of=2, description="an even number from 2 on")]


@dataclass(frozen=True)
class Shape:
    """Sizes of a model; conf/model/minillm has the presets.

    vocab_size: tokens, special ones included.  hidden_size: width of the stream.
    num_heads, num_kv_heads, head_dim: each key-value head serves num_heads / num_kv_heads heads of queries
    (grouped-query attention, Ainslie et al. 2023).  ffn_size: inner width of SwiGLU (Shazeer 2020).
    context_length: maximum number of tokens in training and in a cache.
    rope_theta: base of the rotary positions (Su et al. 2021).  norm_eps: of RMSNorm (Zhang & Sennrich 2019).
    qk_norm: RMSNorm of each head's queries and keys; without it the export is a Llama.
    Raises ValueError if num_kv_heads does not divide num_heads, or head_dim is odd.
    """

    vocab_size: VocabSize
    hidden_size: Count
    num_layers: Count
    num_heads: Count
    num_kv_heads: Count
    head_dim: EvenCount
    ffn_size: Count
    context_length: Count
    rope_theta: Positive
    norm_eps: Positive
    qk_norm: bool

    def __post_init__(self) -> None:
        if self.num_heads % self.num_kv_heads:
            raise ValueError(
                f"num_heads={self.num_heads} cannot share num_kv_heads={self.num_kv_heads} evenly; "
                "give a multiple"
            )
        if self.head_dim % 2:
            raise ValueError(
                f"head_dim={self.head_dim} must be even, since rotary positions turn pairs of numbers"
            )

    @property
    def num_parameters(self) -> int:
        """Number of trained parameters, counting the shared embedding matrix once."""
        queries, keys = self.num_heads * self.head_dim, self.num_kv_heads * self.head_dim
        attention = self.hidden_size * (2 * queries + 2 * keys) + 2 * self.head_dim * self.qk_norm
        layer = attention + 3 * self.hidden_size * self.ffn_size + 2 * self.hidden_size
        return self.vocab_size * self.hidden_size + self.num_layers * layer + self.hidden_size

    def flops_per_token(self, length: int) -> int:
        """Flops of a forward and backward pass per token in rows of `length` tokens; attention without mask.

        Formula: PaLM, Chowdhery et al. 2022, appendix B.
        """
        norms = (2 * self.num_layers + 1) * self.hidden_size
        norms += self.num_layers * 2 * self.head_dim * self.qk_norm
        attention = 12 * self.num_layers * self.num_heads * self.head_dim * length
        return 6 * (self.num_parameters - norms) + attention


class MiniLLM(nn.Module):
    """Maps ids (B, T) to hidden vectors (B, T, hidden_size), and those to logits (B, T, vocab_size).

    dropout: applied to each block's output before it is added to the stream; for small corpora.
    Weights start from N(0, .02), those that add to the stream with std .02 / sqrt(2 layers) (Radford et al.
    2019), drawn from torch's global generator.
    """

    frequencies: Tensor

    def __init__(self, shape: Shape, *, dropout: Share = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(Layer(shape, dropout) for _ in range(shape.num_layers))
        self.norm = RMSNorm(shape.hidden_size, shape.norm_eps)
        exponents = torch.arange(0, shape.head_dim, 2, dtype=torch.float32) / shape.head_dim
        self.register_buffer("frequencies", 1 / shape.rope_theta**exponents, persistent=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                adds = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(weight, std=0.02 / (2 * shape.num_layers) ** 0.5 if adds else 0.02)

    def forward(
        self,
        ids: Tensor,
        *,
        documents: Tensor | None = None,
        num_padding: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Hidden vectors after the last norm, (B, T, hidden_size).

        documents: (B, T) numbers increasing along a row; a token attends to its own document only, whose
        positions start from 0.  num_padding: (B,) number of padding tokens at the left of each row.
        cache: of the previous tokens; the new ones are added to it.
        Raises ValueError if the cache has no room left.
        """
        positions, mask = self._places(ids, documents, num_padding, cache)
        angles = positions.unsqueeze(-1) * self.frequencies
        rotation = angles.cos(), angles.sin()
        hidden = self.embed_tokens(ids)
        for number, layer in enumerate(self.layers):
            hidden = layer(hidden, rotation, mask, None if cache is None else cache.of_layer(number))
        if cache is not None:
            cache.length += ids.shape[1]
        return self.norm(hidden)

    def logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.embed_tokens.weight)

    def nll(self, hidden: Tensor, labels: Tensor) -> Tensor:
        """Negative log-likelihood of labels (B, T) in nats, (B, T) float32; 0 where a label is IGNORED."""
        logits = self.logits(hidden).flatten(0, 1)
        with torch.autocast(logits.device.type, enabled=False):
            nats = F.cross_entropy(logits.float(), labels.flatten(), ignore_index=IGNORED, reduction="none")
        return nats.view_as(labels)

    def _places(
        self, ids: Tensor, documents: Tensor | None, num_padding: Tensor | None, cache: Cache | None
    ) -> tuple[Tensor, Tensor | None]:
        """Positions (B or 1, 1, T) and attention mask (B or 1, 1, T, keys) bool; None is plain causal."""
        start, num = (0 if cache is None else cache.length), ids.shape[1]
        if cache is not None and start + num > cache.most:
            raise ValueError(
                f"{start + num} tokens, but the cache holds {cache.most}; shorten the prompt, generate fewer "
                "tokens or let the window slide"
            )
        keys = torch.arange(start + num, device=ids.device)
        places = keys[start:]
        positions = places.view(1, 1, -1)
        if documents is not None:
            is_first = F.pad(documents[:, 1:] != documents[:, :-1], (1, 0), value=True)
            firsts = torch.where(is_first, places, 0).cummax(dim=1).values
            same = documents.unsqueeze(2) == documents.unsqueeze(1)
            return (places - firsts).unsqueeze(1), (same & (places.view(-1, 1) >= places)).unsqueeze(1)
        if num_padding is None:
            if start == 0 or num == 1:  # causal, which attention does without a mask
                return positions, None
            return positions, (places.view(-1, 1) >= keys).view(1, 1, num, -1)
        is_seen = (places.view(-1, 1) >= keys) & (keys >= num_padding.view(-1, 1, 1))
        is_seen |= places.view(-1, 1) == keys  # padding attends to itself: an empty row would give NaN
        return (positions - num_padding.view(-1, 1, 1)).clamp(min=0), is_seen.unsqueeze(1)


class Layer(nn.Module):
    """Attention, then SwiGLU, each applied to the normed stream and added to it."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.hidden_size, shape.norm_eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RMSNorm(shape.hidden_size, shape.norm_eps)
        self.mlp = SwiGLU(shape.hidden_size, shape.ffn_size)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        hidden: Tensor,
        rotation: tuple[Tensor, Tensor],
        mask: Tensor | None,
        cache: LayerCache | None,
    ) -> Tensor:
        hidden = hidden + self.dropout(self.self_attn(self.input_layernorm(hidden), rotation, mask, cache))
        return hidden + self.dropout(self.mlp(self.post_attention_layernorm(hidden)))


class Attention(nn.Module):
    """Causal attention with rotary positions and fewer key-value heads than query heads."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.head_dim, self.is_grouped = shape.head_dim, shape.num_kv_heads < shape.num_heads
        queries, keys = shape.num_heads * shape.head_dim, shape.num_kv_heads * shape.head_dim
        self.q_proj = nn.Linear(shape.hidden_size, queries, bias=False)
        self.k_proj = nn.Linear(shape.hidden_size, keys, bias=False)
        self.v_proj = nn.Linear(shape.hidden_size, keys, bias=False)
        self.o_proj = nn.Linear(queries, shape.hidden_size, bias=False)
        if shape.qk_norm:
            self.q_norm = RMSNorm(shape.head_dim, shape.norm_eps)
            self.k_norm = RMSNorm(shape.head_dim, shape.norm_eps)
        else:
            self.q_norm = self.k_norm = nn.Identity()

    def forward(
        self,
        hidden: Tensor,
        rotation: tuple[Tensor, Tensor],
        mask: Tensor | None,
        cache: LayerCache | None,
    ) -> Tensor:
        queries = rotate(self.q_norm(self._heads(self.q_proj(hidden))), rotation)
        keys = rotate(self.k_norm(self._heads(self.k_proj(hidden))), rotation)
        values = self._heads(self.v_proj(hidden))
        if cache is not None:
            keys, values = cache.add(keys, values)
        is_causal = mask is None and queries.shape[2] > 1
        seen = F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, is_causal=is_causal, enable_gqa=self.is_grouped
        )
        return self.o_proj(seen.transpose(1, 2).flatten(2))

    def _heads(self, projected: Tensor) -> Tensor:
        """(B, T, heads * head_dim) to (B, heads, T, head_dim)."""
        return projected.unflatten(2, (-1, self.head_dim)).transpose(1, 2)


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x))."""

    def __init__(self, hidden_size: int, ffn_size: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden_size, ffn_size, bias=False)
        self.up_proj = nn.Linear(hidden_size, ffn_size, bias=False)
        self.down_proj = nn.Linear(ffn_size, hidden_size, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(hidden)) * self.up_proj(hidden))


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) times a learned weight; the mean is computed in float32 for any dtype."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, hidden: Tensor) -> Tensor:
        return F.rms_norm(hidden, self.weight.shape, self.weight.to(hidden.dtype), self.eps)


def rotate(heads: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate number i of the first half of each head with number i of the second half by its angle.

    heads: (B, heads, T, head_dim).  rotation: cosine and sine, (B or 1, 1, T, head_dim / 2) float32.
    Pairs are taken across halves, as in Llama's and Qwen's published weights, not from neighbours as in the
    paper: an export must not need retraining.
    """
    first, second = heads.float().chunk(2, dim=-1)
    cosine, sine = rotation
    turned = torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
    return turned.to(heads.dtype)


class Cache:
    """Keys and values of up to `most` tokens: (layers, 2, B, kv heads, most, head_dim)."""

    def __init__(self, shape: Shape, num_rows: int, most: int, like: Tensor) -> None:
        sizes = (shape.num_layers, 2, num_rows, shape.num_kv_heads, most, shape.head_dim)
        self.memory, self.length, self.most = like.new_zeros(sizes), 0, most

    @property
    def num_bytes(self) -> int:
        return self.memory.numel() * self.memory.element_size()

    def of_layer(self, number: int) -> LayerCache:
        return LayerCache(self.memory[number], self.length)

    def repeat(self, times: int) -> Cache:
        """The cache of a prompt read once, copied for `times` samples."""
        copy = object.__new__(Cache)
        copy.memory, copy.length = self.memory.repeat_interleave(times, dim=2), self.length
        copy.most = self.most
        return copy


@dataclass(frozen=True)
class LayerCache:
    """One layer's part, (2, B, kv heads, most, head_dim), filled for `length` tokens."""

    memory: Tensor
    length: int

    def add(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store these keys and values; return all up to and including them."""
        end = self.length + keys.shape[2]
        self.memory[0, :, :, self.length : end] = keys
        self.memory[1, :, :, self.length : end] = values
        return self.memory[0, :, :, :end], self.memory[1, :, :, :end]
