"""`python -m topiclab.report NAME`: one table over an experiment's cells, and what is missing."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from topiclab.report.collect import Cell, collect_cells
from topiclab.report.tables import DEFAULT_METRICS, metric_names, render, summarise


def main(argv: Sequence[str] | None = None) -> int:
    """Print or write the table; 1 when a cell is missing, failed or unreadable, so that `make` stops."""
    args = parser_of_arguments().parse_args(argv)
    try:
        experiment = args.experiments / f"{args.name}.yaml"
        cells = collect_cells(args.outputs / args.name, experiment if experiment.exists() else None)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    known = metric_names(cells)
    default = known if args.format == "csv" else [name for name in DEFAULT_METRICS if name in known]
    metrics = args.metrics or default
    if unknown := [name for name in metrics if name not in known]:
        print(f"no cell has {', '.join(unknown)}; there are: {' '.join(known)}", file=sys.stderr)
        return 1
    if lines := summarise(cells, metrics):
        table = render(lines, metrics, args.format)
        if args.out:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text(table, encoding="utf-8")
        else:
            print(table)
    if args.figures:
        draw_figures([cell.folder for cell in cells if cell.is_done])
    _print_notes(cells, metrics)
    return int(any(not cell.is_done for cell in cells))


def parser_of_arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m topiclab.report", description=__doc__)
    parser.add_argument("name", help="the experiment: the name= of its runs")
    parser.add_argument(
        "--outputs", type=Path, default=Path("outputs"), help="where the run folders lie (outputs)"
    )
    parser.add_argument(
        "--experiments", type=Path, default=Path("experiments"), help="where NAME.yaml plans cells"
    )
    parser.add_argument("--format", choices=("md", "latex", "csv"), default="md")
    parser.add_argument("--out", type=Path, help="file to write instead of printing")
    parser.add_argument("--metrics", nargs="+", help="columns; by default all in csv, else the usual ones")
    parser.add_argument(
        "--figures", action="store_true", help="also draw the figures of every finished run folder"
    )
    return parser


def draw_figures(folders: Sequence[Path]) -> None:
    """Draw into each run folder and say where; a folder that cannot be read is named and passed over."""
    from topiclab.report.figures import draw_run  # not at the top: a table needs no numpy

    for folder in folders:
        try:
            print(*draw_run(folder), sep="\n", file=sys.stderr)
        except ValueError as error:
            print(f"  no figures: {error}", file=sys.stderr)


def _print_notes(cells: Sequence[Cell], metrics: Sequence[str]) -> None:
    """To stderr: how many cells are done, each that is not, and why numbers are absent."""
    is_done = [cell.is_done for cell in cells]
    print(f"{sum(is_done)} of {len(cells)} cells done", file=sys.stderr)
    for cell in cells:
        if not cell.is_done:
            print(f"  {cell.status}: {cell.folder}: {cell.reason or 'no reason given'}", file=sys.stderr)
    absent = Counter(
        f"{name} of {cell.axes['model']} on {cell.axes['data']}: {cell.reasons[name]}"
        for cell in cells
        for name in metrics
        if cell.is_done and name in cell.reasons
    )
    for text, count in absent.items():
        print(f"  - {text} ({count} cells)", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
