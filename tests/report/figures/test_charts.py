"""Charts of a run: what they draw equals its data, and each that has none is told with its reason."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from descriptions import write_folder
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from pyarrow import parquet

from topiclab.report.description import read_description
from topiclab.report.figures.charts import draw_run
from topiclab.report.figures.groups import draw_groups
from topiclab.report.figures.measures import draw_topic_metrics
from topiclab.report.figures.periods import draw_period_words, draw_shares
from topiclab.report.figures.sankey import SPANS, draw_flow, least_movement, spans_of
from topiclab.report.figures.similarity import jensen_shannon, principal_coordinates
from topiclab.report.figures.style import HUES
from topiclab.report.figures.sweep import draw_sweep, points_of
from topiclab.report.figures.topic_words import draw_words
from topiclab.report.figures.training import draw_training
from topiclab.report.fitted import NoChart, categories, read_fitted
from topiclab.report.language import ENGLISH, LANGUAGES
from topiclab.report.tables.collect import Cell
from topiclab.result import TopicResult

RNG = np.random.default_rng(0)
DOCS, TOPICS, WORDS = 30, 4, 25
LABELS = ["even", "odd", None]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Write the folder of a fit whose table of documents stands in another order, with one dropped."""
    ids = tuple(f"d{row}" for row in range(DOCS))
    theta = RNG.dirichlet(np.ones(TOPICS), DOCS).astype(np.float32)
    beta = RNG.dirichlet(np.ones(WORDS), TOPICS).astype(np.float32)
    TopicResult(theta, beta, tuple(f"word{word}" for word in range(WORDS)), ids=ids).save(
        tmp_path / "topics.npz"
    )
    order = [*range(DOCS - 1, -1, -1), None]
    table = {
        "id": [None if row is None else ids[row] for row in order],
        "label": [None if row is None else LABELS[row % 3] for row in order],
        "dropped": [None if row is not None else "blank" for row in order],
    }
    parquet.write_table(pa.table(table), tmp_path / "documents.parquet")
    covariates = pa.table({"id": list(ids), "age": [float(row) for row in range(DOCS)]})
    parquet.write_table(covariates, tmp_path / "covariates.parquet")
    history = [
        {"epoch": epoch, "train/kl": 9.0 - epoch, "val/kl": 8.0 - epoch, "kl_weight": 1.0}
        for epoch in range(3)
    ]
    (tmp_path / "training_history.json").write_text(json.dumps(history))
    metrics = {"npmi": [0.1, None, 0.3, 0.4], "npmi_usage": [0.1, None, 0.3, 0.4], "c_v": [None] * TOPICS}
    (tmp_path / "topic_metrics.json").write_text(json.dumps(metrics))
    return tmp_path


def shown_by(figure: Figure) -> list:
    return [axes for axes in figure.axes if axes.get_visible()]


def test_charts_draw_the_data_of_the_run(run: Path) -> None:
    fitted = read_fitted(run)
    result, order = fitted.result, fitted.by_share
    for topic, axes in zip(order.tolist(), shown_by(draw_words(fitted, ENGLISH)), strict=True):
        drawn = {
            label.get_text(): bar.get_width()
            for label, bar in zip(axes.get_yticklabels(), axes.patches, strict=True)
        }
        best = result.topic_words(10)[topic]
        assert drawn == {word: result.beta[topic, result.vocab.index(word)] for word in best}
    labels = [LABELS[row % 3] for row in range(DOCS)]
    image = draw_groups(fitted, "label", ENGLISH).axes[0].images[0].get_array()
    means = np.stack([result.theta[[label == name for label in labels]].mean(0) for name in ("even", "odd")])
    np.testing.assert_allclose(np.sort(image, axis=1), np.sort(means, axis=1), rtol=1e-5)
    panels = draw_topic_metrics(fitted, ENGLISH).axes
    assert [axes.get_title().splitlines()[0] for axes in panels] == ["npmi, npmi_usage"]
    values = np.array([0.1, 0, 0.3, 0.4])[order]
    np.testing.assert_allclose([bar.get_width() for bar in panels[0].patches], values)
    assert [text.get_text().strip() for text in panels[0].texts] == ["undefined"]
    kl, weight = shown_by(draw_training(fitted, ENGLISH))
    assert [line.get_ydata().tolist() for line in kl.get_lines()] == [[9, 8, 7], [8, 7, 6]]
    assert weight.get_lines()[0].get_ydata().tolist() == [1, 1, 1]


def test_a_description_gives_names_and_times(run: Path) -> None:
    description = read_description(write_folder(run / "description", 60, TOPICS))
    fitted = read_fitted(run, description)
    assert fitted.names == ["ocean", "stellar", "protein", "market"]
    axes = draw_shares(fitted, LANGUAGES["zh"]).axes
    np.testing.assert_array_equal(
        axes[0].images[0].get_array().filled(np.nan), np.array(description.time["shares"], float)
    )
    assert axes[1].get_ylabel() == "占该月文档的比例"
    with pytest.raises(NoChart, match="describe it again"):
        draw_period_words(fitted, ENGLISH)
    bands = draw_flow(fitted, ENGLISH).axes[0].collections
    assert len(bands) == TOPICS * (SPANS - 1)  # the shares are equal in all periods, so nothing moves
    with pytest.raises(ValueError, match="the description has 3 topics, but"):
        draw_run(run, description=read_description(write_folder(run / "merged", 60, 3)))


def test_every_missing_chart_is_told_and_no_old_one_stays(tmp_path: Path) -> None:
    theta = np.full((5, 2), 0.5, np.float32)
    TopicResult(theta, np.full((2, 3), 1 / 3, np.float32), ("a", "b", "$c")).save(tmp_path / "topics.npz")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "training.png").write_bytes(b"of another fit")
    charts = draw_run(tmp_path, LANGUAGES["zh"])
    reasons = {chart.name: chart.reason for chart in charts if not chart.file}
    assert set(reasons) == {
        "similarity",
        "intertopic_map",
        "topics_by_label",
        "topic_metrics",
        "training",
        "shares_over_time",
        "flow",
        "words_over_time",
    }
    assert reasons["topics_by_label"] == "此运行没有记录各文档类别的 documents.parquet"
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert names == {"topic_words.png", "word_clouds.png", "document_map.png", "figures.json"}
    listed = json.loads((tmp_path / "figures" / "figures.json").read_text())
    assert [chart["reason"] for chart in listed["charts"]] == [chart.reason for chart in charts]


def test_numbers_become_ranges_and_classes_stay() -> None:
    ages = categories(pa.chunked_array([[*map(float, range(100)), None]]))
    assert ages[0] == "0 to 19.8"
    assert ages[99] == "79.2 to 99"
    assert ages[100] is None
    assert len(set(ages)) == 6
    assert categories(pa.chunked_array([["a", None]])) == ["a", None]
    assert categories(pa.chunked_array([[0, 1, 1]])) == ["0", "1", "1"]


def test_flow_is_the_cheapest_plan_between_the_shares() -> None:
    from scipy.optimize import linprog

    places = RNG.normal(size=(6, 2))
    distances = np.linalg.norm(places[:, None] - places, axis=2)
    before, after = RNG.dirichlet(np.ones(6), 2)
    plan = least_movement(before, after, distances)
    np.testing.assert_allclose(plan.sum(axis=1), before)
    np.testing.assert_allclose(plan.sum(axis=0), after)
    sums = np.concatenate([np.kron(np.eye(6), np.ones(6)), np.tile(np.eye(6), 6)])
    whole = linprog(distances.ravel(), A_eq=sums, b_eq=np.concatenate([before, after]))
    assert (plan * distances).sum() == pytest.approx(whole.fun)
    time = {"periods": ["a", "b", "c"], "totals": [1, 0, 3], "shares": [[1, None, 0.5], [0, None, 0.5]]}
    names, shares = spans_of(time, 2)
    assert names == ["a –\nb", "c"]
    np.testing.assert_allclose(shares, [[1, 0.5], [0, 0.5]])


def test_distances_and_places_are_those_of_scipy_and_geometry() -> None:
    from scipy.spatial.distance import jensenshannon

    beta = RNG.dirichlet(np.ones(7), 5)
    found = jensen_shannon(beta)
    assert found[1, 3] == pytest.approx(jensenshannon(beta[1], beta[3], base=2))
    flat = np.array([[0.0, 0], [3, 0], [3, 1], [0, 1]])
    gaps = np.linalg.norm(flat[:, None] - flat, axis=2)
    places, parts = principal_coordinates(gaps)
    np.testing.assert_allclose(np.linalg.norm(places[:, None] - places, axis=2), gaps, atol=1e-9)
    np.testing.assert_allclose(parts, [0.9, 0.1])


def cell_of(model: str, num_topics: int, seed: int, npmi: float) -> Cell:
    axes = dict.fromkeys(("experiment", "data", "embedder", "mode", "objective", "teacher", "variant"), "")
    axes |= {"model": model, "num_topics": num_topics}
    return Cell(Path(f"{model}{num_topics}{seed}"), axes, seed, "done", metrics={"npmi": npmi, "td": np.nan})


def test_a_sweep_is_drawn_by_number_of_topics(tmp_path: Path) -> None:
    cells = [cell_of("lda", size, seed, size + seed) for size in (10, 20) for seed in (0, 2)]
    cells += [cell_of("nmf", 10, 0, 1.0), cell_of("nmf", 20, 0, np.nan)]
    points = points_of({"lda": cells[:4], "nmf": cells[4:]}, "npmi")
    assert points["lda"] == [(10, 11, pytest.approx(2**0.5)), (20, 21, pytest.approx(2**0.5))]
    assert points["nmf"][0][:2] == (10, 1)
    assert len(points["nmf"]) == 1
    assert draw_sweep(cells, ["npmi", "td"], tmp_path / "made" / "sweep.png").exists()
    with pytest.raises(NoChart, match="K=10 alone"):
        draw_sweep(cells[:2], ["npmi"], tmp_path / "sweep.png")
    with pytest.raises(NoChart, match="no cell has a value of td"):
        draw_sweep(cells, ["td"], tmp_path / "sweep.png")


def test_hues_stay_apart_for_readers_without_red_or_green() -> None:
    """Vienot et al. 1999: the two kinds as matrices over linear RGB; no two hues fall together."""
    rgb = np.array([[int(to_hex(hue)[at : at + 2], 16) / 255 for at in (1, 3, 5)] for hue in HUES]) ** 2.2
    protan = np.array([[0.11, 0.89, 0], [0.11, 0.89, 0], [0.004, -0.004, 1]])
    deutan = np.array([[0.29, 0.71, 0], [0.29, 0.71, 0], [-0.022, 0.022, 1]])
    for kind in (protan, deutan):
        seen = np.clip(rgb @ kind.T, 0, 1) ** (1 / 2.2)
        gaps = np.linalg.norm(seen[:, None] - seen, axis=2) + np.eye(len(HUES))
        assert gaps.min() > 0.12
