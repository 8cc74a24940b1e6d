"""Dates as files have them, read as UTC; values that are not dates, and placeholders, are counted."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

import numpy as np

from topiclab.data.missing import is_missing

log = logging.getLogger(__name__)

MAX_BAD_SHARE = 0.01  # of the dates: more that cannot be read stop the run
MAX_NAMED = 3
MAX_SHOWN = 60  # characters of a value in a message
SECONDS_FROM, SECONDS_TO = 10**8, 5 * 10**9  # epoch seconds from 1973 to 2128
EPOCHS = {"epoch_seconds": 1, "epoch_milliseconds": 10**3, "epoch_microseconds": 10**6}
UNITS = (1, 10**3, 10**6, 10**9)  # of epoch numbers: seconds, milli-, micro- and nanoseconds
EXCEL = "excel"  # days since 1899-12-30
SPECIAL = (*EPOCHS, EXCEL)
EPOCH = datetime(1970, 1, 1)

NUMBER = re.compile(r"([+-]?\d+)(?:\.(\d+))?")
EXPONENT = re.compile(r"\d(\.\d+)?[eE]\+?\d{1,2}")
ISO = re.compile(
    r"(\d{4})([-/.])(\d{1,2})(?:\2(\d{1,2}))?"
    r"(?:[T\s]+(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?)?\s*(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?",
    re.IGNORECASE,
)
ZEROS = re.compile(r"0000[-/.]00?[-/.]00?(\D.*)?")
NUMERIC_DAYS = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})(.*)")
ZONE_NAME = re.compile(r"\s*\((?:[A-Z]{1,5})\)$")
# With English names of months, which are not ambiguous.
NAMED = tuple(
    f"{weekday}{day}{clock}"
    for weekday in ("", "%a, ", "%a ", "%A, ", "%A ")
    for day in ("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y", "%d-%b-%Y")
    for clock in ("", " %H:%M", " %H:%M:%S", " %H:%M:%S %z", " %I:%M %p", " %H:%M:%S GMT", " %H:%M:%S UTC")
)
TWITTER = "%a %b %d %H:%M:%S %z %Y"
MONTHS = ("%b %Y", "%B %Y", "%b, %Y", "%B, %Y")

# First, last and zero days of databases, spreadsheets and clocks, which stand for an unknown date.
ALWAYS = {"0001-01-01", "0001-01-02", "0001-01-03", "9999-12-31", "9999-12-30", "9999-01-01"}
APART = frozenset(
    """
    1600-12-31 1601-01-01 1677-09-21 1700-01-01 1752-12-31 1753-01-01 1800-01-01 1899-12-30 1899-12-31
    1900-01-01 1900-01-02 1901-01-01 1901-12-13 1904-01-01 1969-12-31 1970-01-01 1970-01-02 1979-12-31
    1980-01-01 2038-01-19 2079-06-06 2099-12-31 2100-01-01 2199-12-31 2262-04-11 2999-12-31 3000-01-01
    4712-01-01 5000-01-01 8888-08-08 8888-12-31
    """.split()  # noqa: SIM905
)
MIN_GAP_DAYS = 366  # to the nearest other date, for a day of APART to be a placeholder
GAP_SHARE = 0.1  # of the span of the other dates, likewise


class Told(NamedTuple):
    """A date as written, and where: `place` for messages."""

    value: Any
    place: str


@dataclass(frozen=True)
class Dates:
    """Times (D,) datetime64[s] in UTC, NaT where there is none, and what was left out.

    placeholders: days that stand for an unknown date, with their number of documents.
    unreadable: number of documents with a value that is not a date.
    """

    times: np.ndarray
    placeholders: dict[str, int]
    unreadable: int

    def facts(self) -> dict[str, Any]:
        """Return the counts that a manifest holds."""
        undated = int(np.isnat(self.times).sum())
        return {
            "undated": undated,
            "placeholder_dates": self.placeholders,
            "unreadable_dates": self.unreadable,
        }


def read_dates(
    written: Sequence[Told], name: str, form: str | None = None, missing: frozenset[str] = frozenset()
) -> Dates | None:
    """Times of all documents; None if all of them are missing.

    form: strptime's format, or one of SPECIAL; None reads ISO 8601, years, epoch seconds to nanoseconds and
    English names of months.  missing: values that mean none.  name: of the corpus, for the log.
    Raises ValueError if more than MAX_BAD_SHARE of the dates cannot be read, naming the first.
    """
    values = [None if is_missing(told.value, missing) else told.value for told in written]
    if all(value is None for value in values):
        return None
    seconds: list[int | None] = []
    is_day: list[bool] = []
    bad: list[Told] = []
    known: dict[Any, tuple[int | None, bool]] = {}
    for told, value in zip(written, values, strict=True):
        if value is None:
            found = (None, False)
        elif type(value) is str and value in known:
            found = known[value]
        else:
            try:
                found = _moment(value, form)
            except ValueError:
                found = (None, False)
                bad.append(told)
            else:
                known[value] = found
        seconds.append(found[0])
        is_day.append(found[1])
    num_dated = sum(value is not None for value in values)
    if bad:
        _report(bad, num_dated, form, [value for value in values if value is not None])
    times = np.array(
        ["NaT" if second is None else np.datetime64(second, "s") for second in seconds], "datetime64[s]"
    )
    placeholders = _set_placeholders_apart(times, np.array(is_day))
    if placeholders:
        said = ", ".join(f"{day} ({number})" for day, number in placeholders.items())
        log.warning(
            "corpus %s: %d documents have a date that stands for an unknown one and count as undated: %s",
            name,
            sum(placeholders.values()),
            said,
        )
    return Dates(times, placeholders, len(bad))


def _moment(value: Any, form: str | None) -> tuple[int | None, bool]:
    """Seconds since 1970, and whether the value names a day, not a month or a year; ValueError if neither.

    A zero date is of year 0, which no calendar has.
    """
    if isinstance(value, np.datetime64):
        return int(value.astype("datetime64[s]").astype(np.int64)), True
    if isinstance(value, date):
        moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
        return _seconds(moment), True
    text = str(value).strip()
    if form is not None:
        return _by_form(text, form), True
    if ZEROS.fullmatch(text):
        return _year_seconds(0), True
    if EXPONENT.fullmatch(text):
        text = f"{float(text):.3f}"
    if match := NUMBER.fullmatch(text):
        return _number(match[1], match[2] or "")
    if match := ISO.fullmatch(text):
        return _iso(match), match[4] is not None
    return _named(text)


def _by_form(text: str, form: str) -> int:
    if form == EXCEL:
        return _seconds(datetime(1899, 12, 30) + timedelta(days=_float(text)))
    if form in EPOCHS:
        return int(_float(text) // EPOCHS[form])
    return _seconds(datetime.strptime(text, form))


def _float(text: str) -> float:
    number = float(text)
    if not abs(number) < 10**20:
        raise ValueError(text)
    return number


def _number(whole: str, fraction: str) -> tuple[int, bool]:
    """Years, compact dates (20180102, 201801, 20180102030405) and epoch numbers; ValueError for others."""
    number, is_whole = int(whole), not fraction.strip("0")
    if is_whole and re.fullmatch(r"\d{4}", whole):
        return _year_seconds(number), False
    if number == 0 and is_whole:
        return 0, True
    if is_whole and re.fullmatch(r"(1[0-9]|2[01])\d{2}(0[1-9]|1[0-2])", whole):
        return _seconds(datetime(int(whole[:4]), int(whole[4:]), 1)), False
    for form, length in (("%Y%m%d", 8), ("%Y%m%d%H%M%S", 14)):
        if is_whole and len(whole) == length:
            return _seconds(datetime.strptime(whole, form)), True
    if len(whole) == 12 and re.fullmatch(r"(19|20)\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])[0-2]\d[0-5]\d", whole):
        raise ValueError("12 digits")  # a date with hours and minutes, or milliseconds
    for unit in UNITS:
        if SECONDS_FROM * unit <= number < SECONDS_TO * unit:
            return number // unit, True
    raise ValueError(whole)


def _iso(match: re.Match[str]) -> int:
    year, _, month, day, hour, minute, second, _, zone = match.groups()
    hours, minutes, seconds = (int(part or 0) for part in (hour, minute, second))
    moment = datetime.combine(date(int(year), int(month), int(day or 1)), time(hours, minutes, seconds))
    if zone is None or zone.upper() in ("Z", "UTC", "GMT"):
        return _seconds(moment)
    sign, digits = (-1 if zone[0] == "-" else 1), zone[1:].replace(":", "").ljust(4, "0")
    return _seconds(moment) - sign * (int(digits[:2]) * 3600 + int(digits[2:]) * 60)


def _named(text: str) -> tuple[int, bool]:
    if not any(character.isalpha() for character in text) or len(text) > 60:
        raise ValueError(text)
    text = " ".join(ZONE_NAME.sub("", text).replace(" ,", ",").split())
    text = re.sub(r"\bSept\b", "Sep", re.sub(r"\b(\d{1,2})(?:st|nd|rd|th)\b", r"\1", text)).replace(".", "")
    for form in (*NAMED, TWITTER, *MONTHS):
        try:
            return _seconds(datetime.strptime(text, form)), form not in MONTHS
        except ValueError:
            continue
    raise ValueError(text)


def _seconds(moment: datetime) -> int:
    """Seconds since 1970 in UTC; the zone is subtracted from the number, for days of year 1 have no UTC."""
    offset = moment.utcoffset() or timedelta()
    return (moment.replace(tzinfo=None) - EPOCH) // timedelta(seconds=1) - offset // timedelta(seconds=1)


def _year_seconds(year: int) -> int:
    return int(np.datetime64(f"{year:04d}", "s").astype(np.int64))


def _set_placeholders_apart(times: np.ndarray, is_day: np.ndarray) -> dict[str, int]:
    """Set placeholders to NaT; return the number of documents by written day.

    Days are compared to half a day, because a zone moves them; hours count only for days of APART.
    """
    dated = np.flatnonzero(~np.isnat(times) & is_day)
    days = times[dated].astype("datetime64[D]")
    texts = days.astype(str)
    years = times[dated].astype("datetime64[Y]").astype(np.int64) + 1970
    is_always = np.isin(texts, list(ALWAYS)) | (years < 1) | (years >= 9999)
    is_round = (times[dated] - days).astype(np.int64) % 1800 == 0  # midnight in some zone
    is_candidate = np.isin(texts, list(APART)) & is_round & ~is_always
    others = np.sort(np.delete(times, dated[is_always | is_candidate]))
    others = others[~np.isnat(others)].astype("datetime64[D]")
    is_apart = np.zeros(len(dated), bool)
    if len(others):
        span = (others[-1] - others[0]).astype(np.int64)
        gap = max(MIN_GAP_DAYS, GAP_SHARE * span)
        right = np.searchsorted(others, days)
        below = np.abs((days - others[np.maximum(right - 1, 0)]).astype(np.int64))
        above = np.abs((others[np.minimum(right, len(others) - 1)] - days).astype(np.int64))
        is_apart = np.minimum(below, above) > gap
    elif is_candidate.any():
        is_apart = np.full(len(dated), len(np.unique(days[is_candidate])) == 1)
    chosen = is_always | (is_candidate & is_apart)
    times[dated[chosen]] = np.datetime64("NaT")
    return dict(sorted(Counter(texts[chosen].tolist()).items()))


def _report(bad: list[Told], num_dated: int, form: str | None, values: list[Any]) -> None:
    """Warn of a few dates that cannot be read; ValueError for more of them, which names the first."""
    first = bad[0]
    told = f"{first.place}: {_shown(first.value)} is not a readable date"
    way_out = _way_out([str(value).strip() for value in values], form, first.value)
    share = f"{len(bad)} of {num_dated} dates"
    if len(bad) > MAX_BAD_SHARE * num_dated:
        raise ValueError(f"{told} ({len(bad)} of {num_dated} are not); {way_out}")
    others = "".join(f"; {each.place}: {_shown(each.value)}" for each in bad[1:MAX_NAMED])
    log.warning("%s and counts as undated, as do %s%s; %s", told, share, others, way_out)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _way_out(values: list[str], form: str | None, first: Any) -> str:
    """Formats that would read the dates, most first."""
    again = f"data.missing=[{_shown(first)}] if it means that there is none"
    if form is not None:
        return f"data.timestamp_format={form} does not read it; give another, or {again}"
    fitting = [candidate for candidate in _candidates(values) if candidate]
    if fitting:
        return f"say what it means with {' or '.join(f'data.timestamp_format={each!r}' for each in fitting)}"
    return (
        "data.timestamp_column must hold ISO 8601 such as 2024-05-01 or 2024-05-01T12:00:00Z, years, or "
        f"epoch seconds; data.timestamp_format='%d.%m.%Y' (strptime) reads other forms, {again}"
    )


def _candidates(values: list[str]) -> Iterator[str]:
    """Formats of days, months and years in numbers that read the most of the values; several if ambiguous."""
    matches = [match for value in values if (match := NUMERIC_DAYS.fullmatch(value))]
    if not matches:
        if any(re.fullmatch(r"\d{12}", value) for value in values):
            yield from ("%Y%m%d%H%M", "epoch_milliseconds")
        elif any(re.fullmatch(r"[2-6]\d{4}(\.\d+)?", value) for value in values):
            yield EXCEL
        return
    sign, year = matches[0][2], "%Y" if len(matches[0][4]) == 4 else "%y"
    clock = _clock(matches[0][5])
    forms = [f"%d{sign}%m{sign}{year}{clock}", f"%m{sign}%d{sign}{year}{clock}"]
    shares = [sum(_reads(form, match[0]) for match in matches) for form in forms]
    yield from (form for form, number in zip(forms, shares, strict=True) if number == max(shares))


def _clock(rest: str) -> str:
    forms = (r" \d\d?:\d\d", r" \d\d?:\d\d:\d\d", r" \d\d?:\d\d [AaPp][Mm]", r" \d\d?:\d\d:\d\d [AaPp][Mm]")
    clocks = (" %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
    found = (clock for form, clock in zip(forms, clocks, strict=True) if re.fullmatch(form, rest))
    return next(found, "")


def _reads(form: str, value: str) -> bool:
    try:
        datetime.strptime(value, form)
    except ValueError:
        return False
    return True
