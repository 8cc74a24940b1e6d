"""task=describe: every text model, resumed, reused, refused; and the page command."""

import json
from pathlib import Path

import numpy as np
import pytest
from every_model import MODELS
from pyarrow import parquet
from small_cells import cell

from topiclab.config.compose import ConfigError, compose, compose_cell
from topiclab.config.configuration import Configuration
from topiclab.rate.writer import EndpointWriter
from topiclab.report.__main__ import main
from topiclab.result import TopicResult
from topiclab.runs.run import CellFailed, run_cell
from topiclab.tasks.describe import config_of_run

DATED = """id,text,label,date,title
{rows}
"""
FILES = {"topics.json", "tree.json", "documents.parquet", "labels.txt", "page.html", "tree.png", "map.png"}
QUICK = ["describe.layout.method=tsne", "describe.terms.min_df=1", "describe.time.num_bootstrap=20"]


def described(run, *overrides):
    cfg, folder = compose_cell(
        ["task=describe", f"run={run}", f"paths.cache={run.parent}/cache", *QUICK, *overrides]
    )
    return run_cell(cfg, folder), folder


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)


def dated_file(folder):
    """Write 60 documents of two planted topics, three without a date, some without a label."""
    rng = np.random.default_rng(0)
    words = [[f"{stem}{letter}" for letter in "abcdefgh"] for stem in ("apple", "brick")]
    rows = []
    for number in range(60):
        topic = int(rng.random() < number / 60)
        text = " ".join(rng.choice(words[topic], 12))
        day = "" if number < 3 else f"2024-{1 + number // 5:02d}-15"
        rows.append(f"d{number},{text},{'' if number % 7 == 0 else topic},{day},Title $ {number}")
    path = folder / "dated.csv"
    path.write_text(DATED.format(rows="\n".join(rows)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def dated(tmp_path_factory):
    """Fit a corpus with dates, labels and titles; return the finished run."""
    folder = tmp_path_factory.mktemp("dated")
    path = dated_file(folder)
    columns = ["label_column=label", "id_column=id", "timestamp_column=date", "title_column=title"]
    data = ["data=file", f"data.path={path}", "data.name=dated", *(f"data.{column}" for column in columns)]
    cfg = compose(["model=kmeans", "num_topics=2", f"paths.cache={folder}/cache", *data])
    run_cell(cfg, folder / "run=1")
    return folder / "run=1"


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_described(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cell(tmp_path / "run", model=model)
    outcome, folder = described(tmp_path / "run")
    assert {path.name for path in folder.iterdir()} >= FILES
    result = TopicResult.load(tmp_path / "run" / "topics.npz")
    told = read_json(folder / "topics.json")
    assert (told["num_topics"], told["num_docs"]) == (result.num_topics, 40)
    assert sum(topic["size"] for topic in told["topics"]) == 40
    assert sum(topic["share"] for topic in told["topics"]) == pytest.approx(1, abs=1e-4)
    assert len({topic["label"] for topic in told["topics"]}) == result.num_topics
    assert [topic["words"] for topic in told["topics"]] == result.topic_words(10)
    documents = parquet.read_table(folder / "documents.parquet").to_pydict()
    assert documents["topic"] == result.theta.argmax(axis=1).tolist()
    assert len(read_json(folder / "tree.json")["merges"]) == result.num_topics - 1
    assert outcome["status"] == "done"
    assert not (folder / "time.json").exists()


def test_dates_labels_and_titles_are_shown(dated):
    outcome, folder = described(dated)
    times, topics = read_json(folder / "time.json"), read_json(folder / "topics.json")["topics"]
    assert (times["unit"], len(times["periods"]), times["undated"]) == ("month", 12, 3)
    kinds = [trend["kind"] for trend in times["trends"]]
    assert sorted(kinds) == ["emerging", "fading"]
    rising = kinds.index("emerging")
    assert topics[rising]["terms"][0][0].startswith("brick")
    assert topics[rising]["trend"] > 0
    documents = parquet.read_table(folder / "documents.parquet").to_pydict()
    assert documents["id"][:3] == ["d0", "d1", "d2"]
    assert documents["title"][1] == "Title $ 1"
    assert documents["label"][0] is None
    assert documents["date"][2] is None
    assert str(documents["date"][3]) == "2024-01-15"
    assert (folder / "time.png").exists()
    assert "dated: 2 topics by kmeans" in (folder / "page.html").read_text(encoding="utf-8")
    assert outcome["manifest"]["time"] == {
        "unit": "month",
        "undated": 3,
        "outside": 0,
        "placeholder_dates": {},
    }


def test_it_is_reused_and_options_have_folders_of_their_own(dated, caplog):
    caplog.set_level("INFO")
    first, folder = described(dated)
    before = (folder / "page.html").stat().st_mtime_ns
    assert described(dated)[0]["finished"] == first["finished"]
    assert "reused" in caplog.text
    merged, beside = described(dated, "describe.num_topics=1")
    assert compose_cell(["task=describe", f"run={dated}"])[1] == dated / "description"
    assert beside != folder
    assert beside.parent == folder.parent == dated / "description"
    assert read_json(beside / "topics.json")["num_topics"] == merged["manifest"]["num_topics"] == 1
    assert merged["manifest"]["title"] == "dated: 2 topics by kmeans, merged to 1"
    with pytest.raises(CellFailed, match="2 topics cannot be merged to 3; give a number from 1 to 2"):
        described(dated, "describe.num_topics=3")
    assert (folder / "page.html").stat().st_mtime_ns == before


def test_a_name_that_the_endpoint_left_out_is_asked_for_again_by_the_same_line(dated, monkeypatch, tmp_path):
    asked, is_down = [], [True]

    def reply(rater, words, temperature):
        asked.append(words)
        if is_down[0] and len(asked) > 1:
            raise ConnectionRefusedError
        return json.dumps({"choices": [{"message": {"content": f"Name {len(asked)} {is_down[0]}"}}]}).encode()

    monkeypatch.setattr(EndpointWriter, "_reply", reply)
    endpoint = ["rating=endpoint", "rating.url=http://localhost", "rating.model=m", "rating.attempts=1"]
    line = [*endpoint, "rating.num_threads=1", "describe.labels.labeller=model", f"paths.cache={tmp_path}"]
    first, folder = described(dated, *line)
    assert (first["unfinished"], first["manifest"]["names_unanswered"]) == (["names"], 1)
    is_down[0] = False
    labels = (folder / "labels.txt").read_text()
    asked.clear()
    second, _ = described(dated, *line)
    assert len(asked) == 1
    assert (second["unfinished"], second["manifest"]["names_written"]) == ([], 2)
    assert (folder / "labels.txt").read_text() != labels
    assert described(dated, *line)[0]["finished"] == second["finished"]
    assert len(asked) == 1


def test_a_killed_description_resumes(dated, monkeypatch, tmp_path):
    """Counts and layout from before the kill are not computed again, and nothing else differs."""
    whole = described(dated)[1]
    cfg, _ = compose_cell(["task=describe", f"run={dated}", f"paths.cache={tmp_path}/cache", *QUICK])

    def kill(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("topiclab.tasks.describe.draw_tree", kill)
        with pytest.raises(KeyboardInterrupt):
            run_cell(cfg, tmp_path / "description")
    assert not (tmp_path / "description" / "result.json").exists()
    monkeypatch.setattr("topiclab.tasks.describe.layout", kill)
    monkeypatch.setattr("topiclab.tasks.describe.ngram_counts", kill)
    run_cell(cfg, tmp_path / "description")
    for name in ("topics.json", "tree.json", "time.json", "labels.txt", "page.html", "documents.parquet"):
        assert (tmp_path / "description" / name).read_bytes() == (whole / name).read_bytes(), name


def test_the_page_command_describes_and_renders_anew(dated, capsys):
    line = ["page", f"run={dated}", f"paths.cache={dated.parent}/cache", *QUICK]
    assert main(line) == 0
    page = described(dated)[1] / "page.html"
    assert capsys.readouterr().out.strip() == str(page)
    page.unlink()
    assert main(line) == 0
    assert page.exists()


def test_the_figures_command_draws_charts_and_puts_them_on_the_page(dated, capsys):
    line = ["figures", f"run={dated}", f"paths.cache={dated.parent}/cache", "report.language=zh", *QUICK]
    assert main(line) == 0
    told = capsys.readouterr()
    *charts, page = map(Path, told.out.split())
    names = ["topic_words", "word_clouds", "document_map", "topics_by_label", "topic_metrics"]
    assert [path.stem for path in charts] == [*names, "shares_over_time", "flow", "words_over_time"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in charts)
    assert "no similarity: 只有 2 个主题，至少 3 个才能比较" in told.err
    assert "no training: 没有损失记录" in told.err
    html = page.read_text(encoding="utf-8")
    assert "dated：kmeans 的 2 个主题" in html
    assert '<html lang="zh">' in html
    assert ">图表</button>" in html
    assert len(html) > (described(dated)[1] / "page.html").stat().st_size + 100_000


def test_what_cannot_be_described_is_refused(dated, tmp_path, capsys):
    with pytest.raises(ConfigError, match="task=describe describes a fitted model; add run="):
        compose_cell(["task=describe"])
    with pytest.raises(ConfigError, match="there; give the folder of a finished fit"):
        compose_cell(["task=describe", f"run={tmp_path}"])
    assert main(["page", f"run={tmp_path}"]) == 1
    assert "no result.json there" in capsys.readouterr().err
    assert main(["default", "run=x"]) == 1
    assert "only page and figures take key=value" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"status": "failed", "reason": "it broke"}, "holds no finished run: it broke"),
        ({"config": {"task": {"name": "embed"}}}, "holds a run of task=embed; give the folder of a task=fit"),
        ({"config": {"data": {"modality": "images"}}}, "is on images, which are shown in its pictures"),
        ({"config": {"data": {"source": "texts"}}}, "was fitted on texts in memory, which no file holds"),
        ({"manifest": {"corpus": {"fingerprint": "other"}}}, "are not those that run=.* was fitted on"),
    ],
)
def test_runs_without_documents_are_refused(change, told, dated, tmp_path):
    result = json.loads((dated / "result.json").read_text())
    del result["checksum"], result["files"]
    for name, value in change.items():
        if isinstance(value, dict):
            for part, inner in value.items():
                result[name][part] |= inner
        else:
            result[name] = value
    (tmp_path / "result.json").write_text(json.dumps(result))
    with pytest.raises(CellFailed, match=told):
        described(tmp_path)
    assert not (tmp_path / "description" / "topics.json").exists()


def test_vectors_are_those_of_the_fit_on_another_device_too(dated):
    outcome = json.loads((dated / "result.json").read_text())
    composed, _ = compose_cell(["task=describe", f"run={dated}", "trainer.device=cpu"])
    cfg = Configuration.of(composed)
    assert config_of_run(outcome, cfg, dated).trainer.precision == "auto"  # lsa has none
    outcome["manifest"]["embedding"]["dtype"] = "bf16"
    trainer = config_of_run(outcome, cfg, dated).trainer
    assert (trainer.precision, trainer.device) == ("bf16", "cpu")
