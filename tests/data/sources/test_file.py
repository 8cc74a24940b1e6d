"""Files of documents: round trips through every format, and every way a file can be wrong."""

import csv
import gzip
import io
import json
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from topiclab.data.documents import Document
from topiclab.data.sources.file import read_documents, read_records

# Text without surrogates; CSV keeps every other character, line breaks and quotes included.
TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
RECORDS = st.lists(st.fixed_dictionaries({"body": TEXT, "class": TEXT, "key": TEXT}), min_size=1, max_size=8)
SUFFIXES = [".csv", ".tsv", ".csv.gz", ".csv.zst", ".jsonl", ".ndjson", ".jsonl.gz", ".jsonl.zst", ".parquet"]


def pack(suffix: str, content: bytes) -> bytes:
    if suffix.endswith(".gz"):
        return gzip.compress(content)
    return zstandard.compress(content) if suffix.endswith(".zst") else content


def without_place(documents: Iterable[Document]) -> list[Document]:
    return [document._replace(origin=None, number=None) for document in documents]


def write(path: Path, records: list[dict[str, str]], suffix: str) -> None:
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
        return
    if "json" in suffix or "nd" in suffix:
        content = "\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    else:
        buffer = io.StringIO(newline="")
        writer = csv.DictWriter(buffer, list(records[0]), delimiter="\t" if "tsv" in suffix else ",")
        writer.writeheader()
        writer.writerows(records)
        content = buffer.getvalue()
    path.write_bytes(pack(suffix, content.encode()))


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=RECORDS)
def test_every_format_gives_back_what_was_written(
    tmp_path: Path, suffix: str, records: list[dict[str, str]]
) -> None:
    path = tmp_path / f"corpus{suffix}"
    write(path, records, suffix)
    expected = [Document(record["body"], label=record["class"]) for record in records]
    assert without_place(read_documents(path, "body", "class")) == expected


def test_zst_of_several_frames_is_read_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl.zst"
    path.write_bytes(
        b"".join(zstandard.compress(json.dumps({"text": str(i)}).encode() + b"\n") for i in range(3))
    )
    assert [document.text for document in read_documents(path, "text")] == ["0", "1", "2"]


def test_lines_of_a_text_file_are_documents(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_bytes("\ufefferste\r\nzweite, \u00fc\n\ndritte".encode())
    assert [document.text for document in read_documents(path, "text")] == [
        "erste",
        "zweite, ü",
        "",
        "dritte",
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    path = tmp_path / "excel.csv"
    path.write_bytes("\ufefftext,label\r\nGrüße,a\r\n".encode())
    assert without_place(read_documents(path, "text", "label")) == [Document("Grüße", label="a")]


def test_other_encodings_are_read_when_named(tmp_path: Path) -> None:
    path = tmp_path / "corpus.csv"
    for encoding in ("latin-1", "utf-16"):
        path.write_bytes("text\nGrüße\n".encode(encoding))
        assert [document.text for document in read_documents(path, "text", encoding=encoding)] == ["Grüße"]


def test_a_document_of_a_megabyte_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    write(path, [{"text": "word " * 250_000}], ".csv")
    assert len(next(read_documents(path, "text")).text) == 1_250_000


@pytest.mark.parametrize("suffix", [".csv", ".jsonl.zst", ".parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"corpus{suffix}"
    write(path, [{"text": f"{i} " * 500} for i in range(8000)], suffix)
    next(read_documents(path, "text"))  # so that memory of imports is not counted
    tracemalloc.start()
    characters = sum(len(document.text) for document in read_documents(path, "text"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert characters > 19_000_000
    assert peak < 7_000_000


def test_values_that_are_not_strings(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    rows = [
        {"text": 12, "id": 1},
        {"text": None, "id": 2, "y": 3},
        {"id": 3},
        {"text": "a", "id": 4, "y": None},
    ]
    path.write_text("\n\n".join(map(json.dumps, rows)))
    documents = list(read_documents(path, "text", "y", "id"))
    assert [document.place for document in documents] == [f"{path}, line {line}" for line in (1, 3, 5, 7)]
    assert without_place(documents) == [
        Document("12", "1", None),
        Document("", "2", 3),
        Document("", "3", None),
        Document("a", "4", None),
    ]


def test_parquet_nulls_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "corpus.parquet"
    pq.write_table(pa.table({"text": ["a", None], "y": [None, 2.0]}), path)
    documents = without_place(read_documents(path, "text", "y"))
    assert documents == [Document("a", label=None), Document("", label=2.0)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "the file is empty"),
        ("a.parquet", b"", "the file is empty"),
        ("a.jsonl", b"\n \n", "no record in the file"),
        ("a.docx", b"x", r"a \.docx is one document, but a corpus has many; give the folder"),
        ("a.odt", b"x", r"suffix \.odt is not known; use \.csv"),
        ("a.parquet.gz", b"x", r"suffix \.gz is not known"),
        ("a", b"x", r"suffix \(none\) is not known"),
        (
            "a.csv",
            b"id,texts,label\n1,a,b\n",
            "no column text, the columns are id, texts, label; did you mean texts",
        ),
        ("a.jsonl", b'{"body": "a"}\n', "no column text, the columns are body"),
        ("a.txt", b"a\n", "no column label, the columns are text"),
        ("a.jsonl", b'{"text": "a"}\n{"text": "b"}\n', "no column label, the columns are text"),
        (
            "a.csv",
            b"text,label\nfine,a\nGr\xfc\xdfe,b\n",
            r"line 3, byte 3: 0xfc is not utf-8.* 1 of 3 lines \(33.33%\); data.encoding=cp1252 gives 'Grüße",
        ),
        ("a.jsonl", b'{"text": "a", "label": 1}\n{"text": "\xff"}\n', "line 2, byte 11: 0xff"),
        ("a.csv", b"text,label\na\n", "line 2: the record does not have the header's 2 fields"),
        ("a.csv", b"text,label\na,b,c\n", "line 2: the record does not have the header's 2 fields"),
        ("a.csv", b'text,label\n"a,b\n', "malformed CSV"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n\n{"text": \n', "line 3: malformed JSON .* character"),
        ("a.jsonl", b"[1, 2]\n", "line 1: list instead of an object"),
        ("a.jsonl", b'{"text": ["a"], "label": 1}\n', "line 1: text is a list, not a text"),
        ("a.parquet", b"PAR0", "not a Parquet file"),
        ("a.csv.gz", b"text,label\n", "cannot be unpacked"),
        ("a.csv.gz", gzip.compress(b"text,label\n" * 99)[:-9], "cannot be unpacked"),
        ("a.jsonl.zst", b"no zstandard", "cannot be unpacked"),
        ("a.jsonl.zst", zstandard.compress(b'{"text": "a"}\n' * 9999)[:-9], "cannot be unpacked"),
    ],
)
def test_a_bad_file_is_named_with_the_way_out(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        list(read_documents(path, "text", "label"))
    assert str(path) in str(error.value)


def test_a_missing_file_and_an_unknown_encoding_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere.csv: no such file; check data.path"):
        list(read_documents(tmp_path / "nowhere.csv", "text"))
    (tmp_path / "a.csv").write_text("text\na\n")
    with pytest.raises(ValueError, match=r"data.encoding=utf-9 is not known"):
        list(read_documents(tmp_path / "a.csv", "text", encoding="utf-9"))


def test_an_empty_id_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,id\na,1\nb,\n")
    with pytest.raises(ValueError, match=r"line 3: id is empty; fill it or set data.id_column=null"):
        list(read_documents(tmp_path / "a.csv", "text", id_column="id"))


def test_only_the_named_columns_of_parquet_are_read(tmp_path: Path) -> None:
    path = tmp_path / "corpus.parquet"
    pq.write_table(pa.table({"text": ["a"], "vector": [[0.5, 0.25]]}), path)
    assert list(read_records(path, ["text"])) == [{"text": "a"}]
