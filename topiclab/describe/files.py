"""Files of a description folder, read by the report and the page; missing values are null, never NaN."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from topiclab.atomic import atomic_file
from topiclab.data.corpus import Corpus
from topiclab.describe.labels import SEPARATOR
from topiclab.describe.representatives import Representatives
from topiclab.describe.terms import Terms
from topiclab.describe.time import LEVEL, TopicTimes, Trend
from topiclab.describe.tree import Tree
from topiclab.report.description import TopicRecord
from topiclab.result import TopicResult

SNIPPET = 200  # characters


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON atomically; numpy numbers become Python numbers, NaN and infinities null."""
    text = json.dumps(_plain(content), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    with atomic_file(path) as stream:
        stream.write(text.encode("utf-8", "replace"))


def write_documents(
    path: Path, corpus: Corpus, titles: Sequence[str], theta: np.ndarray, coordinates: np.ndarray
) -> None:
    """Write documents.parquet: one row per document, in the order of the corpus.

    titles: D strings.  theta: (D, K).  coordinates: (D, 2).
    """
    import pyarrow
    from pyarrow import parquet

    main = theta.argmax(axis=1)
    columns = {
        "id": pyarrow.array(corpus.ids, pyarrow.string()),
        "title": pyarrow.array(titles, pyarrow.string()),
        "snippet": pyarrow.array(map(snippet, corpus.texts, titles), pyarrow.string()),
        "topic": pyarrow.array(main.astype(np.int32)),
        "strength": pyarrow.array(theta[np.arange(len(theta)), main].astype(np.float32)),
        "x": pyarrow.array(coordinates[:, 0].astype(np.float32)),
        "y": pyarrow.array(coordinates[:, 1].astype(np.float32)),
        "label": pyarrow.array(_label_names(corpus), pyarrow.string()),
        "date": pyarrow.array(_dates(corpus), pyarrow.date32()),
    }
    with atomic_file(path) as stream:
        parquet.write_table(pyarrow.table(columns), stream, compression="zstd")


def snippet(text: str, title: str) -> str:
    """Return about SNIPPET characters of a text after its title, in whole words."""
    start = len(title) if title and text.startswith(title) else 0
    rest = " ".join(text[start : start + 3 * SNIPPET].split()).lstrip(".:;,!? ")
    if len(rest) <= SNIPPET:
        return rest
    cut = rest.rfind(" ", SNIPPET // 2, SNIPPET)
    return rest[: cut if cut > 0 else SNIPPET] + "…"


def topics_content(
    result: TopicResult,
    terms: Terms,
    labels: Sequence[str],
    chosen: Representatives,
    corpus: Corpus,
    titles: Sequence[str],
    trends: Sequence[Trend],
) -> dict[str, Any]:
    """Return the content of topics.json; trends: of the K topics, empty without dates."""
    sizes = np.bincount(result.theta.argmax(axis=1), minlength=result.num_topics)
    shares, words = result.theta.mean(axis=0, dtype=np.float64), result.topic_words(10)

    def documents(rows: np.ndarray, similarities: np.ndarray) -> list[dict[str, Any]]:
        found = [(int(row), float(value)) for row, value in zip(rows, similarities, strict=True) if row >= 0]
        return [
            {"row": row, "id": corpus.ids[row], "title": titles[row], "similarity": value}
            for row, value in found
        ]

    topics = [
        {
            "topic": topic,
            "label": label,
            "keyword": label.partition(SEPARATOR)[0],
            "size": sizes[topic],
            "share": shares[topic],
            "words": words[topic],
            "terms": list(zip(terms.terms[topic], terms.scores[topic], strict=True)),
            "representatives": documents(chosen.nearest[topic], chosen.nearest_similarity[topic]),
            "diverse": documents(chosen.diverse[topic], chosen.diverse_similarity[topic]),
            "trend": trends[topic].slope if trends else None,
        }
        for topic, label in enumerate(labels)
    ]
    return {
        "num_topics": result.num_topics,
        "num_docs": corpus.num_docs,
        "topics": topics,
        "domain_words": terms.domain_words,
    }


def write_labels(path: Path, topics: Sequence[TopicRecord]) -> None:
    """Write labels.txt of the topics of topics.json: one line per topic, the largest first."""
    lines = [
        f"{topic['topic']:3d}  {topic['size']:6d}  {topic['share']:6.1%}  {topic['label']}"
        f" | {', '.join(term for term, _ in topic['terms'])}"
        for topic in sorted(topics, key=lambda topic: -topic["share"])
    ]
    with atomic_file(path) as stream:
        stream.write(
            ("\n".join(["topic  size   share  label | terms", *lines]) + "\n").encode("utf-8", "replace")
        )


def tree_content(tree: Tree) -> dict[str, Any]:
    """Return the content of tree.json: merges as scipy's linkage rows [node, node, height, topics]."""
    merges = [[int(left), int(right), height, int(size)] for left, right, height, size in tree.merges]
    return {"merges": merges, "order": tree.order, "distance": tree.distance}


def time_content(times: TopicTimes) -> dict[str, Any]:
    """Return the content of time.json: lists over topics of lists over periods."""
    trends = [
        {"topic": trend.topic, "slope": trend.slope, "low": trend.low, "high": trend.high, "kind": trend.kind}
        for trend in times.trends
    ]
    return {
        "unit": times.unit,
        "periods": times.periods,
        "totals": times.totals,
        "counts": times.counts,
        "shares": times.shares,
        "low": times.low,
        "high": times.high,
        "level": LEVEL,
        "terms": times.terms,
        "words": times.words,
        "trends": trends,
        "undated": times.undated,
        "outside": times.outside,
    }


def _label_names(corpus: Corpus) -> list[str | None]:
    if corpus.labels is None:
        return [None] * corpus.num_docs
    return [corpus.label_names[label] if label >= 0 else None for label in corpus.labels.tolist()]


def _dates(corpus: Corpus) -> np.ndarray | list[None]:
    if corpus.timestamps is None:
        return [None] * corpus.num_docs
    return corpus.timestamps.astype("datetime64[D]")


def _plain(value: Any) -> Any:
    """Convert a value to types that json accepts."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
