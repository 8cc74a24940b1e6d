"""Tables for people: no cell is a formula, every value comes back, and numbers stay numbers."""

import csv

import pyarrow as pa
import pytest

from topiclab import csv_table
from topiclab.csv_table import write_csv


def written(path, columns):
    write_csv(path, columns)
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1+1", "'+1+1"),
        ("-2+3+cmd", "'-2+3+cmd"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("＝1", "'＝1"),
        ("-1", "-1"),
        ("+1.5e3", "+1.5e3"),
        ("-", "'-"),
        ("a=b", "a=b"),
        ('say "a, b"', 'say "a, b"'),
        ("two\nlines", "two\nlines"),
        ("", ""),
        (None, ""),
    ],
)
def test_text_is_harmless_and_comes_back(tmp_path, text, cell):
    columns = {"=head": [text, "x"], "row": [-1, 2]}
    assert written(tmp_path / "t.csv", columns) == [["'=head", "row"], [cell, "-1"], ["x", "2"]]


def test_cells_that_separate_in_other_countries_are_quoted(tmp_path):
    write_csv(tmp_path / "t.csv", {"a": ["b;=1+1"]})
    assert (tmp_path / "t.csv").read_text() == 'a\n"b;=1+1"\n'


def test_numbers_missing_values_and_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_table, "BLOCK_ROWS", 2)
    shares = pa.array([0.25, float("nan"), 1, None, 0.33333], pa.float32())
    table = pa.table({"share": shares, "topic": pa.array([1, None, 3, 4, 5], pa.int32())})
    rows = written(tmp_path / "t.csv", table)
    assert rows == [
        ["share", "topic"],
        ["0.2500", "1"],
        ["", ""],
        ["1.0000", "3"],
        ["", "4"],
        ["0.3333", "5"],
    ]
    assert written(tmp_path / "e.csv", table.slice(0, 0)) == [["share", "topic"]]
