"""Name the tables in experiments/ whose code changed after they were measured."""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from topiclab.report.age.adopt import adopt
from topiclab.report.age.changes import Changes
from topiclab.report.age.rows import with_measured
from topiclab.report.age.tables import Measured, age_of, read_measured, result_files

ROOT = Path(__file__).resolve().parents[3]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the age of every table; return 1 with --strict if any is older than its code."""
    args = _parser().parse_args(argv)
    experiments = args.root / "experiments"
    try:
        for path in adopt(args.root) if args.adopt else ():
            print(f"wrote {path}")
        measured, without = _all_measured(experiments)
        changes = Changes(args.root)
        ages = [age_of(each, changes) for each in measured]
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{args.root} is not a git checkout with experiments/, or git failed: {error}", file=sys.stderr)
        return 1
    today = datetime.now(timezone.utc).date()
    for age in ages:
        print(*age.lines(today, names_all=args.all), "", sep="\n")
    for path in without:
        print(f"{path}: no provenance; make it again by its make target, or --adopt what git knows of it")
    if any(age.measured.is_adopted for age in ages):
        print("before a commit: those of the cells are unknown; this one wrote the file, so none is younger")
    old = [age.measured.name for age in ages if age.is_old]
    print(
        f"{len(old)} of {len(ages)} tables are older than their code" + (f": {', '.join(old)}" if old else "")
    )
    readme = experiments / "README.md"
    if args.write and readme.is_file():
        text = readme.read_text(encoding="utf-8")
        readme.write_text(with_measured(text, lambda path: read_measured(experiments, experiments / path)))
    return int(args.strict and bool(old or without))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m topiclab.report.age", description=__doc__)
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a table is older than its code")
    parser.add_argument("--all", action="store_true", help="name every changed file")
    parser.add_argument(
        "--write", action="store_true", help="write commit and day into the rows of experiments/README.md"
    )
    parser.add_argument(
        "--adopt", action="store_true", help="write the provenance of tables without one, from what git knows"
    )
    parser.add_argument(
        "--root", type=Path, default=ROOT, help="the checkout (default: that of this package)"
    )
    return parser


def _all_measured(experiments: Path) -> tuple[list[Measured], list[Path]]:
    """Provenance of every result, once for files of one stem, and the results without any."""
    found: dict[str, Measured] = {}
    without: list[Path] = []
    for path in result_files(experiments):
        measured = read_measured(experiments, path)
        if measured:
            found[measured.name] = measured
        else:
            without.append(path)
    return list(found.values()), without


if __name__ == "__main__":
    gc.disable()  # syntax trees are many small objects without circles: a third of the time
    raise SystemExit(main())
