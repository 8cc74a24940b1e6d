"""One decoding step per token from a cache: the network's own results in fewer, smaller operations."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from topiclab.minillm.network import Attention, Cache, Layer, MiniLLM, RMSNorm


class Decoder:
    """Reads one token per row into the cache and returns the logits after it.

    A step reads every weight once for a handful of numbers; its other cost is the number of calls. Here no
    call goes through modules, products add into the stream or reuse the memory of the previous step, and
    queries that share keys meet them as rows of one product, not as copies of the keys.
    Pinned by tests/minillm/test_generate.py against `MiniLLM.forward`.

    num_padding: (B,) number of padding tokens at the left of each row of the cache.
    Create and call it in inference mode; weights are used in place, except norms of heads.
    """

    def __init__(self, model: MiniLLM, cache: Cache, num_padding: Tensor | None) -> None:
        shape, like, num_rows = model.shape, model.embed_tokens.weight, cache.memory.shape[2]
        self.cache, self.num_padding = cache, num_padding
        self.embedding, self.last_norm = like, Norm(model.norm.weight, shape.norm_eps)
        self.head = like.t()
        self.room = Room(model, num_rows)
        self.layers = [
            StepLayer(layer, memory, shape.norm_eps)
            for layer, memory in zip(model.layers, cache.memory, strict=True)
        ]
        places = torch.arange(cache.most, device=like.device)
        angles = places.unsqueeze(1) * model.frequencies
        self.cosine = angles.cos().repeat(1, 2)
        self.sine = torch.cat([-angles.sin(), angles.sin()], dim=1)
        self.is_seen = None if num_padding is None else (places >= num_padding[:, None])[:, None, None]

    def step(self, tokens: Tensor) -> Tensor:
        """(B, V) logits after tokens (B,), valid until the next step; ValueError if the cache is full."""
        cache, room, num = self.cache, self.room, self.cache.length
        if num >= cache.most:
            raise ValueError(f"the cache holds {cache.most} tokens and is full; let the window slide")
        place = num if self.num_padding is None else num - self.num_padding
        cosine, sine = self.cosine[place].unsqueeze(-2), self.sine[place].unsqueeze(-2)
        is_seen = None if self.is_seen is None else self.is_seen[..., : num + 1]
        stream = F.embedding(tokens, self.embedding)
        for layer in self.layers:
            layer.attend(stream, room, num, cosine, sine, is_seen)
            layer.widen(stream, room)
        cache.length += 1
        return torch.mm(self.last_norm(stream), self.head, out=room.logits)


class Room:
    """Memory reused by every step and layer, and views of its parts.

    heads: (B, heads of queries, keys and values, head_dim), with a flat view.
    """

    def __init__(self, model: MiniLLM, num_rows: int) -> None:
        shape, like = model.shape, model.embed_tokens.weight
        num_queries, num_keys = shape.num_heads, shape.num_kv_heads
        heads = like.new_empty(num_rows, num_queries + 2 * num_keys, shape.head_dim)
        flat, ends = heads.flatten(1), [num_queries, num_queries + num_keys]
        self.parts = flat.tensor_split([end * shape.head_dim for end in ends], dim=1)
        self.turned = heads[:, : ends[1]]
        self.queries = heads[:, : ends[0]].unflatten(1, (num_keys, num_queries // num_keys))
        self.to_keep = heads[:, ends[0] :].unflatten(1, (2, num_keys)).transpose(0, 1)
        self.gate, self.up = like.new_empty(2, num_rows, shape.ffn_size)
        self.logits = like.new_empty(num_rows, shape.vocab_size)
        self.half = shape.head_dim // 2


class Norm:
    """RMSNorm of few numbers, in fewer calls than F.rms_norm.

    weight: (dim,), or (heads, dim) for `of_heads`.
    """

    def __init__(self, weight: Tensor, eps: float) -> None:
        self.weight, self.eps, self.share = weight, eps, 1 / weight.shape[-1]
        self.start = weight.new_full((1, 1, 1), eps)
        self.is_exact = weight.dtype == torch.float32

    def __call__(self, numbers: Tensor) -> Tensor:
        """Normalize (B, dim)."""
        if not self.is_exact:  # a mean of squares needs float32
            return F.rms_norm(numbers, self.weight.shape, self.weight, self.eps)
        return (numbers * self._scale(numbers)).mul_(self.weight)

    def of_heads(self, heads: Tensor) -> None:
        """Normalize (B, heads, dim) in place."""
        rows = heads.flatten(0, 1)
        scaled = rows * self._scale(rows) if self.is_exact else F.rms_norm(rows, rows.shape[1:], eps=self.eps)
        torch.mul(scaled.view(heads.shape), self.weight, out=heads)

    def _scale(self, rows: Tensor) -> Tensor:
        """Scale (rows, 1) for rows (rows, dim)."""
        squares = torch.baddbmm(self.start, rows.unsqueeze(1), rows.unsqueeze(2), alpha=self.share)
        return squares.squeeze(1).rsqrt_()


class StepLayer:
    """One layer applied to one token per row: transposed views of its matrices, and its part of the cache.

    memory: (2, B, kv heads, most, head_dim).
    """

    def __init__(self, layer: nn.Module, memory: Tensor, eps: float) -> None:
        assert isinstance(layer, Layer)
        attention, mlp = layer.self_attn, layer.mlp
        self.norm_of_attention = Norm(layer.input_layernorm.weight, eps)
        self.norm_of_mlp = Norm(layer.post_attention_layernorm.weight, eps)
        self.projections = [p.weight.t() for p in (attention.q_proj, attention.k_proj, attention.v_proj)]
        self.norm_of_heads = _norm_of_heads(attention, eps)
        self.output, self.down = attention.o_proj.weight.t(), mlp.down_proj.weight.t()
        self.gate, self.up = mlp.gate_proj.weight.t(), mlp.up_proj.weight.t()
        self.memory, (self.keys, self.values) = memory, memory

    def attend(
        self, stream: Tensor, room: Room, num: int, cosine: Tensor, sine: Tensor, is_seen: Tensor | None
    ) -> None:
        """Add to the stream (B, hidden_size) the attention output over `num` cached tokens and this one."""
        normed = self.norm_of_attention(stream)
        for matrix, part in zip(self.projections, room.parts, strict=True):
            torch.mm(normed, matrix, out=part)
        if self.norm_of_heads is not None:
            self.norm_of_heads.of_heads(room.turned)
        swapped = room.turned.roll(room.half, 2)
        room.turned.mul_(cosine).addcmul_(swapped, sine)
        self.memory.select(3, num).copy_(room.to_keep)
        keys, values = self.keys.narrow(2, 0, num + 1), self.values.narrow(2, 0, num + 1)
        found = F.scaled_dot_product_attention(room.queries, keys, values, attn_mask=is_seen)
        stream.addmm_(found.view(len(stream), -1), self.output)

    def widen(self, stream: Tensor, room: Room) -> None:
        """Add the output of SwiGLU to the stream."""
        normed = self.norm_of_mlp(stream)
        torch.mm(normed, self.gate, out=room.gate)
        torch.mm(normed, self.up, out=room.up)
        stream.addmm_(F.silu(room.gate, inplace=True).mul_(room.up), self.down)


def _norm_of_heads(attention: Attention, eps: float) -> Norm | None:
    """Norms of queries and keys side by side; None if heads have none."""
    of_queries, of_keys = attention.q_norm, attention.k_norm
    if not isinstance(of_queries, RMSNorm) or not isinstance(of_keys, RMSNorm):
        return None
    dim = attention.head_dim
    num_queries, num_keys = attention.q_proj.out_features // dim, attention.k_proj.out_features // dim
    rows = [of_queries.weight.expand(num_queries, dim), of_keys.weight.expand(num_keys, dim)]
    return Norm(torch.cat(rows), eps)
