"""data=arxiv on small snapshots: records kept, records counted, and the loss from a broken file."""

import gzip
import json
import subprocess
import sys

import numpy as np
import pytest
import zstandard

from topiclab.api.topics import compose
from topiclab.data.sources import arxiv, json_lines
from topiclab.data.sources.corpora import _load, load_corpus
from topiclab.data.sources.latex import plain_text

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
        (
            r"8$\times$8 images, $>$25\% of \(m\)-class, $50,000 to $500",
            "8×8 images, >25% of m-class, $50,000 to $500",
        ),
        (r"shown \cite{a,b} by \href{http://x}{us} \tau", "shown by us tau"),
    ],
)
def test_latex_becomes_text(latex, plain):
    assert plain_text(latex) == plain


def test_what_is_missing_or_short_is_counted(tmp_path):
    odd = [
        record(100, abstract=None),
        record(101, abstract="  \n"),
        record(102, abstract="Withdrawn."),
        record(103, categories=None),
        record(104, title=None),
        record(105, update_date="2021-13-40"),
        record(106, id=None),
        record(107, id="x" * 33),
        record(108, categories="68T45, 62H30"),
    ]
    corpus = load(write(tmp_path / "a.jsonl", [*map(record, range(20)), *odd]))
    assert counts(corpus) == {
        **{"read": 29, "kept": 24, "without_abstract": 2, "short": 1, "without_id": 2},
        **{"without_categories": 2, "without_title": 1, "without_date": 1},
    }
    row = corpus.ids.index("2101.00104")
    assert corpus.texts[row].startswith("We study")
    assert corpus.labels[corpus.ids.index("2101.00108")] == -1
    assert str(corpus.timestamps[corpus.ids.index("2101.00105")]) == "NaT"


def test_the_last_version_of_an_id_is_kept(tmp_path):
    last = record(3, title="Final", categories="math.CO")
    path = write(tmp_path / "a.jsonl", [*map(record, range(10)), record(3, title="Second"), last])
    corpus = load(path)
    assert [
        text.split(".")[0]
        for text, name in zip(corpus.texts, corpus.ids, strict=True)
        if name == "2101.00003"
    ] == ["Final"]
    assert counts(corpus) == {"read": 12, "kept": 10, "superseded": 2}
    assert "2101.00003" not in load(path, "data.categories=[cs]").ids  # nor an earlier version in its place


def test_filters(tmp_path):
    records = [
        *(record(number) for number in range(4)),
        *(record(number, categories="stat.ML cs.LG", update_date="2019-01-01") for number in range(4, 10)),
        *(record(number, categories="astro-ph.GA") for number in range(10, 13)),
        *(record(number, categories="cs.AI") for number in range(13, 15)),
    ]
    path = write(tmp_path / "a.jsonl", records)
    kept = {
        "data.categories=[cs.LG]": 4,
        "data.categories=[cs]": 6,
        "data.categories=[cs,astro-ph]": 9,
        "data.categories=[cs.L]": 0,
        "data.categories=[cs.LG] data.match=any": 10,
        "data.years=[2018,2020]": 6,
        "data.years=[2021,2022] data.categories=[astro-ph.GA]": 3,
    }
    for overrides, number in kept.items():
        if number:
            assert load(path, *overrides.split()).num_docs == number, overrides
            continue
        with pytest.raises(ValueError, match=r"none of 15 records .*15 outside data.categories=\['cs.L'\]"):
            load(path, *overrides.split())
    assert load(path, "data.label=archive").label_names == ("astro-ph", "cs", "stat")
    for faulty in ("data.categories=['cs LG']", "data.years=[2022,2021]"):
        with pytest.raises(ValueError, match=faulty.partition("=")[0]):
            load(path, faulty)


def test_samples_are_nested_and_those_of_other_sources(tmp_path):
    path = write(tmp_path / "a.jsonl", map(record, range(60)))
    small, large = (load(path, f"data.sample={size}") for size in (10, 30))
    assert len(small.ids) == 10
    assert set(small.ids) < set(large.ids)
    file = ["data=file", f"data.path={path}", "data.text_column=abstract", "data.id_column=id"]
    other = load_corpus(compose([*file, "data.sample=10", "data.vocabulary.max_df=1.0"])["data"])
    assert small.ids == other.ids
    assert load(path, "data.sample=10", "data.sample_seed=1").ids != small.ids


def test_broken_lines_are_named_and_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(json_lines, "BLOCK_BYTES", 1000)
    lines = [json.dumps(record(number)).encode() for number in range(20)]
    lines[4] = b'{"id": "2101.00004", "title": '
    lines[7] = b"[1, 2]"
    lines[9] = json.dumps(record(9, title=7)).encode()
    lines[12] = b""
    lines[15] = json.dumps(record(15, title="\udc00")).encode()
    lines[16] = b"[" * 200_000
    lines[18] = lines[18] + lines[19]  # two records in one line
    corpus = load(write(tmp_path / "a.jsonl", lines))
    assert counts(corpus) == {"read": 19, "kept": 13, "broken": 6}
    assert [line for line, _ in corpus.info["snapshot"]["broken_lines"]] == [5, 8, 10, 16, 17, 19]
    assert "title is a int" in corpus.info["snapshot"]["broken_lines"][2][1]
    with pytest.raises(ValueError, match=r"none of 2 records .*2 broken, the first in line 1 "):
        load(write(tmp_path / "b.jsonl", [b"no", b"json"]))


def test_mixed_encodings(tmp_path):
    lines = [json.dumps(record(number, title="Gödel"), ensure_ascii=False).encode() for number in range(5)]
    lines.append(json.dumps(record(9, title="Möbius – bands"), ensure_ascii=False).encode("cp1252"))
    lines[0] = b"\xef\xbb\xbf" + lines[0]
    corpus = load(write(tmp_path / "a.jsonl", lines))
    assert counts(corpus) == {"read": 6, "kept": 6, "other_encoding": 1}
    assert corpus.texts[0].startswith("Gödel. ")
    assert corpus.texts[5].startswith("Möbius – bands. ")


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_truncated_file_gives_what_is_there(tmp_path, suffix, caplog):
    rng = np.random.default_rng(0)
    records = [record(number, authors=rng.bytes(300).hex()) for number in range(3000)]
    path = write(tmp_path / f"a.jsonl{suffix}", records)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    corpus = load(path)
    assert 1000 < corpus.num_docs < 2000
    assert list(corpus.ids) == [f"2101.{number:05d}" for number in range(corpus.num_docs)]
    assert "truncated" in corpus.info["snapshot"]["fault"]
    assert "truncated" in caplog.text
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"no record in the file and it is (damaged|truncated)"):
        load(path)


def test_blocks_change_nothing(tmp_path, monkeypatch):
    path = write(tmp_path / "a.jsonl", [*map(record, range(50)), *map(record, range(0, 50, 3)), b"{", b""])
    whole = load(path)
    monkeypatch.setattr(json_lines, "BLOCK_BYTES", 700)
    _load.cache_clear()
    parts = load(path)
    assert parts.fingerprint == whole.fingerprint
    assert parts.ids == whole.ids
    assert parts.info == whole.info


def test_the_two_ways_to_parse_agree():
    lines = [json.dumps(record(n, title=f'a\\u00e9\n\t"{n}\\ é\U0001f600')) for n in range(20)]
    fast = json_lines.parse_block("\n".join(lines).encode(), arxiv.COLUMNS)
    slow = json_lines.parse_block("\n".join([*lines, "{"]).encode(), arxiv.COLUMNS)
    assert fast.table.equals(slow.table)
    assert (fast.broken, [line for line, _ in slow.broken]) == ([], [21])


def test_a_killed_fill_resumes(tmp_path, monkeypatch):
    monkeypatch.setattr(json_lines, "BLOCK_BYTES", 2000)
    path = write(tmp_path / "a.jsonl", map(record, range(60)))
    whole, written, write_block = load(path), [], arxiv._write_block
    _load.cache_clear()

    def failing(number, block, *rest):
        if number == 5 and 5 not in written:
            written.append(number)
            raise KeyboardInterrupt
        written.append(number)
        write_block(number, block, *rest)

    monkeypatch.setattr(arxiv, "_write_block", failing)
    with pytest.raises(KeyboardInterrupt):
        load(path, cache=tmp_path / "cache")
    corpus = load(path, cache=tmp_path / "cache")
    assert corpus.fingerprint == whole.fingerprint
    assert written.count(0) == 1
    assert written.count(5) == 2
    _load.cache_clear()
    before = len(written)
    assert load(path, cache=tmp_path / "cache").info == corpus.info
    assert len(written) == before
    (entry,) = (folder for folder in (tmp_path / "cache" / "arxiv").iterdir() if folder.is_dir())
    assert {file.suffix for file in entry.iterdir()} == {".parquet", ".json"}


MEASURE = """
import sys, tempfile
from pathlib import Path
from topiclab.data.sources.arxiv import Choice, stream_snapshot
with tempfile.TemporaryDirectory() as folder:
    stream_snapshot(Path(sys.argv[1]), Path(folder), Choice(None, "primary", None, None, 0), False)
lines = Path("/proc/self/status").read_text().splitlines()
print(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_with_the_file(tmp_path):
    peaks = []
    for copies in (10, 40):
        path = tmp_path / f"{copies}.jsonl"
        with path.open("w") as stream:
            for copy in range(copies):
                stream.writelines(
                    json.dumps(record(n, id=f"{copy}/{n}", abstract=ABSTRACT * 12)) + "\n"
                    for n in range(1500)
                )
        ran = subprocess.run(
            [sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True
        )
        peaks.append(int(ran.stdout) / 1024)
    assert max(peaks) < 500
    assert peaks[1] < 1.15 * peaks[0]
