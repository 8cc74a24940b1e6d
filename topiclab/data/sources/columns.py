"""Names of the columns of a table, checked."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path


def check_columns(path: Path, present: Iterable[str], wanted: Sequence[str], way_out: str = "") -> None:
    """Raise ValueError for a wanted column that is missing or occurs twice, or where there is none at all.

    way_out: what else may be wrong if a column is missing.
    """
    names = list(present)
    if not names:
        raise ValueError(f"{path}: there is no record in the file; check data.path")
    for name in wanted:
        places = [number for number, column in enumerate(names, 1) if column == name]
        if len(places) > 1:
            told = " and ".join(map(str, places))
            raise ValueError(f"{path}: columns {told} are both called {name}; rename all but one")
        if not places:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; choose one of these{way_out}"
            raise ValueError(f"{path}: no column {name}, the columns are {', '.join(names)}{hint}")
