"""A self-trained language model as embedder: hidden states, centred and whitened on the training texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from topiclab.data.unit_rows import unit_rows
from topiclab.device import resolve_device, resolve_precision
from topiclab.embed.huggingface import BATCH_TOKENS, pad
from topiclab.embed.long_texts import Long, Parts
from topiclab.embed.weights import folder_revision
from topiclab.limits import Count
from topiclab.minillm.data.tokenizer import END_OF_TEXT, Tokenizer
from topiclab.minillm.finished import export_of

DEPTH = 5 / 8  # share of the layers: the middle ones transfer best, the last ones predict the next token
SMALLEST = 1e-3  # lower bound of a direction's variance over the largest; whitening must not amplify noise


class MiniLLMEmbedder:
    """Hidden states of a model trained by task=pretrain, minus the training texts' mean, of length 1.

    Hidden states of a language model share one direction (Ethayarajh 2019), so random pairs are similar.
    Whitening (ZCA, Bell & Sejnowski 1997) gives all directions of the training texts equal variance.

    run: folder of the finished run.  pooling: `mean` of a layer's states over the text's tokens, or
    `lasttoken`, the state that predicts what follows the text.  layer: 1 is the first; null: 5/8 of the depth
    for mean, the last layer with its norm for lasttoken.  whitening: false only centres.
    max_length: tokens to which a text is cut; null: the model's context.  long: `cut`, or `mean`: states of
    the parts of a longer text, averaged by their numbers of tokens.
    is_long: (N,) bool, texts of the last encoding with more tokens than are read at once.
    """

    def __init__(
        self,
        run: str,
        pooling: Literal["mean", "lasttoken"] = "mean",
        layer: Count | None = None,
        whitening: bool = True,
        max_length: Count | None = None,
        long: Long = "cut",
        batch_tokens: Count | None = None,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        if pooling not in ("mean", "lasttoken"):
            raise ValueError(
                f"embedder=minillm does not support embedder.pooling={pooling}; use mean or lasttoken"
            )
        self.run, self.pooling, self.layer = run, pooling, layer
        self.whitening, self.max_length, self.long = whitening, max_length, long
        self.is_long = np.zeros(0, bool)
        self.device = resolve_device(device)
        self.precision = resolve_precision(precision, self.device)
        self.batch_tokens = batch_tokens or BATCH_TOKENS[self.device.partition(":")[0]]

    @property
    def dim(self) -> int:
        return len(self.mean)

    @cached_property
    def folder(self) -> Path:
        return export_of(self.run, "embedder.run")

    @cached_property
    def revision(self) -> str:
        return folder_revision(self.folder)

    def fingerprint(self) -> dict[str, Any]:
        return {
            "embedder": "minillm",
            "version": 1,
            "revision": self.revision,
            "pooling": self.pooling,
            "layer": self.layer,
            "whitening": self.whitening,
            "max_length": self.max_length,
            "dtype": self.precision,
            **({} if self.long == "cut" else {"long": self.long}),
        }

    def fit(self, texts: Sequence[str]) -> MiniLLMEmbedder:
        """Learn the mean and the axes; ValueError for fewer than two texts."""
        if len(texts) < 2:
            raise ValueError(
                f"embedder=minillm centres on the training texts, and {len(texts)} is too few; "
                "give at least 2"
            )
        states = self.states(texts).astype(np.float64)
        self.mean = states.mean(axis=0)
        self.axes = np.eye(len(self.mean))
        if self.whitening:
            variances, directions = np.linalg.eigh(np.cov(states, rowvar=False, bias=True))
            floored = np.maximum(variances, SMALLEST * max(variances[-1], np.finfo(float).tiny))
            self.axes = directions / np.sqrt(floored) @ directions.T
        return self

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """(N, E) float32, rows of length 1, or 0 for a text whose state is the mean."""
        return unit_rows((self.states(texts) - self.mean) @ self.axes).astype(np.float32)

    def state(self) -> dict[str, np.ndarray]:
        """mean: (E,); axes: (E, E); revision: its UTF-8 bytes."""
        revision = np.frombuffer(self.revision.encode(), np.uint8)
        return {"mean": self.mean, "axes": self.axes, "revision": revision}

    def load_state(self, state: Mapping[str, np.ndarray]) -> MiniLLMEmbedder:
        """Restore mean and axes; ValueError if they were learned with another model than embedder.run's."""
        learned = np.asarray(state["revision"]).tobytes().decode()
        if learned != self.revision:
            raise ValueError(
                f"embedder.run={self.run} holds the model {self.revision[:12]}, but mean and axes are of "
                f"model {learned[:12]}; restore that run, or fit again"
            )
        self.mean, self.axes = np.asarray(state["mean"]), np.asarray(state["axes"])
        return self

    def states(self, texts: Sequence[str]) -> np.ndarray:
        """(N, E) float32, neither centred nor scaled; an empty text gets the state of the start token."""
        parts = self._parts(texts)
        tokens = parts.tokens
        order = np.argsort([-len(ids) for ids in tokens], kind="stable")
        found = np.empty((len(tokens), int(self.model.config.hidden_size)), np.float32)
        start = 0
        while start < len(order):
            rows = order[start : start + max(1, self.batch_tokens // len(tokens[order[start]]))]
            found[rows] = self._pooled([tokens[row] for row in rows]).cpu().numpy()
            start += len(rows)
        return parts.averaged(found)

    @property
    def token_limit(self) -> int:
        """Tokens that are read at once, END_OF_TEXT included."""
        context = int(self.model.config.max_position_embeddings)
        return min(context, self.max_length or context)

    def _parts(self, texts: Sequence[str]) -> Parts:
        """Ids of each text, cut or in parts, all preceded by END_OF_TEXT as in pretraining."""
        room = self.token_limit - 1
        ids, offsets = Tokenizer.load(self.folder).encode_batch(texts)
        whole = np.split(ids.astype(np.int64), offsets[1:-1]) if len(texts) else []
        self.is_long = np.array([len(text) > room for text in whole], bool)
        pieces = [
            np.array_split(text, -(-len(text) // room)) if is_long and self.long == "mean" else [text[:room]]
            for text, is_long in zip(whole, self.is_long, strict=True)
        ]
        return Parts.of([[np.concatenate([[END_OF_TEXT], part]) for part in each] for each in pieces], 1)

    @torch.inference_mode()
    def _pooled(self, tokens: Sequence[np.ndarray]) -> Tensor:
        """(B, E) float32; padding follows the text, so no token attends to it."""
        features = {name: value.to(self.device) for name, value in pad(tokens, END_OF_TEXT, "right").items()}
        states = self.model(input_ids=features["input_ids"], use_cache=False).last_hidden_state.float()
        lengths = features["attention_mask"].sum(dim=1)
        if self.pooling == "lasttoken":
            return states[torch.arange(len(tokens), device=states.device), lengths - 1]
        is_text = features["attention_mask"].clone()
        is_text[lengths > 1, 0] = 0  # the start token attracts attention and says nothing about the text
        return (states * is_text[:, :, None]).sum(dim=1) / is_text.sum(dim=1, keepdim=True)

    @cached_property
    def model(self) -> Any:
        """The layers up to the one that is read; the final norm only for lasttoken of the whole model."""
        from transformers import AutoModel
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        options = {"dtype": {"fp32": torch.float32, "bf16": torch.bfloat16}[self.precision]}
        with torch.random.fork_rng(devices=[]):
            model = cast(Any, AutoModel).from_pretrained(
                self.folder, local_files_only=True, trust_remote_code=False, **options
            )
        depth = len(model.layers)
        is_last = self.layer is None and self.pooling == "lasttoken"
        layer = depth if is_last else self.layer or max(1, round(DEPTH * depth))
        if layer > depth:
            raise ValueError(f"embedder.layer={layer}, but {self.folder} has {depth} layers; lower it")
        model.layers = model.layers[:layer]
        model.config.num_hidden_layers = layer
        if not is_last:
            model.norm = torch.nn.Identity()
        return model.to(self.device).eval().requires_grad_(False)
