"""Choice of the number of topics: cached k-means of document vectors, several seeds per candidate."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from tqdm import tqdm

from topiclab.cache import Cache, Entry
from topiclab.data.corpus import Corpus
from topiclab.embed.embedder import Embeddings
from topiclab.metrics import clustering, coherence
from topiclab.metrics.cooccurrence import Cooccurrence, cooccurrence
from topiclab.metrics.diversity import topic_diversity
from topiclab.metrics.num_topics import CRITERIA, Candidates, Recommendation, recommend
from topiclab.metrics.undefined import UndefinedMetric
from topiclab.models.kmeans import cluster_words
from topiclab.nn.lloyd import lloyd
from topiclab.nn.silhouette import silhouette
from topiclab.result import rank_words
from topiclab.settings import SelectK

log = logging.getLogger(__name__)

KIND, VERSION = "clusterings", 1
Pair = tuple[int, int]  # candidate and seed
TOP_WORDS = 10
MIN_SHARE = 2  # documents per topic on average


@dataclass(frozen=True, eq=False)
class Choice:
    """A comparison of candidates and its recommendation; num_docs: number of documents clustered."""

    candidates: Candidates
    recommendation: Recommendation
    num_docs: int

    def facts(self) -> dict[str, Any]:
        """Facts for a manifest: the number, the reason, and the criteria of every candidate."""
        found, compared = self.recommendation, self.candidates
        columns = {"num_topics": compared.num_topics, "mean_rank": found.mean_ranks, **compared.values}
        return {
            "num_topics": found.num_topics,
            "reason": found.reason,
            "elbow": found.elbow,
            "best": dict(found.best),
            "dissent": list(found.dissent),
            "documents": self.num_docs,
            "candidates": {name: column.tolist() for name, column in columns.items()},
        }


def choose_num_topics(options: SelectK, corpus: Corpus, embeddings: Embeddings, cache: Path) -> Choice:
    """Recommend one of options.candidates for the training documents of a corpus.

    Each clustering of a candidate and a seed is a cache entry, so that a killed run resumes and all models
    over the same vectors share the work. Held-out documents are not clustered, but word co-occurrences are
    counted over the windows of all documents, as for the metric npmi.
    Raises ValueError if the corpus is too small for a candidate.
    """
    rows = sampled_rows(corpus, options.sample, options.seed)
    numbers = sorted(options.candidates)
    check_candidates(numbers, len(rows), corpus.name)
    entries = _clusterings(options, corpus, embeddings, rows, Cache(Path(cache)))
    found = {pair: entry.arrays() for pair, entry in entries.items()}
    topics = {
        pair: [[corpus.vocab[word] for word in words] for words in arrays["top_words"]]
        for pair, arrays in found.items()
    }
    said = {word for lists in topics.values() for words in lists for word in words}
    counts = cooccurrence(corpus, coherence.WINDOWS["npmi"], words=said, cache_root=cache)
    candidates = _compared(numbers, found, topics, counts)
    return Choice(candidates, recommend(candidates), len(rows))


def _compared(
    numbers: Sequence[int],
    found: Mapping[Pair, Mapping[str, np.ndarray]],
    topics: Mapping[Pair, Sequence[Sequence[str]]],
    counts: Cooccurrence,
) -> Candidates:
    """Stability over the seeds; all else of the clustering of least inertia, the one to keep.

    A mean over seeds would also count starts that missed true clusters, which is rarer with a few clusters
    too many: with the mean, 4 of 5 planted corpora had a candidate above the true number.
    """
    values: dict[str, list[float]] = {name: [] for name in (*CRITERIA, "inertia")}
    stds: dict[str, list[float]] = {name: [] for name in values}
    for number in numbers:
        pairs = sorted(pair for pair in found if pair[0] == number)
        kept = int(np.argmin([found[pair]["inertia"][0] for pair in pairs]))
        for name in values:
            if name == "stability":
                each = _stabilities([found[pair]["labels"] for pair in pairs])
                values[name].append(float(np.mean(each)))
            else:
                each = [_measure(name, found[pair], topics[pair], counts) for pair in pairs]
                values[name].append(each[kept])
            stds[name].append(float(np.std(each, ddof=1)) if len(each) > 1 else 0.0)
    columns = ({name: np.array(column) for name, column in table.items()} for table in (values, stds))
    return Candidates(np.array(numbers), *columns)


def sampled_rows(corpus: Corpus, sample: int | None, seed: int) -> np.ndarray:
    """Rows of at most `sample` training documents, ascending; None: of all."""
    rows = corpus.rows("train")
    if sample is None or sample >= len(rows):
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, sample, replace=False))


def check_candidates(numbers: Sequence[int], num_docs: int, name: str) -> None:
    """Raise ValueError if a candidate leaves fewer than MIN_SHARE documents per topic."""
    most = num_docs // MIN_SHARE
    if numbers[-1] <= most:
        return
    fitting = sorted({number for number in numbers if number <= most} | {max(most // 2, 2), most})
    way_out = (
        f"use select_k.candidates=[{','.join(map(str, fitting))}], or give more documents"
        if most > 2
        else "give more documents, or num_topics=<number>"
    )
    raise ValueError(
        f"select_k.candidates holds {numbers[-1]}, but {num_docs} training documents of {name} are clustered "
        f"and every topic needs {MIN_SHARE}; {way_out}"
    )


def _clusterings(
    options: SelectK, corpus: Corpus, embeddings: Embeddings, rows: np.ndarray, cache: Cache
) -> dict[Pair, Entry]:
    """The entry of every (candidate, seed): labels (N,), top_words (K, 10), inertia and silhouette (1,)."""
    shared = {
        "vectors": embeddings.key,
        "corpus": corpus.fingerprint,
        "rows": hashlib.sha256(rows.tobytes()).hexdigest(),
        "silhouette_sample": options.silhouette_sample,
        "silhouette_seed": options.seed,
        "max_iter": options.max_iter,
        "version": VERSION,
    }
    seeds = range(options.seed, options.seed + options.num_seeds)
    keys = {
        (number, seed): {**shared, "num_topics": number, "seed": seed}
        for number in sorted(options.candidates)
        for seed in seeds
    }
    entries = {pair: entry for pair, key in keys.items() if (entry := cache.read(KIND, key)) is not None}
    missing = keys.keys() - entries.keys()
    if not missing:
        return entries
    vectors, bow = np.asarray(embeddings.vectors[rows], dtype=np.float32), corpus.bow[rows]
    # the bar counts clusters, as time grows with them: its estimate holds from the first candidate on
    with tqdm(
        total=sum(number for number, _ in missing), unit="clusters", desc="select_k", disable=None
    ) as bar:
        for pair in sorted(missing):
            bar.set_postfix_str(f"K={pair[0]}")
            entries[pair] = cache.array_entry(
                KIND, keys[pair], lambda pair=pair: clustered(vectors, bow, *pair, options)
            )
            bar.update(pair[0])
    return entries


def clustered(
    vectors: np.ndarray, bow: sparse.csr_matrix, num_topics: int, seed: int, options: SelectK
) -> dict[str, np.ndarray]:
    """One clustering of unit-length vectors (N, E) and its measures; see `_clusterings`."""
    clusters = lloyd(vectors, num_topics, seed=seed, spherical=True, max_iter=options.max_iter)
    labels, sample = clusters.labels, options.silhouette_sample
    try:
        width, _ = silhouette(vectors, labels, sample=sample, seed=options.seed, is_cosine=True)
    except ValueError:
        width = float("nan")
    members = np.zeros((len(labels), num_topics), dtype=np.float32)
    members[np.arange(len(labels)), labels] = 1
    return {
        "labels": labels,
        "top_words": rank_words(cluster_words(members, bow), TOP_WORDS),
        "inertia": np.array([clusters.inertia]),
        "silhouette": np.array([width]),
    }


def _measure(
    name: str, arrays: Mapping[str, np.ndarray], topics: Sequence[Sequence[str]], counts: Cooccurrence
) -> float:
    if name == "diversity":
        return topic_diversity(topics)
    if name == "npmi":
        try:
            return float(coherence.npmi(topics, counts).mean())
        except UndefinedMetric:
            return float("nan")
    return float(arrays[name][0])


def _stabilities(labels: Sequence[np.ndarray]) -> list[float]:
    """Adjusted Rand index of every pair of seeds; nan for a clustering of one cluster."""
    try:
        return [clustering.adjusted_rand_index(*pair) for pair in combinations(labels, 2)]
    except UndefinedMetric:
        return [float("nan")]
