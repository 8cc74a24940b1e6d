"""Instructions: questions about the documents of a corpus that the corpus itself answers."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from topiclab.data.corpus import Corpus
from topiclab.minillm.data.conversations import Conversation, Turn
from topiclab.minillm.data.tokenizer import Tokenizer

KINDS = ("label", "title", "keyword")
# Corpus -> names of its documents and of its labels.
NAMES = {
    "arxiv": ("paper", "arXiv category"),
    "20newsgroups": ("post", "newsgroup"),
    "stackoverflow": ("question", "tag"),
    "tweet_topic": ("tweet", "topic"),
}
OTHERS = ("text", "label")
PARAPHRASES = {
    "label": (
        "Which {label} does this {document} belong to?\n\n{text}",
        "{text}\n\nWhat is the {label} of this {document}?",
        "Name the {label} of the following {document}.\n\n{text}",
        "Here is a {document}: {text}\n\nGive its {label} and nothing else.",
    ),
    "title": (
        "Suggest a title for this {document}.\n\n{text}",
        "{text}\n\nWhat could be the title of this {document}?",
        "Write the title of a {document} that reads:\n\n{text}",
        "Here is a {document} without its title: {text}\n\nWhich title would fit?",
    ),
    "keyword": (
        "Which topic is this about? {text}",
        "{text}\n\nWhich topic is this {document} about? Answer with one word.",
        "Give one keyword for the following {document}.\n\n{text}",
        "Name the most telling word of this {document}: {text}",
    ),
}
SATURATION, LENGTH_WEIGHT = 1.2, 0.75  # of BM25


@dataclass(frozen=True, eq=False)
class Instructions:
    """N questions of one kind about one corpus.

    texts: the text each question is about.  split: (N,) int8 index into SPLITS, of the documents.
    """

    corpus: str
    kind: str
    texts: list[str]
    questions: list[str]
    replies: list[str]
    split: np.ndarray

    def conversations(self) -> list[Conversation]:
        return [
            (Turn("user", question), Turn("assistant", reply))
            for question, reply in zip(self.questions, self.replies, strict=True)
        ]


def instructions(
    corpus: Corpus, kind: str, tokenizer: Tokenizer, *, max_tokens: int, seed: int
) -> Instructions | None:
    """Questions of one kind (see KINDS) about all documents that have an answer; None if none has.

    label: the document's label, given its title if the corpus has titles.  title: the title, given the rest
    of the document.  keyword: the document's vocabulary word with the highest BM25 (Robertson & Zaragoza
    2009), with statistics of the training documents.
    max_tokens: of a text; longer ones are cut at the end.  seed: draws the paraphrase of each question.
    """
    rows, texts, replies = _KIND[kind](corpus)
    if not len(rows):
        return None
    texts = clipped(texts, tokenizer, max_tokens)
    generator = np.random.default_rng([seed, zlib.crc32(f"{corpus.name} {kind}".encode())])
    drawn = generator.integers(len(PARAPHRASES[kind]), size=len(rows)).tolist()
    document, label = NAMES.get(corpus.name, OTHERS)
    if kind == "title" and corpus.name == "arxiv":
        document = "abstract"
    questions = [
        PARAPHRASES[kind][number].format(document=document, label=label, text=text)
        for number, text in zip(drawn, texts, strict=True)
    ]
    return Instructions(corpus.name, kind, texts, questions, replies, corpus.split[rows])


def clipped(texts: Sequence[str], tokenizer: Tokenizer, max_tokens: int) -> list[str]:
    """The texts, stripped; those of more than max_tokens are cut after the last whole word within them."""
    stripped = [text.strip() for text in texts]
    ids, offsets = tokenizer.encode_batch(stripped)
    for row in np.flatnonzero(np.diff(offsets) > max_tokens).tolist():
        start = tokenizer.decode(ids[offsets[row] : offsets[row] + max_tokens]).rstrip("\ufffd")
        stripped[row] = start.rpartition(" ")[0].rstrip() or start
    return stripped


def _labels(corpus: Corpus) -> tuple[np.ndarray, list[str], list[str]]:
    if corpus.labels is None:
        return np.zeros(0, dtype=np.int64), [], []
    titles = corpus.titles or ("",) * corpus.num_docs
    rows = np.flatnonzero(corpus.labels >= 0)
    texts = [titles[row] or corpus.texts[row] for row in rows.tolist()]
    return rows, texts, [corpus.label_names[label] for label in corpus.labels[rows].tolist()]


def _titles(corpus: Corpus) -> tuple[np.ndarray, list[str], list[str]]:
    titles = corpus.titles or ()
    bodies = [
        text.removeprefix(title).lstrip(" .\n")
        for title, text in zip(titles, corpus.texts[: len(titles)], strict=True)
    ]
    rows = [row for row, (title, body) in enumerate(zip(titles, bodies, strict=True)) if title and body]
    return (
        np.array(rows, dtype=np.int64),
        [bodies[row] for row in rows],
        [" ".join(titles[row].split()) for row in rows],
    )


def _keywords(corpus: Corpus) -> tuple[np.ndarray, list[str], list[str]]:
    counts = sparse.csr_matrix(corpus.bow, dtype=np.float64)
    train = corpus.rows("train")
    num_with = np.bincount(counts[train].nonzero()[1], minlength=corpus.num_words)
    idf = np.log1p((len(train) - num_with + 0.5) / (num_with + 0.5))
    sizes = np.diff(counts.indptr)
    lengths = np.asarray(counts.sum(axis=1)).ravel()
    relative = np.repeat(lengths / max(lengths.mean(), 1e-12), sizes)
    norm = SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * relative)
    scores = counts.data * (SATURATION + 1) / (counts.data + norm) * idf[counts.indices]
    document = np.repeat(np.arange(corpus.num_docs), sizes)
    indptr, indices = np.asarray(counts.indptr), np.asarray(counts.indices)
    order = np.lexsort((indices, -scores, document))  # best word of a document first
    rows = np.flatnonzero(sizes)
    best = indices[order[indptr[rows]]]
    return rows, [corpus.texts[row] for row in rows.tolist()], [corpus.vocab[word] for word in best.tolist()]


_KIND = {"label": _labels, "title": _titles, "keyword": _keywords}
