"""Reports: a table over the cells of experiments (NAME), a run's page (page), its charts (figures)."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from topiclab.config.folder_names import folder_name
from topiclab.report.checks.verdicts import draw_check, render_check
from topiclab.report.tables.collect import Cell, collect_cells
from topiclab.report.tables.controls import render_controls
from topiclab.report.tables.markdown import DEFAULT_METRICS, render
from topiclab.report.tables.places import config_name, find_grid
from topiclab.report.tables.plan import AXES, Table, read_table
from topiclab.report.tables.provenance import footer, provenance, write_provenance
from topiclab.report.tables.reference import Reference, read_reference
from topiclab.report.tables.scores import Line, metric_names, summarise

MAX_NOTES = 20
PAGE, FIGURES = "page", "figures"
STABILITY = "stability"  # a column that is measured here, from the topics of the cells


def main(argv: Sequence[str] | None = None) -> int:
    """Print or write the table; return 1 if a cell is missing, failed or unreadable, so that `make` stops.

    The figure of a check is written next to its table.
    """
    args = parser_of_arguments().parse_args(argv)
    if args.name is None:
        known = sorted(path.name for path in args.outputs.glob("*/") if path.is_dir())
        print(
            f"give the name of an experiment (runs under {args.outputs}: {', '.join(known) or 'none'}), or "
            "page run=<folder>, or figures run=<folder>; --help tells more",
            file=sys.stderr,
        )
        return 2
    if args.name == PAGE:
        from topiclab.report.page.command import render

        return render(args.overrides)
    if args.name == FIGURES:
        from topiclab.report.figures.command import draw

        return draw(args.overrides)
    try:
        if args.overrides:
            raise ValueError(f"{' '.join(args.overrides)}: only page and figures take key=value; see --help")
        table = _as_asked(read_table(args.experiments, args.name), args)
        if args.grids:
            print(*(config_name(args.experiments, grid) for grid in table.grids), sep="\n")
            return 0
        cells = _collect(table, args)
        facts = provenance(cells, _commands(table, args))
        text = _text(table, cells, args)
        if text and args.format == "md":
            text += "".join(f"\n{line}\n" for line in footer(facts, _metrics(table, cells, args.format)))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    _show(text, args.out)
    if text and args.out:
        write_provenance(args.out, facts)
    if table.check and text and (args.figures or args.out):
        place = args.out.with_suffix(".png") if args.out else args.outputs / f"{table.name}.png"
        print(draw_check(table.check, cells, place), file=sys.stderr)
    elif args.figures:
        place = args.outputs / folder_name(table.name) / "metrics_by_topics.png"
        draw_figures(cells, _metrics(table, cells, args.format), place)
    _print_notes(cells, _metrics(table, cells, args.format))
    return int(any(not cell.is_done for cell in cells))


def _commands(table: Table, args: argparse.Namespace) -> list[str]:
    """Lines that make the cells of the table, and the one that writes it, without paths of this machine."""
    options = [f"--format {args.format}"] if args.format != "md" else []
    for name in ("over", "metrics"):
        if values := getattr(args, name):
            options.append(f"--{name} {' '.join(values)}")
    if args.reference:
        options.append(f"--reference {args.reference}")
    grids = [config_name(args.experiments, grid) for grid in table.grids]
    out = [f"--out {args.out.name}"] if args.out else []
    return [
        *(f"python -m topiclab -cd experiments -cn {grid}" for grid in grids),
        " ".join(["python -m topiclab.report", args.name, *options, *out]),
    ]


def _show(text: str, out: Path | None) -> None:
    """Write or print the table; do nothing if it is empty."""
    if text and out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    elif text:
        print(text)


def parser_of_arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m topiclab.report", description=__doc__)
    parser.add_argument(
        "name",
        nargs="?",
        help="a grid or table of experiments/: dsl_main or dsl/main; the name= of other runs; page; figures",
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        help="for page and figures, which describe a run and write its page, or its charts and page: "
        "run=<folder> report.language=zh ...",
    )
    parser.add_argument(
        "--outputs", type=Path, default=Path("outputs"), help="parent of the run folders (default: outputs)"
    )
    parser.add_argument(
        "--experiments",
        type=Path,
        default=Path("experiments"),
        help="folder of the yaml of NAME, which plans the cells",
    )
    parser.add_argument("--format", choices=("md", "latex", "csv"), default="md")
    parser.add_argument("--out", type=Path, help="file to write instead of printing")
    parser.add_argument(
        "--metrics",
        nargs="+",
        help="columns; default: all for csv, else the usual ones; stability compares topics between seeds",
    )
    parser.add_argument(
        "--over",
        nargs="+",
        choices=("seed", *AXES),
        help="axes to average over; spreads are always over seeds (seed)",
    )
    parser.add_argument(
        "--reference", help="the system whose published numbers are shown next to ours, such as dsl"
    )
    parser.add_argument(
        "--grids", action="store_true", help="only print the grids of NAME, in the form that -cn takes"
    )
    parser.add_argument(
        "--figures",
        action="store_true",
        help="also draw the metrics by number of topics and the charts of every finished run folder, or the "
        "figure of a check",
    )
    return parser


def draw_figures(cells: Sequence[Cell], metrics: Sequence[str], place: Path) -> None:
    """Draw the metrics by number of topics, and the charts of each finished cell; print where they are.

    Charts without data are named with the reason, and so is an unreadable folder, which is skipped.
    """
    from topiclab.report.figures.charts import draw_standing  # here, because a table needs no numpy
    from topiclab.report.figures.sweep import draw_sweep
    from topiclab.report.fitted import NoChart
    from topiclab.report.page.charts import CHARTS

    done = [cell for cell in cells if cell.is_done]
    try:
        print(draw_sweep(done, metrics, place), file=sys.stderr)
    except NoChart as reason:
        print(f"  no {place.stem}: {reason}", file=sys.stderr)
    missing: Counter[str] = Counter()
    for cell in done:
        try:
            charts = draw_standing(cell.folder)
        except ValueError as error:
            print(f"  no figures: {error}", file=sys.stderr)
            continue
        drawn = sum(bool(chart.file) for chart in charts)
        print(f"  {drawn} charts in {cell.folder / CHARTS}", file=sys.stderr)
        missing.update(f"no {chart.name}: {chart.reason}" for chart in charts if not chart.file)
    print(*(f"  {text} ({count} runs)" for text, count in missing.items()), sep="\n", file=sys.stderr)


def _as_asked(table: Table, args: argparse.Namespace) -> Table:
    """The table with the command line's options; csv keeps every configuration unless --over is given."""
    if args.format == "csv":
        table = replace(table, parts=(), controls=None, check=None, over=("seed",), metrics=())
    if args.metrics:
        table = replace(table, metrics=tuple(args.metrics), parts=(), controls=None, check=None)
    if args.over:
        table = replace(table, over=tuple(args.over))
    return replace(table, reference=args.reference) if args.reference else table


def _collect(table: Table, args: argparse.Namespace) -> list[Cell]:
    """The cells of all grids of the table, planned ones included."""
    cells: list[Cell] = []
    for grid in table.grids:
        cells += collect_cells(args.outputs / folder_name(grid), find_grid(args.experiments, grid))
    if STABILITY in table_metrics(table):
        from topiclab.report.tables.stability import with_stability

        cells = with_stability(cells)
    if args.metrics:
        known = metric_names(cells)
        if unknown := [name for name in args.metrics if name not in known]:
            raise ValueError(f"no cell has {', '.join(unknown)}; there are: {' '.join(known)}")
    return cells


def table_metrics(table: Table) -> list[str]:
    """Columns that the table or its parts name."""
    return [*table.metrics, *(name for part in table.parts for name in part.metrics)]


def _metrics(table: Table, cells: Sequence[Cell], style: str) -> list[str]:
    """The columns; a metric that the table requests but no cell has shows as dashes."""
    if asked := table_metrics(table):
        return list(dict.fromkeys(asked))
    known = metric_names(cells)
    return known if style == "csv" else [name for name in DEFAULT_METRICS if name in known]


def _text(table: Table, cells: Sequence[Cell], args: argparse.Namespace) -> str:
    """The table, or its parts one after the other; '' if no cell is done yet."""
    bodies: list[str] = []
    notes: dict[str, None] = {}
    published: dict[str, list[Line]] = {}
    for part in table.parts or (table,):
        here = [cell for cell in cells if cell.axes["experiment"] in part.grids]
        if not any(cell.is_done for cell in here):
            continue
        body, lines = _body(part, here, args)
        if body:
            heading = [f"## {part.title}"] if part.title and args.format == "md" else []
            bodies.append("\n\n".join([*heading, body.rstrip("\n")]))
        notes |= dict.fromkeys(part.notes)
        if part.reference:
            published.setdefault(part.reference, []).extend(line for line in lines if line.published)
    if args.format != "md" or not bodies:
        return "\n".join(f"{body}\n" for body in bodies)
    title = [f"# {table.title}"] if table.parts else []
    notes |= dict.fromkeys(_all_origins(published, cells, args))
    return "\n\n".join([*title, *bodies, *notes]) + "\n"


def _all_origins(
    published: Mapping[str, Sequence[Line]], cells: Sequence[Cell], args: argparse.Namespace
) -> Iterator[str]:
    """The origins of every reference whose numbers are shown."""
    for name, lines in published.items():
        yield from _origins(_reference(name, args), lines, cells)


def _body(table: Table, cells: Sequence[Cell], args: argparse.Namespace) -> tuple[str, list[Line]]:
    """The text of one table without parts, and its lines ([] for checks and controls)."""
    if table.check and args.format == "md":
        return render_check(table.check, cells), []
    if table.controls and args.format == "md":
        return render_controls(cells, table), []
    reference = _reference(table.reference, args) if table.reference else None
    metrics = _metrics(table, cells, args.format)
    lines = summarise(cells, metrics, table.over, reference)
    return (render(lines, metrics, args.format) if lines else ""), lines


def _reference(name: str, args: argparse.Namespace) -> Reference:
    return read_reference(args.experiments / name)


def _origins(reference: Reference, lines: Sequence[Line], cells: Sequence[Cell]) -> Iterator[str]:
    """Sources of the published numbers in these lines, and differences in how they were obtained."""
    used = {number.read_in for line in lines for number in line.published.values()}
    places = {(line.axes["data"], line.axes["model"], line.axes["objective"]) for line in lines}
    cells = [
        cell for cell in cells if (cell.axes["data"], cell.axes["model"], cell.axes["objective"]) in places
    ]
    if used:
        differences = [f"- {text}" for text in (*reference.differences(cells), *reference.notes)]
        yield "\n".join([f"Published: {reference.title}. What differs there:", *differences])
        yield "\n".join(["Read in:", *(f"- {reference.sources[name]}" for name in sorted(used))])


def _print_notes(cells: Sequence[Cell], metrics: Sequence[str]) -> None:
    """Print to stderr the number of finished cells, every unfinished one, and why numbers are absent."""
    grids: dict[str, list[bool]] = {}
    for cell in cells:
        grids.setdefault(cell.axes["experiment"], []).append(cell.is_done)
    for grid, is_done in grids.items():
        print(f"{grid}: {sum(is_done)} of {len(is_done)} cells done", file=sys.stderr)
    unfinished = [
        f"  {cell.status}: {cell.folder}: {cell.reason or 'no reason given'}"
        for cell in cells
        if not cell.is_done
    ]
    absent = Counter(
        f"{name} of {cell.axes['model']} on {cell.axes['data']}: {cell.reasons[name]}"
        for cell in cells
        for name in metrics
        if cell.is_done and name in cell.reasons
    )
    reasons = [f"  - {text} ({count} cells)" for text, count in absent.items()]
    for lines in (unfinished, reasons):
        print(*lines[:MAX_NOTES], sep="\n", end="\n" if lines else "", file=sys.stderr)
        if len(lines) > MAX_NOTES:
            print(f"  and {len(lines) - MAX_NOTES} more", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
