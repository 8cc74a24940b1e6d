"""Covariates: kinds, faults and designs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_settings import vocabulary

from topiclab.data.covariates import Covariates, read_covariates
from topiclab.data.design import Design
from topiclab.data.documents import Document, build_corpus, index_labels
from topiclab.data.sources.corpora import corpus_from_texts
from topiclab.data.sources.file import read_documents
from topiclab.settings import Selection, Split

VOCABULARY, SPLIT = vocabulary(min_df=1, max_df=1.0), Split(val=0, test=0)
PARTY, AGE = ["b", "a", "b", "c", "b", "a", "c"], [1.0, 2.0, 3.0, 4.0, 5.0, 6.5, 7.0]


def read(like: Covariates | None = None, **told: Any) -> Covariates:
    places = [f"row {row}" for row in range(len(next(iter(told.values()))))]
    return read_covariates(told, places, frozenset({"nan"}), like)


def test_numbers_as_text_are_numbers_and_texts_are_levels_by_frequency() -> None:
    found = read(
        age=["1", " 2.5", "-3e0", "4", "5", "6", "7"], party=PARTY, flag=[True, False, False] * 2 + [True]
    )
    assert found["age"].values.tolist() == [1, 2.5, -3, 4, 5, 6, 7]
    assert found["party"].levels == ("b", "a", "c")
    assert found["party"].values.tolist() == [0, 1, 0, 2, 0, 1, 2]
    assert found["flag"].levels == ("False", "True")
    assert found.table()["party"].tolist() == PARTY


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([1.0, None, "nan", 2, "", 3], r"missing in 3 of 6 documents: row 1, row 2, row 4; fill it there"),
        ([1.0, "2", 3, 4, 5, 6], r"two types: '2' is a text \(row 1\) and 1 a number \(row 0\)"),
        ([2] * 6, "is 2 in all 6 documents, so it explains nothing"),
        (["a"] * 6, "is a in all 6 documents"),
        (list("abcdef"), r"categorical and has 6 levels in 6 documents \(a, b, c, \.\.\.\)"),
        ([f"l{n % 500}" for n in range(2000)], "has 500 levels in 2000 documents .* at most 200"),
        ([1, 2, 3, np.inf, 4, 5], "row 3: covariate x is inf; give a finite number"),
        ([1, 2, 3, [4], 4, 5], "row 3: covariate x is a list; give a number or a text"),
    ],
)
def test_what_cannot_explain_is_refused_with_the_place(values: list[Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read(x=values)


def test_new_documents_keep_the_kinds_of_the_fit() -> None:
    fitted = read(age=AGE, party=PARTY)
    new = read(fitted, party=["c"], age=["7"], more=[0])
    assert (new["party"].values.tolist(), new["age"].values.tolist()) == ([2], [7.0])
    for told, message in (
        ({"party": ["a"]}, r"no covariate age, .* data\.covariate_columns=\[age,party\]"),
        ({"party": ["z"], "age": [1]}, "row 0: covariate party is 'z', a level .* it knows b, a, c"),
        ({"party": ["a"], "age": ["old"]}, "covariate age is 'old', but the model was fitted with numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            read(fitted, **told)


def test_a_design_has_dummies_products_and_splines() -> None:
    covariates = read(age=AGE, party=PARTY)
    design = Design.of(covariates, ["age*party"], is_standardised=False)
    assert design.names == ("(intercept)", "age", "party=a", "party=c", "age:party=a", "age:party=c")
    np.testing.assert_allclose(design.matrix(covariates)[3], [1, 4, 0, 1, 0, 4])
    again = Design.unpacked(design.packed())
    assert again == design
    centred = Design.of(covariates, ["age"]).matrix(covariates)[:, 1]
    assert (abs(centred.mean()), round(centred.std(), 9)) < (1e-9, 1.1)
    many = read(day=list(range(50)), year=[2001, 2002] * 25)
    spline = Design.of(many, ["spline day", "category year"])
    assert spline.names[-2:] == ("spline day 10", "year=2002")
    beyond = read(many, day=[-5, 0], year=[2001, 2001])
    np.testing.assert_array_equal(*spline.matrix(beyond))


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        (["size"], "no covariate size; there are age, party, twice"),
        (["age*"], r"the term 'age\*' is not complete"),
        (["spline party"], "covariate party is categorical"),
        (
            ["age", "twice"],
            r"twice does not vary .* or follows from the other columns \(\(intercept\), age\)",
        ),
        (["age*party", "spline age", "twice:party"], "columns, but there are 7 training documents"),
    ],
)
def test_a_design_that_has_no_answer_is_refused(terms: list[str], told: str) -> None:
    covariates = read(age=AGE, party=PARTY, twice=[2 * age for age in AGE])
    with pytest.raises(ValueError, match=told):
        Design.of(covariates, terms)


def test_files_and_texts_give_the_same_covariates(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    lines = [
        f"{PARTY[row] * 3} river,{party},{age}"
        for row, (party, age) in enumerate(zip(PARTY, AGE, strict=True))
    ]
    path.write_text("\n".join(["text,party,age", *lines]) + "\n")
    documents = list(read_documents(path, "text", covariate_columns=["party", "age"]))
    selection = Selection("texts", covariate_columns=("party", "age"))
    corpus = build_corpus(documents, selection, VOCABULARY, SPLIT)
    texts = [document.text for document in documents]
    other = corpus_from_texts(
        texts, covariates={"party": PARTY, "age": AGE}, vocabulary=VOCABULARY, split=SPLIT
    )
    assert corpus.covariates is not None
    assert corpus.fingerprint == other.fingerprint
    plain = corpus_from_texts(texts, vocabulary=VOCABULARY, split=SPLIT)
    assert (plain.covariates, plain.fingerprint == corpus.fingerprint) == (None, False)
    with pytest.raises(ValueError, match="7 texts but 6 age"):
        corpus_from_texts(texts, covariates={"age": AGE[1:]}, vocabulary=VOCABULARY, split=SPLIT)
    gap = [*documents[:-1], documents[-1]._replace(covariates=("", "1"))]
    with pytest.raises(ValueError, match=r"posts\.csv, line 8; fill it"):
        build_corpus(gap, selection, VOCABULARY, SPLIT)
    assert Document("a").covariates == ()


def test_a_label_in_two_types_is_refused() -> None:
    with pytest.raises(ValueError, match=r"label 1 is a text in some documents and a number"):
        index_labels([1, "1", "a"])
    assert index_labels([1, 2.0, "x"])[1] == ("1", "2", "x")
