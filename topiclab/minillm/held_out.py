"""Held-out documents of a cell, which a language model that it reads must not have been trained on."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from topiclab.data.sources.folder import CORPORA, corpus_group

log = logging.getLogger(__name__)

ROUNDING = 1e-9  # of sums of shares

# Keys of the group data that leave the text of a document, by whose hash it is held out, as it is.
NOT_TEXT = {
    *("name", "source", "path", "corpora", "split", "sample", "sample_seed", "deduplicate", "vocabulary"),
    *(
        "label",
        "label_column",
        "id_column",
        "title_column",
        "timestamp_column",
        "timestamp_format",
        "missing",
    ),
    *("categories", "match", "years", "subset", "encoding", "delimiter"),
}


def check_held_out(run: str, option: str, data: Mapping[str, Any]) -> None:
    """Raise ValueError if the model of a run was trained on documents that the cell holds out.

    Documents are held out by the hash of their text: test ones come first, then those of val. So the model
    has read none of the cell's if its run, and each run that it continues, held out as much of test and of
    both together, of the same texts. Where a run read another corpus, a note says that nothing is compared.
    option: that names the run, such as embedder.run.  data: group of the cell.
    """
    known = False
    for config in _trained(run):
        read, here = _corpora(config["data"]), _corpora(data)
        for corpus in read.keys() & here.keys():
            known = True
            if fault := _fault(config["data"], read[corpus], data, here[corpus]):
                raise ValueError(
                    f"{option}={run} was trained on documents of {corpus} that this cell holds out: {fault}"
                )
    if not known:
        log.info("%s=%s: trained on no corpus of data=%s by name; not compared", option, run, data["name"])


def _trained(run: str | None) -> Iterator[Mapping[str, Any]]:
    """Configurations of a run and of those that it continues, where they read documents of `data`."""
    while run and (result := Path(run).expanduser() / "result.json").is_file():
        config = json.loads(result.read_bytes())["config"]
        reads_chats = (config.get("finetune") or {}).get("path")
        if config.get("data") and not reads_chats:
            yield config
        run = config.get("run")


def _corpora(data: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Groups of the corpora that a group `data` reads, by name; by their path if they have no other."""
    if data["source"] == "text" and not data.get("path"):
        return {name: corpus_group(name) for name in data["corpora"]}
    path = data.get("path")
    if path and data["source"] not in CORPORA:
        return {str(Path(path).expanduser().resolve()): data}
    return {data["source"]: data}


def _fault(
    trained: Mapping[str, Any], read: Mapping[str, Any], data: Mapping[str, Any], here: Mapping[str, Any]
) -> str | None:
    """Difference in what is held out, with the way out; None if the model held out enough.

    trained, data: groups of the run and of the cell.  read, here: those of the one corpus.
    """
    keys = sorted((read.keys() & here.keys()) - NOT_TEXT)
    if other := [key for key in keys if read[key] != here[key]]:
        key = other[0]
        return (
            f"their texts differ by data.{key}={read[key]} there and {here[key]} here, and so does the "
            "split, which is by text; use the same"
        )
    (val, test), (own_val, own_test) = (_shares(group) for group in (trained, data))
    if (val is None, test is None) != (own_val is None, own_test is None):
        return "one has the corpus's own split (data.split: null), the other one by text; use the same"
    more_test, more_val = (test or 0) - (own_test or 0), (val or 0) - (own_val or 0)
    if min(more_test, more_test + more_val) > -ROUNDING:
        return None
    return (
        f"data.split.val={val} data.split.test={test} there, {own_val} and {own_test} here; train it with "
        f"data.split.val={own_val} data.split.test={own_test}, or hold out no more than it did"
    )


def _shares(data: Mapping[str, Any]) -> tuple[float | None, float | None]:
    return data["split"]["val"], data["split"]["test"]
