"""A causal language model read at the end of a text: its state there, and the logits of chosen tokens."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from topiclab.embed.huggingface import pad

HEAD_ROWS = 16_384
MAX_DIFFERENCE = {"fp32": 1e-3, "bf16": 5e-2}


class LanguageModel:
    """Backbone and head of a folder's causal language model; remote code never runs.

    Texts are padded on the right and read without a mask: under causal attention no token sees what follows
    it, positions count from 0 as for a text alone, and attention keeps its fastest kernel. `check` compares
    this and the head's rows with the model's own forward pass.
    option: configuration key of the model's path.
    Raises ValueError where weights are missing from the folder, as for a sentence encoder without a head.
    """

    def __init__(self, folder: Path, device: str, precision: str, option: str = "teacher.path") -> None:
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging as transformers_logging

        from topiclab.embed.loading import DTYPES, attention

        transformers_logging.disable_progress_bar()
        with torch.random.fork_rng(devices=[]):  # layers are drawn at random before weights are read
            model, loaded = cast(Any, AutoModelForCausalLM).from_pretrained(
                folder,
                dtype=DTYPES[precision],
                attn_implementation=attention(device, precision),
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        if missing := sorted(loaded["missing_keys"]):
            raise ValueError(
                f"{folder} is not a complete causal language model: its weights have no "
                f"{', '.join(missing[:3])}; give a model with a language-model head as {option}"
            )
        self.folder, self.device, self.precision = folder, device, precision
        self.model: Any = model.to(device).eval().requires_grad_(False)
        self.backbone: Any = self.model.base_model
        self.head: Any = self.model.get_output_embeddings()
        self.config: Any = self.model.config.get_text_config()

    @property
    def dim(self) -> int:
        """E, the width of the states."""
        return int(self.head.weight.shape[1])

    @property
    def attention(self) -> str:
        return self.config._attn_implementation

    @property
    def switch_length(self) -> int | None:
        """Tokens above which LongRoPE uses its long factors, for the whole batch; None without LongRoPE."""
        rope = getattr(self.config, "rope_parameters", None) or {}
        return rope.get("original_max_position_embeddings") if rope.get("rope_type") == "longrope" else None

    @torch.inference_mode()
    def last_states(self, tokens: Sequence[np.ndarray]) -> Tensor:
        """States (B, E) float32: the final norm's output at the last token of each text."""
        ids = pad(tokens, 0, "right")["input_ids"].to(self.device)
        hidden = self.backbone(input_ids=ids, use_cache=False).last_hidden_state
        last = torch.tensor([len(row) - 1 for row in tokens], device=self.device)
        return hidden[torch.arange(len(tokens), device=self.device), last].float()

    @torch.inference_mode()
    def begin(self, tokens: Sequence[np.ndarray]) -> tuple[Tensor, Any]:
        """`last_states` of texts of equal length, and the cache from which `go_on` continues them."""
        ids = torch.from_numpy(np.stack(tokens).astype(np.int64)).to(self.device)
        found = self.backbone(input_ids=ids, use_cache=True)
        return found.last_hidden_state[:, -1].float(), found.past_key_values

    @torch.inference_mode()
    def go_on(self, cache: Any, tokens: Tensor) -> Tensor:
        """States (B, E) after one more token per text; tokens: (B,), which the cache takes in."""
        found = self.backbone(input_ids=tokens[:, None], past_key_values=cache, use_cache=True)
        return found.last_hidden_state[:, -1].float()

    def head_rows(self, ids: Tensor) -> tuple[Tensor, Tensor | None]:
        """Weights (n, E) and biases (n,) of these tokens, float32."""
        bias = getattr(self.head, "bias", None)
        return self.head.weight[ids].float(), None if bias is None else bias[ids].float()

    def scale(self, logits: Tensor) -> Tensor:
        """Apply what some architectures do to the head's product: a factor, a divisor, a soft limit."""
        for factor in ("logit_scale", "lm_head_multiplier"):
            if (value := getattr(self.config, factor, None)) is not None:
                logits = logits * value
        if (divisor := getattr(self.config, "logits_scaling", None)) is not None:
            logits = logits / divisor
        limit = getattr(self.config, "final_logit_softcapping", None)
        return logits if limit is None else torch.tanh(logits / limit) * limit

    @torch.inference_mode()
    def logits(self, states: Tensor, ids: Tensor) -> Tensor:
        """Logits (B, n) float32 of these tokens."""
        return self.scale(torch.nn.functional.linear(states, *self.head_rows(ids)))

    @torch.inference_mode()
    def log_partition(self, states: Tensor) -> Tensor:
        """Log-sum-exp over all tokens, (B,) float32, computed in blocks of the head's rows."""
        num_tokens = self.head.weight.shape[0]
        total = states.new_full((len(states),), -torch.inf)
        for start in range(0, num_tokens, HEAD_ROWS):
            block = torch.arange(start, min(start + HEAD_ROWS, num_tokens), device=self.device)
            total = torch.logaddexp(total, self.logits(states, block).logsumexp(dim=1))
        return total

    @torch.inference_mode()
    def check(self, tokens: np.ndarray) -> float:
        """Largest difference from the model's own logits after this text; ValueError if more than rounding.

        The batch also holds a longer text, so that a model whose attention is not causal is found as well.
        """
        row = torch.from_numpy(tokens.astype(np.int64))[None].to(self.device)
        keeps_last = "logits_to_keep" in inspect.signature(self.model.forward).parameters
        options = {"logits_to_keep": 1} if keeps_last else {}
        theirs = self.model(input_ids=row, use_cache=False, **options).logits[0, -1].float()
        if not theirs.isfinite().all():
            raise ValueError(
                f"{self.folder} gives logits that are not finite after the first prompt; use "
                "trainer.precision=fp32 or another model"
            )
        states = self.last_states([tokens, np.append(tokens, tokens[-1])])[:1]
        ids = torch.arange(min(HEAD_ROWS, len(theirs)), device=self.device)
        difference = float((self.logits(states, ids)[0] - theirs[ids]).abs().max())
        if not difference <= MAX_DIFFERENCE[self.precision] * max(1.0, float(theirs.abs().max())):
            raise ValueError(
                f"{type(self.model).__name__} of {self.folder} gives other logits in its own forward pass "
                f"than its head does for the last state in a padded batch (by {difference:.2g}); "
                "use another model"
            )
        return difference
