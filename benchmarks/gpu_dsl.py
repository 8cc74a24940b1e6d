"""Seconds of a DSL-ProdLDA fit on one GPU, and the projected time of the paper's 4,075 fits.

    python benchmarks/gpu_dsl.py [--widths 1024,2048,4096] [--steps 626] [--stacks 20,60,120] [--fits 4,16]
    python benchmarks/gpu_dsl.py --device cpu --steps 3 --small

Needs only torch and numpy. Documents are synthetic: 20,000 with targets over 2,000 words and vectors as wide
as a teacher's hidden state, both float16 and on the device; arithmetic is float32. The step is the
paper's: batch 64, two softplus layers of 200, dropout .2, batch-normed heads and decoder, learned prior,
weight 1000, both temperatures 3, Adam at 2e-3 with betas .99. It is measured over --steps steps after a
warm-up, shuffling included, and scaled to 100 epochs of 313 steps, the last of which is filled up to 64
documents. Loading, the teacher's pass, inference and metrics are not included. Ways:

    eager      one fit of K=50, one kernel at a time
    graph      one fit of K=50, its step captured as a CUDA graph
    stack S    S fits in one graph by batched products, seeds times K of 25, 50, 75 and 100, padded to 100
    streams S  S graphs of one fit (K=50), each on its own stream
    procs S    S processes with one graph each; they take turns on the GPU unless MPS runs

Each fit shuffles the documents and draws noise independently. On a CPU only eager and stacks run.
Exits with 1 when the best way projects more than an hour for the 4,075 fits; a CPU is not judged.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

PAPER_FITS, EPOCHS, MAX_SECONDS = 4075, 100, 3600
TOPICS, PAPER_TOPICS = 50, (25, 50, 75, 100)
HIDDEN, DROPOUT, WEIGHT, TEMPERATURE, EPS, MOMENTUM = 200, 0.2, 1000.0, 3.0, 1e-5, 0.1
WARMUP = 20


@dataclass(frozen=True)
class Size:
    """Documents, words, batch and input width."""

    num_docs: int
    num_words: int
    batch_size: int
    width: int

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.num_docs // self.batch_size)


@dataclass(frozen=True)
class Documents:
    """vectors (N, E) and targets (N, V), float16, on the device."""

    vectors: Tensor
    targets: Tensor


def make_documents(size: Size, device: torch.device) -> Documents:
    """Make targets around 20 planted distributions, so that the loss can fall."""
    generator = np.random.default_rng(0)
    group = torch.from_numpy(generator.integers(20, size=size.num_docs)).to(device)
    centres = torch.from_numpy(generator.standard_normal((20, size.width)).astype(np.float32)).to(device)
    logits = torch.from_numpy(generator.standard_normal((20, size.num_words)).astype(np.float32)).to(device)
    torch.manual_seed(0)
    vectors = centres[group] + torch.randn(size.num_docs, size.width, device=device)
    targets = torch.empty(size.num_docs, size.num_words, dtype=torch.float16, device=device)
    for rows in torch.arange(size.num_docs, device=device).split(2000):
        noisy = 3 * logits[group[rows]] + torch.randn(len(rows), size.num_words, device=device)
        targets[rows] = (noisy / TEMPERATURE).softmax(dim=1).half()
    return Documents(vectors.half(), targets)


class Fits:
    """S independent fits as one set of parameters with a leading S; S=1 is the ordinary fit.

    topics: K of each fit; all are padded to the largest, and padded topics never get any proportion.
    """

    def __init__(self, documents: Documents, size: Size, topics: tuple[int, ...], seed: int) -> None:
        self.documents, self.size, self.num_fits = documents, size, len(topics)
        device = documents.vectors.device
        self.generator = torch.Generator(device=device).manual_seed(seed)
        most = max(topics)
        self.is_topic = torch.arange(most, device=device) < torch.tensor(topics, device=device)[:, None, None]
        fan = {"first": (size.width, HIDDEN), "second": (HIDDEN, HIDDEN), "heads": (HIDDEN, 2 * most)}
        self.parameters = {name: self._uniform(a, b, a**-0.5) for name, (a, b) in fan.items()}
        self.parameters |= {f"{name}_bias": self._uniform(1, b, a**-0.5) for name, (a, b) in fan.items()}
        bound = (6 / (most + size.num_words)) ** 0.5
        self.parameters["topics"] = self._uniform(most, size.num_words, bound)
        for name, width in (("heads_shift", 2 * most), ("words_shift", size.num_words), ("prior_mean", most)):
            self.parameters[name] = torch.zeros(self.num_fits, 1, width, device=device)
        variances = 1 - 1 / torch.tensor(topics, dtype=torch.float32, device=device)
        self.parameters["prior_logvar"] = variances.log()[:, None, None].repeat(1, 1, most)
        self.running = {
            name: torch.zeros(2, self.num_fits, 1, width, device=device)
            for name, width in (("heads", 2 * most), ("words", size.num_words))
        }
        for parameter in self.parameters.values():
            parameter.requires_grad_(True)
        is_cuda = device.type == "cuda"
        self.optimizer = torch.optim.Adam(
            self.parameters.values(), lr=2e-3, betas=(0.99, 0.99), fused=True, capturable=is_cuda
        )
        self.order = torch.empty(
            size.steps_per_epoch, self.num_fits, size.batch_size, dtype=torch.long, device=device
        )
        self.place = torch.zeros(1, dtype=torch.long, device=device)
        self.loss = torch.zeros(self.num_fits, device=device)
        self.shuffle()

    def _uniform(self, rows: int, columns: int, bound: float) -> Tensor:
        shape = self.num_fits, rows, columns
        drawn = torch.rand(shape, generator=self.generator, device=self.documents.vectors.device)
        return (2 * drawn - 1) * bound

    def shuffle(self) -> None:
        """Permute the documents of every fit for the next epoch, in place."""
        size = self.size
        device = self.order.device
        drawn = torch.rand(self.num_fits, size.num_docs, generator=self.generator, device=device)
        rows = drawn.argsort(dim=1)
        missing = size.steps_per_epoch * size.batch_size - size.num_docs
        rows = torch.cat([rows, rows[:, :missing]], dim=1)
        self.order.copy_(rows.view(self.num_fits, size.steps_per_epoch, size.batch_size).transpose(0, 1))

    def step(self) -> None:
        """Train every fit on its next batch, without synchronisation, so that this can be captured."""
        rows = self.order.index_select(0, self.place)[0]
        self.place.add_(1).remainder_(self.size.steps_per_epoch)
        self.optimizer.zero_grad(set_to_none=True)
        losses = self.losses(rows)
        losses.sum().backward()
        self.optimizer.step()
        self.loss.copy_(losses.detach())

    def losses(self, rows: Tensor) -> Tensor:
        """Mean loss (S,) over each fit's documents rows (S, B), minus the targets' entropy."""
        p = self.parameters
        hidden = self._rows(self.documents.vectors, rows)
        for name in ("first", "second"):
            hidden = F.softplus(torch.baddbmm(p[f"{name}_bias"], hidden, p[name]))
        heads = torch.baddbmm(p["heads_bias"], self._dropout(hidden), p["heads"])
        mean, logvar = (self._normed(heads, "heads") + p["heads_shift"]).chunk(2, dim=2)
        noise = torch.randn(mean.shape, generator=self.generator, device=mean.device)
        z = torch.addcmul(mean, (0.5 * logvar).exp(), noise)
        theta = z.masked_fill(~self.is_topic, -torch.inf).softmax(dim=2)
        words = self._normed(self._dropout(theta) @ p["topics"], "words") + p["words_shift"]
        student = (words / TEMPERATURE).log_softmax(dim=2)
        cross_entropy = -(self._rows(self.documents.targets, rows) * student).sum(dim=2)
        precision = (-p["prior_logvar"]).exp()
        ratio = (logvar.exp() + (mean - p["prior_mean"]).square()) * precision
        kl = 0.5 * ((ratio - 1 - logvar + p["prior_logvar"]) * self.is_topic).sum(dim=2)
        return (kl + WEIGHT * cross_entropy).mean(dim=1)

    def _rows(self, values: Tensor, rows: Tensor) -> Tensor:
        """Rows as (S, B, .) float32."""
        return values.index_select(0, rows.flatten()).view(*rows.shape, -1).float()

    def _dropout(self, values: Tensor) -> Tensor:
        kept = torch.rand(values.shape, generator=self.generator, device=values.device) >= DROPOUT
        return values * kept / (1 - DROPOUT)

    def _normed(self, values: Tensor, name: str) -> Tensor:
        """Batch normalisation over the documents of each fit."""
        var, mean = torch.var_mean(values, dim=1, keepdim=True, correction=0)
        self.running[name].lerp_(torch.stack([mean.detach(), var.detach()]), MOMENTUM)
        return (values - mean) * (var + EPS).rsqrt()


class Captured:
    """The step of some fits as a CUDA graph: the same kernels, launched at once."""

    def __init__(self, fits: Fits) -> None:
        self.fits = fits
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # libraries and optimizer allocate what they keep outside the capture
            for _ in range(3):
                fits.step()
        torch.cuda.current_stream().wait_stream(side)
        fits.optimizer.zero_grad(set_to_none=True)  # gradients are then allocated in the graph's own memory
        self.graph = torch.cuda.CUDAGraph()
        self.graph.register_generator_state(fits.generator)  # new noise at every replay
        with torch.cuda.graph(self.graph):
            fits.step()

    def step(self) -> None:
        self.graph.replay()


@dataclass(frozen=True)
class Reading:
    """One way: seconds of a step of all its fits, peak bytes on the device, and their mean loss."""

    way: str
    num_fits: int
    seconds: float
    peak: int
    loss: float

    def seconds_per_fit(self, size: Size) -> float:
        return self.seconds * size.steps_per_epoch * EPOCHS / self.num_fits


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def time_steps(parts: list[Any], all_fits: list[Fits], steps: int, device: torch.device) -> float:
    """Seconds of one step of all parts; several parts run on a stream each."""
    streams = [torch.cuda.Stream() for _ in parts] if len(parts) > 1 else None

    def run(count: int) -> None:
        for done in range(count):
            if done % all_fits[0].size.steps_per_epoch == 0:
                synchronize(device)
                for fits in all_fits:
                    fits.shuffle()
                synchronize(device)
            for number, part in enumerate(parts):
                if streams is None:
                    part.step()
                else:
                    with torch.cuda.stream(streams[number]):
                        part.step()
        synchronize(device)

    synchronize(device)
    run(min(steps, WARMUP))
    start = time.perf_counter()
    run(steps)
    return (time.perf_counter() - start) / steps


def measure(
    way: str, documents: Documents, size: Size, topics: list[tuple[int, ...]], is_captured: bool, steps: int
) -> Reading:
    """Measure one way. topics: K of each group of stacked fits; several groups run on streams."""
    device = documents.vectors.device
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    all_fits = [Fits(documents, size, group, seed) for seed, group in enumerate(topics)]
    parts: list[Any] = [Captured(fits) for fits in all_fits] if is_captured else list(all_fits)
    seconds = time_steps(parts, all_fits, steps, device)
    peak = torch.cuda.max_memory_reserved() if device.type == "cuda" else 0
    loss = torch.cat([fits.loss for fits in all_fits]).mean().item()
    return Reading(way, sum(map(len, topics)), seconds, peak, loss)


def work(size: Size, steps: int, matmul: str, barrier: Any, results: Any) -> None:
    """Run one of several processes that share the GPU."""
    torch.set_float32_matmul_precision(matmul)
    documents = make_documents(size, torch.device("cuda"))
    fits = Fits(documents, size, (TOPICS,), 0)
    captured = Captured(fits)
    time_steps([captured], [fits], WARMUP, documents.vectors.device)
    barrier.wait()
    seconds = time_steps([captured], [fits], steps, documents.vectors.device)
    barrier.wait()  # so that none finishes early and frees the GPU
    results.put((seconds, torch.cuda.max_memory_reserved(), fits.loss.mean().item()))


def measure_processes(size: Size, count: int, steps: int, matmul: str) -> Reading:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(count, timeout=240), context.Queue()
    workers = [
        context.Process(target=work, args=(size, steps, matmul, barrier, results)) for _ in range(count)
    ]
    for worker in workers:
        worker.start()
    try:
        readings = [results.get(timeout=300) for _ in workers]
    finally:
        for worker in workers:
            worker.join(timeout=10)
            if worker.is_alive():
                worker.terminate()
    seconds, peaks, losses = zip(*readings, strict=True)
    return Reading(f"procs {count}", count, max(seconds), sum(peaks), float(np.mean(losses)))


def stacked_topics(count: int) -> tuple[int, ...]:
    """The paper's K in turn, for this number of fits."""
    return tuple(PAPER_TOPICS[number % len(PAPER_TOPICS)] for number in range(count))


def readings(size: Size, device: torch.device, options: argparse.Namespace) -> list[Reading]:
    documents = make_documents(size, device)
    one, is_cuda, steps = [(TOPICS,)], device.type == "cuda", options.steps
    found = [show(measure("eager", documents, size, one, False, steps), size)]
    if is_cuda:
        found.append(show(measure("graph", documents, size, one, True, steps), size))
    for count in options.stacks:
        stack = [stacked_topics(count)]
        found.append(show(measure(f"stack {count}", documents, size, stack, is_cuda, steps), size))
    if is_cuda:
        for count in options.fits:
            found.append(show(measure(f"streams {count}", documents, size, one * count, True, steps), size))
        del documents
        torch.cuda.empty_cache()
        for count in options.fits:
            found.append(show(measure_processes(size, count, steps, options.matmul), size))
    return found


def show(reading: Reading, size: Size) -> Reading:
    each = reading.seconds_per_fit(size)
    print(
        f"{size.width:6} {reading.way:<12}{1e3 * reading.seconds:10.3f}{each:10.3f}"
        f"{reading.peak / 2**30:9.2f}{PAPER_FITS * each / 60:10.1f}{reading.loss:10.1f}",
        flush=True,
    )
    return reading


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument(
        "--widths", type=numbers, default=[1024, 2048, 4096], help="widths of the teacher's states"
    )
    parser.add_argument("--steps", type=int, default=626)
    parser.add_argument("--stacks", type=numbers, default=[20, 60, 120], help="fits in one graph")
    parser.add_argument(
        "--fits", type=numbers, default=[4, 16], help="fits at a time, as streams and as processes"
    )
    parser.add_argument(
        "--matmul", default="highest", choices=["highest", "high"], help="high: TF32 products"
    )
    parser.add_argument("--small", action="store_true", help="a tenth of everything, to see that it runs")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device; run on a machine with one, or use --device cpu")
    device = torch.device(options.device)
    torch.set_float32_matmul_precision(options.matmul)
    size = Size(20_000, 2_000, 64, 0)
    if options.small:
        size, options.widths, options.stacks, options.fits = Size(500, 200, 64, 0), [102], [4], [2]
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(
        f"{name}, torch {torch.__version__}, float32 ({options.matmul}), {size.num_docs} documents, "
        f"V={size.num_words}, batch {size.batch_size}; from {options.steps} steps, scaled to {EPOCHS} epochs "
        f"of {size.steps_per_epoch}"
    )
    print(f" width {'way':<12}{'ms/step':>10}{'s/fit':>10}{'peak GiB':>9}{'grid min':>10}{'loss':>10}")
    best = []
    for width in options.widths:
        of_width = replace(size, width=width)
        found = readings(of_width, device, options)
        best.append(min(reading.seconds_per_fit(of_width) for reading in found))
    seconds = PAPER_FITS * float(np.mean(best))
    print(f"{PAPER_FITS} fits, best ways, equal shares of widths: {seconds / 60:.1f} minutes (aim: 60)")
    return int(device.type == "cuda" and seconds > MAX_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
