"""Documents per minute of four encoders on one GPU, and share of its bf16 peak, by attention implementation.

    python benchmarks/gpu_embed.py [--models e5-large,qwen3-0.6b,qwen3-4b,qwen3-8b] [--seconds 10]
    python benchmarks/gpu_embed.py --device cpu --tiny

Needs torch, transformers, numpy and this folder. Weights have the published shapes; weights and tokens are
random, drawn on the device. A pass reads --docs documents (2048), sorted by length, in batches of --tokens;
it is repeated for --seconds after one warm-up, and each ends with the vectors on the host. Lengths:

    full       every document at 512 tokens
    abstracts  like arXiv titles with abstracts: log-normal, mean 245 tokens, cut at 512

Ways:

    eager      padded, attention as two products and a softmax
    sdpa       padded, torch's fused attention; the kernel that ran is named
    unpadded   documents one after the other: flash-attn where it is installed, else torch's varlen kernel;
               on a CPU a call for each run of documents of one length

flops are those that an unpadded pass needs (2 per weight and token, and the two products of attention), so
padding lowers the share. The peak is --peak TFLOP/s of dense bf16, else that of the chip's data sheet, else
that of a measured product of 8192 x 8192 matrices. Tokenising is not included. Exits with 1 on a GPU when the
best way is below half the peak at 512 tokens, or below ten times the published documents a minute, for any
model.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import groupby
from typing import Any

import numpy as np
import torch
from chip import measured_flops, peak_of_chip
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import BertConfig, BertModel, Qwen3Config, Qwen3Model
from transformers.masking_utils import AttentionMaskInterface, flash_attention_mask
from transformers.modeling_utils import AttentionInterface

LONGEST = 512
MEAN_TOKENS, SPREAD = 245, 0.45
AIM_SHARE, AIM_FACTOR = 0.5, 10
PACKED = "benchmark_packed"


@dataclass(frozen=True)
class Shape:
    """A published encoder.  published: its documents per minute and GB there, None where not stated."""

    kind: str
    hidden: int
    layers: int
    heads: int
    key_heads: int
    head_dim: int
    inner: int
    vocabulary: int
    published: tuple[int, int] | None = None

    def config(self) -> Any:
        shared = {
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "intermediate_size": self.inner,
            "max_position_embeddings": LONGEST,
        }
        if self.kind == "bert":
            return BertConfig(**shared)
        return Qwen3Config(**shared, num_key_value_heads=self.key_heads, head_dim=self.head_dim)

    def flops(self, lengths: np.ndarray) -> float:
        """flops of one pass over documents of these lengths, (N,), without padding."""
        width = self.heads * self.head_dim
        projections = 2 * self.hidden * width + 2 * self.hidden * self.key_heads * self.head_dim
        weights = projections + (2 if self.kind == "bert" else 3) * self.hidden * self.inner
        pairs = float((lengths.astype(np.float64) ** 2).sum()) / (1 if self.kind == "bert" else 2)
        return self.layers * (2.0 * weights * float(lengths.sum()) + 4.0 * width * pairs)


SHAPES = {
    "e5-large": Shape("bert", 1024, 24, 16, 16, 64, 4096, 30_522),
    "qwen3-0.6b": Shape("qwen", 1024, 28, 16, 8, 128, 3072, 151_669, (1_000, 4)),
    "qwen3-4b": Shape("qwen", 2560, 36, 32, 8, 128, 9728, 151_665, (400, 12)),
    "qwen3-8b": Shape("qwen", 4096, 36, 32, 8, 128, 12_288, 151_665, (200, 24)),
}
TINY = {
    "e5-large": Shape("bert", 64, 2, 4, 4, 16, 128, 1_000),
    "qwen3-0.6b": Shape("qwen", 64, 2, 4, 2, 16, 128, 1_000, (1_000, 4)),
}


def make_model(shape: Shape, device: torch.device) -> nn.Module:
    """The encoder in bf16, its weights drawn on the device."""
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with device:
            model = BertModel(shape.config(), add_pooling_layer=False) if shape.kind == "bert" else None
            return (model or Qwen3Model(shape.config())).eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(before)


def draw_lengths(kind: str, num_docs: int, longest: int) -> np.ndarray:
    """Tokens of each document, (N,), the longest first."""
    if kind == "full":
        return np.full(num_docs, longest)
    mean = MEAN_TOKENS * longest / LONGEST
    drawn = np.random.default_rng(0).lognormal(np.log(mean) - SPREAD**2 / 2, SPREAD, num_docs)
    return np.sort(np.clip(drawn.astype(int), 4, longest))[::-1].copy()


def make_batches(lengths: np.ndarray, budget: int, is_padded: bool) -> list[np.ndarray]:
    """Lengths of the documents of each batch: at most `budget` tokens, padding included."""
    batches, start = [], 0
    while start < len(lengths):
        rest = lengths[start:]
        fits = budget // rest[0] if is_padded else int(np.searchsorted(rest.cumsum(), budget, side="right"))
        batches.append(rest[: max(1, fits)])
        start += len(batches[-1])
    return batches


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling=None,
    **told: Any,
) -> tuple[Tensor, None]:
    """Map (1, H, T, d) of concatenated documents to (1, T, H, d), each document attending to itself."""
    bounds, longest = told["cu_seq_lens_q"], told["max_length_q"]
    causal, grouped = bool(module.is_causal), query.shape[1] != key.shape[1]
    if query.is_cuda:
        from torch.nn.attention.varlen import varlen_attn

        query, key, value = (states[0].transpose(0, 1).contiguous() for states in (query, key, value))
        ends = bounds, bounds, longest, longest
        window = (-1, 0 if causal else -1)
        found = varlen_attn(query, key, value, *ends, scale=scaling, window_size=window, enable_gqa=grouped)
        return found[None], None
    found, start = [], 0
    for length, run in groupby(bounds.diff().tolist()):
        count = len(list(run))
        texts = [
            states[0, :, start : start + count * length].unflatten(1, (count, length)).transpose(0, 1)
            for states in (query, key, value)
        ]
        out = nn.functional.scaled_dot_product_attention(
            *texts, scale=scaling, is_causal=causal, enable_gqa=grouped
        )
        found.append(out.transpose(1, 2).flatten(0, 1))
        start += count * length
    return torch.cat(found)[None], None


def packed_implementation(device: torch.device) -> str | None:
    """flash-attn, torch's varlen kernel or, on a CPU, runs of one length; None where there is none."""
    if device.type == "cpu":
        return PACKED
    if find_spec("flash_attn") is not None:
        return "flash_attention_2"
    if find_spec("torch.nn.attention.varlen") is None:
        return None
    from torch.nn.attention.varlen import varlen_attn

    return (
        PACKED if {"enable_gqa", "window_size"} <= inspect.signature(varlen_attn).parameters.keys() else None
    )


class KernelWatch(TorchDispatchMode):
    """The names of the attention kernels that run while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.has_softmax = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        if func is torch.ops.aten.scaled_dot_product_attention.default:
            with self:
                return func.decompose(*args, **(kwargs or {}))
        self.has_softmax |= "softmax" in name
        if "attention" in name or "attn" in name:
            kernels = ("cudnn", "flash", "efficient", "math", "varlen")  # the last is flash attention too
            self.names |= {next((kernel for kernel in kernels if kernel in name), name)}
        return func(*args, **(kwargs or {}))

    def told(self) -> str:
        return "+".join(sorted(self.names)) or ("products" if self.has_softmax else "unknown")


class Encoder:
    """A model and one attention implementation; `run` gives the last hidden state of each document's end."""

    def __init__(self, model: nn.Module, shape: Shape, way: str, device: torch.device) -> None:
        self.model, self.shape, self.device, self.is_padded = model, shape, device, way != "unpadded"
        implementation = packed_implementation(device) if way == "unpadded" else way
        if implementation is None:
            raise NotImplementedError("no kernel without padding; torch 2.11 or flash-attn has one")
        model.set_attn_implementation(implementation)  # type: ignore[operator]

    def inputs(self, lengths: np.ndarray, seed: int) -> dict[str, Any]:
        """Random documents of these lengths as the model reads them; made on the host."""
        generator = torch.Generator().manual_seed(seed)
        ends = torch.from_numpy(lengths.cumsum())
        ids = torch.randint(1, self.shape.vocabulary, (int(ends[-1]),), generator=generator)
        if self.is_padded:
            is_token = torch.arange(int(lengths[0]))[None] < torch.from_numpy(lengths)[:, None]
            padded = torch.zeros(is_token.shape, dtype=torch.long)
            padded[is_token] = ids
            return {"input_ids": padded, "attention_mask": is_token.long(), "rows": is_token.sum(1) - 1}
        bounds = torch.cat([torch.zeros(1, dtype=torch.long), ends])
        positions = torch.cat([torch.arange(int(length)) for length in lengths])
        most = int(lengths.max())
        cu = bounds.to(torch.int32)
        told = {"cu_seq_lens_q": cu, "cu_seq_lens_k": cu, "max_length_q": most, "max_length_k": most}
        return {"input_ids": ids[None], "position_ids": positions[None], **told, "rows": ends - 1}

    @torch.inference_mode()
    def run(self, inputs: dict[str, Any]) -> Tensor:
        """Vectors (N, H), float32, on the device."""
        sent = {
            name: each.to(self.device, non_blocking=True) if isinstance(each, Tensor) else each
            for name, each in inputs.items()
        }
        rows = sent.pop("rows")
        options = {} if self.shape.kind == "bert" else {"use_cache": False}
        states = self.model(**sent, **options).last_hidden_state
        places = (torch.arange(len(rows), device=rows.device), rows) if self.is_padded else (0, rows)
        return states[places].float()


@dataclass(frozen=True)
class Reading:
    """One model, lengths and way.  flops: per second.  padding: its share of the tokens."""

    docs_per_minute: float
    flops: float
    peak_bytes: int
    padding: float
    kernel: str


def measure(encoder: Encoder, lengths: np.ndarray, budget: int, seconds: float) -> Reading:
    is_cuda = encoder.device.type == "cuda"
    batches = make_batches(lengths, budget, encoder.is_padded)
    inputs = [encoder.inputs(batch, seed) for seed, batch in enumerate(batches)]
    if is_cuda:
        inputs = [
            {name: each.pin_memory() if isinstance(each, Tensor) else each for name, each in one.items()}
            for one in inputs
        ]
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with KernelWatch() as watch:
        encoder.run(inputs[0])
    torch.cat([encoder.run(one) for one in inputs]).cpu()
    passes, start = 0, time.perf_counter()  # earlier work is done: its vectors are on the host
    while not passes or time.perf_counter() - start < seconds:
        torch.cat([encoder.run(one) for one in inputs]).cpu()
        passes += 1
    each = (time.perf_counter() - start) / passes
    tokens = sum(one["input_ids"].numel() for one in inputs)
    return Reading(
        60 * len(lengths) / each,
        encoder.shape.flops(lengths) / each,
        torch.cuda.max_memory_reserved() if is_cuda else 0,
        1 - float(lengths.sum()) / tokens,
        watch.told(),
    )


def check_parity(shape: Shape, model: nn.Module, device: torch.device) -> float:
    """Largest cosine distance between padded and unpadded vectors, over a few documents of all lengths."""
    lengths = np.sort(np.random.default_rng(1).integers(2, 40, 12))[::-1].copy()
    padded = Encoder(model, shape, "sdpa", device)
    found = padded.run(padded.inputs(lengths, 0))
    unpadded = Encoder(model, shape, "unpadded", device)
    return float(
        (1 - nn.functional.cosine_similarity(found, unpadded.run(unpadded.inputs(lengths, 0)))).max()
    )


def peak_flops(device: torch.device, given: float | None) -> tuple[float, str]:
    """Dense bf16 flops per second, and the source of the number."""
    if given:
        return given * 1e12, "given"
    if peak := peak_of_chip(device):
        return peak, "data sheet"
    return measured_flops(device, 8192 if device.type == "cuda" else 1024), "measured product"


def run_model(name: str, shape: Shape, device: torch.device, options: argparse.Namespace) -> bool:
    """Print every way at every length; return whether the best way meets the aims."""
    model = make_model(shape, device)
    best: dict[str, float] = {}
    peak, _ = options.peak_flops
    try:
        print(f"{name}: padded and unpadded differ by {check_parity(shape, model, device):.1e} (cosine)")
    except (NotImplementedError, RuntimeError) as fault:
        print(f"{name}: cannot run without padding: {fault}")
    shares = []
    for kind in ("full", "abstracts"):
        lengths = draw_lengths(kind, options.docs, options.longest)
        for way in ("eager", "sdpa", "unpadded"):
            try:
                encoder = Encoder(model, shape, way, device)
                reading = measure(encoder, lengths, options.tokens, options.seconds)
            except (NotImplementedError, RuntimeError) as fault:  # out of memory too
                print(f"{name:11} {kind:10} {way:9} {str(fault).splitlines()[0][:80]}")
                continue
            share = reading.flops / peak
            best[kind] = max(best.get(kind, 0), reading.docs_per_minute)
            shares += [share] if kind == "full" else []
            print(
                f"{name:11} {kind:10} {way:9} {reading.kernel:10}{reading.docs_per_minute:12,.0f}"
                f"{reading.peak_bytes / 2**30:10.2f}{100 * reading.padding:10.1f}{100 * share:10.1f}",
                flush=True,
            )
    del model
    if device.type == "cuda":
        torch.cuda.empty_cache()
    is_fast = shape.published is None or best.get("abstracts", 0) >= AIM_FACTOR * shape.published[0]
    if shape.published is not None:
        docs, gigabytes = shape.published
        print(
            f"{name:11} published {docs} documents/min, {gigabytes} GB; "
            f"here {best.get('abstracts', 0) / docs:.1f} times (aim {AIM_FACTOR})"
        )
    return is_fast and max(shares, default=0) >= AIM_SHARE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--models", default=",".join(SHAPES), help="some of " + ", ".join(SHAPES))
    parser.add_argument("--docs", type=int, default=2048)
    parser.add_argument("--tokens", type=int, default=65_536, help="tokens per batch, with padding")
    parser.add_argument("--seconds", type=float, default=10, help="seconds for each reading")
    parser.add_argument("--peak", type=float, help="dense bf16 TFLOP/s of the chip")
    parser.add_argument("--tiny", action="store_true", help="two small models, to see that it runs")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device; run on a machine with one, or use --device cpu --tiny")
    shapes, names = (TINY if options.tiny else SHAPES), options.models.split(",")
    if unknown := [name for name in names if name not in SHAPES]:
        parser.error(f"--models {unknown[0]} is unknown; choose from {', '.join(SHAPES)}")
    options.longest = LONGEST
    if options.tiny:
        options.docs, options.tokens, options.seconds, options.longest = 24, 512, 0, 64
    device = torch.device(options.device)
    AttentionInterface.register(PACKED, packed_attention)
    AttentionMaskInterface.register(PACKED, flash_attention_mask)
    options.peak_flops = peak_flops(device, options.peak)
    chip = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(
        f"{chip}, torch {torch.__version__}, bf16, {options.docs} documents, batches of {options.tokens} "
        f"tokens; peak {options.peak_flops[0] / 1e12:.1f} TFLOP/s ({options.peak_flops[1]})"
    )
    print(
        f"{'model':11} {'lengths':10} {'way':9} {'kernel':10}{'docs/min':>12}{'peak GiB':>10}"
        f"{'padding %':>10}{'of peak %':>10}"
    )
    met = [run_model(name, shapes[name], device, options) for name in names if name in shapes]
    return int(device.type == "cuda" and not options.tiny and not all(met))


if __name__ == "__main__":
    sys.exit(main())
