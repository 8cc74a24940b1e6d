"""Numbers of README.md are those of the results in experiments/, and a newer result brings its own."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from places import REPO

from topiclab.report.readme.__main__ import main
from topiclab.report.readme.numbers import Form, bare, find, rows_of
from topiclab.report.readme.tables import BLOCK, Layout, Line, Variant, read_plan, render, with_tables

README = (REPO / "README.md").read_text(encoding="utf-8")
EXPERIMENTS = REPO / "experiments"
PROSE = BLOCK.sub("", re.sub(r"```.*?```", "", README, flags=re.DOTALL)).split("\n\n")
NUMBER = re.compile(r"(?<![\w.])[+-]?\.\d+")
SOURCE = re.compile(r"(?:experiments|notebooks)/[\w/.]+\.(?:md|csv|ipynb)")


def test_the_tables_are_those_of_the_results() -> None:
    assert with_tables(README, EXPERIMENTS)[0] == README, "run make readme-tables"
    assert len(BLOCK.findall(README)) == len(read_plan(EXPERIMENTS)) > 3


def test_every_table_names_its_source_in_the_text() -> None:
    named = set(SOURCE.findall(README))
    for name, layout in read_plan(EXPERIMENTS).items():
        sources = {layout.source, *(line.source for line in (*layout.rows, *layout.columns) if line.source)}
        assert {f"experiments/{source}" for source in sources} <= named, name


@pytest.mark.parametrize(
    "paragraph",
    [text for text in PROSE if NUMBER.search(text) and not text.startswith("|")],
    ids=lambda text: "-".join(text.split()[:4]).replace("/", "_"),
)
def test_numbers_in_sentences_are_in_the_file_that_they_name(paragraph: str) -> None:
    """Each is the rounding of some number there."""
    sources = SOURCE.findall(paragraph)
    assert sources, "name the file in experiments/ that has these numbers"
    text = "\n".join((REPO / source).read_text(encoding="utf-8") for source in sources)
    values = [float(number) for number in set(re.findall(r"-?\d*\.\d+", text))]
    for number in set(NUMBER.findall(paragraph)):
        digits = len(number.partition(".")[2])
        assert any(abs(value - float(number)) <= 0.5001 * 10**-digits for value in values), number


def gains(grid: str, data: str) -> list[float]:
    """Gains in held-out purity by soft labels, of each model with 50 topics, ascending."""
    rows = [row for row in rows_of(EXPERIMENTS / "dsl/offline.csv") if row["num_topics"] == "50"]
    purity = {
        (row["model"], row["objective"]): float(row["test/purity"])
        for row in rows
        if (row["experiment"], row["data"]) == (grid, data)
    }
    models = {model for model, _ in purity}
    return sorted(purity[model, "dsl"] - purity[model, "bow"] for model in models)


def test_gains_by_soft_labels_are_those_of_the_offline_table() -> None:
    text = " ".join(README.split())
    titles, tweets, posts = (
        gains("dsl_offline_backbones", data) for data in ("stackoverflow", "tweet_topic", "20newsgroups")
    )
    ranges = [f"{bare(found[0], 2)} to {bare(found[-1], 2)}" for found in (titles[1:], tweets)]
    assert f"add {ranges[0]} held-out purity on titles, {ranges[1]} on tweets" in text
    assert f"up to {bare(posts[-1], 2)} on newsgroups" in text
    assert f"ECRTM on titles loses {bare(-titles[0], 2)}" in text
    cold = [
        gain
        for data in ("stackoverflow", "tweet_topic", "20newsgroups")
        for gain in gains("dsl_offline_cold", data)
    ]
    assert f"they add most: {bare(min(cold), 2)} to {bare(max(cold), 2)} for each of" in text


def test_a_number_that_was_typed_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    number = re.findall(r"\| theta \| (\.\d{3}) /", README)[0]
    (tmp_path / "README.md").write_text(README.replace(number, ".999"))
    shutil.copytree(EXPERIMENTS, tmp_path / "experiments", ignore=shutil.ignore_patterns("*.png", "dsl.md"))
    assert main(["--root", str(tmp_path)]) == 1
    assert "run make readme-tables" in capsys.readouterr().err
    assert main(["--root", str(tmp_path), "--write"]) == 0
    assert (tmp_path / "README.md").read_text() == README


def test_a_newer_result_brings_its_rows_and_metrics(tmp_path: Path) -> None:
    layout = Layout(
        source="own.csv",
        rows=[Line("theta", {"model": "theta"}), Line("lda", {"model": "lda"})],
        columns=[Line("lee", {"data": "lee"})],
        variants=[Variant(["npmi_usage +.3"], "by usage", "One read-out."), Variant(["npmi +.3±"], "NPMI")],
    )
    assert render(tmp_path, layout) == ("", ["theta", "lda"])
    sheet = tmp_path / "own.csv"
    sheet.write_text("data,model,npmi,npmi_std\nlee,theta,0.0124,0.002\n")
    table = "| | lee |\n| --- | --- |\n| | NPMI |\n| theta | +.012 ± .002 |\n"
    assert render(tmp_path, layout) == (table, ["lda"])
    newer = tmp_path / "newer.csv"
    newer.write_text("data,model,npmi,npmi_usage\nlee,theta,0.1,-0.0004\nlee,lda,0.2,-.2\n")
    whole = Layout("newer.csv", layout.columns, layout.rows, layout.variants)
    text, absent = render(tmp_path, whole)
    assert "| theta | +.000 |\n| lda | -.200 |\n\nOne read-out.\n" in text
    assert not absent


def test_one_cell_is_of_one_row(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("model,npmi\ntheta,0.1\ntheta,0.2\n")
    with pytest.raises(ValueError, match="has 2 rows with"):
        find(tmp_path / "own.csv", {"model": "theta"})
    with pytest.raises(ValueError, match="write `npmi"):
        Form.of("npmi")
    assert [bare(value, 2) for value in (0.5, -0.25, -0.001, 1.2)] == [".50", "-.25", ".00", "1.20"]
