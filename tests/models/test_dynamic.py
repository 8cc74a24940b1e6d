"""Topic models over time: words that drift are found in their period, and dates that are missing are told."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import topiclab
from topiclab.config.compose import ConfigError, compose
from topiclab.data.period_bins import PeriodBins
from topiclab.runs.run import CellFailed, run_cell

YEARS = (2001, 2003, 2004, 2005)  # 2002 has no document
QUICK = {
    "dtm": ["model.num_sweeps=200", "model.word_variance=0.03", "model.step_size=0.05"],
    "detm": [
        "embedder.dim=8",
        "model.encoder.hidden_dims=[32,32]",
        "model.walk_dim=8",
        "model.walk_variance=0.5",
    ],
}
SMALL = ["data.vocabulary.min_df=1", "data.vocabulary.max_df=1.0", "data.split.val=0", "data.split.test=0"]


@cache
def drifting() -> tuple[list[str], list[str]]:
    """Texts and dates: two topics, half of whose words are those of the year; the first topic grows."""
    rng = np.random.default_rng(0)
    texts, dates = [], []
    for number, year in enumerate(YEARS):
        for _ in range(60):
            topic = "sea" if rng.random() < 0.2 + 0.2 * number else "art"
            letters = rng.choice(list("abcdefgh"), 30)
            is_of_year = rng.random(30) < 0.5
            ending = "klmn"[number]
            words = [
                f"{topic}{ending if own else ''}{letter}"
                for letter, own in zip(letters, is_of_year, strict=True)
            ]
            texts.append(" ".join(words))
            dates.append(f"{year}-0{1 + rng.integers(9)}-11")
    return texts, dates


def fit(model: str, folder: Path, *more: str, **facts: Any) -> Any:
    overrides = [*SMALL, *QUICK[model], "trainer.device=cpu", f"paths.cache={folder}/cache", *more]
    return topiclab.fit(drifting()[0], model, 2, overrides=overrides, folder=folder / "run", **facts)


@pytest.mark.parametrize("model", QUICK)
def test_words_of_a_period_are_its_own(model: str, tmp_path: Path) -> None:
    texts, dates = drifting()
    fitted = fit(model, tmp_path, "model.period=year", timestamps=dates)
    told = json.loads((tmp_path / "run" / "periods.json").read_text())
    assert (told["unit"], told["periods"]) == ("year", [str(year) for year in YEARS])
    sea = next(topic for topic, words in enumerate(told["words"]) if words[0][0].startswith("sea"))
    assert (np.diff(told["shares"][sea]) > 0.02).all()
    assert told["shares"][sea][-1] - told["shares"][sea][0] > 0.3
    if model == "dtm":
        probs = fitted.model.word_probs
    else:
        probs = fitted.model.probs(fitted.model.alpha).detach().numpy()
    of_year = np.array([["sea" + ending in word for word in fitted.result.vocab] for ending in "klmn"])
    masses = of_year @ probs[:, sea].T  # (year of the words, period)
    first, last = masses[0], masses[-1]  # 120 documents a topic do not tell every year from its neighbours
    assert first[0] > first[-1] + 0.02
    assert last[-1] > last[0] + 0.02
    theta = fitted.transform(texts[:5], timestamps=dates[:5])
    np.testing.assert_allclose(theta, fitted.result.theta[:5], atol=1e-5)
    loaded: Any = topiclab.load(tmp_path / "run")
    later = loaded.transform(["seana seanb seanc", "artka"], timestamps=["2020-01-01", "1990-01-01"])
    assert later.argmax(axis=1).tolist() == [sea, 1 - sea]
    with pytest.raises(
        ValueError, match=f"1 texts but no dates, which model={model} reads; give timestamps="
    ):
        loaded.transform(["sea"])
    with pytest.raises(ValueError, match="1 of 2 documents have no date, the first is number 2"):
        loaded.transform(["seaa", "seab"], timestamps=["2003", None])


@pytest.mark.parametrize(
    ("dates", "more", "told"),
    [
        (None, [], "this model reads dates, but texts has none; name data.timestamp_column"),
        (
            ["2001-01-01"] * 240,
            [],
            r"all training documents of texts fall into one \w+, 2001-.*finer model\.period",
        ),
        (
            [None, *["2001", "2002"] * 119, "2003"],
            ["model.period=year"],
            "1 of 240 training documents .* no date",
        ),
    ],
)
def test_dates_that_say_nothing_are_refused(dates: Any, more: list[str], told: str, tmp_path: Path) -> None:
    with pytest.raises(CellFailed, match=told):
        fit("dtm", tmp_path, *more, timestamps=dates)


def test_order_of_documents_does_not_matter_to_the_periods() -> None:
    days = np.array(["2004-05-01", "2001-02-03", "2003-01-01", "2001-01-01"], "datetime64[s]")
    bins = PeriodBins.of(days, "year", "test")
    assert bins.names == ["2001", "2003", "2004"]
    assert bins.index(days, 4).tolist() == [2, 0, 1, 0]
    again = PeriodBins.unpacked(bins.packed())
    assert (again.names, again.unit) == (bins.names, "year")
    with pytest.raises(ValueError, match="damaged periods"):
        PeriodBins.unpacked(np.array([3, 5, 4]))


def test_a_line_without_a_column_of_dates_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("text\nhello\n")
    line = ["model=dtm", "data=file", f"data.path={tmp_path}/posts.csv"]
    with pytest.raises(ConfigError, match=r"model=dtm reads dates; add data\.timestamp_column=<column>"):
        compose(line)
    compose([*line, "model.period=none"])
    with pytest.raises(CellFailed, match="lee has none"):
        run_cell(compose(["model=dtm", "num_topics=2", f"paths.cache={tmp_path}"]), tmp_path / "run")
