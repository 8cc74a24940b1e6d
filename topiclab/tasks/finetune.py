"""task=finetune: a pretrained mini-LLM learns to reply, by conversations or by questions about corpora."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from topiclab.cache import key_hash
from topiclab.config.configuration import Configuration
from topiclab.data.corpus import SPLITS
from topiclab.data.documents import assign_split
from topiclab.data.sources.corpora import load_corpus
from topiclab.data.sources.folder import corpus_group
from topiclab.minillm.chat import ChatModel
from topiclab.minillm.data.conversations import (
    Conversation,
    ConversationTokens,
    conversation_tokens,
    read_conversations,
)
from topiclab.minillm.data.instructions import Instructions, instructions
from topiclab.minillm.data.packing import Packing, pack, ranges
from topiclab.minillm.data.tokenizer import END_OF_TEXT, Tokenizer
from topiclab.minillm.data.tokens import token_set
from topiclab.minillm.evaluation import GREEDY, evaluate_labels
from topiclab.minillm.export import WEIGHTS, export_folder, load_folder
from topiclab.minillm.finished import export_of
from topiclab.minillm.held_out import check_held_out
from topiclab.minillm.network import MiniLLM
from topiclab.minillm.pretraining import Pretraining
from topiclab.pipeline.stages import Stages, limited_threads
from topiclab.pipeline.wandb_log import loggers_of, wandb_logger
from topiclab.runs.outcome import Outcome
from topiclab.runs.run import finished_run
from topiclab.tasks.pretrain import (
    add_sample,
    log_round,
    log_trained,
    make_rows,
    row_length,
    split_texts,
    train,
    training_facts,
    training_metrics,
    write_curve,
)

log = logging.getLogger(__name__)

NUM_SAMPLES, SAMPLE_TOKENS = 4, 60


@dataclass(frozen=True, eq=False)
class FinetuneData:
    """D conversations. split: (D,) int8 index into SPLITS. asked: the questions whose replies are labels."""

    conversations: list[Conversation]
    split: np.ndarray
    asked: list[Instructions]


def finetune(cfg: Configuration, folder: Path) -> Outcome:
    """Train on the replies of training conversations, keep the weights that predict held-out replies best.

    Writes what task=pretrain writes, and replies.jsonl with what was asked about test documents. A killed run
    resumes from its last checkpoint, bit-equal on a CPU.
    """
    clock, options = Stages(), cfg.own["finetune"]
    export = export_of(str(cfg.run), "run")
    if not options["path"]:
        check_held_out(str(cfg.run), "run", cfg.data)
    with clock("tokens"):
        stored, tokenizer = load_folder(export)
        model = MiniLLM(stored.shape, dropout=options["dropout"])
        model.load_state_dict(stored.state_dict())
        length = row_length(options["length"], model.shape, "finetune")
        data = read_data(cfg, tokenizer, length)
        tokens = conversation_tokens(data.conversations, tokenizer)
        replay = replay_tokens(cfg, tokenizer, int(np.diff(tokens.offsets)[data.split == 0].sum()))
    with clock("pack"):
        rows = packer(tokens, data.split, replay, options["replay"], length, cfg.seed)
        datamodule = make_rows(options, length, rows, "finetune")
    replies = partial(write_replies, tokenizer=tokenizer, data=data, path=folder / "samples.txt")
    weights = hashlib.sha256((export / WEIGHTS).read_bytes()).hexdigest()
    read = {"data": cfg.data, "finetune": options, "seed": cfg.seed}
    with limited_threads(cfg.trainer.num_threads), wandb_logger(cfg, folder) as wandb_run:
        with clock("train"):
            module = train(
                model,
                datamodule,
                tokenizer,
                options,
                cfg,
                folder,
                inputs=key_hash({"weights": weights, "settings": key_hash(read), **facts_of(tokens, replay)}),
                on_round=replies,
                tells_few=True,
                loggers=loggers_of(wandb_run),
            )
        with clock("export"):
            export_folder(model, tokenizer, folder / "export")
            write_curve(module.history, folder)
        with clock("ask"):
            num, path = options["num_questions"], folder / "replies.jsonl"
            right = evaluate_labels(model, tokenizer, data.asked, num, seed=cfg.seed, path=path)
        metrics = training_metrics(module, datamodule)
        log_trained(wandb_run, {**metrics, **right}, folder)
    print("  ".join(f"{name} {value:.3f}" for name, value in metrics.items()))
    print(f"run folder: {folder}")
    return Outcome(
        metrics={**metrics, **right},
        seconds=clock.seconds,
        manifest={
            "run": str(cfg.run),
            "conversations": len(data.conversations),
            "tokenizer": {"fingerprint": tokenizer.fingerprint, **tokenizer.info},
            "model": training_facts(module),
        },
    )


def read_data(cfg: Configuration, tokenizer: Tokenizer, length: int) -> FinetuneData:
    """Conversations of finetune.path, or questions about the documents of `data`.

    Held-out documents stay held out: their split is that of their text, whichever question is asked.
    Raises ValueError where there are none to learn from or to measure on.
    """
    options, data = cfg.own["finetune"], cfg.data
    asked: list[Instructions] = []
    if options["path"]:
        conversations = read_conversations(Path(options["path"]).expanduser())
        written = ["\n".join(map("\t".join, turns)) for turns in conversations]
        split = assign_split(written, cfg.split.val or 0.0, 0.0)
        shown = f"finetune.path={options['path']}"
    else:
        asked = _questions(cfg, tokenizer, length)
        conversations = [turns for questions in asked for turns in questions.conversations()]
        split = np.concatenate([questions.split for questions in asked] or [np.zeros(0, dtype=np.int8)])
        shown = f"data={data['name']} with finetune.kinds={options['kinds']}"
    for name, purpose in (("train", "learn from"), ("val", "measure on")):
        if not (split == SPLITS.index(name)).any():
            raise ValueError(
                f"{shown} gives {len(conversations)} conversations and none to {purpose}; give more, other "
                "finetune.kinds, or raise data.split.val"
            )
    return FinetuneData(conversations, split, [questions for questions in asked if questions.kind == "label"])


def _questions(cfg: Configuration, tokenizer: Tokenizer, length: int) -> list[Instructions]:
    """Questions of every kind about every corpus that can answer them."""
    asked: list[Instructions] = []
    for part in parts(cfg.data):
        corpus = load_corpus(part, cfg.paths.data, cfg.paths.cache)
        made = (
            instructions(corpus, kind, tokenizer, max_tokens=length // 2, seed=cfg.seed)
            for kind in cfg.own["finetune"]["kinds"]
        )
        asked += [questions for questions in made if questions is not None]
    return asked


def parts(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The corpora that data=text joins, each with its own labels; or data itself."""
    if data["source"] != "text" or data["path"]:
        return [data]
    shared = {name: data[name] for name in ("split", "sample", "sample_seed", "vocabulary")}
    return [{**corpus_group(name), **shared} for name in data["corpora"]]


def replay_tokens(cfg: Configuration, tokenizer: Tokenizer, num_tokens: int) -> ConversationTokens:
    """Training documents of the pretraining, from which all passes draw, so that it is not forgotten.

    num_tokens: of the conversations in one pass; replayed tokens are the share finetune.replay of both.
    """
    share = cfg.own["finetune"]["replay"]
    if not share:
        nothing = np.zeros(0, dtype=np.uint16)
        return ConversationTokens(nothing, np.zeros(1, dtype=np.int64), nothing.astype(bool))
    task, run, data = "finetune", cfg.run, cfg.data
    while task == "finetune":
        config = finished_run(Path(str(run)).expanduser(), "pretrain", "finetune", trust=cfg.trust)["config"]
        task, run, data = config["task"]["name"], config["run"], config["data"]
    texts, split = split_texts(data, cfg.paths)
    tokens = token_set(texts, tokenizer, cfg.paths.cache)
    rows = np.random.default_rng(cfg.seed).permutation(np.flatnonzero(split == SPLITS.index("train")))
    wanted = cfg.own["finetune"]["passes"] * num_tokens * share / (1 - share)
    sizes = np.diff(tokens.offsets)[rows] + 2
    num = int(np.searchsorted(np.cumsum(sizes), wanted)) + 1
    rows, sizes = rows[:num], sizes[:num]
    ends = np.cumsum(sizes)
    ids = np.full(int(ends[-1]), END_OF_TEXT, dtype=np.uint16)
    ids[ranges(ends - sizes + 1, sizes - 2)] = tokens.ids[ranges(tokens.offsets[rows], sizes - 2)]
    is_target = np.ones(len(ids), dtype=bool)
    is_target[ends - sizes] = False
    return ConversationTokens(ids, np.concatenate([[0], ends]), is_target)


def packer(
    tokens: ConversationTokens,
    split: np.ndarray,
    replay: ConversationTokens,
    share: float,
    length: int,
    seed: int,
) -> Callable[[str, int], Packing]:
    """Function from a split and an epoch to rows: whole conversations, and replay in training."""
    ids, is_target = (
        np.concatenate([getattr(part, name) for part in (tokens, replay)]) for name in ("ids", "is_target")
    )
    offsets = np.concatenate([tokens.offsets, replay.offsets[1:] + tokens.offsets[-1]])
    sizes, num = np.diff(offsets), len(split)
    if num_long := int((sizes[:num] > length + 1).sum()):
        log.warning(
            "%d of %d conversations have more than %d tokens and are cut: what follows a cut is predicted "
            "without what came before; raise finetune.length",
            num_long,
            num,
            length + 1,
        )
    wanted = int(sizes[:num][split == SPLITS.index("train")].sum() * share / (1 - share))
    return partial(
        pack_split, (ids, offsets), split, num_replayed=wanted, is_target=is_target, length=length, seed=seed
    )


def pack_split(
    tokens: tuple[np.ndarray, np.ndarray],
    split: np.ndarray,
    name: str,
    epoch: int,
    *,
    num_replayed: int,
    is_target: np.ndarray,
    length: int,
    seed: int,
) -> Packing:
    """Rows of a split in an epoch.

    tokens: ids and offsets of the conversations, then of the documents replayed in training, of which an
    epoch draws num_replayed tokens.
    """
    documents, sizes, num = np.flatnonzero(split == SPLITS.index(name)), np.diff(tokens[1]), len(split)
    if name == "train":
        drawn = num + np.random.default_rng([seed, epoch]).permutation(len(sizes) - num)
        documents = np.concatenate([documents, drawn[np.cumsum(sizes[drawn]) <= num_replayed]])
    return pack(
        *tokens,
        documents,
        length=length,
        mode="bestfit",
        seed=seed,
        epoch=epoch,
        has_separator=False,
        is_target=is_target,
    )


def facts_of(*parts: ConversationTokens) -> dict[str, str]:
    """Hashes of the tokens that are trained on."""
    return {str(number): hashlib.sha256(part.ids.tobytes()).hexdigest() for number, part in enumerate(parts)}


def write_replies(module: Pretraining, tokenizer: Tokenizer, data: FinetuneData, path: Path) -> None:
    """Add the model's present replies in a few held-out conversations, and log the state of training."""
    entry = log_round(module)
    rows = np.flatnonzero(data.split == SPLITS.index("val"))
    spread = rows[:: -(-len(rows) // NUM_SAMPLES)].tolist()
    chosen = [turns for turns in map(data.conversations.__getitem__, spread) if turns[-2:-1]]
    chosen = [turns for turns in chosen if turns[-2].role == "user"]
    chat = ChatModel(module.model, tokenizer, GREEDY, max_new_tokens=SAMPLE_TOKENS)
    asked = [[{"role": turn.role, "content": turn.content} for turn in turns[:-1]] for turns in chosen]
    replies = chat.chat_all(asked) if asked else []
    shown = [
        f"{turns[-2].content}\n  -> {reply}  (wanted: {turns[-1].content})"
        for turns, reply in zip(chosen, replies, strict=True)
    ]
    add_sample(module, path, [f"step {entry['step']}, {entry['val/ce']:.3f} nats a token", *shown])
