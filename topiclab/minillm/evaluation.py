"""Evaluation on questions whose answers are labels: accuracy of a model's greedy replies and baselines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from topiclab.atomic import atomic_file
from topiclab.data.corpus import SPLITS
from topiclab.metrics.label_baselines import majority_accuracy, tfidf_accuracy
from topiclab.minillm.chat import ChatModel
from topiclab.minillm.data.instructions import Instructions
from topiclab.minillm.data.tokenizer import Tokenizer
from topiclab.minillm.network import MiniLLM
from topiclab.minillm.sampler import Sampler

GREEDY = Sampler(temperature=0.0)
QUESTIONS_AT_ONCE = 100


def evaluate_labels(
    model: MiniLLM,
    tokenizer: Tokenizer,
    asked: Sequence[Instructions],
    num_questions: int,
    seed: int,
    path: Path,
) -> dict[str, float]:
    """Accuracy per corpus: the share of test documents for which the model replies exactly the label.

    Also the accuracy of the most frequent label and of a regression on TF-IDF on the same documents, from the
    same training documents.  num_questions: maximum per corpus, drawn by the seed.
    path: JSON lines, each with a question, the wanted answer and the reply.
    """
    model.eval()
    found: dict[str, float] = {}
    lines = []
    for questions in asked:
        rows = np.flatnonzero(questions.split == SPLITS.index("test"))
        if len(rows) > num_questions:
            rows = np.sort(np.random.default_rng(seed).permutation(rows)[:num_questions])
        if not len(rows):
            continue
        prompts, wanted, texts = (
            [part[row] for row in rows.tolist()]
            for part in (questions.questions, questions.replies, questions.texts)
        )
        replies = greedy_replies(model, tokenizer, prompts, wanted)
        lines += [
            {"question": prompt, "wanted": answer, "reply": reply}
            for prompt, answer, reply in zip(prompts, wanted, replies, strict=True)
        ]
        train = np.flatnonzero(questions.split == SPLITS.index("train")).tolist()
        learned, names = ([part[row] for row in train] for part in (questions.texts, questions.replies))
        scores = {
            "accuracy": float(np.mean(np.asarray(replies) == np.asarray(wanted))),
            "accuracy_tfidf": tfidf_accuracy(learned, names, texts, wanted),
            "accuracy_majority": majority_accuracy(names, wanted),
        }
        found |= {f"{questions.corpus}/{name}": score for name, score in scores.items()}
        print(
            f"{questions.corpus}: labels of {len(rows)} held-out documents, accuracy\n"
            f"  this model               {scores['accuracy']:.3f}\n"
            f"  TF-IDF and a regression  {scores['accuracy_tfidf']:.3f}\n"
            f"  most frequent label      {scores['accuracy_majority']:.3f}"
        )
    if lines:
        with atomic_file(path) as stream:
            written = (json.dumps(line, ensure_ascii=False, allow_nan=False) for line in lines)
            stream.writelines(f"{text}\n".encode() for text in written)
    return found


def greedy_replies(
    model: MiniLLM, tokenizer: Tokenizer, prompts: Sequence[str], wanted: Sequence[str]
) -> list[str]:
    """Replies of at most the longest wanted length, generated in batches of prompts of similar length."""
    longest = max(len(tokenizer.encode(answer)) for answer in set(wanted)) + 1
    chat = ChatModel(model, tokenizer, GREEDY, max_new_tokens=longest)
    order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
    replies = [""] * len(prompts)
    for start in range(0, len(order), QUESTIONS_AT_ONCE):
        part = order[start : start + QUESTIONS_AT_ONCE]
        for number, reply in zip(part, chat.chat_all([prompts[number] for number in part]), strict=True):
            replies[number] = reply
    return replies
