"""task=pretrain: a mini-LLM from raw text, with its tokenizer, in a folder that transformers loads."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch.loggers import Logger, WandbLogger

from topiclab.atomic import atomic_file
from topiclab.cache import Cache, key_hash
from topiclab.checkpoint import BEST, load_checkpoint
from topiclab.config.configuration import Configuration
from topiclab.data.corpus import SPLITS, text_fingerprint
from topiclab.data.documents import assign_split
from topiclab.data.sources.corpora import load_corpus, load_texts
from topiclab.minillm.data.datamodule import TokenDataModule
from topiclab.minillm.data.packing import Packing, pack
from topiclab.minillm.data.tokenizer import END_OF_TEXT, Tokenizer, forceable_words, train_tokenizer
from topiclab.minillm.data.tokens import TokenSet, token_set
from topiclab.minillm.export import export_folder
from topiclab.minillm.generate import generate
from topiclab.minillm.network import MiniLLM, Shape
from topiclab.minillm.pretraining import Pretraining, TrainingOptions, train_rounds
from topiclab.minillm.sampler import Sampler
from topiclab.pipeline.outputs import write_history
from topiclab.pipeline.stages import Stages, limited_threads
from topiclab.pipeline.wandb_log import log_figures, log_files, log_summary, loggers_of, wandb_logger
from topiclab.report.figures.curve import draw_curve
from topiclab.runs.outcome import Outcome
from topiclab.settings import Paths, Split

log = logging.getLogger(__name__)

SAMPLE_TOKENS = 60
PURPOSES = {"train": "learn from", "val": "measure on"}


def pretrain(cfg: Configuration, folder: Path) -> Outcome:
    """Train on the training documents, keep the weights that predict the validation documents best.

    Writes checkpoints/, export/ (transformers' format), metrics.csv, curve.png and samples.txt. A killed run
    resumes from its last checkpoint, bit-equal on a CPU.
    """
    clock, options = Stages(), cfg.own["pretrain"]
    shape = Shape(**cfg.model["shape"])
    with clock("tokens"):
        texts, split = split_texts(cfg.data, cfg.paths)
        tokenizer = make_tokenizer(cfg, texts, split)
        tokens = token_set(texts, tokenizer, cfg.paths.cache)
    with clock("pack"):
        length = row_length(options["length"], shape, "pretrain")
        rows = partial(pack_split, tokens, split, length=length, mode=options["packing"], seed=cfg.seed)
        datamodule = make_rows(options, length, rows, "pretrain")
    torch.manual_seed(cfg.seed)
    model = MiniLLM(shape, dropout=cfg.model["dropout"])
    samples = partial(
        write_samples, tokenizer=tokenizer, beginnings=options["samples"], path=folder / "samples.txt"
    )
    read = {"data": cfg.data, "model": cfg.model, "seed": cfg.seed}
    read |= {"pretrain": options, "tokenizer": cfg.own["tokenizer"]}
    inputs = key_hash({"tokenizer": tokenizer.fingerprint, "settings": key_hash(read)})
    with limited_threads(cfg.trainer.num_threads), wandb_logger(cfg, folder) as wandb_run:
        with clock("train"):
            module = train(
                model,
                datamodule,
                tokenizer,
                options,
                cfg,
                folder,
                inputs=inputs,
                on_round=samples,
                loggers=loggers_of(wandb_run),
            )
        with clock("export"):
            export_folder(model, tokenizer, folder / "export")
            write_curve(module.history, folder)
        lengths = {name: tokens.bytes_per_token(split == number) for number, name in enumerate(SPLITS)}
        metrics = {
            **training_metrics(module, datamodule),
            **{f"{name}/bytes_per_token": value for name, value in lengths.items() if math.isfinite(value)},
        }
        log_trained(wandb_run, metrics, folder)
    print(module.samples[-1])
    print("  ".join(f"{name} {value:.3f}" for name, value in metrics.items()))
    print(f"run folder: {folder}")
    return Outcome(
        metrics=metrics,
        seconds=clock.seconds,
        manifest={
            "tokenizer": {"fingerprint": tokenizer.fingerprint, **tokenizer.info},
            "model": training_facts(module),
        },
    )


def training_metrics(module: Pretraining, datamodule: TokenDataModule) -> dict[str, float]:
    """Validation metrics of the best checkpoint, plus training metrics."""
    return {
        **{name: value for name, value in best_entry(module).items() if name.startswith("val/")},
        "train/ce": module.history[-1]["train/ce"],
        "tokens": module.tokens_done,
        "tokens_per_second": float(np.median([entry["tokens_per_second"] for entry in module.history])),
        "fill": datamodule.fill,
    }


def training_facts(module: Pretraining) -> dict[str, Any]:
    """Facts about the model for the manifest."""
    return {
        "parameters": module.model.shape.num_parameters,
        "best_step": best_entry(module)["step"],
        "steps": module.steps_done,
    }


def log_trained(logger: WandbLogger | None, metrics: Mapping[str, float], folder: Path) -> None:
    """Log the metrics, the curve and the export of a trained language model; nothing without a logger."""
    log_summary(logger, metrics, "training")
    log_figures(logger, [path for path in [folder / "curve.png"] if path.is_file()])
    log_files(logger, "model", [folder / "export"])


def write_curve(history: Sequence[Mapping[str, float]], folder: Path) -> None:
    write_history(history, folder / "metrics.csv")
    draw_curve(history, folder / "curve.png")


def best_entry(module: Pretraining) -> dict[str, float]:
    return min(module.history, key=lambda entry: entry["val/ce"])


def split_texts(data: Mapping[str, Any], paths: Paths) -> tuple[list[str], np.ndarray]:
    """The D texts of `data`, and their split by hash: (D,) int8 index into SPLITS."""
    _, texts = load_texts(data, paths.data, paths.cache)
    shares = Split.of(data["split"])
    split = assign_split(texts, shares.val or 0.0, shares.test or 0.0)
    for name in ("train", "val"):
        if not (split == SPLITS.index(name)).any():
            raise ValueError(
                f"{data['name']} has {len(texts)} documents and none to {PURPOSES[name]}; give more text, or "
                "raise data.split.val"
            )
    return texts, split


def make_tokenizer(cfg: Configuration, texts: list[str], split: np.ndarray) -> Tokenizer:
    """Tokenizer of the training texts, learned once per texts and options."""
    options = cfg.own["tokenizer"]
    rows = np.flatnonzero(split == SPLITS.index("train")).tolist()
    learned = [texts[row] for row in rows]
    words: tuple[str, ...] = ()
    if options["num_forced_words"] is not None:
        corpus = load_corpus(cfg.data, cfg.paths.data, cfg.paths.cache)
        words = forceable_words(corpus.vocab[: options["num_forced_words"]])
    settings: dict[str, Any] = {
        "vocab_size": cfg.model["shape"]["vocab_size"],
        "seed": cfg.seed,
        "max_bytes": options["max_bytes"],
    }
    key = {"texts": text_fingerprint(learned), "forced_words": list(words), **settings}
    entry = Cache(cfg.paths.cache).entry(
        "tokenizers",
        key,
        lambda folder: train_tokenizer(learned, forced_words=words, **settings).save(folder),
    )
    return Tokenizer.load(entry.folder)


def pack_split(
    tokens: TokenSet, split: np.ndarray, name: str, epoch: int, *, length: int, mode: str, seed: int
) -> Packing:
    """Rows of a split in an epoch."""
    documents = np.flatnonzero(split == SPLITS.index(name))
    return pack(tokens.ids, tokens.offsets, documents, length=length, mode=mode, seed=seed, epoch=epoch)


def row_length(length: int | None, shape: Shape, group: str) -> int:
    """Number of tokens in a row, by default the model's whole context; ValueError for more."""
    if length is not None and length > shape.context_length:
        raise ValueError(
            f"{group}.length={length} is more than the model's context of {shape.context_length} tokens; "
            "give at most that"
        )
    return length or shape.context_length


def make_rows(
    options: TrainingOptions, length: int, rows: Callable[[str, int], Packing], group: str
) -> TokenDataModule:
    """Training rows of `length` tokens for options["passes"] passes, and held-out rows of the same length.

    options: the configuration group `group`.  rows: function from a split and an epoch to its rows; not a
    closure, because it goes to the processes of several devices.
    """
    first, rows_per_step = rows("train", 0), options["tokens_per_step"] // length
    if not rows_per_step:
        raise ValueError(
            f"{group}.tokens_per_step={options['tokens_per_step']} is less than one row of {length} tokens; "
            f"raise it or lower {group}.length"
        )
    num_steps = max(1, int(options["passes"] * first.num_rows) // rows_per_step)
    log.info(
        "%d rows of %d tokens, %.1f %% of their places filled: %d steps of %d rows",
        first.num_rows,
        length,
        100 * first.fill,
        num_steps,
        rows_per_step,
    )
    return TokenDataModule(
        partial(rows, "train"),
        rows("val", 0),
        rows_per_step=rows_per_step,
        steps_per_round=options["eval_steps"],
        num_steps=num_steps,
        rows_per_batch=options["rows_per_device"],
        most_val_rows=options["eval_rows"],
        masks_documents=options["masks_documents"],
    )


def train(
    model: MiniLLM,
    datamodule: TokenDataModule,
    tokenizer: Tokenizer,
    options: TrainingOptions,
    cfg: Configuration,
    folder: Path,
    *,
    inputs: str,
    on_round: Callable[[Pretraining], None],
    tells_few: bool = False,
    loggers: Sequence[Logger] = (),
) -> Pretraining:
    """Train the model in place and leave it at the weights that predicted held-out text best.

    inputs: hash of all that the rows depend on.  on_round: not a closure, like `rows` of `make_rows`.
    """
    module = Pretraining(
        model,
        num_steps=datamodule.num_steps,
        micro_rows=options["rows_per_device"],
        optimizer=options["optimizer"],
        schedule=options["schedule"],
        gradient_clip=options["gradient_clip"],
        token_bytes=torch.from_numpy(tokenizer.num_bytes),
        seed=cfg.seed,
        z_loss=options["z_loss"],
        tells_few=tells_few,
        is_compiled=options["is_compiled"],
        on_round=on_round,
    )
    num_rounds = datamodule.num_rounds
    train_rounds(
        module, datamodule, folder, cfg.trainer, num_rounds=num_rounds, inputs=inputs, loggers=loggers
    )
    best = load_checkpoint(folder / "checkpoints" / BEST)
    module.load_state_dict(best["state_dict"])
    return module


def log_round(module: Pretraining) -> dict[str, float]:
    """Log the state of training; return the last entry of its history."""
    entry = module.history[-1]
    log.info(
        "step %d of %d: held-out %.3f nats a token, perplexity %.1f, %.3f bits a byte; %.0f tokens/s",
        entry["step"],
        module.num_steps,
        entry["val/ce"],
        entry["val/perplexity"],
        entry["val/bits_per_byte"],
        entry.get("tokens_per_second", math.nan),
    )
    return entry


def write_samples(module: Pretraining, tokenizer: Tokenizer, beginnings: list[str], path: Path) -> None:
    """Add the model's present continuation of each beginning, and log the state of training."""
    entry = log_round(module)
    prompts = [[END_OF_TEXT, *tokenizer.encode(text)] for text in beginnings]
    drawn = generate(
        module.model,
        prompts,
        max_new_tokens=SAMPLE_TOKENS,
        sampler=Sampler(temperature=0.8, top_k=None, top_p=0.9, min_p=0.0, repetition_penalty=1.0),
        stop_ids=(END_OF_TEXT,),
        seed=module.seed,
        is_sliding=True,
    )
    lines = [text + tokenizer.decode(ids) for text, ids in zip(beginnings, drawn, strict=True)]
    add_sample(module, path, [f"step {entry['step']}, {entry['val/bits_per_byte']:.3f} bits a byte", *lines])


def add_sample(module: Pretraining, path: Path, lines: list[str]) -> None:
    """Write the samples of all rounds, so that a round that a resumed run repeats is listed once."""
    module.samples.append("\n".join(lines))
    with atomic_file(path) as stream:
        stream.write("\n\n".join([*module.samples, ""]).encode())
