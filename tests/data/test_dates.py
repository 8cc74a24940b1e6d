"""Dates in the forms of files, and those that are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from topiclab.data.dates import Dates, Told, read_dates
from topiclab.data.missing import missing_values
from topiclab.data.periods import assign_periods

MISSING = missing_values(None)


def read(*values: Any, form: str | None = None) -> Dates:
    told = [Told(value, f"posts.csv, line {line}") for line, value in enumerate(values, 2)]
    found = read_dates(told, "posts", form, MISSING)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2018.0", "2018-01-01"),
        (2018, "2018-01-01"),
        ("2018/1/2", "2018-01-02"),
        ("20180102", "2018-01-02"),
        ("2018-01-02T03:04:05.678+02:00", "2018-01-02T01:04:05"),
        ("1514862245", "2018-01-02T03:04:05"),
        (1514862245000.0, "2018-01-02T03:04:05"),
        ("1.514862245e+09", "2018-01-02T03:04:05"),
        ("Jan 2nd, 2018", "2018-01-02"),
        ("Tue, 02 Jan 2018 03:04:05 +0000", "2018-01-02T03:04:05"),
        ("Tue Jan 02 03:04:05 +0000 2018", "2018-01-02T03:04:05"),
    ],
)
def test_usual_forms_are_read(value: Any, expected: str) -> None:
    assert read(value, "NaT", "nan", None, float("nan")).times[0] == np.datetime64(expected, "s")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["03/04/2018", "25/04/2018"], r"line 2: '03/04/2018' .* data\.timestamp_format='%d/%m/%Y'$"),
        (["03.04.18"], r"'%d\.%m\.%y' or data\.timestamp_format='%m\.%d\.%y'$"),
        (["43101"], "timestamp_format='excel'"),
        (["201801020304"], "'%Y%m%d%H%M' or"),
        (["2018-13-01"], r"line 2: '2018-13-01' is not a readable date \(1 of 1"),
        (["9" * 5000], r"'9{59}\.\.\. is not"),
    ],
)
def test_other_forms_name_the_line_and_the_option(values: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(*values)


def test_a_format_is_followed() -> None:
    assert read("03/04/2018", form="%d/%m/%Y").times[0] == np.datetime64("2018-04-03")
    assert read("43101.5", form="excel").times[0] == np.datetime64("2018-01-01T12")


def test_one_bad_date_of_hundreds_is_told(caplog: pytest.LogCaptureFixture) -> None:
    found = read(*["2018-01-01"] * 100, "yesterday")
    assert found.facts() == {"undated": 1, "placeholder_dates": {}, "unreadable_dates": 1}
    assert "line 102: 'yesterday'" in caplog.text


def test_placeholders_are_set_aside_where_they_stand_apart(caplog: pytest.LogCaptureFixture) -> None:
    apart = ["0001-01-01", "1970-01-01T00:00:00Z", "1900-01-01", "9999-12-31T23:59:59", "0000-00-00", 0]
    found = read("2018-01-01", "2023-05-01", *apart, "0001-01-01T00:00:00+05:00")
    assert np.isnat(found.times).sum() == 7
    assert found.placeholders["1970-01-01"] == 2
    assert "7 documents have a date that stands for an unknown one" in caplog.text
    assert not read("1969-05-01", "1970-01-01", "1971-03-01").placeholders
    assert not read("1970", "2018").placeholders


def test_dates_centuries_away_leave_the_periods_as_they_are() -> None:
    usual = np.datetime64("2018-01-01") + np.arange(0, 2190, 10)
    odd = np.array(["0205-01-01", "8018-01-01"] * 4, "datetime64[D]")
    periods = assign_periods(np.concatenate([usual, odd]))
    assert {name[:4] for name in periods.names} <= {str(year) for year in range(2018, 2025)}
    assert (periods.index[-8:] == -1).all()
