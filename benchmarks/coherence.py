"""NPMI and C_V of 50 topics on 20 Newsgroups: topiclab against gensim's CoherenceModel, one process each.

    python benchmarks/coherence.py [data.vocabulary.size=5000 ...]

Topics are k-means clusters of LSA vectors, ten words each by mean tf-idf. The first cell counts the corpus,
later cells reuse the counts; both are compared with gensim with processes=1, which counts for every cell.
Fresh processes measure the first cell with an empty and a filled numba cache, and with the counts on disk.
Exits with 1 unless the first cell is 20x and a later one 200x as fast in processor time, and the variant that
copies gensim's counts matches its numbers to 1e-9.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from gensim.corpora import Dictionary
from gensim.models.coherencemodel import CoherenceModel
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer

from topiclab.config.compose import compose
from topiclab.data.corpus import Corpus
from topiclab.data.sources.corpora import load_corpus
from topiclab.metrics import coherence
from topiclab.metrics.cooccurrence import cooccurrence

NUM_TOPICS, NUM_WORDS = 50, 10
MIN_FIRST, MIN_LATER, MAX_DIFFERENCE = 20, 200, 1e-9
GENSIM_NAMES = {"npmi": "c_npmi", "c_v": "c_v"}
Topics = list[list[str]]
Cell = dict[str, np.ndarray]


def cluster_words(corpus: Corpus, seed: int) -> Topics:
    tfidf = TfidfTransformer().fit_transform(corpus.bow)
    vectors = TruncatedSVD(NUM_TOPICS, random_state=seed).fit_transform(tfidf)
    clusters = KMeans(NUM_TOPICS, n_init=1, random_state=seed).fit_predict(vectors)
    means = np.array(
        [np.asarray(tfidf[clusters == topic].mean(axis=0)).ravel() for topic in range(NUM_TOPICS)]
    )
    return [[corpus.vocab[word] for word in row] for row in np.argsort(-means, axis=1)[:, :NUM_WORDS]]


def ours(corpus: Corpus, topics: Topics, variant: str = "exact", cache_root: Path | None = None) -> Cell:
    return {
        name: getattr(coherence, name)(
            topics, cooccurrence(corpus, coherence.WINDOWS[name], variant, cache_root=cache_root)
        )
        for name in GENSIM_NAMES
    }


def theirs(texts: list[list[str]], dictionary: Dictionary, topics: Topics) -> Cell:
    models = {
        name: CoherenceModel(
            topics=topics, texts=texts, dictionary=dictionary, coherence=measure, processes=1
        )
        for name, measure in GENSIM_NAMES.items()
    }
    return {name: np.array(model.get_coherence_per_topic()) for name, model in models.items()}


def timed(label: str, call: Callable[[], Cell]) -> tuple[Cell, float]:
    """Return the result and the CPU seconds, which other jobs disturb less; all calls use one thread."""
    wall, processor = time.perf_counter(), time.process_time()
    cell = call()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"{label:<58}{wall:10.4f} s wall {processor:10.4f} s CPU", flush=True)
    return cell, processor


def first_cell(folder: str, label: str, cache: str) -> None:
    """Measure the first cell in a fresh process: --first-cell FOLDER LABEL CACHE."""
    corpus, topics = pickle.loads((Path(folder) / "cell.pickle").read_bytes())
    timed(label, lambda: ours(corpus, topics, cache_root=Path(cache) if cache else None))


def measure_fresh_processes(corpus: Corpus, topics: Topics) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "cell.pickle").write_bytes(pickle.dumps((corpus, topics)))
        for label, cache in (
            ("topiclab, first cell, empty numba cache", ""),
            ("topiclab, first cell, filled numba cache", ""),
            ("topiclab, first cell, counts written to the cache folder", f"{folder}/cache"),
            ("topiclab, first cell, counts read from the cache folder", f"{folder}/cache"),
        ):
            command = [sys.executable, __file__, "--first-cell", folder, label, cache]
            subprocess.run(command, check=True, env={**os.environ, "NUMBA_CACHE_DIR": f"{folder}/numba"})


def main(overrides: list[str]) -> int:
    corpus = load_corpus(compose(["data=20newsgroups", *overrides])["data"])
    topics, later_topics = cluster_words(corpus, seed=0), cluster_words(corpus, seed=1)
    print(
        f"{corpus.num_docs} documents, {len(corpus.token_ids)} tokens, {corpus.num_words} words", flush=True
    )

    measure_fresh_processes(corpus, topics)
    _, seconds_first = timed("topiclab, first cell, this process", lambda: ours(corpus, topics))
    _, seconds_later = timed("topiclab, later cell, this process", lambda: ours(corpus, later_topics))
    replica, _ = timed("topiclab, gensim variant, first cell", lambda: ours(corpus, topics, "gensim"))
    words = [corpus.vocab[word] if word >= 0 else "<other>" for word in corpus.token_ids]
    texts = [words[begin:end] for begin, end in pairwise(corpus.token_offsets)]
    dictionary = Dictionary([*texts, list(corpus.vocab)])
    reference, seconds_gensim = timed("gensim, every cell", lambda: theirs(texts, dictionary, topics))

    difference = max(np.abs(replica[name] - reference[name]).max() for name in GENSIM_NAMES)
    first, later = seconds_gensim / seconds_first, seconds_gensim / seconds_later
    print(f"processor time of gensim over ours: first cell {first:.0f} (at least {MIN_FIRST})")
    print(f"processor time of gensim over ours: later cell {later:.0f} (at least {MIN_LATER})")
    print(f"largest difference of the gensim variant {difference:.1e} (at most {MAX_DIFFERENCE:.0e})")
    return int(not (first >= MIN_FIRST and later >= MIN_LATER and difference <= MAX_DIFFERENCE))


if __name__ == "__main__":
    warnings.simplefilter("ignore", FutureWarning)
    if sys.argv[1:2] == ["--first-cell"]:
        first_cell(*sys.argv[2:])
    else:
        sys.exit(main(sys.argv[1:]))
