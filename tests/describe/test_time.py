"""Topics over time: periods, shares with bands, trends at their rate, terms."""

import json

import numpy as np
import pytest
from scipy import sparse

from topiclab.data.periods import UNITS, assign_periods, period_name
from topiclab.describe.files import time_content, write_json
from topiclab.describe.model_periods import read_period_words, with_own_words
from topiclab.describe.ngrams import NgramCounts
from topiclab.describe.period_terms import period_terms
from topiclab.describe.time import resampled_shares, topics_over_time

RATE = 0.05  # as stated: intervals at 95 %


def dates(first, last, num, seed=0):
    """Spread num dates evenly over first..last, in random order, as datetime64[s]."""
    start, stop = (np.datetime64(day, "s").astype(int) for day in (first, last))
    spread = np.linspace(start, stop, num).astype("datetime64[s]")
    return np.random.default_rng(seed).permutation(spread)


def counts_of(matrix, words=None):
    num = matrix.shape[1]
    vocab = tuple(words or [f"w{word:03d}" for word in range(num)])
    parts = np.repeat(np.arange(num, dtype=np.int32)[:, None], 2, axis=1)
    return NgramCounts(vocab, sparse.csr_matrix(matrix, dtype=np.int32), parts)


def no_terms(num_docs):
    return counts_of(np.zeros((num_docs, 1)))


def one_hot(topics, num_topics):
    return np.eye(num_topics, dtype=np.float32)[topics]


@pytest.mark.parametrize(
    ("first", "last", "num", "unit", "periods"),
    [
        ("2025-03-01", "2025-03-20", 5000, "day", 20),
        ("2025-01-06", "2025-06-30", 5000, "week", 26),
        ("2024-01-01", "2025-12-31", 5000, "month", 24),
        ("2018-01-01", "2025-12-31", 5000, "quarter", 32),
        ("1990-06-01", "2020-06-01", 5000, "year", 31),
        ("1800-01-01", "2019-01-01", 5000, "decade", 22),
        ("2024-01-01", "2025-12-31", 450, "quarter", 8),  # 19 documents a month are too few
        ("2025-03-01", "2025-03-03", 100, "day", 3),
        ("1000-01-01", "2020-01-01", 5000, "decade", 100),  # no coarser period; one percent at either end
    ],
)
def test_unit_gives_eight_to_forty_periods(first, last, num, unit, periods):
    found = assign_periods(dates(first, last, num))
    assert found.unit == unit
    assert len(found.starts) == periods


@pytest.mark.parametrize("unit", UNITS)
def test_periods_hold_their_dates(unit):
    stamps = dates("1969-09-05", "1970-11-03", 400)
    found = assign_periods(stamps, unit)
    days = stamps.astype("datetime64[D]")
    assert (found.index >= 0).all()
    assert (found.starts[found.index] <= days).all()
    following = np.append(found.starts[1:], np.datetime64("9999-01-01"))
    assert (days < following[found.index]).all()
    assert (found.index == 0).any()
    assert found.index.max() == len(found.starts) - 1
    assert len(set(found.names)) == len(found.names)
    if unit == "week":
        assert {start.item().isoweekday() for start in found.starts} == {1}


@pytest.mark.parametrize(
    ("day", "unit", "name"),
    [
        ("2024-12-30", "week", "2025-W01"),
        ("2025-10-01", "quarter", "2025-Q4"),
        ("2025-10-01", "month", "2025-10"),
        ("2025-01-01", "year", "2025"),
        ("1990-01-01", "decade", "1990s"),
        ("2025-01-09", "day", "2025-01-09"),
    ],
)
def test_names_of_periods(day, unit, name):
    assert period_name(np.datetime64(day).item(), unit) == name


def test_one_date_far_apart_spoils_no_unit():
    stamps = np.append(dates("2024-01-01", "2025-12-31", 2000), np.datetime64("1971-02-03", "s"))
    found = assign_periods(stamps)
    assert (found.unit, len(found.starts)) == ("month", 24)
    assert found.index[-1] == -1
    times = topics_over_time(one_hot(np.zeros(2001, int), 2), stamps, no_terms(2001))
    assert (times.outside, times.undated, times.totals.sum()) == (1, 0, 2000)
    named = assign_periods(stamps, "year")
    assert len(named.starts) == 55
    assert named.index[-1] == 0


def test_documents_without_dates_are_left_out_and_counted():
    stamps = dates("2024-01-01", "2025-12-31", 2000)
    theta = np.random.default_rng(0).dirichlet(np.ones(3), 2000).astype(np.float32)
    whole = topics_over_time(theta, stamps, no_terms(2000))
    padded = np.concatenate([stamps, np.full(7, "NaT", "datetime64[s]")])
    more = topics_over_time(np.concatenate([theta, theta[:7]]), padded, no_terms(2007))
    assert (more.undated, more.outside, whole.undated) == (7, 0, 0)
    np.testing.assert_array_equal(whole.shares, more.shares)
    np.testing.assert_array_equal(whole.low, more.low)
    assert whole.trends == more.trends


def test_no_date_at_all_and_unknown_units_are_refused():
    with pytest.raises(ValueError, match="none of the 3 documents has a date"):
        assign_periods(np.full(3, "NaT", "datetime64[s]"))
    with pytest.raises(ValueError, match="unit=months is not a period; use auto, day, week, month"):
        assign_periods(dates("2024-01-01", "2025-12-31", 5), "months")
    with pytest.raises(
        ValueError, match=r"unit=day makes 731 periods of 2024-01-01.* more than 500; use a coarser"
    ):
        assign_periods(dates("2024-01-01", "2025-12-31", 5), "day")


def test_counts_and_shares_are_those_of_the_documents():
    rng = np.random.default_rng(0)
    stamps, theta = dates("2024-01-15", "2024-12-31", 900), rng.dirichlet(np.ones(4), 900).astype(np.float32)
    times = topics_over_time(theta, stamps, no_terms(900), unit="month")
    months = stamps.astype("datetime64[M]").astype(int) - (2024 - 1970) * 12
    assert times.periods[0] == "2024-01"
    for month in range(12):
        rows = months == month
        assert times.totals[month] == rows.sum()
        np.testing.assert_allclose(times.shares[:, month], theta[rows].mean(axis=0), atol=1e-6)
        expected = np.bincount(theta[rows].argmax(axis=1), minlength=4)
        np.testing.assert_array_equal(times.counts[:, month], expected)
    assert (times.low <= times.shares + 1e-6).all()
    assert (times.high >= times.shares - 1e-6).all()
    again = topics_over_time(theta, stamps, no_terms(900), unit="month")
    np.testing.assert_array_equal(times.low, again.low)
    other = topics_over_time(theta, stamps, no_terms(900), unit="month", seed=1)
    assert (other.low != times.low).any()


def test_an_empty_period_has_no_share():
    stamps = np.concatenate([dates("2024-01-01", "2024-02-28", 60), dates("2024-04-01", "2024-05-30", 60)])
    times = topics_over_time(one_hot(np.arange(120) % 2, 2), stamps, no_terms(120), unit="month")
    assert times.totals[2] == 0
    assert np.isnan(times.shares[:, 2]).all()
    assert np.isnan(times.low[:, 2]).all()
    assert np.isfinite([trend.slope for trend in times.trends]).all()
    assert times.terms[0][2] == []


@pytest.mark.parametrize("spread", ["one", "many"])
def test_bands_cover_the_share_at_their_rate(spread):
    """In 200 samples of 300 documents, about 190 bands cover the true share."""
    rng = np.random.default_rng(0)
    truth = np.array([0.1, 0.3, 0.6])
    samples = rng.choice(3, (200, 300), p=truth)
    theta = one_hot(samples, 3) if spread == "one" else rng.dirichlet(truth * 3, (200, 300))
    shares = resampled_shares(theta.reshape(-1, 3).astype(np.float32), np.full(200, 300), 300, seed=0)
    low, high = np.quantile(shares, [RATE / 2, 1 - RATE / 2], axis=0)
    covered = ((low <= truth) & (truth <= high)).mean(axis=0)
    assert (covered > 0.89).all(), covered
    assert (covered < 0.99).all(), covered


def test_blocks_change_no_distribution(monkeypatch):
    theta = np.random.default_rng(0).dirichlet(np.ones(3), 100).astype(np.float32)
    whole = resampled_shares(theta, np.array([60, 0, 40]), 50, seed=3)
    monkeypatch.setattr("topiclab.describe.time.BLOCK", 150)
    parts = resampled_shares(theta, np.array([60, 0, 40]), 50, seed=3)
    np.testing.assert_allclose(whole, parts, atol=1e-6)
    assert np.isnan(whole[:, 1]).all()


def drawn(probabilities, docs, rng):
    """Draw one-hot theta and dates of documents in 12 months, with these topic probabilities (12, K)."""
    period = np.repeat(np.arange(12), docs)
    cumulative = probabilities.cumsum(axis=1)[period]
    topics = (rng.random((len(period), 1)) > cumulative).sum(axis=1)
    return one_hot(topics, probabilities.shape[1]), np.datetime64("2024-01", "M") + period


def kinds(theta, stamps):
    times = topics_over_time(theta, stamps, no_terms(len(theta)), unit="month", num_bootstrap=200)
    return [trend.kind for trend in times.trends]


def test_planted_rise_and_fall_are_found():
    rng = np.random.default_rng(0)
    rise, flat = np.linspace(0.05, 0.2, 12), np.full(12, 0.25)
    probabilities = np.stack([flat, rise, 0.5 - rise, flat], axis=1)
    found = [kinds(*drawn(probabilities, 200, rng)) for _ in range(40)]
    told = np.array(found)
    assert (told[:, 1] == "emerging").mean() >= 0.95
    assert (told[:, 2] == "fading").mean() >= 0.95
    assert (told[:, [0, 3]] == "steady").mean() >= 1 - 2 * RATE


@pytest.mark.parametrize("has_waves", [False, True], ids=["documents", "periods"])
def test_flat_topics_are_steady_at_the_stated_rate(has_waves):
    """Flat topics are steady, also where shares of whole periods go up and down, as with conferences."""
    rng = np.random.default_rng(1)
    told = []
    for _ in range(40):
        probabilities = np.full((12, 5), 0.2)
        if has_waves:
            probabilities = rng.dirichlet(np.full(5, 20.0), 12)
        told += kinds(*drawn(probabilities, 150, rng))
    assert 1 - np.mean(np.array(told) == "steady") <= 1.6 * RATE


@pytest.mark.parametrize("seed", range(4))
def test_topic_that_all_documents_have_is_steady(seed):
    """A constant share has a slope of rounding alone, with an interval of zero width."""
    stamps = np.datetime64("2010-01-01", "s") + np.random.default_rng(seed).integers(0, 3 * 10**8, 317)
    assert kinds(one_hot(np.zeros(317, int), 2), stamps) == ["steady", "steady"]


def test_one_and_two_periods(tmp_path):
    theta = one_hot(np.arange(50) % 2, 2)
    for unit, num in (("year", 1), ("quarter", 2)):
        times = topics_over_time(theta, dates("2024-01-01", "2024-06-30", 50), no_terms(50), unit=unit)
        assert len(times.periods) == num
        assert {trend.kind for trend in times.trends} == {"steady"}
        write_json(tmp_path / "time.json", time_content(times))
        told = json.loads((tmp_path / "time.json").read_text(), parse_constant=pytest.fail)
        assert (told["trends"][0]["slope"] is None) == (num == 1)


def test_json_has_no_nan(tmp_path):
    stamps = np.concatenate([dates("2024-01-01", "2024-02-28", 60), dates("2024-04-01", "2024-05-30", 60)])
    times = topics_over_time(one_hot(np.arange(120) % 2, 2), stamps, no_terms(120), unit="month")
    write_json(tmp_path / "time.json", time_content(times))
    told = json.loads((tmp_path / "time.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert told["shares"][0][2] is None
    assert told["periods"] == ["2024-01", "2024-02", "2024-03", "2024-04", "2024-05"]
    assert [len(told[name]) for name in ("totals", "counts", "shares", "low", "high", "terms", "trends")] == [
        5,
        *[2] * 6,
    ]
    assert told["trends"][1].keys() == {"topic", "slope", "low", "high", "kind"}


def test_terms_are_those_of_the_topic_in_the_period():
    """Topic k has w00k always and w01p in period p only; w020 is everywhere and left out, w015 is rare."""
    num_docs, period, topic = 240, np.repeat(np.arange(4), 60), np.tile(np.arange(3), 80)
    matrix = np.zeros((num_docs, 21))
    matrix[np.arange(num_docs), topic] = 2
    matrix[np.arange(num_docs), 10 + period] = 1
    matrix[:, 20] = 5
    matrix[::60, 15] = 9
    stamps = np.datetime64("2024-01", "M") + period
    times = topics_over_time(
        one_hot(topic, 3), stamps, counts_of(matrix), unit="month", num_terms=3, left_out=["w020"]
    )
    for number in range(3):
        assert [set(terms) for terms in times.terms[number]] == [
            {f"w{number:03d}", f"w{10 + month:03d}"} for month in range(4)
        ]


def test_terms_of_few_documents_are_drawn_to_the_topic():
    """In a period of five documents, a term of three of them ranks below a term of half of the topic."""
    matrix = np.zeros((85, 12))
    matrix[:20, 0] = matrix[40:42, 0] = 1  # the topic, in half of its documents
    matrix[42:45, 1] = 1  # three documents of the small period
    matrix[40, 2] = 9  # one of them
    matrix[45:65, 1] = 1  # another topic, so that both terms are equally rare
    cell = np.repeat([0, 1, 2], [40, 5, 40])
    found = period_terms(counts_of(matrix), cell, np.array([[40, 5], [40, 0]]), num=3)
    assert found == [[["w000"], ["w000", "w001"]], [["w001"], []]]


def test_terms_say_each_thing_once():
    matrix = np.ones((9, 3), int)
    counts = NgramCounts(
        ("graph", "network", "graph network"),
        sparse.csr_matrix(matrix),
        np.array([[0, 0], [1, 1], [0, 1]], np.int32),
    )
    assert period_terms(counts, np.zeros(9, int), np.array([[9]]), num=3) == [[["graph network"]]]


def test_a_model_over_time_shows_its_own_words(tmp_path):
    days = np.array(["2001-03-01", "2001-05-01", "2003-01-01", "2003-02-01"], "datetime64[s]")
    counts = NgramCounts(("red", "blue"), sparse.csr_matrix(np.ones((4, 2), int)), np.array([[0, 0], [1, 1]]))
    theta = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    words = [[["a", "b"], ["c", "d"]], [["e", "f"], ["g", "h"]]]
    path = tmp_path / "periods.json"
    path.write_text(json.dumps({"unit": "year", "periods": ["2001", "2003"], "words": words}))
    own = read_period_words(tmp_path, 2)
    times = with_own_words(topics_over_time(theta, days, counts, unit="year"), own, 1)
    assert times.periods == ["2001", "2002", "2003"]
    assert times.terms == [[["a"], ["a"], ["c"]], [["e"], ["e"], ["g"]]]
    by_month = topics_over_time(theta, days, counts, unit="month")
    assert with_own_words(by_month, own, 1) is by_month
    with pytest.raises(ValueError, match=r"periods\.json cannot be read .* fit again"):
        read_period_words(tmp_path, 3)
    assert read_period_words(tmp_path / "none", 2) is None
