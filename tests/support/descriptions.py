"""Made-up description folders as task=describe writes them: topics are blobs on a map."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import parquet

WORDS = ("ocean", "stellar", "protein", "market", "grammar", "engine", "forest", "climate", "neuron", "orbit")
NASTY = (
    "</script><script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 2'>",
    'Line\u2028and paragraph\u2029separators & "quotes" %script% %data%',
    "\u202eright to left\u202c and a nul-like \u0001 sign",
)


def write_folder(
    folder: Path,
    num_docs: int = 240,
    num_topics: int = 4,
    *,
    is_dated: bool = True,
    has_labels: bool = True,
    has_tree: bool = True,
) -> Path:
    """Write a folder with topics at the corners of a ring; the first documents have titles with markup."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    topic = np.arange(num_docs) % num_topics
    angle = 2 * np.pi * topic / num_topics
    places = np.stack([np.cos(angle), np.sin(angle)], axis=1) * 5 + rng.normal(0, 0.5, (num_docs, 2))
    titles = [f"On the {WORDS[t % len(WORDS)]} of study number {row}" for row, t in enumerate(topic.tolist())]
    titles[: len(NASTY)] = NASTY[:num_docs]
    start = datetime.date(2020, 1, 1)
    dates = [start + datetime.timedelta(days=30 * (row % 24)) for row in range(num_docs)]
    columns = {
        "id": pyarrow.array([f"doc.{row:05d}" for row in range(num_docs)]),
        "title": pyarrow.array(titles, pyarrow.string()),
        "snippet": pyarrow.array([f"We study <b>{title}</b>, {rng.bytes(70).hex()}" for title in titles]),
        "topic": pyarrow.array(topic.astype(np.int32)),
        "strength": pyarrow.array(rng.uniform(0.3, 1, num_docs).astype(np.float32)),
        "x": pyarrow.array(places[:, 0].astype(np.float32)),
        "y": pyarrow.array(places[:, 1].astype(np.float32)),
        "label": pyarrow.array(
            [("even", "odd", None)[row % 3] if has_labels else None for row in range(num_docs)],
            pyarrow.string(),
        ),
        "date": pyarrow.array(dates if is_dated else [None] * num_docs, pyarrow.date32()),
    }
    parquet.write_table(pyarrow.table(columns), folder / "documents.parquet")
    topics = [_topic(number, topic, titles) for number in range(num_topics)]
    told = {"num_topics": num_topics, "num_docs": num_docs, "topics": topics, "domain_words": ["study"]}
    (folder / "topics.json").write_text(json.dumps(told))
    if has_tree:
        merges = [
            [0 if at == 0 else num_topics + at - 1, at + 1, at + 1.0, at + 2] for at in range(num_topics - 1)
        ]
        tree = {"merges": merges, "order": list(range(num_topics)), "distance": "cosine"}
        (folder / "tree.json").write_text(json.dumps(tree))
    if is_dated:
        (folder / "time.json").write_text(json.dumps(_time(num_topics)))
    return folder


def _topic(number: int, topic: np.ndarray, titles: list[str]) -> dict:
    mine = np.flatnonzero(topic == number)
    word = WORDS[number % len(WORDS)]
    examples = [
        {"row": int(row), "id": f"doc.{row:05d}", "title": titles[row], "similarity": 0.9} for row in mine[:3]
    ]
    return {
        "topic": number,
        "label": f"{word} | {titles[mine[-1]]}",
        "keyword": word,
        "size": len(mine),
        "share": len(mine) / len(topic),
        "words": [f"{word}{at}" for at in range(10)],
        "terms": [[word, 1.0], *([f"{word} term{at}", 0.5 / at] for at in range(1, 10))],
        "representatives": examples,
        "diverse": examples[::-1],
        "trend": 0.01 * number,
    }


def _time(num_topics: int) -> dict:
    periods = [f"2020-{month:02d}" for month in range(1, 13)]
    shares = [[None if at == 5 else 0.2 + 0.01 * at for at in range(12)] for _ in range(num_topics)]
    low, high = ([[None if s is None else s + d for s in row] for row in shares] for d in (-0.05, 0.05))
    return {
        "periods": periods,
        "unit": "month",
        "totals": [10] * 12,
        "counts": [list(range(12))] * num_topics,
        "shares": shares,
        "low": low,
        "high": high,
        "terms": [[["wave", "tide"]] * 12] * num_topics,
        "trends": [
            {"topic": topic, "slope": 0.01, "low": 0.0, "high": 0.02, "kind": "emerging"}
            for topic in range(num_topics)
        ],
    }
