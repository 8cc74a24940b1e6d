"""data=arxiv on small snapshots: what is kept, what is counted, and what a broken file costs."""

import gzip
import json

import pytest
import zstandard

from topiclab.api import compose
from topiclab.data.latex import plain_text
from topiclab.data.sources import load_corpus

ABSTRACT = "We study the spectral gap of random walks on graphs and prove a bound that is tight."


def record(number, **fields):
    abstract = f"{ABSTRACT} Result {number}, word{'abcdefghij'[number % 10]}."
    given = {"id": f"2101.{number:05d}", "title": f"Paper {number}", "abstract": abstract}
    return {**given, "categories": "cs.LG stat.ML", "update_date": "2021-03-04", "authors": "A", **fields}


def write(path, records):
    lines = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in records]
    data = b"\n".join(lines) + b"\n"
    packed = {".gz": gzip.compress, ".zst": zstandard.compress}.get(path.suffix, bytes)(data)
    path.write_bytes(packed)
    return path


def load(path, *overrides, cache=None):
    data = compose(["data=arxiv", f"data.path={path}", "data.vocabulary.max_df=1.0", *overrides])["data"]
    return load_corpus(data, cache=cache)


def counts(corpus):
    return {name: count for name, count in corpus.info["snapshot"]["counts"].items() if count}


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".jsonl.gz", ".jsonl.zst"])
def test_a_snapshot_is_a_corpus(tmp_path, suffix):
    corpus = load(write(tmp_path / f"snapshot{suffix}", map(record, range(30))))
    assert corpus.num_docs == 30
    assert corpus.texts[3] == f"Paper 3. {ABSTRACT} Result 3, wordd."
    assert corpus.ids[3] == "2101.00003"
    assert str(corpus.timestamps[3]) == "2021-03-04T00:00:00"
    assert corpus.label_names == ("cs.LG",)
    assert counts(corpus) == {"read": 30, "kept": 30}


@pytest.mark.parametrize(
    ("latex", "plain"),
    [
        (r"\emph{deep} {\em nets} \textbf{a \textit{b}}", "deep nets a b"),
        (r"Erd\H{o}s G\"odel \'{e} na\"{\i}ve \v{s} {\L}ojasiewicz", "Erdős Gödel é naïve š Łojasiewicz"),
        (r"$\alpha x_{i}$-norm in $\mathcal{O}(n\log n)$", "alpha x_i-norm in O(n log n)"),
        (r"costs $5 and $6, 10\% of~it ~10", "costs $5 and $6, 10% of it ~10"),
        (r"shown \cite{a,b} by \href{http://x}{us} \tau", "shown by us tau"),
    ],
)
def test_latex_becomes_text(latex, plain):
    assert plain_text(latex) == plain
