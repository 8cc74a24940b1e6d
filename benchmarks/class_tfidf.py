"""Class-based TF-IDF of arXiv abstracts with pairs of words: topiclab against BERTopic, in turn.

    python benchmarks/class_tfidf.py [--documents 48000] [--rounds 3]

Each side goes from raw texts to the ten best terms of every class; the classes are the primary categories.
Stop words, token pattern, lower case, n-grams and min_df are the same. `bertopic` joins the documents of a
class and counts them, as BERTopic does, so that min_df counts classes and has to be 1; `bertopic by document`
counts documents, where min_df is the same as ours, and sums them by class, which leaves the same terms. Ours
also learns the words of the domain and leaves repetitions out; the terms compared are computed without these
steps, outside the timing. One process, one thread, the sides in turn. Exits with 1 unless ours takes a third
of the CPU time of the faster of the two, and nine in ten of the terms are the same.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
from bertopic.vectorizers import ClassTfidfTransformer
from meter import Meter
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer

from topiclab.config.compose import compose
from topiclab.data.corpus import Corpus
from topiclab.data.sources.corpora import load_corpus
from topiclab.data.words.letters import WORD
from topiclab.data.words.stop_words import stop_words
from topiclab.data.words.tokenizer import tokenize
from topiclab.describe.ngrams import count_ngrams
from topiclab.describe.terms import TermOptions, best, class_scores, class_terms
from topiclab.settings import Vocabulary

MIN_SPEEDUP, MIN_OVERLAP = 3, 0.9
MIN_DF, NUM_TERMS = 5, 10
OPTIONS = TermOptions(
    membership="main", num_terms=NUM_TERMS, domain_evenness=0.9, domain_share=0.02, domain_words=()
)
VOCABULARY = Vocabulary.of(compose()["data"]["vocabulary"])


def documents(num: int) -> tuple[Corpus, np.ndarray]:
    """Return the corpus and the one-hot classes (D, K) of its documents."""
    cfg = compose(["data=arxiv", f"data.sample={num}"])
    corpus = load_corpus(cfg["data"], cfg["paths"]["data"], cfg["paths"]["cache"])
    assert corpus.labels is not None
    return corpus, np.eye(len(corpus.label_names), dtype=np.float32)[corpus.labels]


def ours(texts: Sequence[str], classes: np.ndarray) -> list[list[str]]:
    counts = count_ngrams(tokenize(texts, VOCABULARY), MIN_DF, has_bigrams=True)
    return class_terms(counts, classes, OPTIONS).terms


def ours_with_repetitions(texts: Sequence[str], classes: np.ndarray) -> list[list[str]]:
    counts = count_ngrams(tokenize(texts, VOCABULARY), MIN_DF, has_bigrams=True)
    nothing = np.zeros(len(counts.vocab), dtype=bool)
    return [
        [counts.vocab[term] for term in best(scores, NUM_TERMS)]
        for scores, _ in class_scores(counts, classes, "main", nothing)
    ]


def vectorizer(min_df: int) -> CountVectorizer:
    words = sorted(stop_words("english").words)
    return CountVectorizer(ngram_range=(1, 2), stop_words=words, token_pattern=WORD, min_df=min_df)


def best_by_bertopic(counts: sparse.csr_matrix, words: np.ndarray) -> list[list[str]]:
    scores = sparse.csr_matrix(ClassTfidfTransformer().fit_transform(counts))
    return [
        words[best(scores[row].toarray()[0], NUM_TERMS)].tolist() for row in range(len(counts.indptr) - 1)
    ]


def bertopic(texts: Sequence[str], classes: np.ndarray) -> list[list[str]]:
    of_class: list[list[str]] = [[] for _ in range(classes.shape[1])]
    for text, label in zip(texts, classes.argmax(axis=1).tolist(), strict=True):
        of_class[label].append(text)
    counter = vectorizer(1)
    counts = sparse.csr_matrix(counter.fit_transform([" ".join(joined) for joined in of_class]))
    return best_by_bertopic(counts, counter.get_feature_names_out())


def bertopic_by_document(texts: Sequence[str], classes: np.ndarray) -> list[list[str]]:
    counter = vectorizer(MIN_DF)
    counts = counter.fit_transform(texts)
    by_class = sparse.csr_matrix(sparse.csr_matrix(classes, dtype=np.int64).T @ counts)
    return best_by_bertopic(by_class, counter.get_feature_names_out())


SIDES: dict[str, Callable[[Sequence[str], np.ndarray], list[list[str]]]] = {
    "topiclab": ours,
    "bertopic": bertopic,
    "bertopic by document": bertopic_by_document,
}


def overlap(one: list[list[str]], other: list[list[str]]) -> float:
    """Mean share of the terms that two lists of a class have in common."""
    shares = [len(set(a) & set(b)) / len(a) for a, b in zip(one, other, strict=True) if a]
    return float(np.mean(shares))


def main(num: int, rounds: int) -> int:
    corpus, classes = documents(num)
    print(f"{corpus.num_docs} documents, {classes.shape[1]} classes; load {os.getloadavg()[0]:.1f} before")
    reports: dict[str, list[Meter]] = {name: [] for name in SIDES}
    found: dict[str, list[list[str]]] = {}
    for _ in range(rounds):
        for name, side in SIDES.items():
            with Meter() as meter:
                found[name] = side(corpus.texts, classes)
            reports[name].append(meter)
            print(
                f"{name:<22}{meter.wall_seconds:7.1f} s{meter.cpu_seconds:7.1f} s of CPU"
                f"{meter.peak_mb:7.0f} MB",
                flush=True,
            )
    print(f"load {os.getloadavg()[0]:.1f} after")
    cpu = {name: median(meter.cpu_seconds for meter in meters) for name, meters in reports.items()}
    terms = ours_with_repetitions(corpus.texts, classes)
    for name in list(SIDES)[1:]:
        print(f"{name}: {cpu[name] / cpu['topiclab']:.2f} times our CPU time")
        print(f"{name}: {overlap(terms, found[name]):.1%} of our ten best terms of a class")
    speedup = min(cpu[name] for name in list(SIDES)[1:]) / cpu["topiclab"]
    same = overlap(terms, found["bertopic by document"])
    print(
        f"{speedup:.2f}x the quicker (at least {MIN_SPEEDUP}); "
        f"same terms {same:.1%} (at least {MIN_OVERLAP:.0%})"
    )
    return int(not (speedup >= MIN_SPEEDUP and same >= MIN_OVERLAP))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=48_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    sys.exit(main(options.documents, options.rounds))
