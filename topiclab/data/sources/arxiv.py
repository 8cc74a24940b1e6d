"""arXiv: the metadata snapshot as cleaned, filtered Parquet shards, made in one stream.

Memory grows with the snapshot by only 18 bytes per record, which serve to find the last version of an id and
the seeded sample. Origin: https://www.kaggle.com/datasets/Cornell-University/arxiv
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np
import pyarrow
from pyarrow import parquet
from tqdm import tqdm

from topiclab.atomic import atomic_file
from topiclab.cache import Cache, Entry, save_array
from topiclab.data.documents import Document
from topiclab.data.sources.json_lines import LineBlocks, in_threads, parse_block
from topiclab.data.sources.latex import plain_column

compute: Any = import_module("pyarrow.compute")  # its functions are created at import
log = logging.getLogger(__name__)

COLUMNS = ("id", "title", "abstract", "categories", "update_date")
MIN_ABSTRACT_LENGTH = 50
MAX_ID_LENGTH = 32
NAMED_LINES = 20
CATEGORY = re.compile(r"[a-z-]+(\.[A-Za-z-]+)?")
# Some records list MSC and ACM classes after their categories; these are not categories.
PRIMARY = r"^([a-z-]+(?:\.[A-Za-z-]+)?)(?:\s.*)?$"
# Reasons to drop a record, numbered as in `seen`; the first that applies counts, superseded before all.
FATES = ("kept", "without_id", "without_abstract", "short", "category", "years", "superseded", "not_sampled")
FATE = {name: number for number, name in enumerate(FATES)}
MISSING = ("without_title", "without_categories", "without_date")  # of kept records; bits of `missing`
SEEN = np.dtype([("id", np.uint64), ("rank", np.uint64), ("fate", np.int8), ("missing", np.int8)])
FORMAT = 2  # increase it when the shards of the same snapshot change


class BlockFacts(TypedDict):
    """Facts about a block of a snapshot; broken: its first broken lines, each with the reason."""

    lines: int
    num_broken: int
    broken: list[tuple[int, str]]
    other_encoding: int


class SnapshotFacts(TypedDict):
    """Facts about a snapshot in its manifest; counts: records by fate.  fault: of a truncated file."""

    counts: dict[str, int]
    broken_lines: list[tuple[int, str]]
    fault: str | None


@dataclass(frozen=True)
class Choice:
    """Selection of records, as keys of the group `data`.

    categories: categories (cs.LG) or archives (cs), None for all.  match: `primary` if the first category of
    a record must be among them, `any` if any of its categories may.  years: first and last year of
    update_date.  sample: number of records, drawn by the hash of the id from those that pass the filters.
    """

    categories: tuple[str, ...] | None
    match: str
    years: tuple[int, int] | None
    sample: int | None
    sample_seed: int

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Choice:
        """Choice in the group `data`; ValueError for a malformed category, or years out of order."""
        categories, years = data["categories"], data["years"]
        for name in categories or ():
            if not CATEGORY.fullmatch(name):
                raise ValueError(
                    f"data.categories={list(categories)}: {name!r} is neither a category such as cs.LG "
                    "nor an archive such as cs"
                )
        if years and years[0] > years[1]:
            raise ValueError(f"data.years={list(years)}: the first year is after the last; swap them")
        # Repeated texts are dropped before the sample is drawn, both where the corpus is built.
        sample = None if data["deduplicate"] else data["sample"]
        return cls(
            tuple(sorted(categories)) if categories else None,
            data["match"],
            tuple(years) if years else None,
            sample,
            data["sample_seed"],
        )

    @cached_property
    def pattern(self) -> str | None:
        """Regular expression that the categories of a record must match; None for all records."""
        if self.categories is None:
            return None
        names = "|".join(
            re.escape(name) + ("" if "." in name else r"(?:\.[A-Za-z-]+)?") for name in self.categories
        )
        start = "^" if self.match == "primary" else r"(?:^|\s)"
        return rf"{start}(?:{names})(?:\s|$)"


def arxiv_shards(path: Path, choice: Choice, cache: Cache) -> Entry:
    """Cache entry `arxiv` of a snapshot and a choice: shard-*.parquet in the snapshot's order.

    Columns id, title, text ("{title}. {abstract}"), category (the first), categories and update_date. The
    manifest counts the records by fate and names broken lines. A killed fill resumes after its last block.
    Raises ValueError, naming the filter, when nothing is left.
    """
    stat = path.stat()
    key = {
        "format": FORMAT,
        "name": path.name,
        "bytes": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        **asdict(choice),
    }

    def fill(folder: Path) -> dict[str, Any]:
        facts = stream_snapshot(path, folder, choice)
        _check(path, choice, facts)
        return dict(facts)

    entry = cache.entry("arxiv", key, fill, is_resumable=True)
    _report(path, cast(SnapshotFacts, entry.manifest))
    return entry


def arxiv_documents(entry: Entry, label: str) -> Iterator[Document]:
    """Documents of the shards, one shard in memory at a time; label: category (the first) or archive."""
    for shard in sorted(entry.folder.glob("shard-*.parquet")):
        columns = ["id", "text", "category", "update_date", "title"]
        for record in parquet.read_table(shard, columns=columns).to_pylist():
            category = record["category"]
            name = category.partition(".")[0] if category and label == "archive" else category
            yield Document(record["text"], record["id"], name, record["update_date"], record["title"])


def stream_snapshot(path: Path, folder: Path, choice: Choice, progress: bool = True) -> SnapshotFacts:
    """Fill a folder with the shards of a snapshot; return the facts for the manifest.

    One thread per core, at most four, processes blocks; each block has its own files, its facts written last.
    """
    blocks, num_blocks = LineBlocks(path), 0

    def missing(bar: tqdm) -> Iterator[tuple[int, bytes]]:
        nonlocal num_blocks
        for number, block in enumerate(blocks):
            num_blocks = number + 1
            bar.update(blocks.position - bar.n)
            if not _facts_path(folder, number).exists():
                yield number, block

    with tqdm(
        total=path.stat().st_size, unit="B", unit_scale=True, desc="arxiv", disable=None if progress else True
    ) as bar:
        for _ in in_threads(lambda item: _write_block(*item, folder, choice), missing(bar)):
            pass
        bar.update(blocks.position - bar.n)
    counts, broken_lines = _finish(folder, num_blocks, choice)
    return {"counts": counts, "broken_lines": broken_lines, "fault": blocks.fault}


def _write_block(number: int, block: bytes, folder: Path, choice: Choice) -> None:
    records = parse_block(block, COLUMNS)
    table = _clean(records.table)
    ids = table["id"].combine_chunks()
    seen = np.zeros(len(ids), dtype=SEEN)
    seen["id"], seen["fate"], seen["missing"] = _numbers(ids), _fates(table, choice), _missing(table)
    if choice.sample is not None:
        prefix = f"{choice.sample_seed}:"
        digests = (hashlib.sha256(f"{prefix}{name}".encode()).digest()[:8] for name in ids.to_pylist())
        seen["rank"] = np.frombuffer(b"".join(digests), dtype=">u8")
    _write_table(folder / f"raw-{number:06d}.parquet", _kept(table, seen["fate"]))
    save_array(folder / f"seen-{number:06d}.npy", seen)
    facts: BlockFacts = {
        "lines": records.lines,
        "num_broken": len(records.broken),
        "broken": records.broken[:NAMED_LINES],
        "other_encoding": records.num_recoded,
    }
    with atomic_file(_facts_path(folder, number)) as stream:
        stream.write(json.dumps(facts, allow_nan=False).encode())


def _clean(records: pyarrow.Table) -> pyarrow.Table:
    """Columns of the shards, and `abstract`, of all records."""
    ids, categories = (
        compute.utf8_trim_whitespace(records[name].combine_chunks().fill_null(""))
        for name in ("id", "categories")
    )
    titles, abstracts = (plain_column(records[name].combine_chunks()) for name in ("title", "abstract"))
    starts = compute.if_else(
        compute.equal(titles, ""), "", compute.binary_join_element_wise(titles, "", ". ")
    )
    is_category = compute.match_substring_regex(categories, PRIMARY)
    primary = compute.replace_substring_regex(categories, PRIMARY, r"\1")
    dates = compute.strptime(
        records["update_date"].combine_chunks(), format="%Y-%m-%d", unit="s", error_is_null=True
    )
    columns = {
        "id": ids,
        "title": titles,
        "text": compute.binary_join_element_wise(starts, abstracts, ""),
        "category": compute.if_else(is_category, primary, pyarrow.scalar(None, pyarrow.string())),
        "categories": categories,
        "update_date": dates.cast(pyarrow.date32()),
        "abstract": abstracts,
    }
    return pyarrow.table(columns)


def _fates(table: pyarrow.Table, choice: Choice) -> np.ndarray:
    """Fate of every record as an index into FATES, (N,) int8."""
    length, id_length = compute.utf8_length(table["abstract"]), compute.binary_length(table["id"])
    faults = {
        "short": compute.less(length, MIN_ABSTRACT_LENGTH),
        "without_abstract": compute.equal(length, 0),
        "without_id": compute.or_(compute.equal(id_length, 0), compute.greater(id_length, MAX_ID_LENGTH)),
    }
    if choice.years is not None:
        year = compute.year(table["update_date"]).fill_null(-1)
        first, last = choice.years
        outside = compute.or_(compute.less(year, first), compute.greater(year, last))
        faults = {"years": outside, **faults}
    if choice.pattern is not None:
        is_chosen = compute.match_substring_regex(table["categories"], choice.pattern)
        faults = {"category": compute.invert(is_chosen), **faults}
    fates = np.zeros(table.num_rows, dtype=np.int8)
    for name in ("years", "category", "short", "without_abstract", "without_id"):  # later ones overwrite
        if name in faults:
            fates[faults[name].to_numpy()] = FATE[name]
    return fates


def _missing(table: pyarrow.Table) -> np.ndarray:
    """Fields that every record lacks, (N,) int8, bits in the order of MISSING."""
    lacks = (compute.equal(table["title"], ""), table["category"].is_null(), table["update_date"].is_null())
    missing = np.zeros(table.num_rows, dtype=np.int8)
    for bit, is_so in enumerate(lacks):
        missing |= is_so.to_numpy().astype(np.int8) << bit
    return missing


def _kept(table: pyarrow.Table, fates: np.ndarray) -> pyarrow.Table:
    is_kept = fates == FATE["kept"]
    table = table.drop_columns(["abstract"])
    return table if is_kept.all() else table.filter(pyarrow.array(is_kept))


def _numbers(ids: pyarrow.Array) -> np.ndarray:
    """A 64-bit number for each id of at most 32 bytes: (N,) uint64.

    Two of n ids share a number with probability n^2 / 2^65, 1e-7 for all of arXiv.
    """
    is_long = compute.greater(compute.binary_length(ids), MAX_ID_LENGTH)
    padded = compute.ascii_rpad(compute.if_else(is_long, "", ids), MAX_ID_LENGTH)
    words = np.frombuffer(padded.buffers()[2] or b"", dtype="<u8", count=4 * len(ids)).reshape(-1, 4)
    number = np.full(len(ids), 0x9E3779B97F4A7C15, dtype=np.uint64)
    for column in words.T:
        number = (number ^ column) * np.uint64(0xFF51AFD7ED558CCD)
        number ^= number >> np.uint64(32)
    return number


def _finish(folder: Path, num_blocks: int, choice: Choice) -> tuple[dict[str, int], list[tuple[int, str]]]:
    """Turn the blocks' files into shards of the records that are left; return counts and broken lines."""
    seen = [np.load(folder / f"seen-{number:06d}.npy", allow_pickle=False) for number in range(num_blocks)]
    offsets = np.cumsum([0, *map(len, seen)])
    everything = np.concatenate([np.zeros(0, dtype=SEEN), *seen])
    del seen
    fate = everything["fate"].copy()
    _supersede(everything["id"], fate)
    if choice.sample is not None:
        kept = np.flatnonzero(fate == FATE["kept"])
        fate[kept[np.argsort(everything["rank"][kept], kind="stable")[choice.sample :]]] = FATE["not_sampled"]
    for number in range(num_blocks):
        rows = slice(offsets[number], offsets[number + 1])
        was_kept = everything["fate"][rows] == FATE["kept"]
        _write_shard(folder, number, fate[rows][was_kept] == FATE["kept"])
    facts: list[BlockFacts] = [
        json.loads(_facts_path(folder, number).read_bytes()) for number in range(num_blocks)
    ]
    for pattern in ("facts-*.json", "seen-*.npy", "raw-*.parquet"):  # a block without its facts is read again
        for path in folder.glob(pattern):
            path.unlink()
    missing = everything["missing"][fate == FATE["kept"]]
    counts = dict(zip(FATES, np.bincount(fate, minlength=len(FATES)).tolist(), strict=True))
    lacks = {name: int((missing >> bit & 1).sum()) for bit, name in enumerate(MISSING)}
    return counts | _sum_up(facts, len(fate)) | lacks, _broken_lines(facts)


def _supersede(ids: np.ndarray, fate: np.ndarray) -> None:
    """Mark every record, kept or not, whose id occurs again further down."""
    rows = np.flatnonzero(fate != FATE["without_id"])
    ordered = rows[np.argsort(ids[rows], kind="stable")]
    comes_again = ids[ordered[1:]] == ids[ordered[:-1]]
    fate[ordered[:-1][comes_again]] = FATE["superseded"]


def _write_shard(folder: Path, number: int, is_kept: np.ndarray) -> None:
    """Write a block's shard; if its raw file is gone, the shard was written before a kill."""
    raw, shard = folder / f"raw-{number:06d}.parquet", folder / f"shard-{number:06d}.parquet"
    if not raw.exists():
        return
    if is_kept.all() and len(is_kept):
        raw.replace(shard)
        return
    if is_kept.any():
        _write_table(shard, parquet.read_table(raw).filter(pyarrow.array(is_kept)))
    raw.unlink()


def _write_table(path: Path, table: pyarrow.Table) -> None:
    with atomic_file(path) as stream:
        parquet.write_table(table, stream, compression="zstd", compression_level=1, use_dictionary=False)


def _facts_path(folder: Path, number: int) -> Path:
    return folder / f"facts-{number:06d}.json"


def _sum_up(facts: list[BlockFacts], num_records: int) -> dict[str, int]:
    broken = sum(block["num_broken"] for block in facts)
    recoded = sum(block["other_encoding"] for block in facts)
    return {"read": num_records + broken, "broken": broken, "other_encoding": recoded}


def _broken_lines(facts: list[BlockFacts]) -> list[tuple[int, str]]:
    """The first broken lines, numbered from the start of the file."""
    first = np.cumsum([0, *(block["lines"] for block in facts)]).tolist()
    lines = [
        (first[number] + line, why) for number, block in enumerate(facts) for line, why in block["broken"]
    ]
    return lines[:NAMED_LINES]


def _check(path: Path, choice: Choice, facts: SnapshotFacts) -> None:
    counts = facts["counts"]
    if counts["kept"]:
        return
    if not counts["read"]:
        fault = f" and it is {facts['fault']}" if facts["fault"] else ""
        raise ValueError(f"{path}: there is no record in the file{fault}; check data.path")
    number, why = facts["broken_lines"][0] if facts["broken_lines"] else (0, "")
    reasons = {
        "broken": f"broken, the first in line {number} ({why})",
        "without_id": "without an id",
        "without_abstract": "without an abstract",
        "short": f"with an abstract under {MIN_ABSTRACT_LENGTH} characters",
        "category": f"outside data.categories={list(choice.categories or ())} (data.match={choice.match})",
        "years": f"outside data.years={list(choice.years or ())}",
        "superseded": "superseded by a later version",
    }
    fates = "; ".join(f"{counts[name]:,} {said}" for name, said in reasons.items() if counts[name])
    keys = {"category": "data.categories", "years": "data.years"}
    filters = [key for name, key in keys.items() if counts[name]]
    way_out = f"widen {' or '.join(filters)}" if filters else "check data.path"
    raise ValueError(f"data=arxiv: none of {counts['read']:,} records of {path} is left: {fates}; {way_out}")


def _report(path: Path, facts: SnapshotFacts) -> None:
    counts = facts["counts"]
    dropped = ", ".join(f"{counts[name]:,} {name}" for name in (*FATES[1:], "broken") if counts[name])
    log.info(
        "%s: %s of %s records%s",
        path.name,
        f"{counts['kept']:,}",
        f"{counts['read']:,}",
        f"; dropped: {dropped}" if dropped else "",
    )
    if facts["fault"]:
        log.warning("%s is %s; the records before that are kept", path, facts["fault"])
    if counts["broken"]:
        number, why = facts["broken_lines"][0]
        log.warning(
            "%s: %d broken lines left out, the first is line %d (%s)", path, counts["broken"], number, why
        )
