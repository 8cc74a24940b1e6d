"""Files as people have them: delimiters, encodings, JSON, Excel, folders of documents, and their faults."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from topiclab.data.sources import text_lines
from topiclab.data.sources.encodings import rank
from topiclab.data.sources.file import read_documents

RECORDS = [{"text": "Grüße, 5; ja", "label": "a"}, {"text": "b|c", "label": "b"}]
RUSSIAN = "урожай компост огород семена"


def texts(path: Path, **options: str) -> list[str]:
    return [document.text for document in read_documents(path, "text", **options)]


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_tables_of_every_program_are_read(tmp_path: Path, sign: str, encoding: str, suffix: str) -> None:
    lines = [sign.join(f'"{record[key]}"' for key in ("label", "text")) for record in RECORDS]
    content = "\r\n".join([f"label{sign}text", *lines]).encode(encoding)
    path = tmp_path / f"table{suffix}"
    path.write_bytes(gzip.compress(content) if suffix.endswith(".gz") else content)
    assert texts(path) == [record["text"] for record in RECORDS]


def test_an_ambiguous_header_asks_for_the_delimiter(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,n;text\nx,2;y\n")
    with pytest.raises(ValueError, match=r"2 ways; choose one: data\.delimiter=comma gives text, n;text"):
        texts(path)
    path.write_text("text,a;b\nx,y;z\n")
    assert texts(path) == ["x"]
    path.write_text("n,a;text\n1,2;x\n")
    assert texts(path, delimiter="semicolon") == ["x"]
    assert next(read_documents(path, "a;text")).text == "2;x"


def test_a_repeated_column_is_refused_where_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label,text,label\na,b,c,d\n")
    with pytest.raises(ValueError, match="columns 1 and 3 are both called text"):
        texts(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("text,label,label\na,b,c\n")
    assert texts(tmp_path / "b.csv") == ["a"]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        ("Straße nach Köln, größer und schöner", "cp1252"),
        ("zażółć gęślą jaźń, więcej", "cp1250"),
        ("eşit haklar bakımından", "cp1254"),
        ("Όλοι οι άνθρωποι γεννιούνται", "cp1253"),
        ("כל בני האדם נולדו בני חורין", "cp1255"),
        ("يولد جميع الناس أحرارا", "cp1256"),
        ("人人生而自由,在尊严和权利上一律平等", "gb18030"),
        ("人人生而自由,在尊嚴和權利上一律平等", "big5"),
        ("すべての人間は、生まれながらにして自由", "shift_jis"),
        ("모든 인간은 태어날 때부터 자유로우며", "euc-kr"),
    ],
)
def test_the_error_names_the_encoding_that_gives_letters(tmp_path: Path, text: str, encoding: str) -> None:
    assert rank(text.encode(encoding))[0].encoding == encoding
    path = tmp_path / "a.txt"
    path.write_bytes(f"{text}\n".encode(encoding) * 3)
    with pytest.raises(
        ValueError, match=rf"line 1, byte \d+: 0x.* 3 of 3 lines .*; data\.encoding={encoding} "
    ):
        texts(path)
    assert texts(path, encoding=encoding) == [text] * 3


def test_one_bad_line_of_a_utf_8_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("schön\n".encode() * 9 + "größer\n".encode("cp1252"))
    with pytest.raises(
        ValueError, match=r"line 10, .*1 of 10 lines \(10\.00%\).* the others are utf-8: repair"
    ):
        texts(path)


def test_an_encoding_that_gives_no_language_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(f"{RUSSIAN}\n".encode("cp1251"))
    texts(path, encoding="latin-1")
    assert "looks like no language: cp1251 gives 'урожай" in caplog.text
    caplog.clear()
    path.write_bytes("“so”\n".encode("cp1252") * 2)
    texts(path, encoding="latin-1")
    assert "control characters in 2 lines, such as 0x93" in caplog.text
    caplog.clear()
    path.write_bytes("schöne Grüße\n".encode("cp1252"))
    texts(path, encoding="latin-1")
    assert not caplog.records


def test_utf_16_without_a_mark_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("plain words\n".encode("utf-16-le"))
    with pytest.raises(ValueError, match=r"use data\.encoding=utf-16-le"):
        texts(tmp_path / "a.txt")


@pytest.mark.parametrize(
    "content",
    [
        RECORDS,
        {"data": RECORDS},
        {name: {str(row): record[name] for row, record in enumerate(RECORDS)} for name in RECORDS[0]},
    ],
    ids=["list", "data", "columns"],
)
def test_json_files_are_read(tmp_path: Path, content: object) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content, indent=1))
    assert texts(path) == [record["text"] for record in RECORDS]
    path.write_text("\n".join(map(json.dumps, RECORDS)))
    assert texts(path) == [record["text"] for record in RECORDS]
    path.write_text("[1]")
    with pytest.raises(ValueError, match="must hold a list of objects"):
        texts(path)


def test_excel_is_read_with_the_row_of_the_sheet(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["notes"])
    sheet = book.create_sheet("posts")
    for row in ([], ["id", "text"], [1, "one"], [], [2, "two"]):
        sheet.append(row)
    path = tmp_path / "a.xlsx"
    book.save(path)
    found = [
        (document.id, document.text, document.number) for document in read_documents(path, "text", None, "id")
    ]
    assert found == [("1", "one", 3), ("2", "two", 5)]
    path.write_bytes(path.read_bytes()[:99])
    with pytest.raises(ValueError, match=r"not a \.xlsx"):
        texts(path)


def test_a_folder_of_documents_is_a_table_of_its_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    docx, pypdf = pytest.importorskip("docx"), pytest.importorskip("pypdf")
    for name in ("sport", "news/deep"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "a.txt").write_text("plain", encoding="utf-16")
    (tmp_path / "sport/b.html").write_text(
        "<head><title>no</title></head><body><p>un<b>seen</b> &amp; said<script>x</script><p>two</body>"
    )
    document = docx.Document()
    document.add_paragraph("first")
    document.add_table(1, 1).cell(0, 0).text = "cell"
    document.save(str(tmp_path / "news/deep/c.docx"))
    writer = pypdf.PdfWriter()
    writer.add_blank_page(99, 99)
    writer.write(tmp_path / "d.pdf")
    (tmp_path / "e.png").write_bytes(b"x")
    found = {each.id: (each.text, each.label) for each in read_documents(tmp_path, "text", "folder")}
    assert found == {
        "a.txt": ("plain", None),
        "sport/b.html": ("unseen & said\ntwo", "sport"),
        "news/deep/c.docx": ("first\ncell", "news"),
        "d.pdf": ("", None),
    }
    assert "1 files of other kinds left out: 1 .png" in caplog.text
    assert "1 of 4 files have no text" in caplog.text
    (tmp_path / "f.pdf").write_bytes(b"%PDF-1.4 broken")
    with caplog.at_level(logging.CRITICAL), pytest.raises(ValueError, match=r"f\.pdf: not a readable \.pdf"):
        list(read_documents(tmp_path, "text"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": ' + "[" * 100_000 + "]" * 100_000 + "}", "line 2: JSON nested too deeply"),
        ('{"text": ' + "9" * 5000 + "}", "line 2: Exceeds the limit"),
        ('{"text": "a\x01b"}', "line 2: malformed JSON .Invalid control character"),
    ],
    ids=["deep", "digits", "control"],
)
def test_json_that_python_refuses_is_named_by_its_line(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "fine"}\n' + line)
    with pytest.raises(ValueError, match=message):
        texts(tmp_path / "a.jsonl")


def test_a_packed_file_of_one_endless_line_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_lines, "MAX_LINE_BYTES", 1 << 20)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"a" * (3 << 20)))
    with pytest.raises(ValueError, match="a line is longer than 1 MiB"):
        texts(tmp_path / "a.txt.gz")


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"word {i}" for i in range(5000)]}), path, write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.parquet: damaged after row \d+"):
        texts(path)
