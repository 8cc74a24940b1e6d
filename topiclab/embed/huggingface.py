"""Sentence encoders from Hugging Face folders: batching and devices are ours, the rest is the model's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from topiclab.data.unit_rows import unit_rows
from topiclab.device import device_name, resolve_device, resolve_precision
from topiclab.embed.long_texts import SLACK, Long, Parts, cuts
from topiclab.embed.weights import adapter_revision, folder_revision, model_folder
from topiclab.limits import Count

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger(__name__)

DOCUMENT_PROMPTS = ("document", "passage", "corpus")
BATCH_TOKENS = {"cuda": 65_536, "mps": 16_384, "cpu": 4_096}
TOKENISE_DOCS = 1_024
CHARS_PER_TOKEN = 32
IS_LONG = "is_long"


@dataclass
class HuggingFaceEmbedder:
    """A sentence-transformers model, or a plain transformers folder with the pooling given here.

    path, package, model_id, revision: see `weights.model_folder`.
    pooling: needed for a folder without modules.json; otherwise it must agree with it (null: no check).
    normalize: scale vectors to length 1.
    prompt: put before every text; null: the model's own document prompt.
    max_length: tokens to which a text is cut; null: the model's own limit.
    long: treatment of a text of more tokens: `cut`, or `mean`: its parts, each with the prompt, are embedded,
        averaged by their numbers of tokens and scaled as a whole text is.
    truncate_dim: keep the first dimensions and scale to length 1 (Matryoshka, Kusupati et al. 2022).
    batch_tokens: padded tokens in a batch, halved if the device is out of memory; null: by the device.
    devices: null: `device`; a number of CUDA devices, or their names: split a corpus among processes.
    adapter: folder of a LoRA adapter (`embed/adapt.py`).
    is_packed: concatenate texts, without padding; null: if the device supports it.
    is_long: (N,) bool, texts of the last encoding with more tokens than the limit.
    """

    model_id: str | None = None
    path: str | None = None
    package: str | None = None
    revision: str | None = None
    pooling: Literal["lasttoken", "mean", "cls"] | None = None
    normalize: bool = True
    prompt: str | None = None
    max_length: Count | None = None
    truncate_dim: Count | None = None
    batch_tokens: Count | None = None
    devices: int | Sequence[str] | None = None
    adapter: str | None = None
    is_packed: bool | None = None
    long: Long = "cut"
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        self.device = resolve_device(self.device)
        self.precision = resolve_precision(self.precision, self.device)
        self._kernels: set[str] = set()
        self.is_long = np.zeros(0, bool)

    @property
    def dim(self) -> int:
        return self.truncate_dim or self.full_dim

    @property
    def full_dim(self) -> int:
        """Columns before truncation."""
        return int(self.model.get_embedding_dimension() or 0)

    @property
    def device_names(self) -> list[str]:
        """The devices among which a corpus is split."""
        if self.devices is None:
            return [self.device]
        if isinstance(self.devices, int):
            return [f"cuda:{index}" for index in range(self.devices)]
        return list(self.devices)

    @cached_property
    def folder(self) -> Path:
        return model_folder(self.path, self.package, self.model_id, self.revision)

    def fingerprint(self) -> dict[str, Any]:
        """Everything the vectors depend on, without loading the weights; paths and devices are left out."""
        return {
            "embedder": "huggingface",
            "revision": folder_revision(self.folder),
            "pooling": self.pooling,
            "normalize": self.normalize,
            "prompt": self.prompt,
            "max_length": self.max_length,
            "dtype": self.precision,
            "truncate_dim": self.truncate_dim,
            "adapter": None if self.adapter is None else adapter_revision(Path(self.adapter)),
            **({} if self.long == "cut" else {"long": self.long}),
        }

    def facts(self) -> dict[str, Any]:
        """Facts about what ran, for the manifest."""
        return {
            "model": str(self.folder),
            "revision": folder_revision(self.folder),
            "dtype": self.precision,
            "device": self.device_names,
            "device_name": device_name(self.device),
            "attention": self.transformer.config._attn_implementation,
            "attention_kernel": "+".join(sorted(self._kernels)) or None,
            "is_unpadded": bool(self.transformer.can_flatten_inputs),
            "pooling": self.model_pooling,
            "prompt": self.document_prompt,
            "max_length": self.token_limit,
            "long": self.long,
            "torch": torch.__version__,
        }

    @cached_property
    def model(self) -> SentenceTransformer:
        """The loaded model, on its device, in its precision, for inference; torch's random state is kept."""
        from topiclab.embed.loading import load_model

        with torch.random.fork_rng(devices=[]):  # layers are drawn at random before weights are read
            model = load_model(self.folder, self.pooling, self.normalize, self.device, self.precision)
            if self.adapter is not None:
                cast(Any, model[0]).model.load_adapter(self.adapter)
        model = model.to(self.device).eval()
        self._set_padding(cast(Any, model[0]))
        return model

    def _set_padding(self, transformer: Any) -> None:
        """Pack if asked to, or if FlashAttention 2 is missing and torch has a kernel for it."""
        from topiclab.embed.attention import can_pack, pack

        if self.is_packed is False:
            transformer.unpad_inputs = False
        elif not transformer.can_flatten_inputs and (self.is_packed or can_pack(self.device, self.precision)):
            try:
                pack(transformer)
            except (NotImplementedError, RuntimeError) as fault:  # the latter: a kernel refuses these shapes
                if self.is_packed:
                    raise
                log.warning("texts are padded: %s", fault)

    @property
    def transformer(self) -> Any:
        """The model's first module: tokenizer and weights."""
        return self.model[0]

    @property
    def model_pooling(self) -> str:
        """The pooling in use: the model's own."""
        from topiclab.embed.loading import pooling_mode

        return pooling_mode(self.model)

    @cached_property
    def document_prompt(self) -> str:
        """Prompt put before every text."""
        if self.prompt is not None:
            return self.prompt
        prompts = self.model.prompts
        names = (*DOCUMENT_PROMPTS, self.model.default_prompt_name)
        return next((prompts[name] for name in names if name is not None and name in prompts), None) or ""

    @property
    def token_limit(self) -> int:
        own = self.model.max_seq_length or 512
        return own if self.max_length is None else min(self.max_length, own)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """(N, E) float32; raises ValueError naming the texts whose vectors are not finite."""
        return truncate(self.encode_full(texts), self.truncate_dim)

    def encode_full(
        self, texts: Sequence[str], progress: Callable[[int], Any] = lambda _: None
    ) -> np.ndarray:
        """All dimensions, (N, full_dim) float32; progress gets the number of texts in each batch."""
        tokens, self.is_long = self._read(texts)
        parts = self._parts(texts, tokens)
        order: list[np.ndarray] = []
        vectors: list[Tensor] = []
        for rows, found in self.in_batches(parts.tokens, self._watched):
            order.append(rows)
            vectors.append(found)
            progress(int(parts.is_first[rows].sum()))
        result = np.empty((len(parts.tokens), self.full_dim), np.float32)
        if vectors:
            result[np.concatenate(order)] = torch.cat(vectors).cpu().numpy()
        if len(parts.tokens) > len(texts):
            result = parts.averaged(result)
            if self.normalize or any(type(module).__name__ == "Normalize" for module in self.model):
                result[self.is_long] = unit_rows(result[self.is_long])
        _check_finite(result, texts)
        return result

    def in_batches(
        self, tokens: Sequence[np.ndarray], run: Callable[[list[np.ndarray]], Tensor]
    ) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Results of `run` on batches of these texts, longest first, with the rows of each batch."""
        order = np.argsort([-len(ids) for ids in tokens], kind="stable")
        budget = self.batch_tokens or BATCH_TOKENS[self.device.partition(":")[0]]
        start = 0
        while start < len(order):
            rows = order[start : start + max(1, budget // len(tokens[order[start]]))]
            try:
                found = run([tokens[row] for row in rows])
            except torch.OutOfMemoryError:
                if len(rows) == 1:
                    raise
                budget //= 2
                torch.cuda.empty_cache()
                log.warning("out of memory on %s: batches of %d tokens from here on", self.device, budget)
                continue
            start += len(rows)
            yield rows, found

    def tokenise(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Token ids of each text, cut to the limit, special tokens included."""
        return self._read(texts)[0]

    def _read(self, texts: Sequence[str]) -> tuple[list[np.ndarray], np.ndarray]:
        """Token ids as in `tokenise`, and which texts have more, (N,) bool."""
        tokens: list[np.ndarray] = []
        is_long: list[bool] = []
        for start in range(0, len(texts), TOKENISE_DOCS):
            chunk = [self.document_prompt + text for text in texts[start : start + TOKENISE_DOCS]]
            found = self._encoded(chunk)
            tokens += [np.asarray(ids, np.int64) for ids in found["input_ids"]]
            is_long += found[IS_LONG]
        if self.model_pooling == "lasttoken":
            self._check_end_token(tokens)
        return tokens, np.array(is_long, bool)

    def _parts(self, texts: Sequence[str], tokens: Sequence[np.ndarray]) -> Parts:
        """Pieces to embed; of a long text its parts if `long` is mean."""
        pieces: list[Sequence[np.ndarray]] = [[ids] for ids in tokens]
        if self.long == "cut" or not self.is_long.any():
            return Parts.of(pieces, 0)
        self._check_offsets("embedder.long=cut")
        tokenizer = self.model.tokenizer
        overhead = len(tokenizer(self.document_prompt)["input_ids"])
        if (room := self.token_limit - overhead - SLACK) < 1:
            raise ValueError(
                f"embedder.max_length={self.token_limit} leaves no room beside the {overhead} tokens of "
                "the prompt; raise it"
            )
        unlimited = {"add_special_tokens": False, "return_offsets_mapping": True, "verbose": False}
        rows: list[int] = np.flatnonzero(self.is_long).tolist()
        for row in rows:
            spans = np.reshape(tokenizer(texts[row], **unlimited)["offset_mapping"], (-1, 2))
            pieces[row] = self.tokenise(cuts(spans, texts[row], room))
        return Parts.of(pieces, overhead)

    def _check_offsets(self, way_out: str) -> None:
        if not self.model.tokenizer.is_fast:
            raise ValueError(
                f"the tokenizer of {self.folder} does not report which characters a token covers; "
                f"use a model with a tokenizer.json, or {way_out}"
            )

    def tokenise_in_place(self, texts: Sequence[str]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Token ids as in `tokenise`, and the characters that each token covers in its text, (L, 2) from, to.

        Prompt and special tokens cover none. Raises ValueError if the tokenizer does not report offsets.
        """
        self._check_offsets("model.words=type")
        prompt = len(self.document_prompt)
        tokens: list[np.ndarray] = []
        spans: list[np.ndarray] = []
        for start in range(0, len(texts), TOKENISE_DOCS):
            chunk = [self.document_prompt + text for text in texts[start : start + TOKENISE_DOCS]]
            found = self._encoded(chunk, return_offsets_mapping=True)
            tokens += [np.asarray(ids, np.int64) for ids in found["input_ids"]]
            spans += [np.maximum(np.reshape(each, (-1, 2)) - prompt, 0) for each in found["offset_mapping"]]
        return tokens, spans

    def _encoded(self, texts: list[str], **options: Any) -> dict[str, list[Any]]:
        """Tokenizer output; reads 32 characters per token of the limit, and more only if needed.

        IS_LONG: which texts have more tokens; an encoding keeps what was cut, so nothing is tokenised twice.
        """
        limit = self.token_limit
        options |= {"truncation": True, "max_length": limit}
        num_chars = limit * CHARS_PER_TOKEN
        tokenizer = self.model.tokenizer
        batch = tokenizer([text[:num_chars] for text in texts], **options)
        found = dict(batch)
        found[IS_LONG] = _is_cut(batch, limit)
        for row, text in enumerate(texts):
            if len(text) <= num_chars:
                continue
            if len(found["input_ids"][row]) < limit:
                whole = tokenizer([text], **options)
                for name, value in whole.items():
                    found[name][row] = value[0]
                found[IS_LONG][row] = _is_cut(whole, limit)[0]
            else:
                found[IS_LONG][row] |= not text[num_chars:].isspace()
        return found

    def _check_end_token(self, tokens: Sequence[np.ndarray]) -> None:
        special = set(self.model.tokenizer.all_special_ids)
        if any(len(ids) == 0 or int(ids[-1]) not in special for ids in tokens):
            raise ValueError(
                f"last-token pooling reads the end token, but the tokenizer of {self.folder} appends none; "
                "use the tokenizer of the embedding model, or embedder.pooling=mean"
            )

    def _watched(self, tokens: list[np.ndarray]) -> Tensor:
        """_forward, recording the attention kernel the first time."""
        if self._kernels:
            return self._forward(tokens)
        from topiclab.embed.attention import KernelWatch

        with KernelWatch() as watch:
            found = self._forward(tokens)
        self._kernels = watch.kernels
        return found

    @torch.inference_mode()
    def _forward(self, tokens: list[np.ndarray]) -> Tensor:
        vectors = self.model(self.features(tokens))["sentence_embedding"].float()
        return torch.nn.functional.normalize(vectors, dim=1) if self.normalize else vectors

    @torch.inference_mode()
    def hidden_states(self, tokens: list[np.ndarray]) -> Tensor:
        """Last hidden states of these texts, concatenated, (sum of lengths, H) float32."""
        features = self.transformer(self.features(tokens))
        states = features["token_embeddings"]
        is_packed = states.shape[:2] == (1, sum(map(len, tokens)))
        return (states[0] if is_packed else states[features["attention_mask"].bool()]).float()

    def features(self, tokens: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """The model's input: padded on the tokenizer's side, or packed if the model needs no padding."""
        transformer = self.transformer
        if transformer.can_flatten_inputs:
            from topiclab.embed.attention import packed_features

            features = packed_features(transformer, tokens)
        else:
            features = pad(tokens, self.model.tokenizer.pad_token_id, self.model.tokenizer.padding_side)
        return {
            name: value.to(self.device, non_blocking=True) if isinstance(value, Tensor) else value
            for name, value in features.items()
        }


def _is_cut(batch: Any, limit: int) -> list[bool]:
    """Texts of a tokenizer's output that were cut; of a slow tokenizer those that fill the limit."""
    if batch.encodings:
        return [bool(encoding.overflowing) for encoding in batch.encodings]
    return [len(ids) >= limit for ids in batch["input_ids"]]


def pad(tokens: Sequence[np.ndarray], pad_id: int, side: str) -> dict[str, Tensor]:
    """Rows padded to one length, (B, L) int64, and the mask of real tokens."""
    ids = np.full((len(tokens), max(map(len, tokens))), pad_id, np.int64)
    mask = np.zeros_like(ids)
    for row, real in enumerate(tokens):
        columns = slice(-len(real), None) if side == "left" else slice(len(real))
        ids[row, columns], mask[row, columns] = real, 1
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}


def truncate(vectors: np.ndarray, truncate_dim: int | None) -> np.ndarray:
    """The first dimensions, scaled to length 1; ValueError if there are fewer."""
    if truncate_dim is None:
        return vectors
    if not 0 < truncate_dim <= vectors.shape[1]:
        raise ValueError(
            f"embedder.truncate_dim={truncate_dim}, but the model has {vectors.shape[1]} dimensions"
        )
    kept = np.array(vectors[:, :truncate_dim])
    return kept / np.maximum(np.linalg.norm(kept, axis=1, keepdims=True), 1e-12)


def _check_finite(vectors: np.ndarray, texts: Sequence[str]) -> None:
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        shown = ", ".join(repr(texts[row][:60]) for row in bad[:5])
        raise ValueError(
            f"the embedder gave vectors that are not finite for {len(bad)} of {len(texts)} texts: {shown}; "
            "use trainer.precision=fp32, or leave these documents out"
        )
