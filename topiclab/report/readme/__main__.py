"""Compare the tables of README.md with the results in experiments/, or write them anew."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from topiclab.report.readme.tables import with_tables

ROOT = Path(__file__).resolve().parents[3]


def main(argv: Sequence[str] | None = None) -> int:
    """Return 1 if the README differs from the results and is not written."""
    parser = argparse.ArgumentParser(prog="python -m topiclab.report.readme", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the tables into README.md")
    parser.add_argument(
        "--root", type=Path, default=ROOT, help="the checkout (default: that of this package)"
    )
    args = parser.parse_args(argv)
    path = args.root / "README.md"
    text = path.read_text(encoding="utf-8")
    try:
        renewed, notes = with_tables(text, args.root / "experiments")
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(*notes, sep="\n", end="\n" if notes else "")
    if renewed == text:
        print("README.md has the numbers of experiments/")
        return 0
    if args.write:
        path.write_text(renewed, encoding="utf-8")
        print("README.md: written anew")
        return 0
    print("README.md has other numbers than experiments/; run make readme-tables", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
