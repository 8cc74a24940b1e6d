"""Held-out documents of a cell, which a language model that it reads must not have been trained on."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from topiclab.data.sources.folder import CORPORA, corpus_group
from topiclab.settings import Split

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
        "covariate_columns",
        "missing",
    ),
    *("categories", "match", "years", "subset", "encoding", "delimiter"),
}


@dataclass(frozen=True)
class _Reading:
    """Corpora that a run or a cell reads, by name or else by path, with the keys that make their texts."""

    split: Split
    corpora: Mapping[str, Mapping[str, object]]


def check_held_out(run: str, option: str, data: Mapping[str, Any]) -> None:
    """Raise ValueError if the model of a run was trained on documents that the cell holds out.

    Documents are held out by the hash of their text: test ones come first, then those of val. So the model
    has read none of the cell's if its run, and each run that it continues, held out as much of test and of
    both together, of the same texts. Where a run read another corpus, a note says that nothing is compared.
    option: that names the run, such as embedder.run.  data: group of the cell.
    """
    here, is_known = _reading(data), False
    for trained in _trained(run):
        for corpus in trained.corpora.keys() & here.corpora.keys():
            is_known = True
            if fault := _fault(trained, here, corpus):
                raise ValueError(
                    f"{option}={run} was trained on documents of {corpus} that this cell holds out: {fault}"
                )
    if not is_known:
        log.info("%s=%s: trained on no corpus of data=%s by name; not compared", option, run, data["name"])


def _trained(run: str | None) -> Iterator[_Reading]:
    """Yield the documents read by a run, and by those that it continues, where they are of `data`."""
    while run and (result := Path(run).expanduser() / "result.json").is_file():
        config = json.loads(result.read_bytes())["config"]
        reads_chats = (config.get("finetune") or {}).get("path")
        if config.get("data") and not reads_chats:
            yield _reading(config["data"])
        run = config.get("run")


def _reading(data: Mapping[str, Any]) -> _Reading:
    path, name = data.get("path") or data.get("fingerprint"), str(data["source"])
    groups: dict[str, Mapping[str, object]] = {name: data}
    if name == "text" and not path:
        groups = {corpus: corpus_group(corpus) for corpus in data["corpora"]}
    elif path and name not in CORPORA:
        groups = {f"{name} {Path(path).expanduser().resolve()}": data}
    texts = {
        name: {key: value for key, value in group.items() if key not in NOT_TEXT}
        for name, group in groups.items()
    }
    return _Reading(Split.of(data["split"]), texts)


def _fault(trained: _Reading, here: _Reading, corpus: str) -> str | None:
    """Difference in what is held out of a corpus, with the way out; None if the model held out enough."""
    read, wanted = trained.corpora[corpus], here.corpora[corpus]
    for key in sorted(read.keys() & wanted.keys()):
        if read[key] != wanted[key]:
            return (
                f"their texts differ by data.{key}={read[key]} there and {wanted[key]} here, and so does the "
                "split, which is by text; use the same"
            )
    own, other = here.split, trained.split
    if (own.val is None, own.test is None) != (other.val is None, other.test is None):
        return "one has the corpus's own split (data.split: null), the other one by text; use the same"
    more_test, more_val = (other.test or 0) - (own.test or 0), (other.val or 0) - (own.val or 0)
    if min(more_test, more_test + more_val) > -ROUNDING:
        return None
    return (
        f"data.split.val={other.val} data.split.test={other.test} there, {own.val} and {own.test} here; "
        f"train it with data.split.val={own.val} data.split.test={own.test}, or hold out no more than it did"
    )
