"""`python -m topiclab` and `topiclab`: from a command line to running cells."""

from __future__ import annotations

import sys


def main() -> None:
    """Exit with 0 if all cells are done, 1 if one failed, 2 if the line is faulty, 130 if interrupted."""
    try:
        from topiclab.runs.command import run_line  # Hydra takes a second, in which Ctrl-C ends with 130 too

        if code := run_line(sys.argv[1:]):
            sys.exit(code)
    except KeyboardInterrupt:
        print("interrupted; the same line resumes", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
