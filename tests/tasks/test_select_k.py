"""task=select_k and num_topics=auto: the planted number is found, reported, used, and cached."""

import csv
import json

import numpy as np
import pytest
from small_cells import check_failure, check_same_topics

from topiclab.api.topics import fit as fit_texts
from topiclab.api.topics import load
from topiclab.config.compose import compose
from topiclab.config.configuration import Configuration
from topiclab.config.identity import config_hash
from topiclab.data.sources.corpora import load_corpus
from topiclab.metrics.num_topics import CRITERIA, Candidates, bends, recommend
from topiclab.pipeline import num_topics as num_topics_module
from topiclab.pipeline.inputs import document_vectors
from topiclab.pipeline.num_topics import check_candidates, choose_num_topics, sampled_rows
from topiclab.report.tables.collect import collect_cells
from topiclab.report.tables.markdown import render
from topiclab.report.tables.scores import summarise
from topiclab.runs.run import run_cell

GRID = "select_k.candidates=[3,5,8,12]"


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def configuration(cache, *overrides):
    fixed = ["data=synthetic", "trainer.device=cpu", f"paths.cache={cache}"]
    return compose(
        [*fixed, *([] if any("candidates" in given for given in overrides) else [GRID]), *overrides]
    )


def chosen(composed):
    cfg = Configuration.of(composed)
    corpus = load_corpus(cfg.data)
    return choose_num_topics(cfg.comparison, corpus, document_vectors(cfg, corpus), cfg.paths.cache)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("planted", [5, 10, 20])
def test_planted_number_is_found(cache, planted, seed):
    told = [f"data.planted.{key}={value}" for key, value in (("num_topics", planted), ("seed", seed))]
    candidates = "select_k.candidates=[3,5,10,15,20,30]"
    cfg = configuration(cache, *told, f"data.planted.num_docs={60 * max(planted, 10)}", candidates)
    assert chosen(cfg).recommendation.num_topics == planted


def test_task_writes_a_table_a_figure_and_a_reason(cache, tmp_path, capsys, caplog):
    cfg = configuration(cache, "task=select_k")
    with caplog.at_level("INFO"):
        result = run_cell(cfg, tmp_path)
    assert result["metrics"]["num_topics"] == 5
    rows = list(csv.DictReader((tmp_path / "select_k.csv").read_text(encoding="utf-8").splitlines()))
    assert [int(row["num_topics"]) for row in rows] == [3, 5, 8, 12]
    assert [row["is_recommended"] for row in rows] == ["0", "1", "0", "0"]
    assert {*CRITERIA, *(f"{name}_std" for name in CRITERIA)} < rows[0].keys()
    told = json.loads((tmp_path / "select_k.json").read_text(encoding="utf-8"))
    assert told["num_topics"] == 5
    assert told == result["manifest"]["select_k"]
    assert told["reason"].startswith("5 topics have the best mean rank of 4 candidates")
    assert told["reason"] in caplog.messages
    assert "silhouette     stability" in capsys.readouterr().out
    assert (tmp_path / "select_k.png").read_bytes().startswith(b"\x89PNG")


def test_killed_run_resumes_and_a_rerun_clusters_nothing(cache, tmp_path, monkeypatch):
    cfg = configuration(tmp_path, "data.planted.seed=7")
    made, engine = [], num_topics_module.clustered

    def killed(*given):
        if len(made) == 5:
            raise KeyboardInterrupt
        made.append(given[2:4])
        return engine(*given)

    def counted(*given):
        made.append(given[2:4])
        return engine(*given)

    monkeypatch.setattr(num_topics_module, "clustered", killed)
    with pytest.raises(KeyboardInterrupt):
        chosen(cfg)
    monkeypatch.setattr(num_topics_module, "clustered", counted)
    first = chosen(cfg)
    assert sorted(made) == [(number, seed) for number in (3, 5, 8, 12) for seed in range(3)]
    assert chosen(cfg).facts() == first.facts()
    assert len(made) == 12
    afresh = chosen({**cfg, "paths": {**cfg["paths"], "cache": tmp_path / "other"}})
    assert afresh.facts() == first.facts()


def test_clusterings_of_another_first_seed_are_judged_on_its_own_sample(cache, tmp_path):
    line = ("select_k.silhouette_sample=100", "select_k.seed=1")
    after = [chosen(configuration(cache, *line[:1], f"select_k.seed={seed}")) for seed in (0, 1)][1]
    assert after.facts() == chosen(configuration(tmp_path, *line)).facts()


def test_auto_fits_as_the_chosen_number_does(cache, tmp_path):
    auto, given = (
        configuration(cache, "model=kmeans", f"num_topics={number}", "objective=bow")
        for number in ("auto", 5)
    )
    result = run_cell(auto, tmp_path / "auto")
    run_cell(given, tmp_path / "given")
    check_same_topics(tmp_path / "auto", tmp_path / "given")
    assert result["manifest"]["select_k"]["num_topics"] == 5
    assert "silhouette" in result["manifest"]["select_k"]["reason"]
    assert result["config"]["num_topics"] == "auto"
    assert run_cell(auto, tmp_path / "auto") == result


@pytest.mark.parametrize("model", ["theta", "lda"])
def test_loaded_run_has_the_chosen_size(cache, tmp_path, model):
    small = ["model.encoder.hidden_dims=[16,16]", "trainer.max_epochs=1"] if model == "theta" else []
    run_cell(configuration(cache, f"model={model}", "num_topics=auto", *small), tmp_path / "run")
    fitted = load(tmp_path / "run", device="cpu")
    theta = fitted.transform(["babebaba babebabe babebabi", ""])
    assert theta.shape == (2, 5)
    predict = configuration(cache, "task=predict", f"run={tmp_path / 'run'}", "data.sample=20")
    assert run_cell(predict, tmp_path / "predict")["status"] == "done"
    assert np.load(tmp_path / "predict" / "theta.npy").shape == (20, 5)


def test_auto_of_the_python_face(tmp_path):
    texts = load_corpus(configuration(tmp_path)["data"]).texts[:200]
    fitted = fit_texts(
        texts,
        model="nmf",
        num_topics="auto",
        overrides=["select_k.candidates=[2,5,9]", f"paths.cache={tmp_path / 'cache'}"],
        folder=tmp_path / "run",
    )
    assert fitted.result.num_topics == 5


def test_held_out_documents_do_not_choose(cache):
    cfg = configuration(cache)
    corpus = load_corpus(cfg["data"])
    train = corpus.rows("train")
    np.testing.assert_array_equal(sampled_rows(corpus, None, 0), train)
    sample = sampled_rows(corpus, 100, 0)
    assert len(sample) == 100
    assert set(sample) < set(train)
    assert (np.diff(sample) > 0).all()
    assert (sample != sampled_rows(corpus, 100, 1)).any()


@pytest.mark.parametrize(
    ("numbers", "num_docs", "told"),
    [
        ([10, 300], 100, ["holds 300", "100 training documents of lee", r"select_k.candidates=[10,25,50]"]),
        ([20, 60], 30, ["holds 60", r"use select_k.candidates=[7,15]"]),
        ([2, 3], 4, ["holds 3", "give more documents, or num_topics=<number>"]),
    ],
)
def test_candidates_above_the_sample_are_refused(numbers, num_docs, told):
    with pytest.raises(ValueError, match=r"select_k\.candidates holds") as caught:
        check_candidates(numbers, num_docs, "lee")
    for words in told:
        assert words in str(caught.value)
    check_candidates([2, num_docs // 2], num_docs, "lee")


def test_a_corpus_too_small_fails_with_the_way_out(tmp_path):
    few = r"candidates holds 100, but 31 training documents .* use select_k.candidates=\[7,10,15\]"
    check_failure(tmp_path, few, "num_topics=auto")


def candidates(numbers, inertia=None, **values):
    numbers = np.array(numbers)
    inertia = 1 / numbers if inertia is None else np.array(inertia)
    given = {name: np.array(values.get(name, np.zeros(len(numbers))), float) for name in CRITERIA}
    return Candidates(numbers, {**given, "inertia": inertia}, {})


def test_elbow_is_where_a_power_law_breaks_and_nowhere_on_one():
    numbers = np.array([5, 10, 20, 40, 80])
    broken = numbers**-0.5 * np.where(numbers > 20, (numbers / 20) ** 0.45, 1)
    assert numbers[bends(numbers, broken).argmax()] == 20
    np.testing.assert_allclose(bends(numbers, numbers**-0.3), 0, atol=1e-12)
    assert recommend(candidates(numbers, numbers**-0.3)).elbow is None


def test_tie_is_broken_by_the_elbow_and_without_one_by_the_smaller():
    numbers = np.array([5, 10, 20, 40, 80])
    tied = {"silhouette": [0, 1, 2, 3, 0], "npmi": [0, 3, 2, 1, 0]}
    broken = numbers**-0.5 * np.where(numbers > 20, (numbers / 20) ** 0.45, 1)
    found = recommend(candidates(numbers, broken, **tied))
    assert (found.num_topics, found.elbow) == (20, 20)
    assert found.reason.startswith("Of 5 candidates 10, 20 and 40 have mean ranks")
    assert "within 0.5 of the best, 2.50; 20 is nearest to the elbow of the inertia at 20" in found.reason
    tied["silhouette"] = [0, 1, 2, 1, 0]
    assert recommend(candidates(numbers, broken, **tied)).num_topics == 20
    equal = recommend(candidates(numbers, silhouette=[0, 3, 2, 1, 0], npmi=[0, 2, 3, 1, 0]))
    assert equal.num_topics == 10
    assert "10 is the smallest of them" in equal.reason


def test_disagreement_and_the_end_of_the_grid_are_told():
    rising, falling = [1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]
    numbers = [10, 20, 30, 40, 50, 60]
    two_ways = {"silhouette": rising, "stability": rising, "npmi": falling, "diversity": falling}
    torn = recommend(candidates(numbers, **two_ways))
    assert "The criteria disagree" in torn.reason
    alike = dict.fromkeys(CRITERIA, rising)
    found = recommend(candidates(numbers, **alike))
    assert found.num_topics == 60
    assert "The criteria agree" in found.reason
    assert "It is the largest candidate: add candidates above it to select_k.candidates" in found.reason
    split = recommend(candidates(numbers, silhouette=rising, stability=rising, npmi=[1, 2, 9, 9, 9, 3]))
    assert split.num_topics == 50
    assert "Silhouette and stability are best at the largest candidate, 60" in split.reason


def test_undefined_criterion_is_left_out_and_none_is_refused():
    numbers, undefined = [2, 4, 8], [np.nan, 1, 1]
    found = recommend(candidates(numbers, npmi=undefined, silhouette=[0, 2, 1]))
    assert found.num_topics == 4
    assert "npmi" not in found.ranks
    assert "Not defined for every candidate: npmi" in found.reason
    with pytest.raises(ValueError, match="none of silhouette, stability"):
        recommend(candidates(numbers, **dict.fromkeys(CRITERIA, undefined)))


def test_report_shows_auto_with_its_number(tmp_path):
    for number, told in (("auto", {"select_k": {"num_topics": 20}}), (20, {})):
        folder = tmp_path / f"grid/lee/theta/lsa-zero_shot/bow/K{number}/seed0"
        folder.mkdir(parents=True)
        result = {"status": "done", "metrics": {"npmi": 0.1}, "seconds_total": 1.0, "manifest": told}
        (folder / "result.json").write_text(json.dumps(result))
    cells = collect_cells(tmp_path / "grid")
    assert [cell.axes["num_topics"] for cell in cells] == [20, "auto"]
    table = render(summarise(cells, ["npmi"]), ["npmi"], "md")
    assert "| auto (20) |" in table


def test_options_of_the_choice_are_part_of_what_it_decides(cache):
    given = configuration(cache, "num_topics=5")
    auto = configuration(cache, "num_topics=auto")
    wider = "select_k.candidates=[3,5,8,20]"
    assert config_hash(configuration(cache, "num_topics=5", wider)) == config_hash(given)
    assert config_hash(configuration(cache, "num_topics=auto", wider)) != config_hash(auto)
