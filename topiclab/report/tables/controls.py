"""Controls: every neural row next to the controls it has to beat, by data set and metric."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from topiclab.report.tables.collect import Cell
from topiclab.report.tables.markdown import LOWER_IS_BETTER, markdown_table, score_text
from topiclab.report.tables.plan import Controls, Table, topics_order
from topiclab.report.tables.scores import Line, Score, summarise

NO_SCORE = Score(math.nan, math.nan, 0)
Averages = dict[str, list[Line]]  # by experiment, averaged over its numbers of topics


@dataclass(frozen=True)
class Contest:
    """One metric of a row and of its controls, at one number of topics or averaged over them."""

    row: Score
    controls: dict[str, Score]
    lower_is_better: bool

    @property
    def best(self) -> Score:
        choose = min if self.lower_is_better else max
        known = [score for score in self.controls.values() if score.num]
        return choose(known, key=lambda score: score.mean) if known else NO_SCORE

    @property
    def gain(self) -> float:
        """Difference between the row and its best control, positive where the row is better."""
        return (self.row.mean - self.best.mean) * (-1 if self.lower_is_better else 1)

    @property
    def spread(self) -> float:
        """Standard deviation of the gain, from the standard deviations of both over seeds."""
        return math.hypot(self.row.std, self.best.std)

    def text(self) -> str:
        """Format the gain, in bold if it exceeds two standard deviations in either direction."""
        if not math.isfinite(self.gain):
            return "-"
        is_beyond = abs(self.gain) > 2 * self.spread
        return f"**{self.gain:+.3f}**" if is_beyond else f"{self.gain:+.3f}"


def render_controls(cells: Sequence[Cell], table: Table) -> str:
    """Render Markdown: a section for each data set with a table for each metric of `table`.

    Raises ValueError if the table defines no controls.
    """
    plan = table.controls
    if plan is None:
        raise ValueError(f"table {table.name} has no controls; add them to its .table.yaml")
    averaged = {start: _averages(cells, start, table.metrics) for start in plan.starts}
    single = summarise(cells, table.metrics)
    sections = []
    for data in dict.fromkeys(line.axes["data"] for lines in averaged.values() for line in lines):
        sections.append(f"### {data}")
        for metric in table.metrics:
            each = [line for line in single if line.axes["data"] == data]
            sections += [f"#### {metric}", _metric_table(data, averaged, each, metric, plan)]
    beaten = _tally(averaged, table.metrics, plan)
    return "\n\n".join([*sections, *beaten, _legend(plan)]) + "\n"


def _averages(cells: Sequence[Cell], start: str, metrics: Sequence[str]) -> list[Line]:
    """Means of the rows of this start and of all controls, over the numbers of topics of this start."""
    topics = {cell.axes["num_topics"] for cell in cells if cell.axes["experiment"] == start}
    same = [cell for cell in cells if cell.axes["num_topics"] in topics]
    return summarise(same, metrics, ("seed", "num_topics"))


def _metric_table(data: str, averaged: Averages, single: Sequence[Line], metric: str, plan: Controls) -> str:
    """Render rows by start and model; columns: controls, the row, the gain, then the row at each K."""
    topics = sorted({line.axes["num_topics"] for line in single}, key=topics_order)
    header = ["start", "model", *plan.models, *plan.objectives, plan.target, "gain"]
    rows = []
    for line in (line for start in averaged for line in _rows(averaged, start, plan)):
        if line.axes["data"] != data:
            continue
        contest = contest_of(line, averaged[line.axes["experiment"]], metric, plan)
        row = [plan.starts[line.axes["experiment"]], line.axes["model"]]
        row += [score_text(contest.controls[name]) for name in (*plan.models, *plan.objectives)]
        row += [score_text(contest.row), contest.text()]
        for num_topics in topics:
            at = [other for other in single if other.axes["num_topics"] == num_topics]
            same = [other for other in _targets(at, plan) if _row_of(other) == _row_of(line)]
            row.append(_short(contest_of(same[0], at, metric, plan)) if same else "-")
        rows.append(row)
    return markdown_table([*header, *(f"K={num_topics}" for num_topics in topics)], rows)


def contest_of(line: Line, lines: Sequence[Line], metric: str, plan: Controls) -> Contest:
    """Compare a line with objective plan.target to its controls among lines of the same data and K."""

    def score(experiment: str | None, model: str, objective: str | None) -> Score:
        for other in lines:
            axes = other.axes
            if (
                axes["data"] == line.axes["data"]
                and axes["model"] == model
                and experiment in (None, axes["experiment"])
                and objective in (None, axes["objective"])
            ):
                return other.scores[metric]
        return NO_SCORE

    own = line.axes["experiment"], line.axes["model"]
    controls = {model: score(None, model, None) for model in plan.models}
    controls |= {objective: score(*own, objective) for objective in plan.objectives}
    return Contest(line.scores[metric], controls, metric.endswith(LOWER_IS_BETTER))


def _rows(averaged: Averages, start: str, plan: Controls) -> list[Line]:
    """Averaged rows of one start."""
    return [line for line in _targets(averaged[start], plan) if line.axes["experiment"] == start]


def _targets(lines: Sequence[Line], plan: Controls) -> list[Line]:
    """Rows with objective plan.target, sorted by start, then model."""
    rows = [
        line
        for line in lines
        if line.axes["experiment"] in plan.starts and line.axes["objective"] == plan.target
    ]
    starts = list(plan.starts)
    return sorted(rows, key=lambda line: (starts.index(line.axes["experiment"]), line.axes["model"]))


def _row_of(line: Line) -> tuple[str, str]:
    return line.axes["experiment"], line.axes["model"]


def _short(contest: Contest) -> str:
    return f"{contest.row.mean:.3f} ({contest.text()})" if contest.row.num else "-"


def _tally(averaged: Averages, metrics: Sequence[str], plan: Controls) -> Iterator[str]:
    """Count the rows that beat all controls, or trail the best, by more than two standard deviations."""
    for start, label in plan.starts.items():
        rows = _rows(averaged, start, plan)
        texts, lacking = [], set[str]()
        for metric in metrics if rows else ():
            contests = [contest_of(line, averaged[start], metric, plan) for line in rows]
            lacking |= {name for each in contests for name, score in each.controls.items() if not score.num}
            known = [contest for contest in contests if math.isfinite(contest.gain)]
            ahead = sum(contest.gain > 2 * contest.spread for contest in known)
            behind = sum(-contest.gain > 2 * contest.spread for contest in known)
            texts.append(f"{metric} {ahead} ahead, {behind} behind of {len(known)}")
        if rows:
            but = f" (without {', '.join(sorted(lacking))}, which not every row has)" if lacking else ""
            yield f"Start {label}, {plan.target} against its best control{but}: {'; '.join(texts)}."


def _legend(plan: Controls) -> str:
    objectives, models = ", ".join(plan.objectives), ", ".join(plan.models)
    return (
        f"Mean ± standard deviation over seeds of means over K. {objectives}: the same model and start with "
        f"another target. {models}: not neural models. gain: {plan.target} minus the best of these, in bold "
        "beyond two standard deviations of the difference; also in brackets for each K."
    )
