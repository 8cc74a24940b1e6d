"""Origin of a cell: code, data, versions, device, date and read-out, as its result.json tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from topiclab.runs.outcome import Finished


@dataclass(frozen=True)
class Origin:
    """Origin of a finished cell, according to its result.json.

    revision: commit of the code, with -dirty for uncommitted changes; unknown outside a checkout.
    finished: ISO 8601.  fingerprint: of its corpus, '' where a run has none.
    readout: what ranks the words of its topics: usage or beta.
    """

    revision: str
    finished: str
    device: str
    versions: Mapping[str, str]
    fingerprint: str
    readout: str


def origin_of(result: Finished) -> Origin:
    """Origin of a cell from the content of its result.json; what an old one lacks is unknown."""
    manifest, config = result.get("manifest") or {}, result.get("config") or {}
    own = (config.get("model") or {}).get("readout", "beta")  # in runs before the manifest named it
    return Origin(
        revision=str(result.get("git_revision") or "unknown"),
        finished=str(result.get("finished") or "unknown"),
        device=str(result.get("device") or "unknown"),
        versions=dict(result.get("versions") or {}),
        fingerprint=str((manifest.get("corpus") or {}).get("fingerprint") or ""),
        readout=str(manifest.get("readout") or own),
    )
