"""Attention without padding for models that lack it, and a record of the attention kernels that ran."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AttentionInterface, AttentionMaskInterface, DataCollatorWithFlattening
from transformers.masking_utils import flash_attention_mask

log = logging.getLogger(__name__)

PACKED = "topiclab_packed"
# Part of the name of a torch or flash-attn operator -> common name of the kernel.
KERNELS = {
    "cudnn": "cudnn",
    "flash_attn": "flash",
    "flash_attention": "flash",
    "efficient": "efficient",
    "varlen_attn": "flash",
    "attention_math": "math",
}
PACKED_INPUTS = ("position_ids", "cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k", "seq_idx")
CHECK_LENGTHS = (5, 1, 19)
MAX_ERROR = {torch.float32: 1e-3, torch.bfloat16: 0.05}  # relative; bf16 rounds by 0.01


def can_pack(device: str, precision: str) -> bool:
    """Return whether torch has a kernel for concatenated texts of varying length (CUDA, torch >= 2.11)."""
    if not device.startswith("cuda") or precision != "bf16" or find_spec("torch.nn.attention.varlen") is None:
        return False
    from torch.nn.attention.varlen import varlen_attn

    return {"enable_gqa", "window_size"} <= inspect.signature(varlen_attn).parameters.keys()


def pack(transformer: Any) -> None:
    """Let a sentence-transformers module read concatenated texts, without padding.

    Raises NotImplementedError for a model that does not use transformers' attention interface, or whose
    hidden states then differ from those of the texts encoded one by one.
    """
    model = transformer.model
    if not getattr(model, "is_backend_compatible", lambda: False)():
        raise NotImplementedError(f"{type(model).__name__} has its own attention implementation")
    own, implementation = dict(vars(transformer)), model.config._attn_implementation
    ids = torch.arange(sum(CHECK_LENGTHS), device=model.device) % model.config.vocab_size
    texts = [part.cpu().numpy() for part in ids.split(list(CHECK_LENGTHS))]
    alone = [_states(transformer, {"input_ids": torch.from_numpy(text)[None]}) for text in texts]
    transformer.data_collator = DataCollatorWithFlattening(
        return_seq_idx=True, return_flash_attn_kwargs=True, return_position_ids=True
    )
    if transformer.model_forward_params is not None:
        transformer.model_forward_params = {*transformer.model_forward_params, *PACKED_INPUTS}
    transformer._flatten_position_offset = transformer._infer_flatten_position_offset()
    transformer.can_flatten_inputs = True
    model.set_attn_implementation(PACKED)
    together = _states(transformer, packed_features(transformer, texts))
    error = (together - torch.cat(alone)).norm() / torch.cat(alone).norm()
    if not error < MAX_ERROR[model.dtype]:
        vars(transformer).clear()
        vars(transformer).update(own)
        model.set_attn_implementation(implementation)
        raise NotImplementedError(f"{type(model).__name__} mixes texts without padding (error {error:.2g})")


def packed_features(transformer: Any, tokens: Sequence[Any]) -> dict[str, Any]:
    """Concatenated texts, (1, sum of lengths), with their bounds."""
    features = dict(transformer.data_collator([{"input_ids": ids.tolist()} for ids in tokens]))
    features.pop("labels", None)
    features["position_ids"] = features["position_ids"] + transformer._flatten_position_offset
    return features


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    sliding_window: int | None = None,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention within each text: query (1, H, T, d), key and value with fewer heads, to (1, T, H, d)."""
    if attention_mask is not None or cu_seq_lens_q is None or max_length_q is None:
        raise ValueError("attention without padding needs the bounds of its texts, and no mask")
    if unknown := [name for name in ("softcap", "s_aux") if others.get(name) is not None]:
        raise NotImplementedError(f"attention without padding does not support {unknown[0]}")
    causal = bool(getattr(module, "is_causal", False)) if is_causal is None else is_causal
    if query.is_cuda:
        from torch.nn.attention.varlen import varlen_attn

        reach = -1 if sliding_window is None else sliding_window - 1
        found = varlen_attn(
            query[0].transpose(0, 1).contiguous(),
            key[0].transpose(0, 1).contiguous(),
            value[0].transpose(0, 1).contiguous(),
            cu_seq_lens_q,
            cu_seq_lens_q,
            max_length_q,
            max_length_q,
            scale=scaling,
            window_size=(reach, 0 if causal else reach),
            enable_gqa=query.shape[1] != key.shape[1],
        )
        assert isinstance(found, Tensor)
        return found[None], None
    if sliding_window is not None and sliding_window < max_length_q:
        raise NotImplementedError(
            "attention without padding does not support a sliding window on this device"
        )
    return _by_lengths(query, key, value, cu_seq_lens_q, scaling, causal), None


def _by_lengths(
    query: Tensor, key: Tensor, value: Tensor, bounds: Tensor, scaling: float | None, causal: bool
) -> Tensor:
    """packed_attention with one call per run of texts of equal length; sorted texts make few runs."""
    found, start = [], 0
    for length, run in groupby(bounds.diff().tolist()):
        count = len(list(run))
        stop = start + count * length
        one, two, three = (
            states[0, :, start:stop].unflatten(1, (count, length)).transpose(0, 1)
            for states in (query, key, value)
        )
        attended = nn.functional.scaled_dot_product_attention(
            one, two, three, scale=scaling, is_causal=causal, enable_gqa=query.shape[1] != key.shape[1]
        )
        found.append(attended.transpose(1, 2).flatten(0, 1))
        start = stop
    return torch.cat(found)[None]


class KernelWatch(TorchDispatchMode):
    """Records the attention kernels that run inside the context; `math` for plain torch products."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()
        self._has_softmax = False

    @property
    def kernels(self) -> set[str]:
        return self._seen or ({"math"} if self._has_softmax else set())

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = str(func)
        if func is torch.ops.aten.scaled_dot_product_attention.default:
            with self:  # it only chooses a kernel; with gradients the choice is hidden
                return func.decompose(*args, **(kwargs or {}))
        if "attention" in name or "attn" in name:
            self._seen |= {next((kernel for part, kernel in KERNELS.items() if part in name), name)}
        self._has_softmax |= "softmax" in name
        return func(*args, **(kwargs or {}))


@torch.inference_mode()
def _states(transformer: Any, features: Mapping[str, Any]) -> Tensor:
    """Last hidden states, (tokens, H) float32."""
    device = transformer.model.device
    inputs = {name: each.to(device) if isinstance(each, Tensor) else each for name, each in features.items()}
    if "cu_seq_lens_q" not in inputs:
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    return transformer(inputs)["token_embeddings"].flatten(0, 1).float()


AttentionInterface.register(PACKED, packed_attention)
AttentionMaskInterface.register(PACKED, flash_attention_mask)
