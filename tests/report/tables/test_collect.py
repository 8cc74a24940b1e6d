"""The report: folders in, one table out; everything missing is reported."""

from __future__ import annotations

import csv
import io
import json
import statistics
from pathlib import Path

import pytest

from topiclab.report.__main__ import main
from topiclab.report.tables.collect import collect_cells
from topiclab.report.tables.markdown import render
from topiclab.report.tables.scores import summarise


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
        "experiment,data,model,embedder,mode,objective,teacher,num_topics,variant,seeds,npmi,npmi_std"
    )


def write_grid(
    tmp_path: Path, name: str, *, sweep: dict[str, str], scores: dict[tuple, float], **config
) -> None:
    """Write a grid that is planned and run; scores: train/purity by (model, objective, num_topics, seed)."""
    params = "".join(f"      {key}: {values}\n" for key, values in sweep.items())
    head = "defaults: [config, override embedder: minilm, _self_]\n"
    (tmp_path / f"{name}.yaml").write_text(f"{head}hydra:\n  sweeper:\n    params:\n{params}")
    for (model, objective, num_topics, seed), purity in scores.items():
        folder = (
            tmp_path / f"outputs/{name}/lee/{model}/minilm-zero_shot/{objective}/K{num_topics}/seed{seed}"
        )
        folder.mkdir(parents=True)
        result = {
            "status": "done",
            "metrics": {"train/purity": purity},
            "reasons": {},
            "seconds_total": 1.0,
            "config": config,
        }
        (folder / "result.json").write_text(json.dumps(result))


def arguments(tmp_path: Path, name: str, *more: str) -> list[str]:
    return [name, "--outputs", str(tmp_path / "outputs"), "--experiments", str(tmp_path), *more]


def two_by_three(offset: float = 0.0) -> dict[tuple, float]:
    """Scores for K = 20 and 40, three seeds: the mean over K is .5 + offset + seed / 100, whatever K adds."""
    return {
        ("prodlda", "dsl", num_topics, seed): 0.5 + offset + seed / 100 + sign
        for num_topics, sign in ((20, 0.1), (40, -0.1))
        for seed in (0, 1, 2)
    }


SWEEP = {"data": "lee", "model": "prodlda", "objective": "dsl", "num_topics": "20,40", "seed": "0,1,2"}


def test_the_spread_of_an_average_over_topics_is_of_the_seeds(tmp_path: Path, capsys) -> None:
    write_grid(tmp_path, "grid", sweep=SWEEP, scores=two_by_three())
    over = ("--over", "num_topics", "seed", "--metrics", "train/purity")
    assert main(arguments(tmp_path, "grid", *over)) == 0
    out = capsys.readouterr().out
    assert "| lee | prodlda | 3 | 0.510 ± 0.010 |" in out
    assert "num_topics=20 40" in out


def test_a_seed_that_lacks_a_number_of_topics_is_no_part_of_the_average(tmp_path: Path, capsys) -> None:
    scores = two_by_three()
    del scores["prodlda", "dsl", 40, 2]
    write_grid(tmp_path, "grid", sweep=SWEEP, scores=scores)
    assert main(arguments(tmp_path, "grid", "--over", "num_topics", "--metrics", "train/purity")) == 1
    captured = capsys.readouterr()
    assert "| lee | prodlda | 2 | 0.505 ± 0.007 |" in captured.out
    assert "5 of 6 cells done" in captured.err
    assert "no run folder for data=lee model=prodlda objective=dsl num_topics=40 seed=2" in captured.err


def test_a_number_of_topics_that_still_runs_is_no_smaller_average(tmp_path: Path, capsys) -> None:
    scores = {cell: purity for cell, purity in two_by_three().items() if cell[2] == 20}
    write_grid(tmp_path, "grid", sweep=SWEEP, scores=scores, teacher={"name": "none"})
    done = tmp_path / "outputs/grid/lee/prodlda/minilm-zero_shot/dsl/K20"
    for seed in (0, 1, 2):
        (done.parent / f"K40/seed{seed}").mkdir(parents=True)
    over = ("--over", "num_topics", "seed", "--metrics", "train/purity")
    assert main(arguments(tmp_path, "grid", *over)) == 1
    assert "| lee |" not in capsys.readouterr().out


def write_reference(tmp_path: Path, *rows: str) -> None:
    folder = tmp_path / "paper"
    folder.mkdir()
    header = "data,model,objective,teacher,num_topics,metric,value,read_in"
    (folder / "reference.csv").write_text("\n".join([header, *rows]) + "\n")
    (folder / "reference.yaml").write_text(
        "title: A paper\nsources: {table: its table 1}\nnotes: [other documents]\n"
        "settings: {all: {data.deduplicate: false}, dsl: {objective.weight: 1000}}\n"
    )


def test_published_numbers_stand_beside_ours(tmp_path: Path, capsys) -> None:
    deduplicated = {
        "data": {"deduplicate": True},
        "objective": {"weight": 1000},
        "teacher": {"name": "neighbours"},
    }
    write_grid(tmp_path, "grid", sweep=SWEEP, scores=two_by_three(), **deduplicated)
    write_reference(
        tmp_path,
        "lee,prodlda,dsl,llama1b,20 40,train/purity,.4,table",
        "lee,prodlda,dsl,llama1b,20,train/purity,.9,table",
        "lee,prodlda,dsl,llama1b,20 40 60,train/purity,.7,table",
        "lee,lda,bow,,20 40,train/purity,.1,table",
    )
    asked = arguments(tmp_path, "grid", "--metrics", "train/purity", "--reference", "paper")
    assert main([*asked, "--over", "num_topics"]) == 0
    out = capsys.readouterr().out
    assert "| train/purity | published | difference |" in out
    assert "| 0.510 ± 0.010 | 0.400 (llama1b) | +0.110 |" in out
    assert "- data.deduplicate: true, published false" in out
    assert "objective.weight" not in out  # as published
    assert "- other documents" in out
    assert "- its table 1" in out
    assert main(asked) == 0  # at one number of topics
    out = capsys.readouterr().out
    assert "| 20 | 3 | 0.610 ± 0.010 | 0.900 (llama1b) | -0.290 |" in out
    assert "| 40 | 3 | 0.410 ± 0.010 |  |  |" in out


def test_a_number_without_a_source_is_refused(tmp_path: Path, capsys) -> None:
    write_grid(tmp_path, "grid", sweep=SWEEP, scores=two_by_three())
    write_reference(tmp_path, "lee,prodlda,dsl,llama1b,20 40,train/purity,.4,memory")
    assert main(arguments(tmp_path, "grid", "--reference", "paper")) == 1
    assert "has read_in memory; add that to sources in reference.yaml" in capsys.readouterr().err


CONTROLS = """
grids: [warm, others]
metrics: [train/purity]
controls: {target: dsl, objectives: [bow], models: [kmeans], starts: {warm: k-means}}
"""


@pytest.mark.parametrize(("kmeans", "gain"), [(0.45, "+0.020"), (0.70, "**-0.190**"), (0.49, "+0.020")])
def test_a_row_stands_beside_what_it_has_to_beat(kmeans: float, gain: str, tmp_path: Path, capsys) -> None:
    bow = {("prodlda", "bow", *rest): value - 0.02 for (_, _, *rest), value in two_by_three().items()}
    others = {("kmeans", "bow", *rest): kmeans for (_, _, *rest) in two_by_three()}
    write_grid(tmp_path, "warm", sweep=SWEEP | {"objective": "dsl,bow"}, scores=two_by_three() | bow)
    write_grid(tmp_path, "others", sweep=SWEEP | {"objective": "bow", "model": "kmeans"}, scores=others)
    (tmp_path / "both.table.yaml").write_text(CONTROLS)
    assert main(arguments(tmp_path, "both")) == 0
    out = capsys.readouterr().out
    assert "| start | model | kmeans | bow | dsl | gain | K=20 | K=40 |" in out
    row = f"| k-means | prodlda | {kmeans:.3f} ± 0.000 | 0.490 ± 0.010 | 0.510 ± 0.010 | {gain} |"
    assert row in out
    behind = int(gain.startswith("**-"))
    assert f"Start k-means, dsl against its best control: train/purity 0 ahead, {behind} behind of 1." in out
    (tmp_path / "both.table.yaml").write_text(CONTROLS.replace("[bow]", "[bow, bow_normalized]"))
    assert main(arguments(tmp_path, "both")) == 0
    assert "its best control (without bow_normalized, which not every row has):" in capsys.readouterr().out


def test_a_start_at_one_number_of_topics_is_compared_at_that_number(tmp_path: Path, capsys) -> None:
    at_20 = {key: value for key, value in two_by_three().items() if key[-2] == 20}
    bow = {(model, "bow", *rest): value - 0.3 for (model, _, *rest), value in at_20.items()}
    others = {("kmeans", "bow", *rest): 0.5 if rest[-2] == 20 else 0.1 for (_, _, *rest) in two_by_three()}
    write_grid(
        tmp_path, "warm", sweep=SWEEP | {"objective": "dsl,bow", "num_topics": "20"}, scores=at_20 | bow
    )
    write_grid(tmp_path, "others", sweep=SWEEP | {"objective": "bow", "model": "kmeans"}, scores=others)
    (tmp_path / "both.table.yaml").write_text(CONTROLS)
    assert main(arguments(tmp_path, "both")) == 0
    assert "| k-means | prodlda | 0.500 ± 0.000 | 0.310 ± 0.010 | 0.610 ± 0.010 | **+0.110** |" in (
        capsys.readouterr().out
    )


def test_a_table_says_its_grids(tmp_path: Path, capsys) -> None:
    (tmp_path / "both.table.yaml").write_text(CONTROLS)
    (tmp_path / "all.table.yaml").write_text("title: All\nparts: [both, more]\n")
    assert main(arguments(tmp_path, "all", "--grids")) == 0
    assert capsys.readouterr().out.split() == ["warm", "others", "more"]
    (tmp_path / "bad.table.yaml").write_text("columns: [npmi]\n")
    assert main(arguments(tmp_path, "bad")) == 1
    assert "no such key: columns; there are: check controls grids metrics" in capsys.readouterr().err


def test_a_swept_option_tells_cells_apart(tmp_path: Path, capsys) -> None:
    sweep = {"data": "lee", "teacher": "neighbours,corpus", "teacher.temperature": "1.0,2.0"}
    write_grid(tmp_path, "grid", sweep=sweep, scores={})
    place = tmp_path / "outputs/grid/lee/theta/minilm-zero_shot/bow/K50"
    (place / "teacher.temperature=2.0,teacher=corpus/seed0").mkdir(parents=True)
    assert main(arguments(tmp_path, "grid")) == 1
    errors = capsys.readouterr().err
    assert "no run folder for data=lee teacher=corpus teacher.temperature=1.0" in errors
    assert "no run folder for data=lee teacher=corpus teacher.temperature=2.0" not in errors
    assert "0 of 4 cells done" in errors
