"""The report: folders in, one table out; nothing missing goes unsaid."""

from __future__ import annotations

import csv
import io
import json
import statistics
from pathlib import Path

import pytest

from topiclab.report.__main__ import main
from topiclab.report.collect import collect_cells
from topiclab.report.tables import render, summarise


def write_cell(
    outputs: Path, model: str, seed: int, npmi: float | None, *, perplexity: float = 900.0, **facts
) -> Path:
    folder = outputs / f"grid/lee/{model}/lsa-zero_shot/bow/K10/seed{seed}"
    folder.mkdir(parents=True)
    result = {
        "status": "done",
        "metrics": {"npmi": npmi, "td": 0.5, "test/perplexity": perplexity},
        "reasons": {} if npmi is not None else {"npmi": "too few documents"},
        "seconds_total": 1.5,
    }
    (folder / "result.json").write_text(json.dumps(result | facts))
    return folder


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    for seed, npmi in enumerate((0.10, 0.20, 0.30)):
        write_cell(tmp_path, "theta", seed, npmi, perplexity=800.0 + seed)
        write_cell(tmp_path, "lda", seed, npmi - 0.05)
    return tmp_path


def test_mean_and_std_are_over_seeds(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grid", "--outputs", str(outputs), "--format", "csv"]) == 0
    rows = {row["model"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert rows["theta"]["seeds"] == "3"
    assert float(rows["theta"]["npmi"]) == pytest.approx(0.2)
    assert float(rows["theta"]["npmi_std"]) == pytest.approx(statistics.stdev((0.1, 0.2, 0.3)))
    assert float(rows["lda"]["seconds"]) == 1.5
    assert rows["lda"]["num_topics"] == "10"
    assert rows["lda"]["embedder"] == "lsa"
    assert rows["lda"]["mode"] == "zero_shot"


def test_best_is_the_highest_score_and_the_lowest_perplexity(outputs: Path) -> None:
    metrics = ["npmi", "td", "test/perplexity"]
    table = render(summarise(collect_cells(outputs / "grid"), metrics), metrics, "md")
    lda, theta = (line for line in table.splitlines() if line.startswith("| lee"))
    assert "| **0.200** ± 0.100 |" in theta
    assert "| **801.0** ± 1.0 |" in theta
    assert "| 0.150 ± 0.100 | **0.500** ± 0.000 | 900.0 ± 0.0 |" in lda  # a tie is bold on both sides
    assert "embedder=lsa" in table


def test_order_of_the_folders_changes_nothing(outputs: Path) -> None:
    cells = collect_cells(outputs / "grid")
    lines = summarise(cells, ["npmi"])
    assert [line.axes["model"] for line in lines] == ["lda", "theta"]
    backwards = {line.axes["model"]: line for line in summarise(cells[::-1], ["npmi"])}
    assert backwards["theta"].scores["npmi"] == pytest.approx(lines[1].scores["npmi"])


def test_latex_escapes_names(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_cell(outputs, "my_model", 0, 0.9)
    main(["grid", "--outputs", str(outputs), "--format", "latex"])
    table = capsys.readouterr().out
    assert "my\\_model & 1 & \\textbf{0.900} &" in table
    assert table.count("\\\\") == 4
    assert "my_model" not in table


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "result.json").unlink(), "missing"),
        (lambda folder: (folder / "result.json").write_text('{"status": "do'), "unreadable"),
        (lambda folder: (folder / "result.json").write_text('{"status": "done"}'), "unreadable"),
        (
            lambda folder: (folder / "result.json").write_text(
                '{"status": "failed", "reason": "NaN", "seconds_total": 1}'
            ),
            "NaN",
        ),
    ],
)
def test_a_cell_that_is_not_done_is_named_and_stops_make(damage, said, outputs: Path, capsys) -> None:
    folder = outputs / "grid/lee/theta/lsa-zero_shot/bow/K10/seed1"
    damage(folder)
    assert main(["grid", "--outputs", str(outputs)]) == 1
    captured = capsys.readouterr()
    assert "5 of 6 cells done" in captured.err
    assert said in captured.err
    assert str(folder) in captured.err
    assert "| theta | 2 |" in captured.out


def test_a_metric_without_a_number_is_a_dash_with_its_reason(tmp_path: Path, capsys) -> None:
    write_cell(tmp_path, "theta", 0, None)
    write_cell(tmp_path, "theta", 1, 0.25)
    write_cell(tmp_path, "kmeans", 0, None)
    write_cell(tmp_path, "kmeans", 1, None)
    assert main(["grid", "--outputs", str(tmp_path), "--metrics", "npmi"]) == 0
    captured = capsys.readouterr()
    assert "| kmeans | 2 | - |" in captured.out
    assert "| 0.250 (n=1) |" in captured.out
    assert "npmi of kmeans on lee: too few documents (2 cells)" in captured.err


def test_errors_name_the_way_out(outputs: Path, capsys) -> None:
    assert main(["none", "--outputs", str(outputs)]) == 1
    assert "python -m topiclab name=none" in capsys.readouterr().err
    assert main(["grid", "--outputs", str(outputs), "--metrics", "nmpi"]) == 1
    assert "no cell has nmpi; there are: npmi td" in capsys.readouterr().err


def test_a_planned_cell_without_a_folder_is_missing(outputs: Path, capsys) -> None:
    plan = "hydra:\n  sweeper:\n    params:\n      model: theta,lda\n      seed: range(0,3)\n"
    (outputs / "grid.yaml").write_text(plan)
    argv = ["grid", "--outputs", str(outputs), "--experiments", str(outputs)]
    assert main(argv) == 0
    (outputs / "grid.yaml").write_text(plan.replace("theta,lda", "theta,lda,nmf").replace("3)", "4)"))
    assert main(argv) == 1
    errors = capsys.readouterr().err
    assert "6 of 12 cells done" in errors
    assert "no run folder for model=nmf seed=0" in errors
    assert "no run folder for model=lda seed=3" in errors


def test_runs_of_other_tasks_are_no_cells(outputs: Path) -> None:
    folder = outputs / "grid/predict/new/run=outputs/default/lee/theta/lsa-zero_shot/bow/K20/seed0"
    folder.mkdir(parents=True)
    assert len(collect_cells(outputs / "grid")) == 6


def test_a_variant_is_an_axis_of_its_own(outputs: Path) -> None:
    folder = write_cell(outputs, "theta", 7, 0.4)
    variant = folder.parent / "model.dropout=0.5" / "seed7"
    variant.parent.mkdir()
    folder.rename(variant)
    assert {cell.axes["variant"] for cell in collect_cells(outputs / "grid")} == {"", "model.dropout=0.5"}


def test_out_writes_the_file(outputs: Path, tmp_path: Path) -> None:
    path = tmp_path / "results" / "grid.csv"
    assert main(["grid", "--outputs", str(outputs), "--format", "csv", "--out", str(path)]) == 0
    assert path.read_text().startswith(
        "data,model,embedder,mode,objective,num_topics,variant,seeds,npmi,npmi_std"
    )
