"""task=keywords: a pretrained mini-LLM learns which words a document is about, to teach topic models."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.preprocessing import normalize

from topiclab.cache import key_hash
from topiclab.config.configuration import Configuration
from topiclab.data.corpus import Corpus
from topiclab.data.sources.corpora import load_corpus
from topiclab.device import resolve_device
from topiclab.digest import file_sha256
from topiclab.minillm.data.keyword_targets import KeywordStatistics, keyword_statistics
from topiclab.minillm.data.masked_words import MaskedWords, draw_words, stretches, without_words
from topiclab.minillm.data.packing import pack
from topiclab.minillm.data.tokenizer import END_OF_TEXT, END_OF_TURN, Tokenizer
from topiclab.minillm.export import WEIGHTS, export_folder, load_folder
from topiclab.minillm.finished import export_of
from topiclab.minillm.held_out import check_held_out
from topiclab.minillm.keyword_training import Examples, KeywordOptions, KeywordTraining, word_logits
from topiclab.minillm.network import IGNORED, MiniLLM
from topiclab.pipeline.stages import Stages, limited_threads
from topiclab.pipeline.wandb_log import wandb_logger
from topiclab.runs.outcome import Outcome
from topiclab.tasks.pretrain import log_trained
from topiclab.teach.neighbours import tfidf_bags
from topiclab.teach.prompt import PromptTokens, as_chat, read_prompt

log = logging.getLogger(__name__)

NUM_NEAREST = 20  # documents in the baseline by neighbours
RECALL_AT = 10


def keywords(cfg: Configuration, folder: Path) -> Outcome:
    """Train on the training documents; evaluate on words that were removed from held-out documents.

    Writes checkpoints/ and export/ as task=pretrain does. A killed run resumes from its last checkpoint,
    bit-equal on a CPU.
    Raises ValueError where run= is not a language model, or none of the words is one token.
    """
    clock, options = Stages(), cfg.own["keywords"]
    corpus = load_corpus(cfg.data, cfg.paths.data, cfg.paths.cache)
    export = export_of(str(cfg.run), "run")
    check_held_out(str(cfg.run), "run", cfg.data)
    model, tokenizer = load_folder(export)
    model = model.to(resolve_device(cfg.trainer.device))
    with clock("targets"):
        data = KeywordData(cfg, corpus, tokenizer, model.shape.context_length)
    inputs = {
        "weights": file_sha256(export / WEIGHTS),
        "tokenizer": tokenizer.fingerprint,
        "corpus": corpus.fingerprint,
        "settings": key_hash({"data": cfg.data, "keywords": options, "seed": cfg.seed}),
    }
    with limited_threads(cfg.trainer.num_threads), wandb_logger(cfg, folder) as wandb_run:
        with clock("train"):
            training = KeywordTraining(
                model,
                options,
                folder,
                seconds=cfg.trainer.checkpoint_seconds,
                inputs=key_hash(inputs),
                on_step=None if wandb_run is None else wandb_run.log_metrics,
            )
            teach_keywords(training, data, options, cfg.seed)
        with clock("evaluate"):
            metrics = evaluate(model, data, options["rows_per_step"], cfg.seed)
        export_folder(model, tokenizer, folder / "export")
        metrics |= {"train/keyword_nats": training.losses[-1]}
        log_trained(wandb_run, metrics, folder)
    for name in ("model", "shuffled", "diffusion", "neighbours", "prior"):
        recall, rank = metrics[f"{name}/recall@10"], metrics[f"{name}/mrr"]
        print(f"{name:>10}  recall@{RECALL_AT} {recall:.3f}  mrr {rank:.3f}")
    print(f"run folder: {folder}")
    return Outcome(
        metrics=metrics,
        seconds=clock.seconds,
        manifest={"run": str(cfg.run), "losses": training.losses, "words": len(data.columns)},
    )


class KeywordData:
    """Documents, targets and prompts.

    ids: (V,) token of each word, -1 for words of several tokens.  columns: words of one token.
    """

    def __init__(self, cfg: Configuration, corpus: Corpus, tokenizer: Tokenizer, context: int) -> None:
        options = cfg.own["keywords"]
        self.corpus, self.options, self.tokenizer = corpus, options, tokenizer
        self.ids = tokenizer.word_ids(corpus.vocab)
        self.columns = np.flatnonzero(self.ids >= 0)
        if not len(self.columns):
            raise ValueError(
                f"none of the {corpus.num_words} words is one token of the model of run={cfg.run}; "
                "pretrain it with tokenizer.num_forced_words"
            )
        if num_left_out := corpus.num_words - len(self.columns):
            log.warning("%d of %d words are of several tokens, not taught", num_left_out, corpus.num_words)
        self.bow = sparse.csr_matrix(corpus.bow, copy=True)
        self.bow.data = self.bow.data * (self.ids >= 0)[self.bow.indices]
        self.bow.eliminate_zeros()
        self.statistics: KeywordStatistics = keyword_statistics(
            self.bow,
            corpus.token_ids,
            corpus.token_offsets,
            corpus.rows("train"),
            **{name: options[name] for name in ("window", "min_df", "num_neighbours")},
        )
        self.masked = MaskedWords(corpus.texts, corpus.vocab, cfg.vocabulary)
        hf = tokenizer.hf()
        prompts = [read_prompt(name) for name in options["prompts"]]
        prompts = [as_chat(prompt, hf) for prompt in prompts] if options["chat_template"] else prompts
        limit = min(options["max_length"] or context, context - 1)
        self.prompts = [PromptTokens(prompt, hf, limit) for prompt in prompts]

    def examples(
        self, rows: np.ndarray, targets: sparse.csr_matrix, generator: np.random.Generator
    ) -> Examples:
        """One example per row: a drawn word, mostly cut from the text; it or all targets are the label."""
        options, drawn = self.options, draw_words(targets, generator)
        is_masked = generator.random(len(rows)) < options["masked_share"]
        texts = self.masked.without(rows, np.where(is_masked, drawn, -1))
        if options["span"] is not None:
            texts = stretches(texts, options["span"], generator)
        chosen = generator.integers(len(self.prompts), size=len(rows))
        tokens: list[np.ndarray] = [np.zeros(0, np.int32)] * len(rows)
        for number, prompt in enumerate(self.prompts):
            places = np.flatnonzero(chosen == number)
            for place, ids in zip(places, prompt.of([texts[place] for place in places])[0], strict=True):
                tokens[place] = ids
        is_hard = generator.random(len(rows)) < options["hard_share"]
        hard = np.where(is_hard, self.ids[drawn], IGNORED)
        return Examples(tokens, hard, self._over_tokens(targets), self._end)

    @property
    def _end(self) -> int:
        return END_OF_TURN if self.options["chat_template"] else END_OF_TEXT

    def _over_tokens(self, targets: sparse.csr_matrix) -> sparse.csr_matrix:
        """Targets with columns of words mapped to columns of tokens."""
        shape = (targets.get_shape()[0], self.tokenizer.vocab_size)
        return sparse.csr_matrix((targets.data, self.ids[targets.indices], targets.indptr), shape)


def teach_keywords(training: KeywordTraining, data: KeywordData, options: KeywordOptions, seed: int) -> None:
    """Train the remaining passes over the training documents."""
    rows = data.corpus.rows("train")
    targets = data.statistics.targets(
        data.bow[rows],
        own=options["own"],
        prior_power=options["prior_power"],
        perplexity=options["perplexity"],
    )
    taught = np.diff(targets.indptr) > 0
    rows, targets = rows[taught], targets[np.flatnonzero(taught)]
    while (epoch := training.epoch) < options["passes"]:
        examples = data.examples(rows, targets, np.random.default_rng([seed, epoch]))
        training.train_pass(examples, _replay(data, options, seed, epoch), seed + epoch)
        log.info("pass %d of %d: %.3f nats a keyword", epoch + 1, options["passes"], training.losses[-1])


def _replay(
    data: KeywordData, options: KeywordOptions, seed: int, epoch: int
) -> Callable[[int], torch.Tensor]:
    """Token ids (rows, T + 1) of training documents for each step, so that plain text is not forgotten."""
    num = round(options["replay"] * options["rows_per_step"])
    texts = [data.corpus.texts[row] for row in data.corpus.rows("train")]
    ids, offsets = data.tokenizer.encode_batch(texts)
    packing = pack(
        ids,
        offsets,
        np.arange(len(texts)),
        length=options["replay_length"],
        mode="stream",
        seed=seed,
        epoch=epoch,
    )
    return lambda step: torch.from_numpy(
        packing.rows((step * num + np.arange(num)) % packing.num_rows).ids.astype(np.int64)
    )


def evaluate(model: MiniLLM, data: KeywordData, rows_per_batch: int, seed: int) -> dict[str, float]:
    """Recall and reciprocal rank, among absent words, of a salient word removed from held-out documents."""
    corpus, statistics = data.corpus, data.statistics
    generator = np.random.default_rng(seed)
    rows = np.concatenate([corpus.rows("val"), corpus.rows("test")])
    rows = rows[np.diff(data.bow[rows].indptr) > 1]  # something must be left
    if not len(rows):
        raise ValueError("no held-out document has two known words; give data.split.val or data.split.test")
    lost = draw_words(statistics.salience(data.bow[rows]), generator)
    left = without_words(data.bow[rows], lost)
    tokens, _ = data.prompts[0].of(data.masked.without(rows, lost))
    scores = np.full((len(rows), corpus.num_words), -np.inf, np.float32)
    scores[:, data.columns] = word_logits(model, tokens, data.ids[data.columns], rows_per_batch)
    kinds = {
        "model": scores,
        "shuffled": np.roll(scores, 1, axis=0),
        "diffusion": statistics.diffusion(left).toarray(),
        "neighbours": _said_by_neighbours(data.bow, left, corpus.rows("train")),
        "prior": np.broadcast_to(statistics.prior, scores.shape),
    }
    found = {name: _ranks(kind, left, lost, statistics.prior) for name, kind in kinds.items()}
    return {
        **{f"{name}/recall@{RECALL_AT}": float((ranks <= RECALL_AT).mean()) for name, ranks in found.items()},
        **{f"{name}/mrr": float((1 / ranks).mean()) for name, ranks in found.items()},
        "num_masked": len(rows),
    }


def _said_by_neighbours(bow: sparse.csr_matrix, left: sparse.csr_matrix, train: np.ndarray) -> np.ndarray:
    """Mean TF-IDF bag of the training documents nearest to the remaining words, (N, V)."""
    both = sparse.csr_matrix(sparse.vstack([bow[train], left]))
    bags = tfidf_bags(both, np.arange(len(train)))
    unit: Any = normalize(bags)
    learned, asked = unit[: len(train)], unit[len(train) :]
    said = np.empty(left.get_shape(), np.float32)
    for start in range(0, len(said), 512):
        near = (asked[start : start + 512] @ learned.T).toarray()
        best = np.argpartition(-near, min(NUM_NEAREST, len(train)) - 1, axis=1)[:, :NUM_NEAREST]
        weights = sparse.csr_matrix(
            (np.ones(best.size), best.ravel(), np.arange(0, best.size + 1, best.shape[1])),
            (len(best), len(train)),
        )
        said[start : start + 512] = (weights @ bags[: len(train)]).toarray()
    return said


def _ranks(scores: np.ndarray, left: sparse.csr_matrix, lost: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Rank from 1, (N,), of the removed word among words absent from the document; ties by the prior."""
    absent = np.where(left.toarray() > 0, -np.inf, scores)
    own = absent[np.arange(len(lost)), lost][:, None]
    is_before = (absent > own) | ((absent == own) & (prior > prior[lost][:, None]))
    return 1 + is_before.sum(axis=1)
